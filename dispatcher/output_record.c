/* Output and progress as rows: text as in the event, raw bytes beside it when the
 * text is not exactly them. */
#include <string.h>

#include "common/buf.h"
#include "common/json.h"
#include "common/log.h"
#include "dispatcher/columns.h"
#include "dispatcher/output.h"
#include "proto/base64.h"

static const char sql[] =
    "SELECT count(*) FROM hler_core.record_output($1::text[], $2::text[], $3::uuid[], $4::int[],"
    " $5::text[], $6::bigint[], $7::timestamptz[], $8::text[], $9::text[], $10::bytea[],"
    " $11::text[])";

enum { USERS, KINDS, TASKS, ATTEMPTS, TOKENS, SEQS, TIMES, STREAMS, TEXTS, RAWS, DATA, COLUMNS };

static void
add_raw(struct column *column, const char *base64)
{
    struct buf bytes CLEANUP(buf_free) = {0};

    if (base64 != NULL && base64_decode(base64, strlen(base64), &bytes) == -1)
        log_panic("unchecked event: base64");
    columns_item(column, bytes.data, bytes.len);
}

static void
add_text(struct column *column, const char *text)
{
    columns_item(column, text, text != NULL ? strlen(text) : 0);
}

/* The columns of either kind; those of the other are NULL. */
static void
add_data(struct column columns[COLUMNS], const struct event *event)
{
    bool output = event->kind == EVENT_OUTPUT;
    const char *data = NULL;
    size_t len = 0;

    if (!output)
        data = json_text(event->data, &len);
    columns_text(&columns[STREAMS], output ? event_member(event, "stream") : NULL);
    add_text(&columns[TEXTS], output ? event_member(event, "text") : NULL);
    add_raw(&columns[RAWS], output ? event_member(event, "base64") : NULL);
    columns_item(&columns[DATA], data, len);
}

static void
add_event(struct column columns[COLUMNS], const struct item *item)
{
    const struct event *event = &item->event;

    columns_text(&columns[USERS], item->user);
    columns_text(&columns[KINDS], event_word(event->kind));
    columns_text(&columns[TASKS], event->name.task);
    columns_int(&columns[ATTEMPTS], event->name.attempt);
    columns_text(&columns[TOKENS], event->name.token);
    columns_int(&columns[SEQS], event->seq);
    columns_text(&columns[TIMES], event->time);
    add_data(columns, event);
}

enum flow_status
output_record(void *ctx, struct item **items, size_t n)
{
    struct flow *flow = ctx;
    struct column columns[COLUMNS];
    enum flow_status status;

    columns_open(columns, COLUMNS);
    columns_open_items(&columns[TEXTS], PG_TEXT);
    columns_open_items(&columns[RAWS], PG_BYTEA);
    columns_open_items(&columns[DATA], PG_TEXT);
    for (size_t i = 0; i < n; i++)
        add_event(columns, items[i]);
    status = columns_exec(flow, sql, columns, COLUMNS, NULL);
    if (status != FLOW_OK)
        return status;
    for (size_t i = 0; i < n; i++)
        items[i]->work = WORK_DONE;
    atomic_fetch_add(&flow->counters->outputs, n);
    return FLOW_OK;
}
