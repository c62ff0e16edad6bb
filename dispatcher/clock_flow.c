/* Clock: one round trip to the database a tick.  The tick carries database time, and
 * there is none while the database or the broker is away: an outage is no silence
 * of a worker. */
#include "dispatcher/clock_flow.h"

#include <inttypes.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/uuid.h"
#include "dispatcher/post.h"
#include "proto/names.h"

static const char sql[] =
    "SELECT promoted + expired AS moved, hler_core.next_due_ms() AS next_due_ms,"
    " to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') AS now"
    " FROM hler_core.clock_step()";

/* What is old goes in small steps, each in a transaction of its own. */
static const char retain_sql[] = "SELECT hler_core.retain() AS more";
#define DUE_GAP_MS 100 /* many tasks that are due one after another are one step */
#define RETAIN_MS 60000
#define RETAIN_AGAIN_MS 5000 /* after one that could not do all: each costs others up to 50 ms */

struct clock {
    struct flow *flow;
    struct post *post;
    struct loop_timer *timer;
    char session[UUID_TEXT_SIZE];
    int64_t number;
    int64_t retain_ns; /* when the next step of retention is due */
};

static void
send_tick(struct clock *c, const char *now)
{
    const struct names_words words = {.user = NAMES_DISPATCHER};
    struct buf body CLEANUP(buf_free) = {0};
    char key[NAMES_SIZE], id[EVENT_ID_SIZE];

    c->number++;
    event_open_worker(&body, EVENT_TICK, NAMES_DISPATCHER, c->session, c->number);
    buf_printf(&body, "{\"id\":\"%s\",\"number\":%" PRId64 ",\"sent_at\":\"%s\"}",
               c->flow->settings->id, c->number, now);
    event_close(&body);
    post_send(
        c->post,
        &(struct mq_message){.exchange = NAMES_RESULTS,
                             .routing_key = names_routing_key(EVENT_TICK, &words, key),
                             .content_type = EVENT_CONTENT_TYPE,
                             .type = event_type(EVENT_TICK),
                             .message_id = event_worker_id(EVENT_TICK, c->session, c->number, id),
                             .body = body.data,
                             .len = body.len,
                             .mandatory = true},
        &(struct parcel_label){.name = key});
}

static void
retain(struct clock *c)
{
    struct pg_result *result CLEANUP(pg_result_cleanup) = NULL;
    int64_t now = clock_mono_ns();

    if (now < c->retain_ns)
        return;
    bool known = flow_exec(c->flow, retain_sql, NULL, 0, &result) == FLOW_OK &&
                 pg_get(result, 0, "more") != NULL;
    if (known && pg_get_bool(result, 0, "more"))
        c->retain_ns = now;
    else
        c->retain_ns = now + (known ? RETAIN_MS : RETAIN_AGAIN_MS) * CLOCK_MS_NS;
}

/* Who waits for a time is not late by a whole tick. */
static int64_t
next_step_ms(const struct clock *c, const struct pg_result *result)
{
    int64_t tick_ms = c->flow->settings->tick_ms, due_ms;

    if (pg_get(result, 0, "next_due_ms") == NULL)
        return tick_ms;
    due_ms = pg_get_int(result, 0, "next_due_ms");
    if (due_ms < DUE_GAP_MS)
        due_ms = DUE_GAP_MS;
    return due_ms < tick_ms ? due_ms : tick_ms;
}

static void
on_tick(void *ctx)
{
    struct pg_result *result CLEANUP(pg_result_cleanup) = NULL;
    struct clock *c = ctx;

    if (flow_exec(c->flow, sql, NULL, 0, &result) != FLOW_OK) {
        loop_timer_set(c->timer, c->flow->settings->tick_ms + flow_backoff_ms(c->flow));
        return;
    }
    flow_well(c->flow);
    loop_timer_set(c->timer, next_step_ms(c, result));
    if (pg_get_int(result, 0, "moved") > 0)
        flow_nudge(c->flow);
    /* One at a time: ticks that pile up behind a blocked broker would all come late. */
    if (post_is_up(c->post) && post_count(c->post) == 0)
        send_tick(c, pg_get(result, 0, "now"));
    retain(c); /* after the tick, which is not to wait for it */
}

static int
on_up(struct mq *mq, void *ctx)
{
    (void)ctx;
    return mq_check_exchange(mq, NAMES_RESULTS);
}

static void *
clock_open(struct flow *flow)
{
    static const struct post_owner owner = {.up = on_up};
    struct clock *c = mem_alloc(sizeof *c);

    c->flow = flow;
    uuid_v4(c->session);
    c->post = post_new(flow, &owner, c);
    c->timer = loop_timer_new(flow->loop, on_tick, c);
    loop_timer_set(c->timer, 0);
    post_start(c->post);
    return c;
}

static void
clock_stop(void *self)
{
    struct clock *c = self;

    loop_stop(c->flow->loop);
}

static void
clock_close(void *self)
{
    struct clock *c = self;

    post_free(c->post);
    loop_timer_free(c->timer);
    mem_cleanup(&c);
}

const struct flow_kind clock_flow_kind = {
    .name = "clock", .open = clock_open, .stop = clock_stop, .close = clock_close};
