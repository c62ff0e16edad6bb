/* The connection by which offers and orders come in.
 *
 * What may arrive is what there is room for: the broker's prefetch counts the unacknowledged deliveries
 * of one consumer, and a delivery stays unacknowledged while its slot is taken.  Once these two
 * part (an attempt adopted from the spool, or acknowledged after ack_hold), the consumer is cancelled and
 * made again with the number of slots then free. */
#include "worker/bridge/bridge.h"

#include "common/clock.h"
#include "common/log.h"
#include "proto/claim.h"

#define CONTROL_PREFETCH 64
#define ADJUST_MS 20 /* deliveries that crossed the cancel arrive before this */
#define CALL_TIMEOUT_MS 10000

/* Acknowledgements that come soon after others are gathered for so long, and only of so many slots: until then the broker takes
 * these for full. */
#define ACK_MS 5
#define ACK_SLOTS 4 /* one in so many */

int64_t
consumer_free_slots(const struct bridge *b)
{
    int64_t busy = (int64_t)attempts_busy(&b->attempts);

    return busy < b->settings.slots ? b->settings.slots - busy : 0;
}

/* Nothing before the first answer to a heartbeat: it does not come while another live worker
 * uses this id, whose offers would only be taken from it.  And nothing while too much is on its way that the broker does not
 * take: each has an open file, and a place in the heartbeat. */
bool
consumer_wants_work(const struct bridge *b)
{
    return heartbeat_is_known(b) && attempts_count(&b->attempts) < b->attempts_max &&
           !b->drain.draining && !b->full && clock_mono_ns() >= b->paused_until_ns &&
           consumer_free_slots(b) > 0;
}

/* -1: the connection is of no use any more (logged). */
static int
cancel(struct bridge *b)
{
    if (!b->consumer.consuming)
        return 0;
    b->consumer.consuming = false;
    return mq_cancel(b->consumer.mq, CONSUMER_TASKS);
}

static int
consume(struct bridge *b)
{
    struct consumer *c = &b->consumer;

    c->prefetch = consumer_free_slots(b);
    c->unacked = 0;
    c->first_tag = c->last_tag + 1;
    if (mq_consume(c->mq, c->task_queue, (uint16_t)c->prefetch, CONSUMER_TASKS) == -1)
        return -1;
    c->consuming = true;
    return 0;
}

/* Room that the broker sees, and room that there is. */
static bool
in_step(const struct bridge *b)
{
    const struct consumer *c = &b->consumer;

    return c->prefetch - c->unacked == consumer_free_slots(b);
}

void
consumer_adjust(struct bridge *b)
{
    struct consumer *c = &b->consumer;

    if (!mq_is_up(c->mq))
        return;
    if (c->consuming && (!consumer_wants_work(b) || !in_step(b))) {
        /* With no room on either side the consumer may stay: nothing can arrive. */
        if (consumer_free_slots(b) == 0 && in_step(b))
            return;
        if (cancel(b) == -1)
            return;
    }
    if (!c->consuming && consumer_wants_work(b) && !loop_timer_armed(c->adjust))
        loop_timer_set(c->adjust, ADJUST_MS);
    standing_soon(b);
}

static void
on_adjust(void *ctx)
{
    struct bridge *b = ctx;

    if (mq_is_up(b->consumer.mq) && !b->consumer.consuming && consumer_wants_work(b) &&
        consume(b) == -1)
        log_warn("queue=%s: cannot consume; waiting for a new connection", b->consumer.task_queue);
}

void
consumer_pause(struct bridge *b)
{
    if (mq_is_up(b->consumer.mq) && cancel(b) == -1)
        log_warn("queue=%s: cannot cancel; waiting for a new connection", b->consumer.task_queue);
}

static void
flush_acks(struct bridge *b)
{
    struct consumer *c = &b->consumer;
    bool multiple;
    uint64_t tag;

    while (mq_is_up(c->mq) && acks_next(&c->acks, &tag, &multiple))
        mq_ack(c->mq, tag, multiple);
}

