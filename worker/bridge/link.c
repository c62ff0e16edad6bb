/* A publishing connection: the window of flights, and the pause after a publish that did not
 * arrive.  Nothing is lost by a failure here: records stay in their journals, notices in their
 * list, and both are sent again. */
#include "worker/bridge/link.h"

#include <errno.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/loop.h"
#include "worker/bridge/bridge.h"

#define BACK_OFF_FIRST_MS 200
#define BACK_OFF_MOST_MS 10000
#define CALL_TIMEOUT_MS 10000
#define CONFIRM_TIMEOUT_MS 60000
#define WINDOW_BYTES (1024u * 1024u)
/* All queues of a broker share one log on disk: an offer and a state wait there behind what a flood
 * has open.  So while tasks start it has less. */
#define PACED_WINDOW_BYTES (256u * 1024u)
/* Beyond these: one more record that was begun within them, and first words. */
#define EXTRA_BYTES (128u * 1024u)

static int
take_flight(struct link *l, const struct flight *flight, size_t bytes)
{
    int i = l->free_flight;

    l->free_flight = l->flights[i].next;
    l->flights[i] = *flight;
    l->flights[i].settled = l->flights[i].arrived = false;
    l->flights[i].next = -1;
    l->flights[i].taken_ns = clock_mono_ns();
    l->flights[i].bytes = bytes;
    l->open_bytes += bytes;
    return i;
}

static void
give_flight(struct link *l, int i)
{
    l->open_bytes -= l->flights[i].bytes;
    memset(&l->flights[i], 0, sizeof l->flights[i]);
    l->flights[i].next = l->free_flight;
    l->free_flight = i;
}

static size_t
window_bytes(const struct link *l)
{
    return pace_is_on(&l->pace, clock_mono_ns()) ? PACED_WINDOW_BYTES : WINDOW_BYTES;
}

bool
link_has_room(const struct link *l)
{
    return round_has_new(&l->round) || l->open_bytes < window_bytes(l);
}

/* The stream's open publishes have all settled and one did not arrive. */
static void
go_back(struct link *l, struct stream *s)
{
    link_forget(l, s);
    stream_rewind(s, s->confirmed);
    link_queue(l, s);
}

/* A place in the stream's row. */
static void
row_add(struct link *l, struct stream *s, int i)
{
    if (s->flight_last == -1)
        s->flight_first = i;
    else
        l->flights[s->flight_last].next = i;
    s->flight_last = i;
}

/* mq_publish() calls no handler, so what it may fail to publish needs no flight before. */
int
link_publish(struct link *l, const struct mq_message *message, const struct flight *flight)
{
    if (l->free_flight == -1) {
        errno = EAGAIN;
        return -1;
    }
    if (mq_publish(l->mq, message, (uint64_t)l->free_flight) == -1)
        return -1;
    (void)take_flight(l, flight, message->len);
    return 0;
}

static bool
has_flights(const struct link *l, size_t n)
{
    int i = l->free_flight;

    while (n > 0 && i != -1) {
        i = l->flights[i].next;
        n--;
    }
    return n == 0;
}

/* Flights of all streams of the bundle, each the rider of the one before. */
static void
board(struct link *l, const struct bundle *u, size_t bytes)
{
    int before = -1;

    for (size_t n = 0; n < u->n; n++) {
        const struct flight flight = {.kind = FLIGHT_RECORD,
                                      .rider = -1,
                                      .stream = u->parts[n].stream,
                                      .end_offset = u->parts[n].end_offset};
        int i = take_flight(l, &flight, before == -1 ? bytes : 0);

        if (before != -1)
            l->flights[before].rider = i;
        row_add(l, flight.stream, i);
        before = i;
    }
}

int
link_publish_bundle(struct link *l)
{
    struct mq_message message = bundle_message(&l->bundle);

    if (!has_flights(l, l->bundle.n)) {
        errno = EAGAIN;
        return -1;
    }
    if (mq_publish(l->mq, &message, (uint64_t)l->free_flight) == -1)
        return -1;
    board(l, &l->bundle, message.len);
    l->open_bundles++;
    bundle_clear(&l->bundle);
    return 0;
}

/* What did not arrive is sent again after a pause that grows while nothing does. */
static void
back_off(struct link *l, enum mq_outcome outcome)
{
    static const char *const why[] = {
        [MQ_RETURNED] = "no queue takes it", [MQ_NACKED] = "the queue is full"};

    if (outcome == MQ_UNKNOWN || loop_timer_armed(l->retry))
        return; /* a lost connection has its own pause */
    if (l->back_off_ms == 0) {
        l->back_off_ms = BACK_OFF_FIRST_MS;
        log_warn("connection=%s: a publish was refused: %s; trying again",
                 l->class == STREAM_BULK ? "output" : "state", why[outcome]);
    } else if (l->back_off_ms < BACK_OFF_MOST_MS) {
        l->back_off_ms *= 2;
    }
    loop_timer_set(l->retry, l->back_off_ms);
}

