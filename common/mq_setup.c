#include "common/mq_internal.h"

#include <amqp_framing.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/loop.h"
#include "common/mem.h"

/* Calls that wait for the broker's answer: checks, consumers, confirm mode. */

#define TAG_BYTES 32

/* The answer of the last call, with the guard's clock stopped.  -1 after mq_break().  While it
 * waited, librabbitmq put aside the deliveries that came first: no event of the socket tells of
 * them any more. */
static int
answered(struct mq *mq, const char *what, const char *name)
{
    amqp_rpc_reply_t reply = amqp_get_rpc_reply(mq->conn);
    char text[MQ_WHY_BYTES];

    mq_guard_leave(mq->guard);
    if (reply.reply_type != AMQP_RESPONSE_NORMAL)
        return mq_break(mq, "%s %s: %s", what, name, mq_reply_text(mq, reply, text));
    loop_timer_set(mq->soon_timer, 0);
    return 0;
}

/* Like answered(), but a 404 says what to do about it. */
static int
checked(struct mq *mq, const char *kind, const char *name)
{
    amqp_rpc_reply_t reply = amqp_get_rpc_reply(mq->conn);
    const amqp_channel_close_t *close = reply.reply.decoded;

    if (reply.reply_type != AMQP_RESPONSE_SERVER_EXCEPTION ||
        reply.reply.id != AMQP_CHANNEL_CLOSE_METHOD || close->reply_code != AMQP_NOT_FOUND)
        return answered(mq, kind, name);
    mq_guard_leave(mq->guard);
    mq->hopeless = true;
    return mq_break(mq,
                    "%s %s is missing: import deploy/broker/definitions.json (rabbitmqctl "
                    "import_definitions FILE)",
                    kind, name);
}

int
mq_check_exchange(struct mq *mq, const char *exchange)
{
    if (!mq_usable(mq))
        return -1;
    mq_guard_enter(mq->guard);
    amqp_exchange_declare(mq->conn, MQ_CHANNEL, mq_bytes(exchange), mq_bytes("direct"), 1, 0, 0, 0,
                          amqp_empty_table);
    return checked(mq, "exchange", exchange);
}

int
mq_check_queue(struct mq *mq, const char *queue, uint32_t *messages)
{
    const amqp_queue_declare_ok_t *ok;

    if (!mq_usable(mq))
        return -1;
    mq_guard_enter(mq->guard);
    ok = amqp_queue_declare(mq->conn, MQ_CHANNEL, mq_bytes(queue), 1, 0, 0, 0, amqp_empty_table);
    if (checked(mq, "queue", queue) == -1)
        return -1;
    if (messages != NULL)
        *messages = ok->message_count;
    return 0;
}

int
mq_declare_exclusive(struct mq *mq, const char *queue)
{
    if (!mq_usable(mq))
        return -1;
    mq_guard_enter(mq->guard);
    amqp_queue_declare(mq->conn, MQ_CHANNEL, mq_bytes(queue), 0, 0, 1, 1, amqp_empty_table);
    return answered(mq, "cannot declare queue", queue);
}

int
mq_use_confirms(struct mq *mq)
{
    if (!mq_usable(mq))
        return -1;
    mq_guard_enter(mq->guard);
    amqp_confirm_select(mq->conn, MQ_CHANNEL);
    if (answered(mq, "cannot switch to", "publisher confirms") == -1)
        return -1;
    mq->confirms = true;
    return 0;
}

static void
format_tag(const struct mq_consumer *consumer, char out[TAG_BYTES])
{
    snprintf(out, TAG_BYTES, "%u.%u", consumer->number, consumer->serial);
}

struct mq_consumer *
mq_consumer_find(struct mq *mq, amqp_bytes_t tag)
{
    for (struct mq_consumer *c = mq->consumers; c != NULL; c = c->next) {
        char text[TAG_BYTES];

        format_tag(c, text);
        if (c->active && strlen(text) == tag.len && memcmp(text, tag.bytes, tag.len) == 0)
            return c;
    }
    return NULL;
}

/* Not looked up: deliveries that were on their way when it was cancelled have a home too. */
unsigned
mq_consumer_number(amqp_bytes_t tag)
{
    const char *digits = tag.bytes;
    unsigned number = 0;

    for (size_t i = 0; i < tag.len && digits[i] >= '0' && digits[i] <= '9'; i++)
        number = number * 10 + (unsigned)(digits[i] - '0');
    return number;
}