/* What one confirm has settled goes together, and so does what follows within ACK_MS. */
static void
on_acks(void *ctx)
{
    struct bridge *b = ctx;

    if (b->consumer.acks.n_done == 0)
        return;
    flush_acks(b);
    loop_timer_set(b->consumer.ack_timer, ACK_MS);
}

void
consumer_ack_tag(struct bridge *b, uint64_t epoch, uint64_t tag)
{
    struct consumer *c = &b->consumer;

    if (tag == 0 || epoch != c->epoch || !acks_done(&c->acks, tag))
        return;
    if (tag >= c->first_tag)
        c->unacked--;
    if ((int64_t)c->acks.n_done * ACK_SLOTS >= b->settings.slots)
        flush_acks(b);
    else if (!loop_timer_armed(c->ack_timer))
        loop_timer_set(c->ack_timer, 0);
}

void
consumer_give_back(struct bridge *b, struct attempt *a)
{
    struct consumer *c = &b->consumer;

    acks_forget(&c->acks, a->tag);
    mq_give_back(c->mq, a->tag);
    if (a->tag >= c->first_tag)
        c->unacked--;
    a->tag = 0;
}

void
consumer_ack(struct bridge *b, struct attempt *a)
{
    uint64_t tag = a->tag;

    a->tag = 0;
    consumer_ack_tag(b, b->consumer.epoch, tag);
}

static int
on_up(struct mq *mq, void *ctx)
{
    struct bridge *b = ctx;
    struct consumer *c = &b->consumer;
    uint32_t waiting;

    c->epoch++;
    c->consuming = false;
    c->last_tag = 0;
    c->unacked = 0;
    uuid_v4(c->session);
    names_control_queue(b->settings.user, c->session, c->control_queue);
    if (mq_check_queue(mq, c->task_queue, &waiting) == -1 ||
        mq_declare_exclusive(mq, c->control_queue) == -1 ||
        mq_consume(mq, c->control_queue, CONTROL_PREFETCH, CONSUMER_CONTROL) == -1)
        return -1;
    log_info("session=%s pool=%s: listening", c->session, b->settings.pool);
    loop_timer_set(c->adjust, 0); /* consume once `up` has returned */
    heartbeat_soon(b);
    return 0;
}

static void
on_down(struct mq *mq, void *ctx)
{
    struct bridge *b = ctx;

    (void)mq;
    b->consumer.consuming = false;
    acks_clear(&b->consumer.acks);
    for (struct attempt *a = b->attempts.first; a != NULL; a = a->next)
        a->tag = 0; /* the broker will deliver them again, perhaps to another */
    claims_session_lost(b);
    standing_session_lost(b);
}

static void
on_delivery(struct mq *mq, const struct mq_delivery *d, void *ctx)
{
    struct bridge *b = ctx;

    if (d->consumer == CONSUMER_TASKS) {
        b->consumer.last_tag = d->tag;
        acks_add(&b->consumer.acks, d->tag);
        b->consumer.unacked++;
        offers_delivery(b, d);
        return;
    }
    orders_delivery(b, d);
    mq_ack(mq, d->tag, false);
}

static void
on_drained(struct mq *mq, void *ctx)
{
    struct bridge *b = ctx;

    (void)mq;
    link_pump_soon(&b->links[STREAM_STATE]); /* claims what has come */
}

static const struct mq_handlers handlers = {
    .up = on_up, .down = on_down, .delivery = on_delivery, .drained = on_drained};

void
consumer_init(struct bridge *b)
{
    struct mq_config config = bridge_mq_config(b, "control");

    config.call_timeout_ms = CALL_TIMEOUT_MS;
    config.max_body_bytes = LIMIT_MESSAGE_BYTES;
    names_task_queue(b->settings.pool, b->consumer.task_queue);
    b->consumer.adjust = loop_timer_new(b->loop, on_adjust, b);
    b->consumer.ack_timer = loop_timer_new(b->loop, on_acks, b);
    b->consumer.mq = mq_new(b->loop, &config, &handlers, b);
}

void
consumer_free(struct bridge *b)
{
    mq_free(b->consumer.mq);
    loop_timer_free(b->consumer.adjust);
    loop_timer_free(b->consumer.ack_timer);
    acks_clear(&b->consumer.acks);
}
