/* Output and progress as rows: text as in the event, raw bytes beside it when the
 * text is not exactly them. */
#include <string.h>

#include "common/buf.h"
#include "common/log.h"
#include "common/mem.h"
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
    struct jsonskip_piece data = {NULL, 0};

    if (!output)
        data = event_whole_data(event);
    columns_text(&columns[STREAMS], output ? event_member(event, "stream") : NULL);
    add_text(&columns[TEXTS], output ? event_member(event, "text") : NULL);
    add_raw(&columns[RAWS], output ? event_member(event, "base64") : NULL);
    columns_item(&columns[DATA], data.text, data.len);
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

static void
fill(struct column columns[COLUMNS], struct item **items, size_t n)
{
    columns_open(columns, COLUMNS);
    columns_open_items(&columns[TEXTS], PG_TEXT);
    columns_open_items(&columns[RAWS], PG_BYTEA);
    columns_open_items(&columns[DATA], PG_TEXT);
    for (size_t i = 0; i < n; i++)
        add_event(columns, items[i]);
}

static void
are_recorded(struct flow *flow, struct item **items, size_t n)
{
    for (size_t i = 0; i < n; i++)
        items[i]->work = WORK_DONE;
    atomic_fetch_add(&flow->counters->outputs, n);
}

enum flow_status
output_record(void *ctx, struct item **items, size_t n)
{
    struct flow *flow = ctx;
    struct column columns[COLUMNS];
    enum flow_status status;

    fill(columns, items, n);
    status = columns_exec(flow, sql, columns, COLUMNS, NULL);
    if (status == FLOW_OK)
        are_recorded(flow, items, n);
    return status;
}

int
output_send(struct flow *flow, const struct batch *batch)
{
    size_t n;
    CLEANUP(mem_cleanup) struct item **items = batch_pick(batch, WORK_OUTPUT, &n);
    struct column columns[COLUMNS];

    if (n == 0)
        return -1;
    fill(columns, items, n);
    return columns_send(flow, sql, columns, COLUMNS);
}

int
output_answer(struct flow *flow, const struct batch *batch)
{
    size_t n;
    CLEANUP(mem_cleanup) struct item **items = batch_pick(batch, WORK_OUTPUT, &n);

    if (flow_answer(flow, sql) == -1)
        return -1;
    are_recorded(flow, items, n);
    return 0;
}
