/* Array parameters, one a column. */
#include "dispatcher/columns.h"

#include <string.h>

#include "common/log.h"

void
columns_open(struct column *columns, size_t n)
{
    for (size_t c = 0; c < n; c++) {
        columns[c] = (struct column){0};
        pg_array_open(&columns[c].array);
    }
}

void
columns_open_items(struct column *column, enum pg_item type)
{
    pg_items_open(&column->array, type);
    column->binary = true;
}

void
columns_text(struct column *column, const char *text)
{
    pg_array_text(&column->array, text, text != NULL ? strlen(text) : 0);
}

void
columns_int(struct column *column, int64_t number)
{
    pg_array_int(&column->array, number);
}

void
columns_item(struct column *column, const void *item, size_t len)
{
    pg_items_add(&column->array, item, len);
}

/* Close the arrays and make parameters of them. */
static void
make_params(struct column *columns, size_t n, struct pg_param params[COLUMNS_MAX])
{
    if (n > COLUMNS_MAX)
        log_panic("%zu columns", n);
    for (size_t c = 0; c < n; c++) {
        struct buf *array = &columns[c].array;

        if (!columns[c].binary)
            pg_array_close(array);
        params[c] = (struct pg_param){
            .value = array->data, .len = (int64_t)array->len, .binary = columns[c].binary};
    }
}

static void
free_columns(struct column *columns, size_t n)
{
    for (size_t c = 0; c < n; c++)
        buf_free(&columns[c].array);
}

enum flow_status
columns_exec(struct flow *flow, const char *sql, struct column *columns, size_t n,
             struct pg_result **result)
{
    struct pg_param params[COLUMNS_MAX];
    enum flow_status status;

    make_params(columns, n, params);
    status = flow_exec(flow, sql, params, n, result);
    free_columns(columns, n);
    return status;
}

int
columns_send(struct flow *flow, const char *sql, struct column *columns, size_t n)
{
    struct pg_param params[COLUMNS_MAX];
    int sent;

    make_params(columns, n, params);
    sent = flow_send(flow, sql, params, n);
    free_columns(columns, n);
    return sent;
}
