#ifndef BRIDGE_EXECUTORS_H
#define BRIDGE_EXECUTORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"

/* The executors of this machine, as they describe themselves at the start
 * (worker/executors/README.md section 1). */

/* Built in: */
#define EXECUTORS_COMMAND "command" /* what the specification names is run */
#define EXECUTORS_NONE "none"       /* nothing is */

struct executor {
    struct executor *next;
    char *name, *version;
    char *path; /* NULL = built in */
    int stop_signal;
    bool stop_group;
    int64_t grace_ms;
};

struct executors {
    struct executor *first;
    struct buf json; /* {"name":"version", ...} for heartbeats */
};

/* Ask every executable file in dir ("" or not there = none).  What does not describe
 * itself is logged and left out.  Waits a few seconds for each at most. */
void executors_discover(struct executors *executors, const char *dir);
const struct executor *executors_find(const struct executors *executors, const char *name);
void executors_free(struct executors *executors);

#endif
