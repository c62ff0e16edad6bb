/* Records on their way from the journals to the connection: a turn of a stream,
 * and what is prepared and found no room. */
#include "common/clock.h"
#include "common/loop.h"
#include "proto/event_batch.h"
#include "worker/bridge/bridge.h"
#include "worker/bridge/record.h"

#define TURN_MESSAGES 8 /* of one stream before the next has its turn */
/* A batch takes no more of the window than one full record of output. */
#define BATCH_BYTES LIMIT_OUTPUT_BYTES
/* In one go: a flood must not hold up a grant, which the same thread waits for. */
#define PUMP_NS (CLOCK_MS_NS / 2)
/* Each message has its own cost, here and for all who pass it on, and a talkative job's lines come one
 * at a time: what comes within so long of the last message goes together. */
#define GATHER_NS (3 * CLOCK_MS_NS)

void
link_queue(struct link *l, struct stream *s)
{
    if (s->failed || s->reader == NULL || l->waiting == s)
        return;
    round_add(&l->round, s);
}

void
link_forget(struct link *l, struct stream *s)
{
    if (l->waiting == s)
        l->waiting = NULL;
    round_remove(&l->round, s);
}

/* One more event of this stream.  l->kind is that of the record. */
static void
add_event(struct link *l, struct stream *s, const struct journal_record *record)
{
    struct event_about about = attempt_about(s->attempt, l->bridge->settings.user);
    struct names_words words = {about.worker, about.requester, about.operation, about.name.task};
    const struct record_context context = {l->kind, &about, l->bridge->spool.instance};

    buf_puts(&l->body, l->events == 0 ? "[" : ",");
    record_encode(record, &context, &l->body);
    if (l->events++ == 0)
        event_attempt_id(l->kind, &about.name, (int64_t)record->head.seq, l->id);
    names_routing_key(l->kind, &words, l->key); /* the last event's */
    l->end_offset = record->end_offset;
    l->waiting = s;
}

/* First words go alone: somebody waits for them. */
static bool
may_grow(const struct link *l, const struct stream *s)
{
    return (s->spoken || s->class == STREAM_STATE) && l->events < LIMIT_BATCH_EVENTS &&
           l->body.len < BATCH_BYTES;
}

/* Build a message in l->body: of a record, and of those behind it that are there already.  Says what
 * ended it. */
static enum stream_step
prepare(struct link *l, struct stream *s, struct journal_record *record)
{
    enum stream_step step = STREAM_RECORD;

    buf_clear(&l->body);
    l->events = 0;
    l->kind = record_kind(record);
    add_event(l, s, record);
    while (may_grow(l, s) && (step = stream_next(s, record)) == STREAM_RECORD) {
        enum event_kind kind = record_kind(record);

        /* A result that is none goes as output: by another way. */
        if (l->body.len + record->head.len > BATCH_BYTES ||
            event_bulk(kind) != event_bulk(l->kind)) {
            stream_unread(s, record);
            break;
        }
        l->kind = kind;
        add_event(l, s, record);
    }
    buf_puts(&l->body, "]");
    return step;
}

/* So many bytes of bulk were sent just now, or 0: more waits for the pace. */
static void
ask_if_flooding(struct link *l, size_t bytes, int64_t now_ns)
{
    if (pace_asks(&l->pace, bytes, now_ns))
        flood_ask(l->bridge);
}

/* Publish what is prepared.  -1: no room. */
static int
send_prepared(struct link *l)
{
    bool one = l->events == 1;
    struct flight flight = {
        .kind = FLIGHT_RECORD, .stream = l->waiting, .end_offset = l->end_offset};
    struct mq_message m = {.exchange = NAMES_RESULTS,
                           .routing_key = l->key,
                           .content_type = one ? EVENT_CONTENT_TYPE : EVENT_BATCH_CONTENT_TYPE,
                           .type = event_type(l->kind),
                           .message_id = l->id,
                           .body = one ? l->body.data + 1 : l->body.data,
                           .len = one ? l->body.len - 2 : l->body.len, /* without its brackets */
                           .persistent = true,
                           .mandatory = true};
    int64_t now_ns;

    /* Not later: it may be back in the round then. */
    l->waiting->spoken = true;
    if (link_publish(l, &m, &flight) == -1)
        return -1;
    l->waiting = NULL;
    now_ns = clock_mono_ns();
    if (l->class == STREAM_STATE)
        return 0;
    pace_sent(&l->pace, m.len, now_ns);
    ask_if_flooding(l, m.len, now_ns);
    l->gather_until_ns = now_ns + GATHER_NS;
    return 0;
}

