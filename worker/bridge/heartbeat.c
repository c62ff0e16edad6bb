/* Heartbeats: what this worker is and holds.  One is unanswered at a time; an answer
 * means that the tables have seen it, and prolongs the leases of what it listed. */
#include "worker/bridge/bridge.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "proto/event_data.h"

#define SOON_MS 10
#define PATIENCE 3 /* periods without an answer before it is sent again */

static const char *
held_as(const struct attempt *a)
{
    switch (a->state) {
    case AT_WAITING:
    case AT_CLAIMED:
        return "claimed";
    case AT_STARTING:
    case AT_RUNNING:
        return "running";
    case AT_SENDING:
    case AT_LOST:
    case AT_CLOSING:
    case AT_STATES:
        break;
    }
    return "sending";
}

/* Caller frees the list. */
static struct event_held_attempt *
list_held(struct bridge *b, int64_t number, size_t *n)
{
    struct event_held_attempt *held = mem_alloc(HEARTBEAT_HELD_MAX * sizeof *held);

    *n = 0;
    for (struct attempt *a = b->attempts.first; a != NULL && *n < HEARTBEAT_HELD_MAX; a = a->next) {
        if (a->in_done)
            continue;
        held[*n].name = a->name;
        held[*n].state = held_as(a);
        if (a->state == AT_RUNNING && a->beat_number == 0)
            a->beat_number = number;
        (*n)++;
    }
    return held;
}

static int64_t
spool_bytes(const struct bridge *b)
{
    return b->done.bytes + sender_bytes(b);
}

static void
describe(struct bridge *b, int64_t number, struct buf *out)
{
    struct event_heartbeat h = {.session = b->consumer.session,
                                .instance = b->spool.instance,
                                .boot_id = b->spool.boot_id,
                                .pool = b->settings.pool,
                                .note = b->note,
                                .control = b->consumer.control_queue,
                                .executors = b->executors.json.data,
                                .number = number,
                                .slots = b->settings.slots,
                                .free_slots = consumer_free_slots(b),
                                .claim = standing_make(b),
                                .draining = b->drain.draining,
                                .spool_bytes = spool_bytes(b),
                                .oldest_unsent_ms = sender_oldest_unsent_ms(b)};
    struct event_held_attempt *held = list_held(b, number, &h.n_held);

    h.held = held;
    event_data_heartbeat(out, &h);
    free(held);
}

static void
send_beat(struct bridge *b)
{
    struct heartbeat *h = &b->heartbeat;
    int64_t number = h->number + 1;
    enum event_kind kind = h->started_sent ? EVENT_WORKER_HEARTBEAT : EVENT_WORKER_STARTED;
    CLEANUP(buf_free) struct buf event = {0};
    struct names_words words = {b->settings.user, NULL, NULL, NULL};
    struct flight flight = {.kind = FLIGHT_HINT};
    char key[NAMES_SIZE], id[EVENT_ID_SIZE];

    event_open_worker(&event, kind, b->settings.user, b->consumer.session, number);
    describe(b, number, &event);
    event_close(&event);
    struct mq_message m = {.exchange = NAMES_RESULTS,
                           .routing_key = names_routing_key(kind, &words, key),
                           .content_type = EVENT_CONTENT_TYPE,
                           .type = event_type(kind),
                           .message_id = event_worker_id(kind, b->consumer.session, number, id),
                           .body = event.data,
                           .len = event.len,
                           .mandatory = true};
    if (link_publish(&b->links[STREAM_STATE], &m, &flight) == -1)
        return; /* the next period tries again */
    h->number = number;
    h->sent_ns = clock_boot_ns();
    h->started_sent = true;
    memcpy(h->session, b->consumer.session, sizeof h->session);
}

bool
heartbeat_is_known(const struct bridge *b)
{
    return b->heartbeat.answered >= 0;
}

static bool
is_due(struct bridge *b)
{
    struct heartbeat *h = &b->heartbeat;

    if (h->number == h->answered || strcmp(h->session, b->consumer.session) != 0)
        return true;
    if (clock_boot_ns() - h->sent_ns <= PATIENCE * b->settings.heartbeat_ms * CLOCK_MS_NS)
        return false;
    if (!h->silence_told)
        log_warn("heartbeats are not answered: no dispatcher, or another worker has the id %s",
                 b->settings.user);
    h->silence_told = true;
    return true;
}

static void
try_send(struct bridge *b)
{
    if (b->drain.said_stopped)
        return; /* a later heartbeat would take that back */
    if (mq_is_up(b->consumer.mq) && mq_is_up(b->links[STREAM_STATE].mq) && is_due(b))
        send_beat(b);
}

static void
on_timer(void *ctx)
{
    struct bridge *b = ctx;

    loop_timer_set(b->heartbeat.timer, b->settings.heartbeat_ms);
    try_send(b);
}

static void
on_soon(void *ctx)
{
    try_send(ctx);
}

void
heartbeat_init(struct bridge *b)
{
    b->heartbeat.number = b->heartbeat.answered = -1; /* worker.started has number 0 */
    b->heartbeat.timer = loop_timer_new(b->loop, on_timer, b);
    b->heartbeat.soon = loop_timer_new(b->loop, on_soon, b);
    loop_timer_set(b->heartbeat.timer, b->settings.heartbeat_ms);
}

void
heartbeat_free(struct bridge *b)
{
    loop_timer_free(b->heartbeat.timer);
    loop_timer_free(b->heartbeat.soon);
}

void
heartbeat_soon(struct bridge *b)
{
    if (!loop_timer_armed(b->heartbeat.soon))
        loop_timer_set(b->heartbeat.soon, SOON_MS);
}

void
heartbeat_answered(struct bridge *b, const struct control *beat)
{
    struct heartbeat *h = &b->heartbeat;
    char line[48];
    int64_t until_ms;

    if (beat->number != h->number || strcmp(beat->session, h->session) != 0)
        return;
    if (h->silence_told)
        log_info("heartbeats are answered again");
    h->silence_told = false;
    h->answered = beat->number;
    consumer_adjust(b);
    /* From when it was sent: since then the tables may count our silence. */
    until_ms = h->sent_ns / CLOCK_MS_NS + beat->lost_after_ms;
    snprintf(line, sizeof line, "lease %" PRId64 "\n", until_ms);
    for (struct attempt *a = b->attempts.first; a != NULL; a = a->next)
        if (a->state == AT_RUNNING && a->repeatable && a->beat_number != 0 &&
            a->beat_number <= beat->number)
            orders_tell_runner(b, a, line);
}