void
mq_consumers_free(struct mq *mq)
{
    while (mq->consumers != NULL) {
        struct mq_consumer *c = mq->consumers;

        mq->consumers = c->next;
        free(c->queue);
        free(c);
    }
}

static struct mq_consumer *
consumer_numbered(struct mq *mq, unsigned number)
{
    for (struct mq_consumer *c = mq->consumers; c != NULL; c = c->next)
        if (c->number == number)
            return c;
    return NULL;
}

/* The entry of that number, with a tag that was never used on this connection. */
static struct mq_consumer *
renew_consumer(struct mq *mq, unsigned number, const char *queue)
{
    struct mq_consumer *c = consumer_numbered(mq, number);

    if (c == NULL) {
        c = mem_alloc(sizeof *c);
        c->number = number;
        c->next = mq->consumers;
        mq->consumers = c;
    }
    if (c->active)
        log_panic("mq: consumer %u started twice", number);
    free(c->queue);
    c->queue = mem_dup(queue);
    c->serial++;
    c->active = true;
    return c;
}

int
mq_consume(struct mq *mq, const char *queue, uint16_t prefetch, unsigned consumer)
{
    char tag[TAG_BYTES];

    if (!mq_usable(mq))
        return -1;
    /* global = 0: the limit of the consumers made from now on, one each */
    mq_guard_enter(mq->guard);
    amqp_basic_qos(mq->conn, MQ_CHANNEL, 0, prefetch, 0);
    if (answered(mq, "cannot set the prefetch for", queue) == -1)
        return -1;
    format_tag(renew_consumer(mq, consumer, queue), tag);
    mq_guard_enter(mq->guard);
    amqp_basic_consume(mq->conn, MQ_CHANNEL, mq_bytes(queue), mq_bytes(tag), 0, 0, 0,
                       amqp_empty_table);
    return answered(mq, "cannot consume from", queue);
}

int
mq_cancel(struct mq *mq, unsigned consumer)
{
    struct mq_consumer *c = consumer_numbered(mq, consumer);
    char tag[TAG_BYTES];

    if (!mq_usable(mq))
        return -1;
    if (c == NULL || !c->active)
        return 0;
    c->active = false;
    format_tag(c, tag);
    mq_guard_enter(mq->guard);
    amqp_basic_cancel(mq->conn, MQ_CHANNEL, mq_bytes(tag));
    return answered(mq, "cannot cancel the consumer of", c->queue);
}

/* After channel.close the broker waits for our channel.close-ok. */
static int64_t
end_depth_channel(struct mq *mq)
{
    amqp_channel_close_ok_t ok = {0};
    int status;

    mq_guard_enter(mq->guard);
    status = amqp_send_method(mq->conn, MQ_DEPTH_CHANNEL, AMQP_CHANNEL_CLOSE_OK_METHOD, &ok);
    mq_guard_leave(mq->guard);
    mq->depth_open = false;
    if (status != AMQP_STATUS_OK)
        mq_break(mq, "cannot close a channel: %s", mq_status_text(mq, status));
    return -1;
}

int64_t
mq_depth(struct mq *mq, const char *queue)
{
    const amqp_queue_declare_ok_t *ok;
    amqp_rpc_reply_t reply;

    if (!mq_usable(mq) || mq->blocked) /* a blocked broker would not answer */
        return -1;
    if (!mq->depth_open) {
        mq_guard_enter(mq->guard);
        amqp_channel_open(mq->conn, MQ_DEPTH_CHANNEL);
        if (answered(mq, "cannot open", "a second channel") == -1)
            return -1;
        mq->depth_open = true;
    }
    mq_guard_enter(mq->guard);
    ok = amqp_queue_declare(mq->conn, MQ_DEPTH_CHANNEL, mq_bytes(queue), 1, 0, 0, 0,
                            amqp_empty_table);
    reply = amqp_get_rpc_reply(mq->conn);
    if (reply.reply_type == AMQP_RESPONSE_SERVER_EXCEPTION &&
        reply.reply.id == AMQP_CHANNEL_CLOSE_METHOD)
        return end_depth_channel(mq);
    return answered(mq, "cannot look at queue", queue) == -1 ? -1 : (int64_t)ok->message_count;
}
