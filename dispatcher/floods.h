#ifndef DISPATCHER_FLOODS_H
#define DISPATCHER_FLOODS_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/limits.h"

/* What a worker whose output floods is to hear (protocol section 4, Flood): whether tasks start
 * elsewhere.  Times are CLOCK_MONOTONIC. */

struct floods_start {
    char worker[LIMIT_ID_BYTES + 1];
    int64_t at_ns; /* 0 = never */
};

struct floods {
    struct floods_start last;
    struct floods_start before; /* the last one at another worker than that */
};

/* A task has started at this worker. */
void floods_started(struct floods *floods, const char *worker, int64_t now_ns);

/* Has one started at another worker than this within the last half second? */
bool floods_asked(const struct floods *floods, const char *worker, int64_t now_ns);

#endif
