/* Verdict events: rows of the outbox that were written with the state itself. */
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "dispatcher/outbox.h"
#include "proto/event.h"
#include "proto/names.h"

static const char take_sql[] =
    "SELECT id, routing_key, message FROM hler_core.verdicts_take($1, $2::int, $3::boolean)";
static const char done_sql[] = "SELECT hler_core.verdicts_done($1::uuid[])";

#define BATCH 100
#define NUMBER_SIZE 24

/* The CloudEvents type, which the key repeats: "dispatcher.<class>.<state>...." */
static void
type_of(const char *routing_key, char type[NAMES_SIZE])
{
    const char *class = strchr(routing_key, '.');
    const char *state = class != NULL ? strchr(class + 1, '.') : NULL;

    if (state != NULL)
        snprintf(type, NAMES_SIZE, "aegir.hler%.*s%.*s.v1", (int)(state - class), class,
                 (int)strcspn(state + 1, ".") + 1, state);
    else
        log_panic("verdicts_take: %s is no routing key", routing_key);
}

/* Nobody need listen, so it is not mandatory (protocol section 2). */
static void
send_verdict(struct outbox *outbox, const struct pg_result *result, size_t row)
{
    const char *id = pg_get(result, row, "id"), *key = pg_get(result, row, "routing_key");
    char type[NAMES_SIZE];

    type_of(key, type);
    post_send(outbox->post,
              &(struct mq_message){.exchange = NAMES_RESULTS,
                                   .routing_key = key,
                                   .content_type = EVENT_CONTENT_TYPE,
                                   .type = type,
                                   .message_id = id,
                                   .body = pg_get(result, row, "message"),
                                   .len = pg_len(result, row, "message"),
                                   .persistent = true},
              &(struct parcel_label){.kind = OUTBOX_VERDICT, .name = id, .keep = true});
}

enum flow_status
outbox_verdicts_mark(struct outbox *outbox)
{
    struct buf *ids = &outbox->verdicts_done;
    struct buf closed CLEANUP(buf_free) = {0};
    enum flow_status status;

    if (ids->len == 0)
        return FLOW_OK;
    buf_add(&closed, ids->data, ids->len);
    pg_array_close(&closed);
    status =
        flow_exec(outbox->flow, done_sql,
                  &(struct pg_param){.value = closed.data, .len = (int64_t)closed.len}, 1, NULL);
    if (status == FLOW_OK)
        buf_clear(ids);
    return status;
}

enum flow_status
outbox_verdicts(struct outbox *outbox)
{
    struct pg_result *result CLEANUP(pg_result_cleanup) = NULL;
    size_t room = outbox_room(outbox), most = room < BATCH ? room : BATCH;
    char max[NUMBER_SIZE];
    const struct pg_param params[] = {
        {.value = outbox->flow->settings->id, .len = -1},
        {.value = max, .len = -1},
        {.value = outbox->verdicts_known ? "f" : "t", .len = -1},
    };
    enum flow_status status;

    if (outbox->n_verdicts > 0)
        return FLOW_OK;
    status = outbox_verdicts_mark(outbox);
    if (status != FLOW_OK || room == 0)
        return status;
    snprintf(max, sizeof max, "%zu", most);
    status = flow_exec(outbox->flow, take_sql, params, ARRAY_LEN(params), &result);
    if (status != FLOW_OK)
        return status;
    outbox->verdicts_known = outbox->verdicts_known || pg_rows(result) < most;
    outbox->n_verdicts = pg_rows(result); /* before the first can be settled */
    if (outbox->n_verdicts > 0)
        pg_array_open(&outbox->verdicts_done);
    for (size_t row = 0; row < pg_rows(result); row++)
        send_verdict(outbox, result, row);
    return FLOW_OK;
}

void
outbox_verdict_settled(struct outbox *outbox, const char *id, enum mq_outcome outcome)
{
    if (outcome == MQ_CONFIRMED) /* else it is taken again after a while */
        pg_array_text(&outbox->verdicts_done, id, strlen(id));
    outbox->n_verdicts--;
}
