#ifndef WORKER_EXECUTORS_CHILD_H
#define WORKER_EXECUTORS_CHILD_H

#include <stdbool.h>
#include <stddef.h>

#include "common/attr.h"

/* Runs the tools behind the executors: each in a process group of its own, with stdin /dev/null,
 * default signals and this environment only.  A stop (SIGINT or SIGTERM to us) reaches the tool as
 * one SIGINT, once: Terraform takes a second one for "abort and lose the state". */

/* One line without its newline; text is NUL-terminated.  Very long lines come in pieces. */
typedef void child_line(void *ctx, char *text, size_t len);

struct child {
    char **argv; /* argv[0] is an absolute path */
    char **envp;
    bool stop_group;      /* SIGINT goes to the tool's whole group */
    child_line *out_line; /* NULL = the tool writes to our stdout */
    child_line *err_line; /* NULL = to our stderr */
    void *ctx;
};

/* Catch SIGINT and SIGTERM from now on.  Call once, before anything is started. */
int child_init(void) MUST_CHECK;

/* True when a stop has arrived: start nothing more. */
bool child_stopped(void);

/* Run to the end.  The exit code, 128 + signal, or -1 with errno when it could not be started. */
int child_run(const struct child *child) MUST_CHECK;

/* The absolute path of an executable file in PATH (caller frees), or NULL. */
char *child_find(const char *name) MUST_CHECK;

#endif
