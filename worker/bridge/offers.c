/* Offers as they come in.  What cannot be understood or run is told and acknowledged; the
 * rest waits for its claim.  Nothing is ever rejected to the broker. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "worker/bridge/bridge.h"
#include "worker/bridge/program.h"

#define GIVE_BACK_MS 100 /* short jobs have made room by then */

static bool
is_done(const struct bridge *b, const struct attempt_name *name)
{
    char text[IDENT_NAME_SIZE];

    return done_has(&b->spool, ident_name_text(name, text));
}

/* One that we know already, or have run: the delivery is not needed, unless it is the
 * broker's way of giving back one whose connection was lost. */
static bool
is_repeat(struct bridge *b, const struct offer *offer, const struct mq_delivery *d)
{
    struct attempt *known = attempt_find(&b->attempts, &offer->name);

    if (known == NULL && !is_done(b, &offer->name) &&
        (b->unread_until_ns == 0 || !adopt_is_unread(b, &offer->name)))
        return false;
    if (known != NULL && known->tag == 0 &&
        (known->state == AT_WAITING || known->state == AT_CLAIMED)) {
        known->tag = d->tag;
        known->delivered_ns = clock_mono_ns();
        return true;
    }
    consumer_ack_tag(b, b->consumer.epoch, d->tag);
    return true;
}

static int
decode(const struct bridge *b, const struct mq_delivery *d, struct offer *offer,
       struct fault *fault)
{
    if (d->user_id == NULL)
        return fault_set(fault, FAULT_NO_USER, "the offer does not name its sender");
    if (strcmp(d->user_id, b->settings.dispatcher_user) != 0)
        return fault_set(fault, FAULT_FOREIGN, "the sender is not the dispatcher");
    return offer_decode(d->body, d->len, offer, fault);
}

/* Can it run here?  Refused at once otherwise. */
static void
check(struct bridge *b, struct attempt *a)
{
    struct program_refusal refusal = {"", ""};
    CLEANUP(program_free) struct program program = {0};

    if (b->full) {
        closing_refuse(b, a, "spool_full", "the worker's spool has no room");
        return;
    }
    if (program_make(&b->settings, &b->executors, &a->offer, &program, &refusal) == -1)
        closing_refuse(b, a, refusal.cause, refusal.message);
}

struct attempt *
offers_take(struct bridge *b, const struct mq_delivery *d)
{
    struct fault fault;
    struct offer offer;
    struct attempt *a;

    if (decode(b, d, &offer, &fault) == -1) {
        log_warn("offer message_id=%s size=%zu reason=%s: %s",
                 d->message_id != NULL ? d->message_id : "", d->len,
                 fault_reason_name(fault.reason), fault.text);
        notices_rejected(b, d, &fault);
        return NULL;
    }
    if (is_repeat(b, &offer, d)) {
        offer_free(&offer);
        return NULL;
    }
    a = attempt_new(&b->attempts, &offer, AT_WAITING);
    a->body = mem_dupn(d->body, d->len);
    a->body_len = d->len;
    a->tag = d->tag;
    a->delivered_ns = clock_mono_ns();
    if (!attempts_is_only(&b->attempts, a)) /* it need not wait for itself */
        pace_share(&b->links[STREAM_BULK].pace, a->delivered_ns);
    orders_recall_stop(b, a);
    return a;
}

void
offers_delivery(struct bridge *b, const struct mq_delivery *d)
{
    struct attempt *a;

    if (b->drain.stopping)
        return; /* goes back to the queue with the connection */
    b->standing.offered_ns = clock_mono_ns();
    a = offers_take(b, d);
    if (a != NULL)
        check(b, a);
}

/* Only what was never claimed: of the rest nobody knows yet whether it is granted. */
static bool
is_surplus(const struct attempt *a, int64_t before_ns)
{
    return a->state == AT_WAITING && a->claim == 0 && a->delivered_ns < before_ns;
}

void
offers_give_back(struct bridge *b)
{
    const struct attempts *all = &b->attempts;
    int64_t before_ns = clock_mono_ns() - GIVE_BACK_MS * CLOCK_MS_NS;
    struct attempt *next;

    if ((int64_t)(all->count[AT_CLAIMED] + all->count[AT_STARTING] + all->count[AT_RUNNING]) <
        b->settings.slots)
        return;
    for (struct attempt *a = all->first; a != NULL; a = next) {
        next = a->next;
        if (!is_surplus(a, before_ns) || !mq_is_up(b->consumer.mq))
            continue;
        if (a->tag == 0) { /* no offer: it came granted */
            closing_decline(b, a, "there is no room any more");
            continue;
        }
        consumer_pause(b); /* else it would come here again */
        log_debug("attempt=%s: all slots are taken; left to another worker", a->text);
        consumer_give_back(b, a);
        closing_drop(b, a);
    }
}

/* RabbitMQ closes a channel that leaves a delivery unacknowledged for 30 minutes. */
void
offers_tick(struct bridge *b)
{
    int64_t before = clock_mono_ns() - b->settings.ack_hold_ms * CLOCK_MS_NS;
    bool paused = false;

    for (struct attempt *a = b->attempts.first; a != NULL; a = a->next) {
        if (a->tag == 0 || a->delivered_ns > before ||
            (a->state != AT_STARTING && a->state != AT_RUNNING))
            continue;
        /* Cancelled first: an ack alone would make room that there is not. */
        if (!paused)
            consumer_pause(b);
        paused = true;
        consumer_ack(b, a);
    }
    if (paused)
        consumer_adjust(b);
}
