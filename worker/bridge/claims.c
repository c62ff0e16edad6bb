/* Claims and their answers (protocol section 4). */
#include <string.h>

#include "common/clock.h"
#include "common/guard.h"
#include "common/log.h"
#include "common/loop.h"
#include "proto/claim.h"
#include "worker/bridge/bridge.h"

/* In one go.  Where dozens are granted at once, the directories of all take a busy disk half a second, and
 * the first of them has long begun to talk. */
#define TURN_NS (2 * CLOCK_MS_NS)

/* Attempts that hold a slot beyond the mere offer. */
static size_t
taken(const struct attempts *all)
{
    return all->count[AT_CLAIMED] + all->count[AT_STARTING] + all->count[AT_RUNNING];
}

/* Fill one claim message.  Returns the number of attempts in it. */
static size_t
gather(struct bridge *b, struct claim *claim)
{
    size_t slots = (size_t)b->settings.slots, used = taken(&b->attempts);

    claim->n = 0;
    for (struct attempt *a = b->attempts.first; a != NULL && claim->n < LIMIT_CLAIMS; a = a->next) {
        if (a->state != AT_WAITING || used + claim->n >= slots)
            continue;
        if (used + claim->n + 1 == slots && standing_reserves(b, a))
            continue;
        claim->attempts[claim->n++] = a->name;
    }
    return claim->n;
}

/* The time until the answer is used to get ready for a grant.  What fails is tried again, and
 * told, with the grant. */
static void
prepare(void *ctx)
{
    struct bridge *b = ctx;
    int64_t until_ns = clock_mono_ns() + TURN_NS;

    for (struct attempt *a = b->attempts.first; a != NULL; a = a->next) {
        if (a->state != AT_CLAIMED || a->prepared)
            continue;
        if (clock_mono_ns() >= until_ns) {
            loop_wake(b->loop, prepare, b);
            return;
        }
        if (attempt_dir_prepare(&b->spool, &b->done, a) == -1) {
            log_debug("attempt=%s cannot be prepared: %m", a->text);
            return;
        }
    }
}

int
claims_publish(struct bridge *b, struct claim *claim)
{
    CLEANUP(buf_free) struct buf body = {0};
    struct flight flight = {.kind = FLIGHT_CLAIM, .claim = claim->number};
    struct mq_message m = {.exchange = NAMES_CLAIMS,
                           .routing_key = NAMES_CLAIM_KEY,
                           .content_type = NAMES_JSON,
                           .type = NAMES_TYPE_CLAIM,
                           .reply_to = b->consumer.control_queue,
                           .mandatory = true};

    memcpy(claim->session, b->consumer.session, sizeof claim->session);
    memcpy(claim->instance, b->spool.instance, sizeof claim->instance);
    claim_encode(claim, &body);
    m.body = body.data;
    m.len = body.len;
    return link_publish(&b->links[STREAM_STATE], &m, &flight);
}

void
claims_flush(struct bridge *b)
{
    struct claim claim;

    if (b->attempts.count[AT_WAITING] == 0 || !mq_is_up(b->consumer.mq) || b->drain.stopping)
        return;
    while (gather(b, &claim) > 0) {
        claim.number = b->claims.number + 1;
        if (claims_publish(b, &claim) == -1)
            return;
        b->claims.number = claim.number;
        for (size_t i = 0; i < claim.n; i++) {
            struct attempt *a = attempt_find(&b->attempts, &claim.attempts[i]);

            a->claim = claim.number;
            a->claimed_ns = clock_boot_ns();
            attempt_set(&b->attempts, a, AT_CLAIMED);
        }
        mq_flush(b->links[STREAM_STATE].mq);
        prepare(b);
    }
}

static bool
in_time(const struct bridge *b, const struct attempt *a)
{
    return !guard_is_on("claim-age") ||
           clock_boot_ns() - a->claimed_ns < b->settings.claim_wait_ms * CLOCK_MS_NS;
}

void
claims_granted(struct bridge *b, struct attempt *a)
{
    if (!in_time(b, a)) {
        log_warn("attempt=%s claim=%lld: granted too late; claiming again", a->text,
                 (long long)a->claim);
        attempt_set(&b->attempts, a, AT_WAITING);
    } else if (a->stop_wanted) {
        closing_decline(b, a, "stopped before it was started");
    } else if (b->drain.stopping) {
        closing_decline(b, a, "the worker is being stopped");
    } else {
        launch_start(b, a);
    }
}

static void
take_item(struct bridge *b, const struct answer_item *item)
{
    struct attempt *a = attempt_find(&b->attempts, &item->name);

    if (a == NULL || a->state != AT_CLAIMED || a->claim != b->claims.answer.claim)
        return; /* only the current claim's answer counts */
    if (item->verdict == VERDICT_GRANTED) {
        claims_granted(b, a);
        return;
    }
    log_debug("attempt=%s not granted: %s", a->text, verdict_name(item->verdict));
    closing_drop(b, a);
}

static bool
is_answered(const struct bridge *b)
{
    return b->claims.taken == b->claims.answer.n;
}

static void
take_answer(void *ctx)
{
    struct bridge *b = ctx;
    int64_t until_ns = clock_mono_ns() + TURN_NS;

    while (!is_answered(b) && clock_mono_ns() < until_ns)
        take_item(b, &b->claims.answer.items[b->claims.taken++]);
    if (!is_answered(b))
        loop_wake(b->loop, take_answer, b);
}

void
claims_answer(struct bridge *b, const struct answer *answer)
{
    if (strcmp(answer->session, b->consumer.session) != 0)
        return;
    while (!is_answered(b)) /* the one before */
        take_item(b, &b->claims.answer.items[b->claims.taken++]);
    b->claims.answer = *answer;
    b->claims.taken = 0;
    take_answer(b);
}

void
claims_failed(struct bridge *b, int64_t number)
{
    for (struct attempt *a = b->attempts.first; a != NULL; a = a->next)
        if (a->state == AT_CLAIMED && a->claim == number)
            attempt_set(&b->attempts, a, AT_WAITING);
}

/* With the session its control queue is gone.  What was claimed may have been granted, so it is
 * claimed again; what was not comes again from the broker. */
void
claims_session_lost(struct bridge *b)
{
    struct attempt *next;

    for (struct attempt *a = b->attempts.first; a != NULL; a = next) {
        next = a->next;
        if (a->state == AT_CLAIMED)
            attempt_set(&b->attempts, a, AT_WAITING);
        else if (a->state == AT_WAITING && a->claim == 0)
            closing_drop(b, a);
    }
}

void
claims_tick(struct bridge *b)
{
    for (struct attempt *a = b->attempts.first; a != NULL; a = a->next)
        if (a->state == AT_CLAIMED && !in_time(b, a))
            attempt_set(&b->attempts, a, AT_WAITING);
    if (b->attempts.count[AT_WAITING] > 0)
        link_pump_soon(&b->links[STREAM_STATE]);
}
