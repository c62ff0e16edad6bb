#include "worker/executors/program.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/mem.h"
#include "worker/executors/child.h"

#define EXIT_USAGE 2

static int
describe(const struct program *program)
{
    for (const char *const *tool = program->tools; *tool != NULL; tool++) {
        CLEANUP(mem_cleanup) char *path = child_find(*tool);

        if (path == NULL)
            continue;
        printf("{\"name\":\"%s\",\"version\":\"1\",\"protocol\":1,\"stop_signal\":\"INT\","
               "\"stop_target\":\"leader\",\"grace_ms\":%d}\n",
               program->name, program->grace_ms);
        return fflush(stdout) == 0 ? 0 : JOB_EXIT_FAILED;
    }
    fprintf(stderr, "%s: %s is not installed\n", program->name, program->tools[0]);
    return JOB_EXIT_FAILED;
}

static int
run(const struct program *program)
{
    CLEANUP(job_free) struct job job = {0};
    int code;

    if (child_init() == -1) {
        fprintf(stderr, "%s: signals: %s\n", program->name, strerror(errno));
        return JOB_EXIT_LATER;
    }
    code = job_load(&job, program->name);
    return code == 0 ? program->run(&job) : code;
}

static int
usage(FILE *out, const char *name)
{
    fprintf(out, "usage: %s describe | run | --help | --version   (started by hler-worker)\n",
            name);
    return out == stdout ? 0 : EXIT_USAGE;
}

int
program_main(const struct program *program, int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "describe") == 0)
        return describe(program);
    if (argc == 2 && strcmp(argv[1], "run") == 0)
        return run(program);
    if (argc == 2 && strcmp(argv[1], "--help") == 0)
        return usage(stdout, program->name);
    if (argc == 2 && strcmp(argv[1], "--version") == 0)
        return printf("%s " HLER_VERSION "\n", program->name) < 0 ? JOB_EXIT_FAILED : 0;
    fprintf(stderr, "%s: %s: unexpected\n", program->name, argc > 1 ? argv[1] : "nothing");
    return usage(stderr, program->name);
}
