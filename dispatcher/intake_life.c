/* What workers say of themselves, and the clock against which their silence is
 * measured.  Heartbeats are compared with the tables; the differences go back as
 * control messages (design section 5, level-triggered control). */
#include <stdio.h>
#include <string.h>

#include "common/buf.h"
#include "common/json.h"
#include "common/log.h"
#include "dispatcher/columns.h"
#include "dispatcher/control.h"
#include "dispatcher/intake.h"

static const char beat_sql[] =
    "SELECT worker, control, session, number, kind, task, attempt, token, cause, grace_ms"
    " FROM hler_core.heartbeat($1::text[], $2::text[], $3::text[])";
static const char gone_sql[] = "SELECT hler_core.worker_gone($1, $2::uuid, $3)";
static const char tick_sql[] = "SELECT hler_core.tick($1::timestamptz, $2::int, $3::int) AS lost";

enum { USERS, CONTROLS, BODIES, COLUMNS };
#define NUMBER_SIZE 24

static enum flow_status
record(struct flow *flow, struct item **items, size_t n, struct pg_result **result)
{
    struct column columns[COLUMNS];

    columns_open(columns, COLUMNS);
    columns_open_items(&columns[BODIES], PG_TEXT);
    for (size_t i = 0; i < n; i++) {
        size_t len;
        const char *data = json_text(items[i]->event.data, &len);

        columns_text(&columns[USERS], items[i]->user);
        columns_text(&columns[CONTROLS], event_member(&items[i]->event, "control"));
        columns_item(&columns[BODIES], data, len);
    }
    return columns_exec(flow, beat_sql, columns, COLUMNS, result);
}

static enum flow_status
beats(struct intake *in, struct item **items, size_t n)
{
    struct pg_result *result CLEANUP(pg_result_cleanup) = NULL;
    enum flow_status status = record(in->flow, items, n, &result);

    if (status != FLOW_OK)
        return status;
    for (size_t row = 0; row < pg_rows(result); row++)
        control_send(in->post, result, row, in->flow->settings->lost_after_ms);
    for (size_t i = 0; i < n; i++) {
        items[i]->work = WORK_DONE;
        if (items[i]->event.kind == EVENT_WORKER_STARTED)
            in->moved = true; /* a larger window; what heartbeats change of it is polled for */
    }
    return FLOW_OK;
}

enum flow_status
intake_gone(void *ctx, struct item **items, size_t n)
{
    struct intake *in = ctx;

    for (size_t i = 0; i < n; i++) {
        const struct pg_param params[] = {
            {.value = items[i]->user, .len = -1},
            {.value = event_member(&items[i]->event, "session"), .len = -1},
            {.value = event_word(items[i]->event.kind), .len = -1},
        };
        enum flow_status status;

        if (items[i]->work == WORK_DONE)
            continue;
        status = flow_exec(in->flow, gone_sql, params, ARRAY_LEN(params), NULL);
        if (status != FLOW_OK)
            return status;
        items[i]->work = WORK_DONE;
    }
    return FLOW_OK;
}

static enum flow_status
tick_one(struct intake *in, const struct item *item)
{
    struct pg_result *result CLEANUP(pg_result_cleanup) = NULL;
    char lost_after[NUMBER_SIZE], tick[NUMBER_SIZE];
    const struct pg_param params[] = {
        {.value = event_member(&item->event, "sent_at"), .len = -1},
        {.value = lost_after, .len = -1},
        {.value = tick, .len = -1},
    };
    enum flow_status status;
    int64_t lost;

    snprintf(lost_after, sizeof lost_after, "%lld", (long long)in->flow->settings->lost_after_ms);
    snprintf(tick, sizeof tick, "%lld", (long long)in->flow->settings->tick_ms);
    status = flow_exec(in->flow, tick_sql, params, ARRAY_LEN(params), &result);
    if (status != FLOW_OK)
        return status;
    lost = pg_get_int(result, 0, "lost");
    if (lost > 0) {
        log_warn("attempts=%lld: lost, their worker has been silent for too long", (long long)lost);
        in->moved = true;
    }
    return FLOW_OK;
}

static bool
is_tick(const struct item *item)
{
    return item->event.kind == EVENT_TICK;
}

/* In the order in which they came.  After a backlog one batch may hold more ticks than make a
 * worker lost: its heartbeats between them say that it was not. */
enum flow_status
intake_life(void *ctx, struct item **items, size_t n)
{
    enum flow_status status = FLOW_OK;

    for (size_t i = 0, run; i < n && status == FLOW_OK; i += run) {
        run = 1;
        if (items[i]->work == WORK_DONE)
            continue;
        if (is_tick(items[i])) {
            status = tick_one(ctx, items[i]);
            if (status == FLOW_OK)
                items[i]->work = WORK_DONE;
            continue;
        }
        while (i + run < n && !is_tick(items[i + run]))
            run++;
        status = beats(ctx, items + i, run);
    }
    return status;
}
