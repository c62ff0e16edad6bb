/* Events that no journal holds, in a list until the broker has confirmed them.  They are
 * few; what must survive a restart (a loss) is found again in the spool. */
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "proto/event_data.h"
#include "worker/bridge/bridge.h"

struct notice {
    struct notice *next;
    enum event_kind kind;
    char *body;
    size_t len;
    char key[NAMES_SIZE], id[EVENT_ID_SIZE];
    struct attempt *attempt; /* NULL = none, or forgotten */
    enum notice_then then;
    uint64_t epoch, ack_tag; /* delivery to acknowledge then; tag 0 = none */
    bool in_flight;
};

static struct notice *
add(struct bridge *b, enum event_kind kind, const struct buf *event)
{
    struct notice *n = mem_alloc(sizeof *n);

    n->kind = kind;
    n->body = mem_dupn(event->data, event->len);
    n->len = event->len;
    if (b->notices.last != NULL)
        b->notices.last->next = n;
    else
        b->notices.first = n;
    b->notices.last = n;
    return n;
}

static void
take_out(struct bridge *b, struct notice *n)
{
    struct notice **p = &b->notices.first, *before = NULL;

    while (*p != n) {
        before = *p;
        p = &(*p)->next;
    }
    *p = n->next;
    if (b->notices.last == n)
        b->notices.last = before;
    free(n->body);
    free(n);
}

static struct notice *
add_about(struct bridge *b, const struct event_about *about, enum event_kind kind,
          const struct buf *data)
{
    CLEANUP(buf_free) struct buf event = {0};
    struct names_words words = {about->worker, about->requester, about->operation,
                                about->name.task};
    struct notice *n;

    event_open_attempt(&event, kind, about, 0, 0);
    buf_add(&event, data->data, data->len);
    event_close(&event);
    n = add(b, kind, &event);
    names_routing_key(kind, &words, n->key);
    event_attempt_id(kind, &about->name, 0, n->id);
    return n;
}

void
notices_attempt(struct bridge *b, struct attempt *a, enum event_kind kind, const struct buf *data,
                enum notice_then then)
{
    struct event_about about = attempt_about(a, b->settings.user);
    struct notice *n = add_about(b, &about, kind, data);

    n->attempt = a;
    n->then = then;
    link_pump_soon(&b->links[STREAM_STATE]);
}

void
notices_stranger(struct bridge *b, const struct attempt_name *name, enum event_kind kind,
                 const struct buf *data)
{
    struct event_about about = {.worker = b->settings.user, .name = *name};

    (void)add_about(b, &about, kind, data);
    link_pump_soon(&b->links[STREAM_STATE]);
}

static struct notice *
add_worker(struct bridge *b, enum event_kind kind, int64_t number, const struct buf *data)
{
    CLEANUP(buf_free) struct buf event = {0};
    struct names_words words = {b->settings.user, NULL, NULL, NULL};
    struct notice *n;

    event_open_worker(&event, kind, b->settings.user, b->consumer.session, number);
    buf_add(&event, data->data, data->len);
    event_close(&event);
    n = add(b, kind, &event);
    names_routing_key(kind, &words, n->key);
    event_worker_id(kind, b->consumer.session, number, n->id);
    return n;
}

void
notices_worker(struct bridge *b, enum event_kind kind, int64_t number, const struct buf *data)
{
    (void)add_worker(b, kind, number, data);
    link_pump_soon(&b->links[STREAM_STATE]);
}

void
notices_rejected(struct bridge *b, const struct mq_delivery *d, const struct fault *fault)
{
    CLEANUP(buf_free) struct buf data = {0};
    struct event_rejected rejected = {.reason = fault_reason_name(fault->reason),
                                      .message_id = d->message_id,
                                      .body = d->body,
                                      .size = d->len};
    struct notice *n;

    event_data_rejected(&data, &rejected);
    n = add_worker(b, EVENT_WORKER_REJECTED, ++b->notices.rejected, &data);
    n->epoch = b->consumer.epoch;
    n->ack_tag = d->tag;
    link_pump_soon(&b->links[STREAM_STATE]);
}

static int
publish(struct bridge *b, struct notice *n)
{
    struct flight flight = {.kind = FLIGHT_NOTICE, .notice = n};
    struct mq_message m = {.exchange = NAMES_RESULTS,
                           .routing_key = n->key,
                           .content_type = EVENT_CONTENT_TYPE,
                           .type = event_type(n->kind),
                           .message_id = n->id,
                           .body = n->body,
                           .len = n->len,
                           .persistent = true,
                           .mandatory = true};

    if (n->kind == EVENT_DECLINED || n->kind == EVENT_REFUSED)
        done_sync_marks(&b->done, &b->spool);
    n->in_flight = true;
    if (link_publish(&b->links[STREAM_STATE], &m, &flight) == 0)
        return 0;
    n->in_flight = false;
    return -1;
}

int
notices_pump(struct bridge *b)
{
    struct notice *n = b->notices.first;

    while (n != NULL) {
        if (n->in_flight) {
            n = n->next;
            continue;
        }
        if (publish(b, n) == -1)
            return -1;
        n = b->notices.first; /* publishing may have settled, and freed, others */
    }
    return 0;
}

void
notices_settled(struct bridge *b, struct notice *n, bool arrived)
{
    struct attempt *a = n->attempt;
    enum notice_then then = n->then;

    n->in_flight = false;
    if (!arrived)
        return; /* the next pump sends it again */
    if (n->ack_tag != 0)
        consumer_ack_tag(b, n->epoch, n->ack_tag);
    take_out(b, n);
    if (a == NULL)
        return;
    switch (then) {
    case NOTICE_THEN_NOTHING:
        break;
    case NOTICE_THEN_CLOSE:
        closing_drop(b, a);
        break;
    case NOTICE_THEN_DONE:
        sender_finish(b, a);
        break;
    }
}

void
notices_forget_attempt(struct bridge *b, const struct attempt *a)
{
    for (struct notice *n = b->notices.first; n != NULL; n = n->next)
        if (n->attempt == a)
            n->attempt = NULL;
}

bool
notices_pending(const struct bridge *b)
{
    return b->notices.first != NULL;
}

void
notices_free(struct bridge *b)
{
    while (b->notices.first != NULL)
        take_out(b, b->notices.first);
}
