/* Records on their way from the journals to the connection: a turn of a stream, what of it goes together, and
 * when. */
#include "common/clock.h"
#include "common/loop.h"
#include "worker/bridge/bridge.h"
#include "worker/bridge/record.h"

#define TURN_MESSAGES 8 /* of one stream before the next has its turn */
/* In one go: a flood must not hold up a grant, which the same thread waits for. */
#define PUMP_NS (CLOCK_MS_NS / 2)
/* Each message has its own cost, here and for all who pass it on, and a talkative job's lines come one
 * at a time, as do the starts and ends of many: what comes within so long of the last message goes together. */
#define GATHER_NS (3 * CLOCK_MS_NS)

void
link_queue(struct link *l, struct stream *s)
{
    if (s->failed || s->reader == NULL)
        return;
    round_add(&l->round, s);
}

void
link_forget(struct link *l, struct stream *s)
{
    bundle_forget(&l->bundle, s);
    round_remove(&l->round, s);
}

/* So many bytes of bulk were sent just now, or 0: more waits for the pace. */
static void
ask_if_flooding(struct link *l, size_t bytes, int64_t now_ns)
{
    if (pace_asks(&l->pace, bytes, now_ns))
        flood_ask(l->bridge);
}

/* Publish what was gathered, if there is anything.  -1: no room. */
static int
send_bundle(struct link *l)
{
    size_t bytes = l->bundle.body.len;
    int64_t now_ns;

    if (l->bundle.n == 0)
        return 0;
    if (link_publish_bundle(l) == -1)
        return -1;
    now_ns = clock_mono_ns();
    l->gather_until_ns = now_ns + GATHER_NS;
    if (l->class == STREAM_STATE)
        return 0;
    pace_sent(&l->pace, bytes, now_ns);
    ask_if_flooding(l, bytes, now_ns);
    return 0;
}

/* Add the record that the stream has just given to what goes next.  Where it has no place there that goes now, which *sent
 * counts, and the stream will give the record again.  -1: no room. */
static int
gather(struct link *l, struct stream *s, const struct journal_record *record, int *sent)
{
    const struct bundle_source source = {record_kind(record), l->bridge->settings.user,
                                         l->bridge->spool.instance};

    if (!bundle_takes(&l->bundle, s, source.kind, record->head.len)) {
        stream_unread(s, record);
        (*sent)++;
        return send_bundle(l);
    }
    s->spoken = true; /* not later: it may be back in the round then */
    bundle_add(&l->bundle, s, record, &source);
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
    if (l->bundle.n > 0 || !round_is_empty(&l->round))
        ask_if_flooding(l, 0, now_ns);
    return put_off(l, wait_ms < PACE_ASK_MS ? wait_ms : PACE_ASK_MS);
}

/* Must it wait for more?  A state goes at once if no other is on its way: under load the wait for the broker's
 * confirm is what gathers, and nobody waits longer for it than for that. */
static bool
put_off_to_gather(struct link *l)
{
    int64_t left_ns = l->gather_until_ns - clock_mono_ns();
    bool may_wait = l->class == STREAM_STATE ? l->open_bundles > 0 : !round_has_new(&l->round);

    return left_ns > 0 && l->bundle.n == 0 && !round_is_empty(&l->round) && may_wait &&
           put_off(l, (left_ns + CLOCK_MS_NS - 1) / CLOCK_MS_NS);
}

/* First words of a log go alone and at once, since somebody waits for them, and a log goes with nobody else's.  -1: no
 * room. */
static int
end_turn(struct link *l)
{
    return l->class == STREAM_BULK ? send_bundle(l) : 0;
}

/* One stream's turn.  -1: no room on the connection. */
static int
serve(struct link *l, struct stream *s)
{
    struct journal_record record;
    bool first = !s->spoken;
    /* At a pace even a short turn of one stream is long for the others. */
    int sent = 0, most = first || pace_is_on(&l->pace, clock_mono_ns()) ? 1 : TURN_MESSAGES;

    while (sent < most && !s->failed && (sent == 0 || link_has_room(l))) {
        switch (stream_next(s, &record)) {
        case STREAM_RECORD:
            if (gather(l, s, &record, &sent) == -1) {
                link_queue(l, s);
                return -1;
            }
            if (first && l->class == STREAM_BULK)
                sent = most;
            break;
        case STREAM_SKIPPED:
            link_queue(l, s);
            return end_turn(l);
        case STREAM_UNREADABLE: /* the next sweep tries again */
            return end_turn(l);
        case STREAM_BROKEN:
        case STREAM_DRY:
            sender_dry(l->bridge, s);
            return end_turn(l);
        }
    }
    link_queue(l, s);
    return end_turn(l);
}

static void
pump(struct link *l)
{
    int64_t until_ns = clock_mono_ns() + PUMP_NS;

    if (!mq_is_up(l->mq) || loop_timer_armed(l->retry) || put_off_by_pace(l))
        return;
    if (l->class == STREAM_STATE && notices_pump(l->bridge) == -1)
        return;
    if (l->class == STREAM_STATE)
        claims_flush(l->bridge);
    if (put_off_to_gather(l) || send_bundle(l) == -1)
        return;
    while (!round_is_empty(&l->round) && link_has_room(l) && clock_mono_ns() < until_ns &&
           !put_off_by_pace(l))
        if (serve(l, round_take(&l->round)) == -1)
            return;
    if (send_bundle(l) == -1)
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
