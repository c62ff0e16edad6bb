#ifndef COMMON_MQ_INTERNAL_H
#define COMMON_MQ_INTERNAL_H

#include <amqp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/attr.h"
#include "common/buf.h"
#include "common/mq.h"
#include "common/mq_confirm.h"
#include "common/mq_guard.h"

/* What the files of mq share.  Only for common/mq*.c. */

#define MQ_CHANNEL 1
#define MQ_DEPTH_CHANNEL 2 /* passive declares of mq_depth(): a missing queue closes only this */
#define MQ_WHY_BYTES 400
#define MQ_FRAMES 64                  /* read before they are handled, */
#define MQ_ROUND_BYTES (256u * 1024u) /* or so many bytes of bodies */
#define MQ_SEQ_HEADER "hler-publish"

struct loop_source;
struct loop_timer;

/* The message that is being put together from frames. */
struct mq_assembly {
    enum { MQ_IDLE, MQ_WANT_HEADER, MQ_WANT_BODY } state;
    bool is_return;
    uint64_t tag;         /* delivery */
    bool redelivered;     /* delivery */
    unsigned consumer;    /* delivery */
    uint64_t publish_seq; /* return; 0 = the broker's message does not carry it */
    uint64_t size, got;   /* of the body */
    struct buf strings;   /* NUL-terminated, one after the other */
    size_t at[8];         /* of each enum mq_string in strings, plus 1; 0 = absent */
    struct buf body;
};

enum mq_string {
    MQ_S_EXCHANGE,
    MQ_S_ROUTING_KEY,
    MQ_S_CONTENT_TYPE,
    MQ_S_TYPE,
    MQ_S_MESSAGE_ID,
    MQ_S_USER_ID,
    MQ_S_REPLY_TO,
    MQ_S_CORRELATION_ID
};

struct mq_consumer {
    unsigned number;
    unsigned serial; /* makes the tag of each new consumer another one */
    bool active;
    char *queue;
    struct mq_consumer *next;
};

struct mq {
    struct loop *loop;
    struct mq_config config;
    struct mq_handlers handlers;
    void *ctx;
    struct mq_guard *guard;
    struct loop_timer *connect_timer; /* the next try */
    struct loop_timer *pump_timer;    /* heartbeats, confirm timeout */
    struct loop_timer *soon_timer;    /* work left behind by a call: frames, going down */
    struct loop_timer *flush_timer;   /* armed while the socket is corked, but in its own call */

    amqp_connection_state_t conn; /* NULL = not connected */
    int fd;                       /* our duplicate of its socket */
    struct loop_source *source;
    uint16_t generation; /* of the connection, part of delivery tags */
    bool up;             /* logged in; stays so until the connection is thrown away */
    bool announced;      /* up() has said 0 */
    bool broken;         /* use the connection no more; why[] tells the reason */
    bool hopeless;       /* a person must act: try at the slow end only */
    bool blocked;        /* connection.blocked */
    bool confirms, depth_open;
    bool want_writable;
    bool dead; /* mq_free() was called from a handler */
    int busy;  /* depth of our functions that call handlers */

    unsigned tries;
    int64_t up_since_ns, unblocked_ns;
    int64_t heard_ns;          /* when a frame came last; 0 = none yet */
    char why[MQ_WHY_BYTES];    /* why it is down */
    char logged[MQ_WHY_BYTES]; /* the reason last logged */

    amqp_frame_t frames[MQ_FRAMES]; /* read, not yet handled: first .. first + count */
    size_t first, count;
    struct mq_assembly in;
    struct mq_ring ring;
    struct mq_consumer *consumers;
};

/* --- mq.c --- */

/* Give the connection up for this reason.  It is thrown away as soon as the running
 * handler has returned.  The first reason stays.  Returns -1. */
int mq_break(struct mq *mq, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Whether calls of the library make sense. */
bool mq_usable(const struct mq *mq);

/* --- mq_connect.c --- */

/* Connect and log in.  0, or -1 after mq_break(). */
int mq_connect(struct mq *mq) MUST_CHECK;

/* Close and forget conn, if any. */
void mq_disconnect(struct mq *mq, bool politely);

/* What an answer of the library or the broker means, as text in out. */
const char *mq_reply_text(const struct mq *mq, amqp_rpc_reply_t reply, char out[MQ_WHY_BYTES]);
const char *mq_status_text(const struct mq *mq, int status);

/* --- mq_frame.c --- */

/* Read what has arrived into mq->frames, without waiting and without handling it.
 * True when the room ran out first. */
bool mq_frames_read(struct mq *mq);

/* Handle mq->frames; calls the handlers. */
void mq_frames_handle(struct mq *mq);

/* --- mq_publish.c --- */

/* Let the kernel send what was held back, and hold nothing back any longer. */
void mq_uncork(const struct mq *mq);

/* --- mq_setup.c --- */

void mq_consumers_free(struct mq *mq);
/* The active consumer with this tag, or NULL. */
struct mq_consumer *mq_consumer_find(struct mq *mq, amqp_bytes_t tag);
/* The number in a tag that mq_consume() made. */
unsigned mq_consumer_number(amqp_bytes_t tag);

/* --- mq_publish.c --- */

void mq_settle(void *mq, uint64_t cookie, enum mq_outcome outcome); /* a mq_ring_fn */

/* NUL-terminated text as the library's bytes; NULL = empty.  Not copied. */
amqp_bytes_t mq_bytes(const char *text);

#endif
