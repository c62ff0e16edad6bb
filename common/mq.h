#ifndef COMMON_MQ_H
#define COMMON_MQ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/attr.h"

/* AMQP 0-9-1 for one loop: the only module that knows librabbitmq.  One struct mq is one connection,
 * one direction (consume or publish), one channel, used by one thread.
 * It connects by itself, reconnects with jittered back-off (logging one line per
 * change of state, not per try), assembles messages from frames without blocking,
 * advertises connection.blocked, consumer_cancel_notify, publisher_confirms and
 * basic.nack, and is guarded by a watchdog thread that shuts the socket down when
 * one library call lasts too long (traps 1.1, 1.2, 1.4, 1.6).  Any error of the
 * channel or connection throws the whole connection away; that happens after the handler that ran
 * into it has returned.  Connecting waits in the loop, call_timeout_ms at most for each
 * step.  A thread that runs an mq is made by thread_start(), for its stack. */

struct loop;
struct mq;

struct mq_config {
    const char *host;
    int port;
    const char *vhost, *user, *password;
    /* NULL or "" = no TLS / no client certificate; one without a password = EXTERNAL */
    const char *ca_file, *cert_file, *key_file;
    const char *name;       /* connection_name shown by the broker */
    int heartbeat_s;        /* 15..30 are good values */
    int call_timeout_ms;    /* longest one library call may last */
    int confirm_timeout_ms; /* an unconfirmed publish this old = reconnect */
    size_t window_messages; /* most unconfirmed publishes; 0 = 256 */
    size_t window_bytes;    /* and their bytes; 0 = 1 MiB */
    size_t max_body_bytes;  /* larger deliveries come with body NULL and their size */
    /* What is published in one round of the loop goes out together at its end, or with mq_flush():
     * one packet wakes the broker once.  For connections that publish only. */
    bool together;
};

/* What became of a publish. */
enum mq_outcome {
    MQ_CONFIRMED,
    MQ_RETURNED, /* unroutable: not delivered, whatever the confirm says */
    MQ_NACKED,   /* the queue refused it (length limit) */
    MQ_UNKNOWN   /* the connection died first: it may be there or not */
};

struct mq_message {
    const char *exchange, *routing_key;
    const char *content_type, *type, *message_id; /* may be NULL */
    const char *reply_to, *correlation_id;        /* may be NULL */
    const void *body;
    size_t len;
    bool persistent, mandatory;
};

/* Valid only during the delivery call. */
struct mq_delivery {
    unsigned consumer; /* the number given to mq_consume() */
    uint64_t tag;      /* for mq_ack() */
    bool redelivered;
    const char *routing_key, *exchange;
    const char *content_type, *type, *message_id, *user_id; /* NULL when absent */
    const char *reply_to, *correlation_id;                  /* the same */
    const char *body; /* NUL-terminated beyond len; NULL when size > max_body_bytes */
    size_t len;       /* size of the body, kept or not */
};

/* Callbacks, all in the loop's thread; each may be NULL. */
struct mq_handlers {
    /* Connected: check and consume here.  Return -1 to drop the connection and try
     * again later; the reason of the mq_* call that failed is logged, and no down() follows. */
    int (*up)(struct mq *mq, void *ctx);
    /* Connection lost (each open publish has got MQ_UNKNOWN already; delivery tags
     * of before are void). */
    void (*down)(struct mq *mq, void *ctx);
    void (*delivery)(struct mq *mq, const struct mq_delivery *delivery, void *ctx);
    /* All that had arrived has been handed over: the place to end a batch. */
    void (*drained)(struct mq *mq, void *ctx);
    /* The outcome of the publish made with this cookie. */
    void (*settled)(struct mq *mq, uint64_t cookie, enum mq_outcome outcome, void *ctx);
    /* mq_publish() may be called again after it said EAGAIN (window or blocked). */
    void (*writable)(struct mq *mq, void *ctx);
};

/* Strings of config and handlers are kept, not copied.  mq_start() begins to connect. */
struct mq *mq_new(struct loop *loop, const struct mq_config *config,
                  const struct mq_handlers *handlers, void *ctx);
void mq_start(struct mq *mq);
void mq_free(struct mq *mq); /* closes; NULL is legal; no callback is made */

bool mq_is_up(const struct mq *mq);
const char *mq_why_down(const struct mq *mq); /* one line for status; "" when up */

/* For use inside `up` (they wait for the broker's answer, call_timeout_ms at
 * most).  0, or -1: the connection is given up, and its log line tells what is missing and what
 * to do. */
int mq_check_exchange(struct mq *mq, const char *exchange) MUST_CHECK;
int mq_check_queue(struct mq *mq, const char *queue, uint32_t *messages) MUST_CHECK;
int mq_declare_exclusive(struct mq *mq, const char *queue) MUST_CHECK; /* exclusive, auto-delete */
int mq_consume(struct mq *mq, const char *queue, uint16_t prefetch, unsigned consumer) MUST_CHECK;
int mq_use_confirms(struct mq *mq) MUST_CHECK; /* publishing connections: always */

/* At any time while up.  Stop or restart one consumer: the prefetch (= free slots)
 * of a new consumer is the one given. */
int mq_cancel(struct mq *mq, unsigned consumer) MUST_CHECK;
void mq_ack(struct mq *mq, uint64_t tag, bool multiple);
/* To the queue again, for another consumer. */
void mq_give_back(struct mq *mq, uint64_t tag);

/* Publish with user_id set to the connection's user.  0 = in the window, its
 * outcome will come through settled(); -1 EAGAIN = window full or broker blocked,
 * writable() will be called; -1 ENOTCONN = down; -1 EMSGSIZE = headers too long.  Calls no handler. */
int mq_publish(struct mq *mq, const struct mq_message *message, uint64_t cookie) MUST_CHECK;

/* What was published goes out now: before work that would hold it up. */
void mq_flush(struct mq *mq);

/* Depth of a queue by passive declare on this connection; -1 when it cannot be told.  A
 * missing queue does no harm to the connection. */
int64_t mq_depth(struct mq *mq, const char *queue);

#endif
