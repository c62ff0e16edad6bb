#include <stddef.h>

#include "worker/executors/program.h"
#include "worker/executors/terraform_run.h"

int
main(int argc, char **argv)
{
    static const char *const tools[] = {"terraform", "tofu", NULL};
    /* a provider may need minutes to stop, and a kill loses what it was making */
    static const struct program program = {
        .name = "terraform", .tools = tools, .grace_ms = 120000, .run = terraform_run};

    return program_main(&program, argc, argv);
}
