#ifndef BRIDGE_LINK_H
#define BRIDGE_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "common/mq.h"
#include "worker/bridge/bundle.h"
#include "worker/bridge/pace.h"
#include "worker/bridge/round.h"
#include "worker/bridge/stream.h"

/* A publishing connection and what is on its way over it: one for states (claims, heartbeats
 * and questions too), one for bulk.  Each publish is a flight until its outcome is known;
 * one from several streams is a flight of each. */

#define LINK_WINDOW 256

struct bridge;
struct notice;

enum flight_kind {
    FLIGHT_RECORD, /* of a stream */
    FLIGHT_NOTICE, /* an event that is not from a journal */
    FLIGHT_CLAIM,
    FLIGHT_HINT /* nobody repeats it: another follows by itself */
};

struct flight {
    enum flight_kind kind;
    bool settled, arrived;
    int next;  /* of the same stream, or of the free ones; -1 = none */
    int rider; /* FLIGHT_RECORD: of the next stream in the same message; -1 = none */
    int64_t taken_ns;
    size_t bytes; /* of its message; 0 for a rider */
    struct stream *stream;
    uint64_t end_offset; /* FLIGHT_RECORD: behind the record, or the last of several */
    struct notice *notice;
    int64_t claim; /* FLIGHT_CLAIM: its number */
};

struct link {
    struct bridge *bridge;
    struct mq *mq;
    enum stream_class class;
    struct flight flights[LINK_WINDOW];
    int free_flight;      /* first free one; -1 = window full */
    size_t open_bytes;    /* of all flights */
    size_t open_bundles;  /* messages from journals that are not settled */
    struct round round;   /* of streams with something to read */
    struct bundle bundle; /* what was taken from journals and is not published */

    struct pace pace;         /* shared on the link of bulk alone: states have no limit */
    int64_t gather_until_ns;  /* CLOCK_MONOTONIC: what comes until then goes together */
    struct loop_timer *later; /* until the pace allows more, or that */
    struct loop_timer *retry;
    struct loop_timer *soon;
    int64_t back_off_ms; /* 0 = nothing failed lately */
};

void link_init(struct link *link, struct bridge *bridge, enum stream_class class);
void link_free(struct link *link);

/* Room for a stream's next record.  What a new one says first finds some when others have used theirs up. */
bool link_has_room(const struct link *link);

/* Publish; *flight, which is of no record, is copied into the window.  0; -1 EAGAIN or ENOTCONN: not now. */
int link_publish(struct link *link, const struct mq_message *message, const struct flight *flight);

/* Publish what the link's bundle holds, which is empty then: a flight for each of its streams.  0; -1 as above,
 * and all is as before. */
int link_publish_bundle(struct link *link);

/* The stream may have something to read. */
void link_queue(struct link *link, struct stream *stream);
/* The stream is about to be closed or rewound: nothing of it stays here but open flights. */
void link_forget(struct link *link, struct stream *stream);

/* Send what can be sent over the link ctx; a handler of the loop, since sending may end attempts. */
void link_pump(void *ctx);
/* The same once the present handler has returned. */
void link_pump_soon(struct link *link);

#endif
