/* Output: hler.output into the tables, in large batches, first words before.  And, since it is rare
 * and never urgent, what the broker has given up (hler.dead), and what an operator wants to be read
 * again. */
#include "dispatcher/output.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/mem.h"
#include "dispatcher/ahead.h"
#include "dispatcher/dead.h"
#include "dispatcher/redrive.h"
#include "proto/names.h"

#define PREFETCH 512
#define DEAD_PREFETCH 16
/* A talkative job's events come a few at a time, and a transaction for each few costs more than
 * they: none begins within this time of the last, unless much is waiting.  The first begins at
 * once; what comes while one is under way is read and checked meanwhile. */
#define GATHER_MS 3
#define REST_MS 1000 /* after a flood: what it took goes back */

enum { CONSUMER_OUTPUT, CONSUMER_DEAD };
enum { HAND_FIRST, HAND_REST, HAND_COUNT };

struct output {
    struct flow *flow;
    struct mq *consumer;
    char *consumer_name;
    struct ahead ahead;
    /* Taken from ahead, to be recorded in this order before more is taken. */
    struct batch hand[HAND_COUNT];
    /* Not NULL: the database has been asked to record the first of them. */
    struct loop_source *answer;
    struct loop_timer *late;  /* its answer */
    struct loop_timer *again; /* for what is left */
    struct loop_timer *rest;  /* armed: there was a flood */
    int64_t began_ns;         /* the last transaction */
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
    event_slim(&item->event);
    if (event_bulk(item->event.kind))
        return;
    fault_set(&fault, FAULT_BAD_KEY, "a state came through the queue of output");
    item_dead(item, &fault);
}

/* Set aside as it is, or event by event: whatever made it come back so often, reading it here
 * would only do that again. */
static void
give_up(struct item *item)
{
    struct fault fault = {0};

    fault_set(&fault, FAULT_UNDELIVERABLE, "delivered too often, or rejected, and never taken in");
    item_dead(item, &fault);
}

/* The batch that is next; NULL = nothing has been taken. */
static struct batch *
in_hand(struct output *out)
{
    for (size_t i = 0; i < HAND_COUNT; i++)
        if (out->hand[i].n > 0)
            return &out->hand[i];
    return NULL;
}

/* First words are acked each by itself where something before them is not recorded. */
static void
ack(const struct output *out, const struct batch *batch)
{
    bool alone =
        batch == &out->hand[HAND_FIRST] && (out->hand[HAND_REST].n > 0 || out->ahead.n > 0);

    if (!alone)
        mq_ack(out->consumer, batch->last_tag, true);
    for (size_t i = 0; alone && i < batch->n; i++)
        if (batch->items[i]->tag != 0)
            mq_ack(out->consumer, batch->items[i]->tag, false);
}

/* When is the next transaction due? */
static void
go_on(struct output *out)
{
    int64_t since_ns = clock_mono_ns() - out->began_ns;
    bool much = in_hand(out) != NULL || ahead_has_backlog(&out->ahead);

    if (out->answer != NULL || loop_timer_armed(out->again) ||
        (in_hand(out) == NULL && ahead_is_empty(&out->ahead)))
        return;
    loop_timer_set(out->again, much || since_ns >= GATHER_MS * CLOCK_MS_NS
                                   ? 0
                                   : GATHER_MS - since_ns / CLOCK_MS_NS);
}

/* What the database has not taken in at the first try, what is to be set aside, and the acks. */
static void
finish(struct output *out)
{
    struct batch *batch = in_hand(out);
    const struct batch_job output = {out->flow, WORK_OUTPUT, output_record, out->flow};
    const struct batch_job dead = {out->flow, WORK_DEAD, dead_letter, out->flow};

    out->away = batch_do(batch, &output) != FLOW_OK || batch_do(batch, &dead) != FLOW_OK;
    if (out->away) {
        loop_timer_set(out->again, flow_backoff_ms(out->flow));
        return;
    }
    flow_well(out->flow);
    ack(out, batch);
    batch_clear(batch);
    go_on(out);
}

/* Wait for the answer, if one is to come.  Returns whether there was one. */
static bool
take_answer(struct output *out)
{
    if (out->answer == NULL)
        return false;
    loop_remove(out->answer);
    out->answer = NULL;
    loop_timer_stop(out->late);
    if (output_answer(out->flow, in_hand(out)) == -1)
        log_debug("flow=output: once more: %s", flow_why(out->flow));
    return true;
}

/* The connection to the database is free then. */
static void
settle(void *ctx)
{
    struct output *out = ctx;

    if (take_answer(out))
        finish(out);
}

static void
on_answer(void *ctx, uint32_t events)
{
    (void)events;
    settle(ctx);
}

/* Ask the database to record what is next, unless it is at work. */
static void
begin(struct output *out)
{
    struct batch *batch;

    if (out->answer != NULL)
        return;
    if (ahead_has_backlog(&out->ahead))
        loop_timer_set(out->rest, REST_MS);
    if (in_hand(out) == NULL)
        ahead_take(&out->ahead, &out->hand[HAND_FIRST], &out->hand[HAND_REST]);
    batch = in_hand(out);
    if (batch == NULL)
        return;
    out->began_ns = clock_mono_ns();
    if (output_send(out->flow, batch) == -1) {
        finish(out);
        return;
    }
    out->answer = loop_add(out->flow->loop, pg_socket(out->flow->pg), EPOLLIN, on_answer, out);
    loop_timer_set(out->late, out->flow->settings->pg_timeout_ms);
}

static void
on_again(void *ctx)
{
    begin(ctx);
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
    if (!ahead_is_full(&out->ahead) || out->away)
        return;
    settle(out);
    if (!out->away)
        begin(out);
}

static void
on_drained(struct mq *mq, void *ctx)
{
    (void)mq;
    go_on(ctx);
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

/* The broker delivers again what was not acked: nothing is left to be done with it. */
static void
on_down(struct mq *mq, void *ctx)
{
    struct output *out = ctx;

    (void)mq;
    (void)take_answer(out);
    loop_timer_stop(out->again);
    out->away = false;
    for (size_t i = 0; i < HAND_COUNT; i++)
        batch_clear(&out->hand[i]);
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
    out->late = loop_timer_new(flow->loop, settle, out);
    out->redrive = redrive_new(flow, settle, out);
    out->consumer = mq_new(flow->loop, &config, &handlers, out);
    mq_start(out->consumer);
    return out;
}

static void
output_stop(void *self)
{
    struct output *out = self;

    settle(out);
    if (in_hand(out) != NULL && !out->away)
        finish(out);
    loop_timer_stop(out->again);
    loop_stop(out->flow->loop);
}

static void
output_close(void *self)
{
    struct output *out = self;

    mq_free(out->consumer);
    redrive_free(out->redrive);
    loop_remove(out->answer);
    ahead_free(&out->ahead);
    for (size_t i = 0; i < HAND_COUNT; i++)
        batch_free(&out->hand[i]);
    loop_timer_free(out->again);
    loop_timer_free(out->rest);
    loop_timer_free(out->late);
    mem_cleanup(&out->consumer_name);
    mem_cleanup(&out);
}

const struct flow_kind output_kind = {
    .name = "output", .open = output_open, .stop = output_stop, .close = output_close};
