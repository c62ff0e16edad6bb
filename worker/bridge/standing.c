/* Standing claims: a worker with room claims the next task of its pool ahead, and the dispatcher
 * may answer with an offer that is granted already (protocol section 4).  So on an idle system a
 * task reaches its worker in one hop instead of three.  Each such claim is answered once at most;
 * the newest few are remembered, since an answer may cross the next one. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "worker/bridge/bridge.h"

/* After the last start or offer: while offers keep coming there is no need of a shorter way. */
#define QUIET_MS 20
/* In a burst an answer may come a little after the offers that would fill all slots. */
#define RESERVE_MS 50
#define ANSWERS_SIZE 64 /* "<session>.<claim>" and NUL, with room */

static int64_t
make(struct bridge *b)
{
    struct standing_claim *claim = &b->standing.made[b->standing.next++ % STANDING_REMEMBERED];

    claim->number = ++b->claims.number;
    claim->made_ns = clock_boot_ns();
    b->standing.open = true;
    return claim->number;
}

int64_t
standing_make(struct bridge *b)
{
    if (consumer_wants_work(b))
        return make(b);
    b->standing.open = false; /* a heartbeat without one takes the last one back */
    return 0;
}

void
standing_soon(struct bridge *b)
{
    if (!b->standing.open && !loop_timer_armed(b->standing.timer))
        loop_timer_set(b->standing.timer, QUIET_MS);
}

bool
standing_reserves(struct bridge *b, const struct attempt *a)
{
    if (!b->standing.open || clock_mono_ns() - a->delivered_ns >= RESERVE_MS * CLOCK_MS_NS)
        return false;
    loop_timer_set(b->standing.timer, RESERVE_MS);
    return true;
}

static bool
is_quiet(const struct bridge *b)
{
    return clock_mono_ns() - b->standing.offered_ns >= QUIET_MS * CLOCK_MS_NS;
}

static void
on_timer(void *ctx)
{
    struct bridge *b = ctx;
    struct claim claim = {.n = 0};

    consumer_adjust(b);
    if (b->attempts.count[AT_WAITING] > 0)
        link_pump_soon(&b->links[STREAM_STATE]);
    if (b->standing.open || !consumer_wants_work(b))
        return; /* what makes room comes here again */
    if (!is_quiet(b)) {
        standing_soon(b);
        return;
    }
    launch_make_ahead(b);
    claim.number = make(b);
    claim.free = consumer_free_slots(b);
    if (claims_publish(b, &claim) == -1)
        b->standing.open = false; /* the next heartbeat carries one */
}

/* The claim that this answers, which is used up thereby; number 0 = none that is remembered. */
static struct standing_claim
use(struct bridge *b, const char *answers)
{
    const struct standing_claim none = {0};
    char expected[ANSWERS_SIZE];

    for (size_t i = 0; answers != NULL && i < STANDING_REMEMBERED; i++) {
        struct standing_claim claim = b->standing.made[i];

        snprintf(expected, sizeof expected, "%s.%" PRId64, b->consumer.session, claim.number);
        if (claim.number == 0 || strcmp(answers, expected) != 0)
            continue;
        b->standing.made[i] = none;
        if (i == (b->standing.next - 1) % STANDING_REMEMBERED)
            b->standing.open = false;
        return claim;
    }
    return none;
}

/* An answer to no open claim, or without a slot, is an offer like any other: it is claimed by its
 * name once there is room, or declined (offers.c). */
void
standing_delivery(struct bridge *b, const struct mq_delivery *d)
{
    struct standing_claim claim = use(b, d->correlation_id);
    struct mq_delivery offer = *d;
    bool has_room = consumer_wants_work(b);
    struct attempt *a;

    offer.tag = 0; /* it is acknowledged as all that comes by the control queue */
    a = offers_take(b, &offer);
    loop_timer_set(b->standing.timer, QUIET_MS);
    if (a == NULL)
        return;
    if (has_room && claim.number != 0) {
        a->claim = claim.number;
        a->claimed_ns = claim.made_ns;
        attempt_set(&b->attempts, a, AT_CLAIMED);
        claims_granted(b, a);
    }
    if (consumer_free_slots(b) == 0)
        consumer_adjust(b); /* the broker must not send what would wait here */
}

void
standing_session_lost(struct bridge *b)
{
    memset(b->standing.made, 0, sizeof b->standing.made);
    b->standing.open = false;
}

void
standing_init(struct bridge *b)
{
    b->standing.timer = loop_timer_new(b->loop, on_timer, b);
}

void
standing_free(struct bridge *b)
{
    loop_timer_free(b->standing.timer);
}
