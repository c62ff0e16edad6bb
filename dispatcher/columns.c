/* Array parameters, one a column. */
#include "dispatcher/columns.h"

#include <string.h>

#include "common/log.h"

void
columns_open(struct buf *columns, size_t n)
{
    for (size_t c = 0; c < n; c++) {
        columns[c] = (struct buf){0};
        pg_array_open(&columns[c]);
    }
}

void
columns_text(struct buf *column, const char *text)
{
    pg_array_text(column, text, text != NULL ? strlen(text) : 0);
}

enum flow_status
columns_exec(struct flow *flow, const char *sql, struct buf *columns, size_t n,
             struct pg_result **result)
{
    struct pg_param params[COLUMNS_MAX] = {{0}};
    enum flow_status status;

    if (n > COLUMNS_MAX)
        log_panic("%zu columns", n);
    for (size_t c = 0; c < n; c++) {
        pg_array_close(&columns[c]);
        params[c] = (struct pg_param){.value = columns[c].data, .len = (int64_t)columns[c].len};
    }
    status = flow_exec(flow, sql, params, n, result);
    for (size_t c = 0; c < n; c++)
        buf_free(&columns[c]);
    return status;
}
