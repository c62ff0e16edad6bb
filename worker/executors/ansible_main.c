#include <stddef.h>

#include "worker/executors/ansible_run.h"
#include "worker/executors/program.h"

int
main(int argc, char **argv)
{
    static const char *const tools[] = {"ansible-playbook", NULL};
    static const struct program program = {
        .name = "ansible", .tools = tools, .grace_ms = 30000, .run = ansible_run};

    return program_main(&program, argc, argv);
}
