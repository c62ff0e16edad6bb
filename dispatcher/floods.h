#ifndef DISPATCHER_FLOODS_H
#define DISPATCHER_FLOODS_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/names.h"

/* The workers whose output floods at present, by the control queues that they ask with (protocol
 * section 4), and what each has heard of.  Times are CLOCK_MONOTONIC. */

#define FLOODS_MAX 32 /* more at once share these places: some ask in vain */

struct flooder {
    char queue[NAMES_SIZE]; /* "" = a free place */
    uint64_t starts;        /* when it asked last */
    int64_t asked_ns;
};

struct floods {
    struct flooder known[FLOODS_MAX];
};

/* A worker asks whether tasks have started, of which `starts` is the number so far: yes when it is
 * another than at its last question.  Who did not ask for half a second is new, and hears nothing of
 * what was before its flood: its own start, as a rule. */
bool floods_asked(struct floods *floods, const char *queue, uint64_t starts, int64_t now_ns);

#endif
