#ifndef CLI_TABLE_H
#define CLI_TABLE_H

#include <stddef.h>
#include <stdio.h>

#include "common/pg.h"
#include "dispatcher/cli/cli.h"

/* Rows as aligned columns, or as JSON. */

/* SQL: the row `row` as JSON with its times as all of ours, "…Z" (PostgreSQL writes "+00:00"): the
 * columns named …_at and start_by.  What lies deeper is a front end's own text. */
#define TABLE_JSON_ROW(row)                                                                        \
    "(SELECT json_object_agg(k, CASE WHEN k ~ '_at$|^start_by$'"                                   \
    " THEN to_json(replace(v #>> '{}', '+00:00', 'Z')) ELSE v END) FROM json_each(to_json(" row    \
    ")) AS each (k, v))"

struct column {
    const char *title;  /* as printed */
    const char *column; /* of the result */
    bool right;         /* numbers */
};

/* Print rows under their titles; NULL is "-"; control characters are made visible. */
void table_print(FILE *out, const struct pg_result *rows, const struct column *columns, size_t n);

/* Run a SELECT and print it: as a table, or, with --json, all its columns as one JSON array of objects.
 * nothing = what to say on stderr instead of an empty table.  Returns an exit code. */
struct report {
    const char *sql;
    const char *json_sql; /* for --json; NULL = the same */
    const struct pg_param *params;
    size_t n_params;
    const struct column *columns;
    size_t n_columns;
    const char *nothing;
};
int table_report(struct cli *cli, const struct report *report) MUST_CHECK;

/* Run a SELECT of one column "j" of JSON text in one row and print it. */
int table_json(struct cli *cli, const char *sql, const struct pg_param *params,
               size_t n) MUST_CHECK;

#endif
