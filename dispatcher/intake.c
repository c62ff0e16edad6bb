/* Intake: takes claims and states in, batch by batch.  A batch is closed when all that
 * had arrived is in it: so an idle system answers at once.  In a busy one the next batch is
 * gathered for a moment, as are heartbeats, for which nobody waits.
 * Acked only after the commit; when the database is away the batch stays, and the
 * prefetch bounds what piles up behind it. */
#include "dispatcher/intake.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/mem.h"
#include "dispatcher/dead.h"
#include "proto/names.h"

#define CLAIMS_PREFETCH 128
#define STATE_PREFETCH 512
#define LIFE_PREFETCH 512
#define BATCH_ITEMS 512
#define BATCH_BYTES (4u * 1024u * 1024u)
/* Thousands of workers' heartbeats come evenly spread: a transaction each would keep the database
 * busy, and many in one would keep a claim waiting that comes meanwhile. */
#define GATHER_MS 20
/* A transaction costs as much as several events in it.  Where a batch had so many, more come at once: the
 * next one waits for them, and what is gathered meanwhile goes for the price of a few. */
#define BUSY_ITEMS 8
#define BUSY_GATHER_MS 10

enum { CONSUMER_CLAIMS, CONSUMER_STATE, CONSUMER_LIFE, CONSUMERS };

static const char *const queues[CONSUMERS] = {
    [CONSUMER_CLAIMS] = NAMES_CLAIMS, [CONSUMER_STATE] = NAMES_STATE, [CONSUMER_LIFE] = NAMES_LIFE};
static const uint16_t prefetch[CONSUMERS] = {[CONSUMER_CLAIMS] = CLAIMS_PREFETCH,
                                             [CONSUMER_STATE] = STATE_PREFETCH,
                                             [CONSUMER_LIFE] = LIFE_PREFETCH};

/* Claims first: somebody waits for each. */
static enum flow_status
do_batch(struct intake *in)
{
    const struct batch_job jobs[] = {
        {in->flow, WORK_CLAIM, intake_claims, in},
        {in->flow, WORK_STATE, intake_states, in},
        {in->flow, WORK_LIFE, intake_life, in},
        {in->flow, WORK_STAND, intake_stand, in},
        {in->flow, WORK_FLOOD, intake_floods, in},
        {in->flow, WORK_GONE, intake_gone, in},
        {in->flow, WORK_REJECTED, dead_rejected, in->flow},
        {in->flow, WORK_DEAD, dead_letter, in->flow}, /* last: the others may add to it */
    };

    for (size_t i = 0; i < ARRAY_LEN(jobs); i++)
        if (batch_do(&in->batch, &jobs[i]) != FLOW_OK)
            return FLOW_LATER;
    return FLOW_OK;
}

static void
forget(struct intake *in)
{
    batch_clear(&in->batch);
    in->questions = 0;
    in->urgent = false;
}

/* Nothing is granted while no answer can be given: a worker would wait for it in vain
 * until its claim_wait is over. */
static void
process(struct intake *in)
{
    int64_t began_ns = clock_mono_ns();

    if (in->batch.n == 0 || loop_timer_armed(in->retry) || !post_is_up(in->post))
        return;
    loop_timer_stop(in->gather);
    if (do_batch(in) != FLOW_OK) {
        loop_timer_set(in->retry, flow_backoff_ms(in->flow));
        return;
    }
    flow_well(in->flow);
    mq_ack(in->consumer, in->batch.last_tag, true);
    in->busy_until_ns =
        in->batch.n - in->questions >= BUSY_ITEMS ? began_ns + BUSY_GATHER_MS * CLOCK_MS_NS : 0;
    forget(in);
    if (in->moved)
        flow_nudge(in->flow);
    in->moved = false;
}

static void
on_retry(void *ctx)
{
    struct intake *in = ctx;

    post_flush(in->post);
    process(in);
}

static bool
is_urgent(const struct item *item)
{
    return item->work != WORK_FLOOD && (item->work != WORK_LIFE || item->event.kind == EVENT_TICK);
}

