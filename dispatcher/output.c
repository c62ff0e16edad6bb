/* Output: hler.output into the tables, in large batches.  And, since it is rare and never urgent, what
 * the broker has given up (hler.dead), and what an operator wants to be read again. */
#include "dispatcher/output.h"

#include "common/clock.h"
#include "common/loop.h"
#include "common/mem.h"
#include "dispatcher/dead.h"
#include "dispatcher/redrive.h"
#include "proto/names.h"

#define PREFETCH 512
#define BATCH_ITEMS 512
#define BATCH_BYTES (512u * 1024u)
#define DEAD_PREFETCH 16
/* A talkative job's events come a few at a time, and a transaction for each few costs more than they: what comes within
 * this time of the last transaction is gathered.  The first is recorded at once. */
#define GATHER_MS 3

enum { CONSUMER_OUTPUT, CONSUMER_DEAD };

struct output {
    struct flow *flow;
    struct mq *consumer;
    char *consumer_name;
    struct batch batch;
    struct loop_timer *retry, *gather;
    int64_t recorded_ns; /* when the last transaction was over */
    struct redrive *redrive;
};

static void
sort_event(struct item *item)
{
    const struct event_delivery delivery = {item->user, item->routing_key, item->body, item->len};
    struct fault fault = {0};

    if (event_decode(&delivery, &item->event, &fault) == -1) {
        item_dead(item, &fault);
        return;
    }
    item->work = WORK_OUTPUT;
    if (event_bulk(item->event.kind))
        return;
    fault_set(&fault, FAULT_BAD_KEY, "a state came through the queue of output");
    item_dead(item, &fault);
}

/* Set aside as it is, or event by event: whatever made it come back so often, reading it here would only
 * do that again. */
static void
give_up(struct item *item)
{
    struct fault fault = {0};

    fault_set(&fault, FAULT_UNDELIVERABLE, "delivered too often, or rejected, and never taken in");
    item_dead(item, &fault);
}

static void
process(struct output *out)
{
    const struct batch_job record = {out->flow, WORK_OUTPUT, output_record, out->flow};
    const struct batch_job dead = {out->flow, WORK_DEAD, dead_letter, out->flow};

    loop_timer_stop(out->gather);
    if (out->batch.n == 0 || loop_timer_armed(out->retry))
        return;
    if (batch_do(&out->batch, &record) != FLOW_OK || batch_do(&out->batch, &dead) != FLOW_OK) {
        loop_timer_set(out->retry, flow_backoff_ms(out->flow));
        return;
    }
    flow_well(out->flow);
    mq_ack(out->consumer, out->batch.last_tag, true);
    batch_clear(&out->batch);
    out->recorded_ns = clock_mono_ns();
}

static void
on_due(void *ctx)
{
    process(ctx);
}

static void
on_delivery(struct mq *mq, const struct mq_delivery *delivery, void *ctx)
{
    struct output *out = ctx;
    bool dead = delivery->consumer == CONSUMER_DEAD;
    const char *queue = dead ? NAMES_DEAD : NAMES_OUTPUT;

    (void)mq;
    batch_add_events(&out->batch, queue, delivery, dead ? give_up : sort_event);
    if (out->batch.n >= BATCH_ITEMS || out->batch.bytes >= BATCH_BYTES)
        process(out);
}

static void
on_drained(struct mq *mq, void *ctx)
{
    struct output *out = ctx;

    (void)mq;
    if (clock_mono_ns() - out->recorded_ns >= GATHER_MS * CLOCK_MS_NS)
        process(out);
    else if (out->batch.n > 0 && !loop_timer_armed(out->gather))
        loop_timer_set(out->gather, GATHER_MS);
}

static int
on_up(struct mq *mq, void *ctx)
{
    uint32_t waiting;

    (void)ctx;
    if (mq_check_queue(mq, NAMES_OUTPUT, &waiting) == -1 ||
        mq_check_queue(mq, NAMES_DEAD, &waiting) == -1 ||
        mq_consume(mq, NAMES_OUTPUT, PREFETCH, CONSUMER_OUTPUT) == -1)
        return -1;
    return mq_consume(mq, NAMES_DEAD, DEAD_PREFETCH, CONSUMER_DEAD);
}

/* The broker delivers again what was not acked. */
static void
on_down(struct mq *mq, void *ctx)
{
    struct output *out = ctx;

    (void)mq;
    loop_timer_stop(out->retry);
    loop_timer_stop(out->gather);
    batch_clear(&out->batch);
}

static void *
output_open(struct flow *flow)
{
    static const struct mq_handlers handlers = {
        .up = on_up, .down = on_down, .delivery = on_delivery, .drained = on_drained};
    struct output *out = mem_alloc(sizeof *out);
    struct mq_config config = flow_mq_config(flow, "consume", &out->consumer_name);

    out->flow = flow;
    out->retry = loop_timer_new(flow->loop, on_due, out);
    out->gather = loop_timer_new(flow->loop, on_due, out);
    out->redrive = redrive_new(flow);
    out->consumer = mq_new(flow->loop, &config, &handlers, out);
    mq_start(out->consumer);
    return out;
}

static void
output_stop(void *self)
{
    struct output *out = self;

    process(out);
    loop_stop(out->flow->loop);
}

static void
output_close(void *self)
{
    struct output *out = self;

    mq_free(out->consumer);
    redrive_free(out->redrive);
    batch_free(&out->batch);
    loop_timer_free(out->retry);
    loop_timer_free(out->gather);
    mem_cleanup(&out->consumer_name);
    mem_cleanup(&out);
}

const struct flow_kind output_kind = {
    .name = "output", .open = output_open, .stop = output_stop, .close = output_close};
