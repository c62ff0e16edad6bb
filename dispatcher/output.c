/* Output: hler.output into the tables, in large batches, first words before.  And, since it is rare
 * and never urgent, what the broker has given up (hler.dead), and what an operator wants to be read
 * again. */
#include "dispatcher/output.h"

#include "common/clock.h"
#include "common/loop.h"
#include "common/mem.h"
#include "dispatcher/ahead.h"
#include "dispatcher/dead.h"
#include "dispatcher/redrive.h"
#include "proto/names.h"

#define PREFETCH 512
#define DEAD_PREFETCH 16
/* A talkative job's events come a few at a time, and a transaction for each few costs more than they: what comes within
 * this time of the last transaction is gathered.  The first is recorded at once. */
#define GATHER_MS 3
#define REST_MS 1000 /* after a flood: what it took goes back */

enum { CONSUMER_OUTPUT, CONSUMER_DEAD };

struct output {
    struct flow *flow;
    struct mq *consumer;
    char *consumer_name;
    struct ahead ahead;
    struct loop_timer *again; /* for what is left */
    struct loop_timer *rest;  /* armed: there was a flood */
    int64_t recorded_ns;      /* when the last transaction was over */
    bool away; /* the database: what has come waits, as much as the prefetch allows */
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

static enum flow_status
record(const struct output *out, const struct batch *batch)
{
    const struct batch_job output = {out->flow, WORK_OUTPUT, output_record, out->flow};
    const struct batch_job dead = {out->flow, WORK_DEAD, dead_letter, out->flow};
    enum flow_status status = batch_do(batch, &output);

    return status == FLOW_OK ? batch_do(batch, &dead) : status;
}

/* Each by itself where something before them is not recorded. */
static void
ack_first(const struct output *out)
{
    const struct batch *first = &out->ahead.first;

    if (out->ahead.n == 0)
        mq_ack(out->consumer, first->last_tag, true);
    for (size_t i = 0; out->ahead.n > 0 && i < first->n; i++)
        if (first->items[i]->tag != 0)
            mq_ack(out->consumer, first->items[i]->tag, false);
}

/* All first words, and one batch of the rest: then a look at what has come meanwhile. */
static enum flow_status
step(struct output *out)
{
    struct batch *oldest = ahead_oldest(&out->ahead);

    if (out->ahead.first.n > 0) {
        if (record(out, &out->ahead.first) != FLOW_OK)
            return FLOW_LATER;
        ack_first(out);
        batch_clear(&out->ahead.first);
    }
    if (oldest != NULL) {
        if (record(out, oldest) != FLOW_OK)
            return FLOW_LATER;
        mq_ack(out->consumer, oldest->last_tag, true);
        ahead_drop_oldest(&out->ahead);
    }
    return FLOW_OK;
}

static void
process(struct output *out)
{
    if (ahead_has_backlog(&out->ahead))
        loop_timer_set(out->rest, REST_MS);
    out->away = step(out) != FLOW_OK;
    if (out->away) {
        loop_timer_set(out->again, flow_backoff_ms(out->flow));
        return;
    }
    flow_well(out->flow);
    out->recorded_ns = clock_mono_ns();
    if (ahead_oldest(&out->ahead) != NULL)
        loop_timer_set(out->again, 0);
}

static void
on_again(void *ctx)
{
    process(ctx);
}

static void
on_rest(void *ctx)
{
    (void)ctx;
    mem_trim();
}

static void
on_delivery(struct mq *mq, const struct mq_delivery *delivery, void *ctx)
{
    struct output *out = ctx;
    struct batch *batch = ahead_batch_for(&out->ahead, delivery);
    size_t before = batch->n;

    (void)mq;
    if (delivery->consumer == CONSUMER_OUTPUT)
        batch_add_events(batch, NAMES_OUTPUT, delivery, sort_event);
    else
        batch_add_events(batch, NAMES_DEAD, delivery, give_up);
    if (delivery->consumer == CONSUMER_DEAD && batch->n == before + 1)
        give_up(batch->items[before]); /* whether it was a batch or not */
    if (ahead_is_full(&out->ahead) && !out->away)
        process(out);
}

static void
on_drained(struct mq *mq, void *ctx)
{
    struct output *out = ctx;
    int64_t since_ns = clock_mono_ns() - out->recorded_ns;

    (void)mq;
    if (loop_timer_armed(out->again) || ahead_is_empty(&out->ahead))
        return;
    if (since_ns >= GATHER_MS * CLOCK_MS_NS)
        process(out);
    else
        loop_timer_set(out->again, GATHER_MS);
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
    loop_timer_stop(out->again);
    out->away = false;
    ahead_clear(&out->ahead);
}

static void *
output_open(struct flow *flow)
{
    static const struct mq_handlers handlers = {
        .up = on_up, .down = on_down, .delivery = on_delivery, .drained = on_drained};
    struct output *out = mem_alloc(sizeof *out);
    struct mq_config config = flow_mq_config(flow, "consume", &out->consumer_name);

    out->flow = flow;
    out->again = loop_timer_new(flow->loop, on_again, out);
    out->rest = loop_timer_new(flow->loop, on_rest, out);
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
    ahead_free(&out->ahead);
    loop_timer_free(out->again);
    loop_timer_free(out->rest);
    mem_cleanup(&out->consumer_name);
    mem_cleanup(&out);
}

const struct flow_kind output_kind = {
    .name = "output", .open = output_open, .stop = output_stop, .close = output_close};