static void
on_delivery(struct mq *mq, const struct mq_delivery *delivery, void *ctx)
{
    struct intake *in = ctx;
    const char *queue = queues[delivery->consumer];
    size_t before = in->batch.n;

    (void)mq;
    if (delivery->consumer == CONSUMER_STATE)
        batch_add_events(&in->batch, queue, delivery, intake_sort);
    else
        intake_sort(batch_add(&in->batch, queue, delivery));
    for (size_t i = before; i < in->batch.n; i++) {
        in->urgent = in->urgent || is_urgent(in->batch.items[i]);
        in->questions += in->batch.items[i]->work == WORK_FLOOD;
    }
    if (in->batch.n >= BATCH_ITEMS || in->batch.bytes >= BATCH_BYTES)
        process(in);
}

/* For how long what has come may wait for more. */
static int64_t
gather_ms(const struct intake *in)
{
    int64_t left_ns = in->busy_until_ns - clock_mono_ns();

    if (!in->urgent)
        return GATHER_MS;
    return left_ns > 0 ? (left_ns + CLOCK_MS_NS - 1) / CLOCK_MS_NS : 0;
}

static void
on_drained(struct mq *mq, void *ctx)
{
    struct intake *in = ctx;
    int64_t wait_ms = gather_ms(in);

    (void)mq;
    if (wait_ms == 0)
        process(in);
    else if (in->batch.n > 0 && (in->urgent || !loop_timer_armed(in->gather)))
        loop_timer_set(in->gather, wait_ms);
}

static void
on_gathered(void *ctx)
{
    process(ctx);
}

static int
consumer_up(struct mq *mq, void *ctx)
{
    uint32_t waiting;

    (void)ctx;
    for (unsigned i = 0; i < CONSUMERS; i++)
        if (mq_check_queue(mq, queues[i], &waiting) == -1)
            return -1;
    for (unsigned i = 0; i < CONSUMERS; i++)
        if (mq_consume(mq, queues[i], prefetch[i], i) == -1)
            return -1;
    return 0;
}

/* The broker delivers again what was not acked. */
static void
consumer_down(struct mq *mq, void *ctx)
{
    struct intake *in = ctx;

    (void)mq;
    loop_timer_stop(in->retry);
    loop_timer_stop(in->gather);
    forget(in);
}

static int
publisher_up(struct mq *mq, void *ctx)
{
    struct intake *in = ctx;

    (void)mq;
    loop_timer_set(in->retry, 0); /* what has waited for it */
    return 0;
}

static void
answer_settled(void *ctx, const struct parcel_label *label, enum mq_outcome outcome)
{
    (void)ctx;
    if (outcome == MQ_RETURNED)
        log_debug("to=%s: the session that asked is gone", label->name);
}

static void *
intake_open(struct flow *flow)
{
    static const struct mq_handlers consuming = {
        .up = consumer_up, .down = consumer_down, .delivery = on_delivery, .drained = on_drained};
    static const struct post_owner publishing = {.up = publisher_up, .settled = answer_settled};
    struct intake *in = mem_alloc(sizeof *in);
    struct mq_config config;

    in->flow = flow;
    in->retry = loop_timer_new(flow->loop, on_retry, in);
    in->gather = loop_timer_new(flow->loop, on_gathered, in);
    in->post = post_new(flow, &publishing, in);
    config = flow_mq_config(flow, "consume", &in->consumer_name);
    in->consumer = mq_new(flow->loop, &config, &consuming, in);
    post_start(in->post);
    mq_start(in->consumer);
    return in;
}

static void
intake_stop(void *self)
{
    struct intake *in = self;

    process(in);
    loop_stop(in->flow->loop);
}

static void
intake_close(void *self)
{
    struct intake *in = self;

    mq_free(in->consumer);
    post_free(in->post);
    batch_free(&in->batch);
    loop_timer_free(in->retry);
    loop_timer_free(in->gather);
    mem_cleanup(&in->consumer_name);
    mem_cleanup(&in);
}

const struct flow_kind intake_kind = {
    .name = "intake", .open = intake_open, .stop = intake_stop, .close = intake_close};
