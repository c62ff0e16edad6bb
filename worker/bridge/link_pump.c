/* Records on their way from the journals to the connection: the round of streams, a turn of one,
 * and what is prepared and found no room. */
#include "common/clock.h"
#include "common/loop.h"
#include "worker/bridge/bridge.h"
#include "worker/bridge/record.h"

#define TURN_RECORDS 8 /* of one stream before the next has its turn */
/* In one go: a flood must not hold up a grant, which the same thread waits for. */
#define PUMP_NS (CLOCK_MS_NS / 2)

void
link_queue(struct link *l, struct stream *s)
{
    if (s->queued || s->failed || s->reader == NULL || l->waiting == s)
        return;
    s->queued = true;
    s->next_queued = NULL;
    if (l->last != NULL)
        l->last->next_queued = s;
    else
        l->first = s;
    l->last = s;
}

static struct stream *
take_queued(struct link *l)
{
    struct stream *s = l->first;

    l->first = s->next_queued;
    if (l->first == NULL)
        l->last = NULL;
    s->queued = false;
    s->next_queued = NULL;
    return s;
}

void
link_forget(struct link *l, struct stream *s)
{
    struct stream **p = &l->first;

    if (l->waiting == s)
        l->waiting = NULL;
    if (!s->queued)
        return;
    while (*p != s)
        p = &(*p)->next_queued;
    *p = s->next_queued;
    l->last = NULL;
    for (struct stream *t = l->first; t != NULL; t = t->next_queued)
        l->last = t;
    s->queued = false;
}

/* Build the event of a record in l->body. */
static void
prepare(struct link *l, struct stream *s, const struct journal_record *record)
{
    struct event_about about = attempt_about(s->attempt, l->bridge->settings.user);
    struct names_words words = {about.worker, about.requester, about.operation, about.name.task};

    l->kind = record_kind(record);
    buf_clear(&l->body);
    record_encode(record, &about, l->bridge->spool.instance, &l->body);
    names_routing_key(l->kind, &words, l->key);
    event_attempt_id(l->kind, &about.name, (int64_t)record->head.seq, l->id);
    l->end_offset = record->end_offset;
    l->waiting = s;
}

/* Publish what is prepared.  -1: no room. */
static int
send_prepared(struct link *l)
{
    struct flight flight = {
        .kind = FLIGHT_RECORD, .stream = l->waiting, .end_offset = l->end_offset};
    struct mq_message m = {.exchange = NAMES_RESULTS,
                           .routing_key = l->key,
                           .content_type = EVENT_CONTENT_TYPE,
                           .type = event_type(l->kind),
                           .message_id = l->id,
                           .body = l->body.data,
                           .len = l->body.len,
                           .persistent = true,
                           .mandatory = true};

    if (link_publish(l, &m, &flight) == -1)
        return -1;
    l->waiting = NULL;
    pace_sent(&l->pace, m.len, clock_mono_ns());
    return 0;
}

/* Must this wait, so that tasks which start now need not?  Then it is tried again in time. */
static bool
is_paced(struct link *l)
{
    int64_t wait_ms = pace_wait_ms(&l->pace, clock_mono_ns());

    if (wait_ms > 0)
        loop_timer_set(l->paced, wait_ms);
    return wait_ms > 0;
}

/* One stream's turn.  -1: no room on the connection. */
static int
serve(struct link *l, struct stream *s)
{
    struct journal_record record;
    /* At a pace even a short turn of one stream is long for the others. */
    int most = pace_is_on(&l->pace, clock_mono_ns()) ? 1 : TURN_RECORDS;

    for (int n = 0; n < most && !s->failed; n++) {
        switch (stream_next(s, &record)) {
        case STREAM_RECORD:
            prepare(l, s, &record);
            if (send_prepared(l) == -1)
                return -1;
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

void
link_pump(void *ctx)
{
    struct link *l = ctx;
    int64_t until_ns = clock_mono_ns() + PUMP_NS;

    if (!mq_is_up(l->mq) || loop_timer_armed(l->retry) || is_paced(l))
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
    while (l->first != NULL && clock_mono_ns() < until_ns && !is_paced(l))
        if (serve(l, take_queued(l)) == -1)
            return;
    if (l->first != NULL && !loop_timer_armed(l->paced))
        link_pump_soon(l);
}

void
link_pump_soon(struct link *l)
{
    loop_wake(l->bridge->loop, link_pump, l);
}
