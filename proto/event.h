#ifndef PROTO_EVENT_H
#define PROTO_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/jsonskip.h"
#include "proto/fault.h"
#include "proto/ident.h"

/* Events (protocol section 6): CloudEvents 1.0, structured mode. */

#define EVENT_CONTENT_TYPE "application/cloudevents+json; charset=utf-8"
#define EVENT_ID_SIZE 96 /* "<attempt name>.<seq or kind>", "<session>.<type>.<number>" */

enum event_kind {
    EVENT_STARTED, /* attempt.*, from the journal: numbered */
    EVENT_OUTPUT,
    EVENT_PROGRESS,
    EVENT_RESULT,
    EVENT_FINISHED,
    EVENT_REFUSED, /* attempt.*, about it: no number */
    EVENT_DECLINED,
    EVENT_HELD,
    EVENT_LOST,
    EVENT_WORKER_STARTED, /* worker.* */
    EVENT_WORKER_HEARTBEAT,
    EVENT_WORKER_DRAINING,
    EVENT_WORKER_STOPPED,
    EVENT_WORKER_REJECTED,
    EVENT_TICK, /* dispatcher.tick */
    EVENT_KINDS
};

const char *event_class(enum event_kind kind); /* "attempt", "worker", "dispatcher" */
const char *event_word(enum event_kind kind);  /* "started", "heartbeat", ... */
const char *event_type(enum event_kind kind);  /* "aegir.hler.attempt.started.v1", ... */
bool event_numbered(enum event_kind kind);     /* carries a seq */
bool event_bulk(enum event_kind kind); /* output and progress: hler.output, not hler.state */

/* --- writing ---
 *
 * event_open_*(), then exactly one JSON value (event_data.h), then event_close(). */

/* What each event of one attempt repeats. */
struct event_about {
    const char *worker;                /* id = broker user */
    const char *operation, *requester; /* NULL when unknown: declined only */
    const char *traceparent;           /* NULL = none */
    struct attempt_name name;
};

/* seq is used by numbered kinds only; wall_us = 0: now. */
void event_open_attempt(struct buf *out, enum event_kind kind, const struct event_about *about,
                        int64_t seq, int64_t wall_us);
/* About the worker itself, or a dispatcher's tick (worker = "dispatcher"). */
void event_open_worker(struct buf *out, enum event_kind kind, const char *worker,
                       const char *session, int64_t number);
void event_close(struct buf *out);

/* The ids that event_open_* writes; returns out. */
char *event_attempt_id(enum event_kind kind, const struct attempt_name *name, int64_t seq,
                       char out[EVENT_ID_SIZE]);
char *event_worker_id(enum event_kind kind, const char *session, int64_t number,
                      char out[EVENT_ID_SIZE]);

/* --- reading (dispatcher) --- */

struct event {
    struct json_object *root; /* NULL where event_slim() let go of it, as is what points into it */
    enum event_kind kind;
    const char *id;
    const char *worker;       /* last word of source */
    const char *operation;    /* NULL for worker and dispatcher events, and when a worker that
                               * declines an attempt never had it */
    struct attempt_name name; /* attempt events only; from the id */
    int64_t seq;              /* numbered kinds only, else 0 */
    char time[CLOCK_TEXT_SIZE];
    struct json_object *data;         /* an object; its members are checked by kind.  Of
                               * progress it may be the member `kind` alone: event_whole_data() has all */
    struct jsonskip_piece whole_data; /* in the delivery's body; text NULL = data is whole */
};

/* user: the delivery's user_id (FAULT_NO_USER when NULL; FAULT_FOREIGN when it is
 * not the source), routing_key: must agree with the body (FAULT_BAD_KEY).
 * 0, or -1 with *fault filled and nothing to free. */
struct event_delivery {
    const char *user, *routing_key, *body;
    size_t len;
};
int event_decode(const struct event_delivery *delivery, struct event *out,
                 struct fault *fault) MUST_CHECK;
void event_free(struct event *event);

/* Of an event with whole_data keep kind, name, seq, time and whole_data, which is what a row of output
 * needs: a batch holds hundreds.  Id, worker, operation and data are NULL then.  Others stay as they
 * are. */
void event_slim(struct event *event);

/* The text of a decoded event's data, which lives as long as event and delivery. */
struct jsonskip_piece event_whole_data(const struct event *event);

/* A text member of a decoded event's data, which has been checked already; NULL = left out. */
const char *event_member(const struct event *event, const char *key);

#endif
