#ifndef PROTO_EVENT_BATCH_H
#define PROTO_EVENT_BATCH_H

#include <stdbool.h>
#include <stddef.h>

#include "proto/fault.h"
#include "proto/limits.h"

/* Several events in one message (protocol section 6.5): CloudEvents 1.0, JSON batch. */

#define EVENT_BATCH_CONTENT_TYPE "application/cloudevents-batch+json; charset=utf-8"

/* One event's text, in the batch's body. */
struct event_piece {
    const char *body;
    size_t len;
};

/* Is this body (NULL = it was not kept) an array, and not one event?  Says nothing of what is in it. */
bool event_batch_is(const char *body, size_t len);

/* Find the events of a batch.  Only where each begins and ends: whether it is one is event_decode()'s
 * to say, of each alone.  Returns their number, or -1 with *fault: then it is no batch at all. */
int event_batch_split(const char *body, size_t len, struct event_piece pieces[LIMIT_BATCH_EVENTS],
                      struct fault *fault) MUST_CHECK;

#endif
