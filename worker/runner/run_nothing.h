#ifndef WORKER_RUN_NOTHING_H
#define WORKER_RUN_NOTHING_H

#include <stdbool.h>
#include <stddef.h>

#include "common/attr.h"
#include "worker/runner/journal.h"
#include "worker/runner/request.h"

/* Attempts of requests without a program: executor "none".  Their journals are what a runner's
 * would be, so that nobody further on need know of them, and go to the disk together. */

#define RUN_NOTHING_MOST 64

struct run_nothing {
    size_t n;
    struct run_nothing_one {
        char dir[REQUEST_DIR_MAX];
        int dir_fd, journal_fd;
    } all[RUN_NOTHING_MOST];
};

/* Write the journal of one more, which has room (run_nothing_is_full()); both descriptors are taken over.  0, or
 * -1 with errno: they stay the caller's, and the journal must be removed. */
int run_nothing_add(struct run_nothing *these, const struct request *request,
                    const struct journal_writer *journal, int dir_fd) MUST_CHECK;
bool run_nothing_is_full(const struct run_nothing *these);

/* Sync them all and give each to done(), with 0 or the errno of its sync: then its journal must be removed.
 * To be called before a fork, which would hold their locks.  Empty afterwards. */
void run_nothing_settle(struct run_nothing *these,
                        void (*done)(void *ctx, const struct run_nothing_one *one, int error),
                        void *ctx);

#endif
