#ifndef COMMON_LOOP_TIMERS_H
#define COMMON_LOOP_TIMERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/loop.h"

/* The timers of one loop, a binary heap by deadline.  Only for loop.c. */

struct loop_timers {
    struct loop_timer **heap; /* armed ones; each knows its place */
    size_t count, cap;
    uint64_t next_order; /* equal deadlines run in the order they were set */
};

struct loop_timer *loop_timers_new(struct loop_timers *timers, loop_fn *fn, void *ctx);

/* The earliest deadline (CLOCK_MONOTONIC); false when none is armed. */
bool loop_timers_next(const struct loop_timers *timers, int64_t *deadline_ns);

/* Call all that are due at now_ns.  One that its handler sets anew waits for the next round. */
void loop_timers_run(struct loop_timers *timers, int64_t now_ns);

void loop_timers_free(struct loop_timers *timers); /* the heap; timers are their owners' */

#endif
