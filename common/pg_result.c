/* Rows of an answer. */
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/pg_internal.h"

#define DECIMAL 10

static int
column_number(const struct pg_result *result, const char *column)
{
    int n = PQfnumber(result->rows, column);

    if (n == -1)
        log_panic("pg: the answer has no column %s", column);
    return n;
}

size_t
pg_rows(const struct pg_result *result)
{
    return (size_t)PQntuples(result->rows);
}

const char *
pg_get(const struct pg_result *result, size_t row, const char *column)
{
    int n = column_number(result, column);

    return PQgetisnull(result->rows, (int)row, n) ? NULL : PQgetvalue(result->rows, (int)row, n);
}

size_t
pg_len(const struct pg_result *result, size_t row, const char *column)
{
    return (size_t)PQgetlength(result->rows, (int)row, column_number(result, column));
}

int64_t
pg_get_int(const struct pg_result *result, size_t row, const char *column)
{
    const char *text = pg_get(result, row, column);

    return text != NULL ? strtoll(text, NULL, DECIMAL) : 0;
}

bool
pg_get_bool(const struct pg_result *result, size_t row, const char *column)
{
    const char *text = pg_get(result, row, column);

    return text != NULL && strcmp(text, "t") == 0;
}

void
pg_result_free(struct pg_result *result)
{
    if (result == NULL)
        return;
    PQclear(result->rows);
    free(result);
}

void
pg_result_cleanup(struct pg_result **result)
{
    pg_result_free(*result);
}
