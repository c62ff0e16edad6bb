/* What could not be understood or recorded becomes one row of hler.dead_message. */
#include "dispatcher/dead.h"

#include <string.h>

#include "common/buf.h"
#include "common/json.h"
#include "common/log.h"
#include "common/utf8.h"
#include "proto/base64.h"
#include "proto/names.h"

static const char sql[] = "SELECT hler_core.dead_letter($1, $2, $3, $4)";
#define PARAMS 4
static const char rejected_sql[] = "SELECT hler_core.offer_rejected($1, $2, $3)";

/* Facts come from the wire: not even their being UTF-8 is sure. */
static void
add_fact(struct buf *facts, const char *key, const char *value)
{
    struct buf clean CLEANUP(buf_free) = {0};

    if (value == NULL)
        return;
    utf8_sanitise(value, strlen(value), &clean);
    buf_printf(facts, "\"%s\":", key);
    json_quote(facts, clean.data != NULL ? clean.data : "", clean.len);
    buf_puts(facts, ",");
}

static void
add_facts(struct buf *facts, const struct item *item, const char *why)
{
    buf_puts(facts, "{");
    add_fact(facts, "routing_key", item->routing_key);
    add_fact(facts, "type", item->type);
    add_fact(facts, "message_id", item->message_id);
    add_fact(facts, "user_id", item->user);
    add_fact(facts, "reply_to", item->reply_to);
    add_fact(facts, "why", why);
    buf_printf(facts, "\"size\":%zu}", item->len);
}

struct aside {
    const char *reason, *facts, *body;
    size_t len;
};

static enum flow_status
set_aside(struct flow *flow, const struct item *item, const struct aside *aside)
{
    const struct pg_param params[PARAMS] = {
        {.value = item->queue, .len = -1},
        {.value = aside->reason, .len = -1},
        {.value = aside->facts, .len = -1},
        {.value = aside->body, .len = (int64_t)aside->len, .binary = true},
    };

    return flow_exec(flow, sql, params, PARAMS, NULL);
}

static enum flow_status
dead_one(struct flow *flow, struct item *item)
{
    struct buf facts CLEANUP(buf_free) = {0};
    struct aside aside = {.reason = fault_reason_name(item->fault.reason), .len = item->len};
    enum flow_status status;

    add_facts(&facts, item, item->fault.text);
    aside.facts = facts.data;
    aside.body = item->body;
    status = set_aside(flow, item, &aside);
    if (status == FLOW_POISON) { /* even this: keep at least that it was there */
        aside.facts = "{}";
        aside.body = NULL;
        status = set_aside(flow, item, &aside);
    }
    if (status == FLOW_POISON)
        log_err("queue=%s size=%zu reason=%s: cannot even be set aside, dropped: %s", item->queue,
                item->len, aside.reason, flow_why(flow));
    return status == FLOW_LATER ? FLOW_LATER : FLOW_OK;
}

enum flow_status
dead_letter(void *ctx, struct item **items, size_t n)
{
    struct flow *flow = ctx;

    for (size_t i = 0; i < n; i++) {
        if (dead_one(flow, items[i]) == FLOW_LATER)
            return FLOW_LATER;
        items[i]->work = WORK_DONE;
        atomic_fetch_add(&flow->counters->dead, 1);
        log_warn("queue=%s user=%s reason=%s: set aside: %s", items[i]->queue,
                 items[i]->user != NULL ? items[i]->user : "-",
                 fault_reason_name(items[i]->fault.reason), items[i]->fault.text);
    }
    return FLOW_OK;
}

/* The reason that a worker gave, if it is one of ours. */
static const char *
known_reason(const char *given)
{
    for (int i = 0; i < FAULT_REASONS; i++)
        if (strcmp(fault_reason_name((enum fault_reason)i), given) == 0)
            return fault_reason_name((enum fault_reason)i);
    return fault_reason_name(FAULT_BAD_SCHEMA);
}

/* The task would come back with the same bytes for ever. */
static enum flow_status
count_as_refusal(struct flow *flow, const struct item *offer, const char *reason)
{
    const struct pg_param params[] = {
        {.value = offer->user, .len = -1},
        {.value = offer->message_id, .len = -1},
        {.value = reason, .len = -1},
    };

    return flow_exec(flow, rejected_sql, params, ARRAY_LEN(params), NULL);
}

static enum flow_status
rejected_one(struct flow *flow, const struct item *item)
{
    struct buf facts CLEANUP(buf_free) = {0}, body CLEANUP(buf_free) = {0};
    struct json_error err;
    const char *reason = "", *base64 = "";
    struct item offer = *item; /* the facts are about the offer, not about the word of it */
    struct aside aside;
    int64_t size;

    /* event_check() has found both to be there and well formed. */
    if (json_get_string(item->event.data, "reason", false, SIZE_MAX, &reason, &err) == -1 ||
        json_get_string(item->event.data, "base64", false, SIZE_MAX, &base64, &err) == -1 ||
        json_get_string(item->event.data, "message_id", true, SIZE_MAX, &offer.message_id, &err) ==
            -1 ||
        json_get_int(item->event.data, "size", false, 0, INT64_MAX, &size, &err) == -1 ||
        base64_decode(base64, strlen(base64), &body) == -1)
        log_panic("worker.rejected: unchecked: %s", err.text);
    offer.len = (size_t)size;
    add_facts(&facts, &offer, reason);
    aside = (struct aside){known_reason(reason), facts.data, body.data, body.len};
    offer.queue = NAMES_TASKS;
    enum flow_status status = set_aside(flow, &offer, &aside);
    return status == FLOW_OK ? count_as_refusal(flow, &offer, reason) : status;
}

enum flow_status
dead_rejected(void *ctx, struct item **items, size_t n)
{
    struct flow *flow = ctx;

    for (size_t i = 0; i < n; i++) {
        enum flow_status status;

        if (items[i]->work == WORK_DONE)
            continue;
        status = rejected_one(flow, items[i]);
        if (status != FLOW_OK)
            return status;
        items[i]->work = WORK_DONE;
        atomic_fetch_add(&flow->counters->dead, 1);
        log_warn("worker=%s: did not understand an offer, set aside", items[i]->user);
    }
    return FLOW_OK;
}
