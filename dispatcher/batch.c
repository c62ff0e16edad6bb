/* A batch of deliveries, and the search for the poison in it. */
#include "dispatcher/batch.h"

#include <string.h>

#include "common/log.h"
#include "common/mem.h"
#include "dispatcher/pack.h"

#define FIRST_CAP 64

static struct item *
item_new(const char *queue, const struct mq_delivery *d)
{
    struct item *item = mem_alloc(sizeof *item);
    char *at;

    item->work = WORK_DEAD;
    item->queue = queue;
    item->len = d->len;
    item->tag = d->tag;
    item->strings = mem_alloc(pack_size(d->routing_key) + pack_size(d->type) +
                              pack_size(d->message_id) + pack_size(d->user_id) +
                              pack_size(d->reply_to) + (d->body != NULL ? d->len : 0) + 1);
    at = item->strings;
    item->routing_key = pack_string(&at, d->routing_key);
    item->type = pack_string(&at, d->type);
    item->message_id = pack_string(&at, d->message_id);
    item->user = pack_string(&at, d->user_id);
    item->reply_to = pack_string(&at, d->reply_to);
    if (d->body != NULL) {
        memcpy(at, d->body, d->len); /* its NUL is there: memory comes zeroed */
        item->body = at;
    }
    return item;
}

static void
item_free(struct item *item)
{
    event_free(&item->event);
    mem_cleanup(&item->claim);
    mem_cleanup(&item->strings);
    mem_cleanup(&item);
}

static void
append(struct batch *batch, struct item *item)
{
    if (batch->n == batch->cap) {
        batch->cap = batch->cap == 0 ? FIRST_CAP : 2 * batch->cap;
        batch->items = mem_resize(batch->items, batch->cap * sizeof(struct item *));
    }
    batch->items[batch->n++] = item;
}

/* One event of a batch, whose strings it shares. */
static struct item *
add_part(struct batch *batch, const struct item *whole, const struct event_piece *part)
{
    struct item *item = mem_alloc(sizeof *item);

    item->work = WORK_DEAD;
    item->queue = whole->queue;
    item->routing_key = whole->routing_key;
    item->type = whole->type;
    item->message_id = whole->message_id;
    item->user = whole->user;
    item->reply_to = whole->reply_to;
    item->body = part->body;
    item->len = part->len;
    append(batch, item);
    return item;
}

struct item *
batch_add(struct batch *batch, const char *queue, const struct mq_delivery *delivery)
{
    struct item *item = item_new(queue, delivery);

    append(batch, item);
    batch->bytes += item->body != NULL ? item->len : 0;
    batch->last_tag = delivery->tag;
    return item;
}

/* Only what journals hold travels in batches. */
static void
sort_part(struct item *part, batch_sort_fn *sort)
{
    struct fault fault = {0};

    sort(part);
    if (part->work == WORK_DEAD || event_numbered(part->event.kind))
        return;
    fault_set(&fault, FAULT_BAD_SCHEMA, "batch: an event that has no number");
    item_dead(part, &fault);
}

void
batch_add_events(struct batch *batch, const char *queue, const struct mq_delivery *delivery,
                 batch_sort_fn *sort)
{
    struct item *item = batch_add(batch, queue, delivery);
    struct event_piece pieces[LIMIT_BATCH_EVENTS];
    struct fault fault = {0};
    int n;

    if (!event_batch_is(item->body, item->len)) {
        sort(item);
        return;
    }
    n = event_batch_split(item->body, item->len, pieces, &fault);
    if (n == -1)
        item_dead(item, &fault);
    else
        item->work = WORK_DONE; /* nothing but its parts */
    for (int i = 0; i < n; i++)
        sort_part(add_part(batch, item, &pieces[i]), sort);
}

void
batch_clear(struct batch *batch)
{
    for (size_t i = 0; i < batch->n; i++)
        item_free(batch->items[i]);
    batch->n = 0;
    batch->bytes = 0;
    batch->last_tag = 0;
}

void
batch_free(struct batch *batch)
{
    batch_clear(batch);
    mem_cleanup(&batch->items);
    batch->cap = 0;
}

void
item_dead(struct item *item, const struct fault *fault)
{
    item->work = WORK_DEAD;
    item->fault = *fault;
}

static enum flow_status
apply(const struct batch_job *job, struct item **items, size_t n)
{
    enum flow_status status = job->fn(job->ctx, items, n);
    struct fault fault;

    if (status != FLOW_POISON)
        return status;
    if (n == 1) {
        fault_set(&fault, FAULT_NOT_RECORDABLE, "%.200s", flow_why(job->flow));
        item_dead(items[0], &fault);
        return FLOW_OK;
    }
    log_debug("flow=%s: looking for poison among %zu rows", job->flow->kind->name, n);
    status = apply(job, items, n / 2);
    return status == FLOW_OK ? apply(job, items + n / 2, n - n / 2) : status;
}

struct item **
batch_pick(const struct batch *batch, enum work work, size_t *n)
{
    struct item **picked = mem_alloc((batch->n + 1) * sizeof(struct item *));

    *n = 0;
    for (size_t i = 0; i < batch->n; i++)
        if (batch->items[i]->work == work)
            picked[(*n)++] = batch->items[i];
    return picked;
}

enum flow_status
batch_do(const struct batch *batch, const struct batch_job *job)
{
    size_t n;
    struct item **picked = batch_pick(batch, job->work, &n);
    enum flow_status status = n > 0 ? apply(job, picked, n) : FLOW_OK;

    mem_cleanup(&picked);
    return status;
}
