#ifndef DISPATCHER_FLOODS_H
#define DISPATCHER_FLOODS_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/limits.h"

/* The workers whose output floods at present: who asks for that (protocol section 4, Flood), and
 * what each is to hear.  Times are CLOCK_MONOTONIC. */

#define FLOODS_MAX 32 /* so many at once; others ask in vain */

struct flooder {
    char worker[LIMIT_ID_BYTES + 1]; /* "" = a free place */
    int64_t asked_ns;
    bool news; /* a task has started elsewhere since */
};

struct floods {
    struct flooder known[FLOODS_MAX];
};

/* A task has started at this worker: news for the others. */
void floods_started(struct floods *floods, const char *worker);

/* A worker asks whether tasks have started elsewhere since it asked last.  Who has not asked for some
 * seconds is new, and hears of nothing that was before. */
bool floods_asked(struct floods *floods, const char *worker, int64_t now_ns);

#endif
