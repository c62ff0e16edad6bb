/* The events among what was set aside, once more: the bytes are checked as if they had
 * just come, with the sender that the broker named then.  Recording is by place, so
 * that nothing counts twice. */
#include "dispatcher/redrive.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/mem.h"
#include "proto/base64.h"
#include "proto/event.h"

#define LOOK_MS 5000 /* for a person who waits, and no more often: it wakes an idle machine */
#define NUMBER_SIZE 24
#define WHY_SIZE 320

/* Few: each may have 1 MiB. */
static const char due_sql[] =
    "SELECT id, username, routing_key, base64 FROM hler_core.redrive_due(4)";
static const char done_sql[] =
    "SELECT hler_core.redriven($1::bigint, $2, $3::uuid, $4::int, $5, $6::bigint, $7::timestamptz,"
    " $8, $9, $10::bytea, $11) AS outcome";
static const char failed_sql[] = "SELECT hler_core.redrive_failed($1::bigint, $2)";

struct redrive {
    struct flow *flow;
    struct loop_timer *timer;
    loop_fn *claim;
    void *claim_ctx;
};

static struct pg_param
text_param(const char *text)
{
    return (struct pg_param){.value = text, .len = -1};
}

static enum flow_status
failed(struct flow *flow, const char *id, const char *why)
{
    const struct pg_param params[] = {text_param(id), text_param(why)};

    log_warn("dead message=%s: read again, and still %s", id, why);
    return flow_exec(flow, failed_sql, params, ARRAY_LEN(params), NULL);
}

static enum flow_status
record(struct flow *flow, const char *id, const struct event *event)
{
    struct pg_result *result CLEANUP(pg_result_cleanup) = NULL;
    struct buf raw CLEANUP(buf_free) = {0};
    struct jsonskip_piece data = {NULL, 0};
    char attempt[NUMBER_SIZE], seq[NUMBER_SIZE];
    bool output = event->kind == EVENT_OUTPUT;
    const char *base64 = output ? event_member(event, "base64") : NULL;
    enum flow_status status;

    if (base64 != NULL && base64_decode(base64, strlen(base64), &raw) == -1)
        log_panic("unchecked event: base64");
    if (!output)
        data = event_whole_data(event);
    snprintf(attempt, sizeof attempt, "%d", (int)event->name.attempt);
    snprintf(seq, sizeof seq, "%lld", (long long)event->seq);
    const struct pg_param params[] = {
        text_param(id),
        text_param(event_word(event->kind)),
        text_param(event->name.task),
        text_param(attempt),
        text_param(event->name.token),
        text_param(event_numbered(event->kind) ? seq : NULL),
        text_param(event->time),
        text_param(output ? event_member(event, "stream") : NULL),
        text_param(output ? event_member(event, "text") : NULL),
        {.value = base64 != NULL ? raw.data : NULL, .len = (int64_t)raw.len, .binary = true},
        {.value = data.text,
         .len = (int64_t)data.len,
         .binary = true}, /* need not end with a NUL */
    };
    status = flow_exec(flow, done_sql, params, ARRAY_LEN(params), &result);
    if (status == FLOW_OK)
        log_info("dead message=%s: read again: %s", id,
                 pg_get(result, 0, "outcome") != NULL ? pg_get(result, 0, "outcome") : "gone");
    return status;
}

static enum flow_status
one(struct flow *flow, const struct pg_result *due, size_t row)
{
    struct buf body CLEANUP(buf_free) = {0};
    const char *base64 = pg_get(due, row, "base64"), *id = pg_get(due, row, "id");
    struct event event = {0};
    struct fault fault = {0};
    enum flow_status status;
    char why[WHY_SIZE];

    if (base64 != NULL && base64_decode(base64, strlen(base64), &body) == -1)
        log_panic("the database's base64 is none");
    const struct event_delivery delivery = {pg_get(due, row, "username"),
                                            pg_get(due, row, "routing_key"), body.data, body.len};
    if (event_decode(&delivery, &event, &fault) == -1) {
        snprintf(why, sizeof why, "%s: %s", fault_reason_name(fault.reason), fault.text);
        return failed(flow, id, why);
    }
    status = record(flow, id, &event);
    event_free(&event);
    if (status != FLOW_POISON)
        return status;
    snprintf(why, sizeof why, "%s: %.250s", fault_reason_name(FAULT_NOT_RECORDABLE),
             flow_why(flow));
    return failed(flow, id, why);
}

static void
on_look(void *ctx)
{
    struct pg_result *due CLEANUP(pg_result_cleanup) = NULL;
    struct redrive *r = ctx;
    enum flow_status status;
    size_t rows;

    r->claim(r->claim_ctx);
    status = flow_exec(r->flow, due_sql, NULL, 0, &due);
    rows = status == FLOW_OK ? pg_rows(due) : 0;
    for (size_t row = 0; row < rows && status == FLOW_OK; row++)
        status = one(r->flow, due, row);
    /* What was left is due again in a minute. */
    loop_timer_set(r->timer, status == FLOW_OK && rows > 0 ? 0 : LOOK_MS);
}

struct redrive *
redrive_new(struct flow *flow, loop_fn *claim, void *ctx)
{
    struct redrive *r = mem_alloc(sizeof *r);

    r->flow = flow;
    r->claim = claim;
    r->claim_ctx = ctx;
    r->timer = loop_timer_new(flow->loop, on_look, r);
    loop_timer_set(r->timer, LOOK_MS);
    return r;
}

void
redrive_free(struct redrive *redrive)
{
    if (redrive == NULL)
        return;
    loop_timer_free(redrive->timer);
    free(redrive);
}
