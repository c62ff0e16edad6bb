/* States of attempts: starts, results, ends, and what workers say about attempts. */
#include <string.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/json.h"
#include "common/log.h"
#include "dispatcher/columns.h"
#include "dispatcher/intake.h"

static const char sql[] = "SELECT i, verdict FROM hler_core.record_state($1::text[], $2::text[],"
                          " $3::uuid[], $4::int[], $5::text[], $6::bigint[], $7::timestamptz[],"
                          " $8::text[])";

enum { USERS, KINDS, TASKS, ATTEMPTS, TOKENS, SEQS, TIMES, DATA, COLUMNS };

static void
add_event(struct column columns[COLUMNS], const struct item *item)
{
    const struct event *event = &item->event;
    size_t len;
    const char *data = json_text(event->data, &len);

    columns_text(&columns[USERS], item->user);
    columns_text(&columns[KINDS], event_word(event->kind));
    columns_text(&columns[TASKS], event->name.task);
    columns_int(&columns[ATTEMPTS], event->name.attempt);
    columns_text(&columns[TOKENS], event->name.token);
    if (event_numbered(event->kind))
        columns_int(&columns[SEQS], event->seq);
    else
        columns_text(&columns[SEQS], NULL);
    columns_text(&columns[TIMES], event->time);
    columns_item(&columns[DATA], data, len);
}

static enum flow_status
record(struct flow *flow, struct item **items, size_t n, struct pg_result **result)
{
    struct column columns[COLUMNS];

    columns_open(columns, COLUMNS);
    columns_open_items(&columns[DATA], PG_TEXT);
    for (size_t i = 0; i < n; i++)
        add_event(columns, items[i]);
    return columns_exec(flow, sql, columns, COLUMNS, result);
}

/* After such an event another task may be ready, or this one again. */
static bool
moves(enum event_kind kind)
{
    return kind == EVENT_FINISHED || kind == EVENT_REFUSED || kind == EVENT_DECLINED ||
           kind == EVENT_LOST;
}

/* The tables have set these aside themselves. */
static bool
was_set_aside(const char *verdict)
{
    return strcmp(verdict, "unknown") == 0 || strcmp(verdict, "foreign") == 0 ||
           strcmp(verdict, "not_recordable") == 0;
}

enum flow_status
intake_states(void *ctx, struct item **items, size_t n)
{
    struct pg_result *result CLEANUP(pg_result_cleanup) = NULL;
    struct intake *in = ctx;
    enum flow_status status = record(in->flow, items, n, &result);

    if (status != FLOW_OK)
        return status;
    for (size_t row = 0; row < pg_rows(result); row++) {
        const char *verdict = pg_get(result, row, "verdict");

        if (!was_set_aside(verdict))
            continue;
        atomic_fetch_add(&in->flow->counters->dead, 1);
        log_warn("verdict=%s: an event of an attempt was set aside", verdict);
    }
    for (size_t i = 0; i < n; i++) {
        in->moved = in->moved || moves(items[i]->event.kind);
        if (items[i]->event.kind == EVENT_STARTED)
            floods_started(&in->floods, items[i]->user, clock_mono_ns());
        items[i]->work = WORK_DONE;
    }
    atomic_fetch_add(&in->flow->counters->states, n);
    return FLOW_OK;
}
