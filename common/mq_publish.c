#include "common/mq_internal.h"

#include <amqp_framing.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/loop.h"

/* Publishing and acknowledging. */

#define SHORT_STRING_MAX 255
#define DELIVERY_TRANSIENT 1
#define DELIVERY_PERSISTENT 2
#define TAG_BITS 48 /* of a delivery tag; the rest is the connection's generation */

amqp_bytes_t
mq_bytes(const char *text)
{
    return text == NULL ? amqp_empty_bytes : amqp_cstring_bytes(text);
}

void
mq_settle(void *ctx, uint64_t cookie, enum mq_outcome outcome)
{
    struct mq *mq = ctx;

    if (mq->handlers.settled != NULL)
        mq->handlers.settled(mq, cookie, outcome, mq->ctx);
}

static bool
is_short(const char *text)
{
    return text == NULL || strlen(text) <= SHORT_STRING_MAX;
}

/* Headers that the library refuses half-way would leave the connection unusable. */
static bool
fits(const struct mq_message *m)
{
    return is_short(m->exchange) && is_short(m->routing_key) && is_short(m->content_type) &&
           is_short(m->type) && is_short(m->message_id) && is_short(m->reply_to) &&
           is_short(m->correlation_id);
}

static void
set_text(amqp_basic_properties_t *p, amqp_flags_t flag, amqp_bytes_t *member, const char *text)
{
    if (text == NULL)
        return;
    p->_flags |= flag;
    *member = amqp_cstring_bytes(text);
}

static int
send_message(struct mq *mq, const struct mq_message *m, uint64_t seq)
{
    /* basic.return carries no tag: the number travels in the message. */
    amqp_table_entry_t header = {
        .key = mq_bytes(MQ_SEQ_HEADER),
        .value = {.kind = AMQP_FIELD_KIND_I64, .value = {.i64 = (int64_t)seq}}};
    amqp_basic_properties_t p = {._flags = AMQP_BASIC_DELIVERY_MODE_FLAG | AMQP_BASIC_HEADERS_FLAG,
                                 .delivery_mode =
                                     m->persistent ? DELIVERY_PERSISTENT : DELIVERY_TRANSIENT,
                                 .headers = {1, &header}};
    amqp_bytes_t body = {.len = m->len};
    int status;

    memcpy(&body.bytes, &m->body, sizeof body.bytes); /* the library only reads it */
    set_text(&p, AMQP_BASIC_CONTENT_TYPE_FLAG, &p.content_type, m->content_type);
    set_text(&p, AMQP_BASIC_TYPE_FLAG, &p.type, m->type);
    set_text(&p, AMQP_BASIC_MESSAGE_ID_FLAG, &p.message_id, m->message_id);
    set_text(&p, AMQP_BASIC_REPLY_TO_FLAG, &p.reply_to, m->reply_to);
    set_text(&p, AMQP_BASIC_CORRELATION_ID_FLAG, &p.correlation_id, m->correlation_id);
    set_text(&p, AMQP_BASIC_USER_ID_FLAG, &p.user_id, mq->config.user);
    mq_guard_enter(mq->guard);
    status = amqp_basic_publish(mq->conn, MQ_CHANNEL, mq_bytes(m->exchange),
                                mq_bytes(m->routing_key), m->mandatory, 0, &p, body);
    mq_guard_leave(mq->guard);
    return status;
}

/* -1: it goes out packet by packet, as without. */
static int
cork(const struct mq *mq, int on)
{
    return setsockopt(mq->fd, IPPROTO_TCP, TCP_CORK, &on, sizeof on);
}

/* The kernel keeps what is sent from now on, for 200 ms at most.  A timer that has passed is looked at
 * before the loop sleeps. */
static void
hold_back(struct mq *mq)
{
    if (mq->config.together && !loop_timer_armed(mq->flush_timer) && cork(mq, 1) == 0)
        loop_timer_set(mq->flush_timer, 0);
}

void
mq_uncork(const struct mq *mq)
{
    if (mq->fd != -1)
        (void)cork(mq, 0);
}

void
mq_flush(struct mq *mq)
{
    if (!loop_timer_armed(mq->flush_timer))
        return; /* nothing is held back */
    loop_timer_stop(mq->flush_timer);
    mq_uncork(mq);
}

/* After twice the heartbeat's time without a byte from the broker the library waits for one inside
 * a publish, for ever (traps 1.2).  Half of that is far from it; beyond, reading right before the
 * publish finds what has come, or that the connection is dead.  Should the time of a frame mislead (it may
 * have lain in the library's buffer while a handler was busy), the guard cuts the connection. */
static bool
must_read(const struct mq *mq)
{
    int64_t fresh_ns = amqp_get_heartbeat(mq->conn) * 1000 * CLOCK_MS_NS;

    return mq->heard_ns == 0 || clock_mono_ns() - mq->heard_ns >= fresh_ns;
}

int
mq_publish(struct mq *mq, const struct mq_message *message, uint64_t cookie)
{
    uint64_t seq;
    int status;

    if (mq_usable(mq) && !mq->confirms)
        log_panic("mq: connection=%s publishes without mq_use_confirms()", mq->config.name);
    /* What is read is handled later, so that no handler runs inside this call. */
    if (mq_usable(mq) && must_read(mq))
        mq_frames_read(mq);
    if (mq->count > 0)
        loop_timer_set(mq->soon_timer, 0);
    if (!mq_usable(mq)) {
        errno = ENOTCONN;
        return -1;
    }
    if (!fits(message)) {
        errno = EMSGSIZE;
        return -1;
    }
    if (mq->blocked || !mq_ring_has_room(&mq->ring, message->len)) {
        mq->want_writable = true;
        errno = EAGAIN;
        return -1;
    }
    seq = mq_ring_add(&mq->ring, cookie, message->len, clock_mono_ns());
    hold_back(mq);
    status = send_message(mq, message, seq);
    if (status != AMQP_STATUS_OK)
        mq_break(mq, "publish failed: %s", mq_status_text(mq, status));
    return 0; /* after a failure its outcome is MQ_UNKNOWN, as for the others */
}

enum verb { ACK_ONE, ACK_ALL, GIVE_BACK };

static void
answer(struct mq *mq, uint64_t tag, enum verb verb)
{
    const uint64_t mask = (UINT64_C(1) << TAG_BITS) - 1;
    int status;

    if (!mq_usable(mq) || tag >> TAG_BITS != mq->generation)
        return; /* the broker has taken the message back already */
    mq_guard_enter(mq->guard);
    status = verb == GIVE_BACK ? amqp_basic_reject(mq->conn, MQ_CHANNEL, tag & mask, true)
                               : amqp_basic_ack(mq->conn, MQ_CHANNEL, tag & mask, verb == ACK_ALL);
    mq_guard_leave(mq->guard);
    if (status != AMQP_STATUS_OK)
        mq_break(mq, "ack failed: %s", mq_status_text(mq, status));
}

void
mq_ack(struct mq *mq, uint64_t tag, bool multiple)
{
    answer(mq, tag, multiple ? ACK_ALL : ACK_ONE);
}

void
mq_give_back(struct mq *mq, uint64_t tag)
{
    answer(mq, tag, GIVE_BACK);
}
