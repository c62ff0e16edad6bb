#ifndef BRIDGE_ATTEMPT_H
#define BRIDGE_ATTEMPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/control.h"
#include "proto/event.h"
#include "proto/offer.h"
#include "worker/bridge/stream.h"

/* One attempt from its offer to the last confirm of its journal.
 *
 *   waiting -> claimed -> starting -> running -> sending -> (gone)
 *      |          |           |          +-> lost ----------> (gone)
 *      +----------+-----------+-> closing ------------------> (gone)
 *
 * attempt_set() is the only writer of `state`. */

enum attempt_state {
    AT_WAITING,  /* offered to us; its claim is not sent */
    AT_CLAIMED,  /* a claim is on its way */
    AT_STARTING, /* granted; the spawner was asked */
    AT_RUNNING,  /* a runner holds the journal */
    AT_SENDING,  /* the runner is over; its journal is not all confirmed */
    AT_LOST,     /* the runner went without an end; that must still be told */
    AT_CLOSING,  /* refused or declined; that must still be told */
    AT_STATES
};

struct attempt {
    struct attempt *next_in_bucket;
    struct attempt *prev, *next; /* of all */
    struct attempt_name name;
    char text[IDENT_NAME_SIZE]; /* of the name: the directory's name too */
    enum attempt_state state;

    /* What its events repeat; the strings are owned. */
    char *operation, *requester, *traceparent;
    bool repeatable;

    /* The offer, until it is started. */
    struct offer offer;
    char *body;
    size_t body_len;

    /* Its delivery, while it is not acknowledged. */
    uint64_t tag; /* 0 = none */
    int64_t delivered_ns;

    bool asked; /* AT_STARTING: the spawner has the request */

    int64_t claim;      /* number of the current claim */
    int64_t claimed_ns; /* CLOCK_BOOTTIME */

    bool stop_wanted; /* remembered until a runner can be told */
    enum control_cause stop_cause;
    int64_t stop_grace_ms;

    int64_t beat_number; /* of the first heartbeat that lists it as running; 0 = none yet */

    /* Its directory. */
    bool prepared;  /* it lies ready for the grant */
    bool in_done;   /* below done/, being sent again */
    bool tidy;      /* its end was read, and says that no process of it is left */
    int journal_fd; /* -1 = not open */
    int watch;      /* inotify; -1 = none */
    struct attempt *next_watched;
    struct stream streams[STREAMS];
    uint64_t sent_written; /* sum of the offsets in the file "sent" */
    bool end_told;         /* AT_LOST: the `lost` event is queued */
    const char *lost_cause;
    uint32_t left_behind;
};

#define ATTEMPT_BUCKETS 1024

struct attempts {
    struct attempt *first, *last;
    struct attempt *buckets[ATTEMPT_BUCKETS];
    size_t count[AT_STATES];
};

/* Make one in state `state` from a decoded offer, which it takes over. */
struct attempt *attempt_new(struct attempts *all, struct offer *offer, enum attempt_state state);

/* Forget it.  Its streams must be closed (stream.h). */
void attempt_free(struct attempts *all, struct attempt *attempt);

struct attempt *attempt_find(const struct attempts *all, const struct attempt_name *name);

/* Panics on an arrow that the picture lacks. */
void attempt_set(struct attempts *all, struct attempt *attempt, enum attempt_state state);

/* The offer and its bytes are needed no more. */
void attempt_drop_offer(struct attempt *attempt);

/* Slots taken: what waits, is claimed, starts or runs, and what is being refused: its
 * delivery is not acknowledged before that is told. */
size_t attempts_busy(const struct attempts *all);

/* All, those included whose last events are on their way. */
size_t attempts_count(const struct attempts *all);

/* No other is here, not even one whose last events are on their way. */
bool attempts_is_only(const struct attempts *all, const struct attempt *attempt);

/* Its events' common part, pointing into it. */
struct event_about attempt_about(const struct attempt *attempt, const char *worker);

#endif
