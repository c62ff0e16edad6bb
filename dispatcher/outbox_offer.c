/* Offers: rows that became attempts, on their way to the pools' queues.  An attempt
 * whose offer did not arrive stays `offered` and is offered again by and by, under the
 * same number and token; a second copy costs one refused claim. */
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "dispatcher/outbox.h"
#include "proto/ident.h"
#include "proto/names.h"

static const char due_sql[] = "SELECT pool, task, attempt, token, message, control, answers"
                              " FROM hler_core.offer_due($1, $2::int)";

#define NUMBER_SIZE 24

static void
send_offer(struct outbox *outbox, const struct pg_result *result, size_t row, const char *id)
{
    const char *pool = pg_get(result, row, "pool");

    post_send(outbox->post,
              &(struct mq_message){.exchange = NAMES_TASKS,
                                   .routing_key = pool,
                                   .content_type = NAMES_JSON,
                                   .type = NAMES_TYPE_OFFER,
                                   .message_id = id,
                                   .body = pg_get(result, row, "message"),
                                   .len = pg_len(result, row, "message"),
                                   .persistent = true,
                                   .mandatory = true},
              &(struct parcel_label){.kind = OUTBOX_OFFER, .name = pool, .keep = true});
    atomic_fetch_add(&outbox->flow->counters->offered, 1);
}

/* To the pool's queue; or, granted, to the worker that has claimed it ahead. */
static void
send_row(struct outbox *outbox, const struct pg_result *result, size_t row)
{
    const char *control = pg_get(result, row, "control");
    struct attempt_name name;
    char id[IDENT_NAME_SIZE];

    memcpy(name.task, pg_get(result, row, "task"), sizeof name.task);
    memcpy(name.token, pg_get(result, row, "token"), sizeof name.token);
    name.attempt = (int32_t)pg_get_int(result, row, "attempt");
    ident_name_text(&name, id);
    if (control == NULL)
        send_offer(outbox, result, row, id);
    else
        outbox_send_grant(outbox, &(struct grant){control, pg_get(result, row, "answers"), id,
                                                  pg_get(result, row, "message"),
                                                  pg_len(result, row, "message")});
}

size_t
outbox_send_offers(struct outbox *outbox, const struct pg_result *result)
{
    size_t n = pg_rows(result);

    for (size_t row = 0; row < n; row++)
        send_row(outbox, result, row);
    return n;
}

enum flow_status
outbox_offer(struct outbox *outbox, enum outbox_found *found)
{
    struct pg_result *result CLEANUP(pg_result_cleanup) = NULL;
    size_t room = outbox_room(outbox), batch = (size_t)outbox->flow->settings->offers_batch;
    char max[NUMBER_SIZE];
    const struct pg_param params[] = {
        {.value = outbox->flow->settings->id, .len = -1},
        {.value = max, .len = -1},
    };
    enum flow_status status;
    size_t n;

    *found = OUTBOX_NONE;
    if (room > batch)
        room = batch;
    if (room == 0)
        return FLOW_OK;
    snprintf(max, sizeof max, "%zu", room);
    status = flow_exec(outbox->flow, due_sql, params, ARRAY_LEN(params), &result);
    if (status != FLOW_OK)
        return status;
    n = outbox_send_offers(outbox, result);
    *found = n == 0 ? OUTBOX_NONE : n < room ? OUTBOX_SOME : OUTBOX_FULL;
    return FLOW_OK;
}
