#ifndef WORKER_EXECUTORS_PROGRAM_H
#define WORKER_EXECUTORS_PROGRAM_H

#include "worker/executors/job.h"

/* The command line that all executors share: `describe` and `run` (README, sections 1 and 2). */
struct program {
    const char *name;
    const char *const *tools; /* one of these must be in PATH; NULL-terminated */
    int grace_ms;
    int (*run)(const struct job *job); /* the exit code */
};

/* What main() returns. */
int program_main(const struct program *program, int argc, char **argv);

#endif