/* Take the settled flights off the front of the stream; `confirmed` follows up to the
 * first that failed. */
static void
stream_settle(struct link *l, struct stream *s)
{
    while (s->flight_first != -1 && l->flights[s->flight_first].settled) {
        int i = s->flight_first;

        if (!l->flights[i].arrived)
            s->failed = true;
        if (!s->failed)
            s->confirmed = l->flights[i].end_offset;
        s->flight_first = l->flights[i].next;
        if (s->flight_first == -1)
            s->flight_last = -1;
        give_flight(l, i);
    }
    if (s->flight_first != -1) {
        if (!s->failed)
            s->behind_since_ns = l->flights[s->flight_first].taken_ns;
        return;
    }
    if (s->failed) {
        go_back(l, s);
    } else if (!bundle_has(&l->bundle, s)) {
        s->confirmed = s->read_offset;
        s->behind_since_ns = 0;
    }
    sender_settled(l->bridge, s->attempt);
}

/* Nothing more of this stream goes out until its open publishes are settled. */
static void
fail(struct link *l, struct stream *s)
{
    s->failed = true;
    link_forget(l, s);
}

/* All that went in one message.  What follows for one stream ends its own attempt at most. */
static void
settle_bundle(struct link *l, int first, bool arrived)
{
    l->open_bundles--;
    for (int i = first, next; i != -1; i = next) {
        struct stream *s = l->flights[i].stream;

        next = l->flights[i].rider;
        l->flights[i].settled = true;
        l->flights[i].arrived = arrived;
        if (!arrived)
            fail(l, s);
        stream_settle(l, s);
    }
}

static void
link_settled(struct mq *mq, uint64_t cookie, enum mq_outcome outcome, void *ctx)
{
    struct link *l = ctx;
    struct flight *f = &l->flights[cookie];
    bool arrived = outcome == MQ_CONFIRMED;

    (void)mq;
    if (arrived && f->kind != FLIGHT_HINT)
        l->back_off_ms = 0; /* a hint goes another way than what was refused */
    else if (!arrived)
        back_off(l, outcome);
    if (f->kind == FLIGHT_RECORD) {
        settle_bundle(l, (int)cookie, arrived);
        return;
    }
    if (f->kind == FLIGHT_NOTICE)
        notices_settled(l->bridge, f->notice, arrived);
    else if (f->kind == FLIGHT_CLAIM && !arrived)
        claims_failed(l->bridge, f->claim);
    give_flight(l, (int)cookie);
}

static int
link_up(struct mq *mq, void *ctx)
{
    struct link *l = ctx;

    if (mq_use_confirms(mq) == -1 || mq_check_exchange(mq, NAMES_RESULTS) == -1)
        return -1;
    if (l->class == STREAM_STATE && mq_check_exchange(mq, NAMES_CLAIMS) == -1)
        return -1;
    link_pump_soon(l);
    if (l->class == STREAM_STATE)
        heartbeat_soon(l->bridge);
    return 0;
}

static void
link_drained(struct mq *mq, void *ctx)
{
    (void)mq;
    link_pump(ctx);
}

static const struct mq_handlers handlers = {
    .up = link_up, .settled = link_settled, .drained = link_drained, .writable = link_drained};

void
link_init(struct link *l, struct bridge *b, enum stream_class class)
{
    struct mq_config config = bridge_mq_config(b, class == STREAM_BULK ? "output" : "state");

    memset(l, 0, sizeof *l);
    l->bridge = b;
    l->class = class;
    l->free_flight = -1;
    for (int i = LINK_WINDOW; i-- > 0;)
        give_flight(l, i);
    pace_init(&l->pace, b->settings.pace_bytes_per_s);
    l->later = loop_timer_new(b->loop, link_pump, l);
    l->retry = loop_timer_new(b->loop, link_pump, l);
    l->soon = loop_timer_new(b->loop, link_pump, l);
    config.call_timeout_ms = CALL_TIMEOUT_MS;
    config.confirm_timeout_ms = CONFIRM_TIMEOUT_MS;
    config.window_messages = LINK_WINDOW;
    config.together = true;
    config.window_bytes = WINDOW_BYTES + EXTRA_BYTES;
    l->mq = mq_new(b->loop, &config, &handlers, l);
}

void
link_free(struct link *l)
{
    mq_free(l->mq);
    loop_timer_free(l->later);
    loop_timer_free(l->retry);
    loop_timer_free(l->soon);
    bundle_free(&l->bundle);
}