/* Try again in wait_ms, unless that is now.  Says whether it is later. */
static bool
put_off(struct link *l, int64_t wait_ms)
{
    if (wait_ms > 0)
        loop_timer_set(l->later, wait_ms);
    return wait_ms > 0;
}

/* Must this wait, so that tasks which start now need not?  The first words of a task are a part of its
 * start. */
static bool
put_off_by_pace(struct link *l)
{
    int64_t now_ns = clock_mono_ns(), wait_ms = pace_wait_ms(&l->pace, now_ns);

    if (wait_ms == 0 || round_has_new(&l->round))
        return false;
    if (l->waiting != NULL || !round_is_empty(&l->round))
        ask_if_flooding(l, 0, now_ns);
    return put_off(l, wait_ms < PACE_ASK_MS ? wait_ms : PACE_ASK_MS);
}

/* Must it wait for more? */
static bool
put_off_to_gather(struct link *l)
{
    int64_t left_ns = l->gather_until_ns - clock_mono_ns();

    return left_ns > 0 && l->waiting == NULL && !round_is_empty(&l->round) &&
           !round_has_new(&l->round) && put_off(l, (left_ns + CLOCK_MS_NS - 1) / CLOCK_MS_NS);
}

/* One stream's turn.  -1: no room on the connection. */
static int
serve(struct link *l, struct stream *s)
{
    struct journal_record record;
    /* At a pace even a short turn of one stream is long for the others. */
    int most = !s->spoken || pace_is_on(&l->pace, clock_mono_ns()) ? 1 : TURN_MESSAGES;

    for (int n = 0; n < most && !s->failed && (n == 0 || link_has_room(l)); n++) {
        enum stream_step step = stream_next(s, &record);

        if (step == STREAM_RECORD) {
            step = prepare(l, s, &record);
            if (send_prepared(l) == -1)
                return -1;
        }
        switch (step) {
        case STREAM_RECORD:
            break;
        case STREAM_SKIPPED:
            link_queue(l, s);
            return 0;
        case STREAM_UNREADABLE: /* the next sweep tries again */
            return 0;
        case STREAM_BROKEN:
        case STREAM_DRY:
            sender_dry(l->bridge, s);
            return 0;
        }
    }
    link_queue(l, s);
    return 0;
}

static void
pump(struct link *l)
{
    int64_t until_ns = clock_mono_ns() + PUMP_NS;

    if (!mq_is_up(l->mq) || loop_timer_armed(l->retry) || put_off_by_pace(l) ||
        put_off_to_gather(l))
        return;
    if (l->class == STREAM_STATE && notices_pump(l->bridge) == -1)
        return;
    if (l->class == STREAM_STATE)
        claims_flush(l->bridge);
    if (l->waiting != NULL) {
        struct stream *s = l->waiting;

        if (send_prepared(l) == -1)
            return;
        link_queue(l, s);
    }
    while (!round_is_empty(&l->round) && link_has_room(l) && clock_mono_ns() < until_ns &&
           !put_off_by_pace(l))
        if (serve(l, round_take(&l->round)) == -1)
            return;
    if (!round_is_empty(&l->round))
        l->gather_until_ns = 0; /* there is more */
    if (round_has_new(&l->round) ||
        (!round_is_empty(&l->round) && link_has_room(l) && !loop_timer_armed(l->later)))
        link_pump_soon(l);
}

void
link_pump(void *ctx)
{
    struct link *l = ctx;

    pump(l);
    mq_flush(l->mq);
}

void
link_pump_soon(struct link *l)
{
    if (!loop_timer_armed(l->soon))
        loop_timer_set(l->soon, 0);
}
