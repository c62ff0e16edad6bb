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

static const char undelivered_sql[] = "SELECT hler_core.undelivered($1::uuid, $2::int, $3)";

#define NUMBER_SIZE 24

/* To the pool's queue; or, granted, to the worker that has claimed it ahead.  A grant is not kept
 * over a lost connection: the worker is asked for it instead. */
static void
send_offer(struct outbox *outbox, const struct pg_result *result, size_t row)
{
    const char *pool = pg_get(result, row, "pool"), *control = pg_get(result, row, "control");
    bool is_grant = control != NULL;
    struct attempt_name name;
    char id[IDENT_NAME_SIZE];

    memcpy(name.task, pg_get(result, row, "task"), sizeof name.task);
    memcpy(name.token, pg_get(result, row, "token"), sizeof name.token);
    name.attempt = (int32_t)pg_get_int(result, row, "attempt");
    ident_name_text(&name, id);
    post_send(outbox->post,
              &(struct mq_message){.exchange = is_grant ? "" : NAMES_TASKS,
                                   .routing_key = is_grant ? control : pool,
                                   .content_type = NAMES_JSON,
                                   .type = NAMES_TYPE_OFFER,
                                   .message_id = id,
                                   .correlation_id = pg_get(result, row, "answers"),
                                   .body = pg_get(result, row, "message"),
                                   .len = pg_len(result, row, "message"),
                                   .persistent = !is_grant,
                                   .mandatory = true},
              &(struct parcel_label){.kind = is_grant ? OUTBOX_GRANT : OUTBOX_OFFER,
                                     .name = is_grant ? id : pool,
                                     .keep = !is_grant});
    atomic_fetch_add(is_grant ? &outbox->flow->counters->granted : &outbox->flow->counters->offered,
                     1);
}

/* The worker's session is gone.  Should this fail, another of its sessions is asked by and by. */
void
outbox_grant_settled(struct outbox *outbox, const char *id, enum mq_outcome outcome)
{
    struct attempt_name name;
    char attempt[NUMBER_SIZE];
    const struct pg_param params[] = {{.value = name.task, .len = -1},
                                      {.value = attempt, .len = -1},
                                      {.value = name.token, .len = -1}};

    if (outcome != MQ_RETURNED || ident_name_parse(id, &name) == -1)
        return;
    snprintf(attempt, sizeof attempt, "%d", (int)name.attempt);
    if (flow_exec(outbox->flow, undelivered_sql, params, ARRAY_LEN(params), NULL) == FLOW_OK)
        log_debug("attempt=%s: its worker's session is gone; offered again", id);
}

size_t
outbox_send_offers(struct outbox *outbox, const struct pg_result *result)
{
    size_t n = pg_rows(result);

    for (size_t row = 0; row < n; row++)
        send_offer(outbox, result, row);
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
