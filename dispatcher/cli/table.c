/* Aligned columns. */
#include "dispatcher/cli/table.h"

#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/mem.h"
#include "dispatcher/cli/text.h"
#include "dispatcher/cli/value.h"

#define GAP 2

static const char *
cell(const struct pg_result *rows, size_t row, const struct column *c, struct buf *out)
{
    const char *text = pg_get(rows, row, c->column);

    buf_clear(out);
    if (text == NULL || text[0] == '\0')
        text = "-";
    text_visible(out, text, strlen(text), TEXT_NO_WIDTH);
    return out->data;
}

static void
put(FILE *out, const char *text, const struct column *c, size_t width, bool last)
{
    size_t taken = text_columns(text);
    int pad = taken < width ? (int)(width - taken) : 0;

    if (c->right)
        fprintf(out, "%*s%s", pad, "", text);
    else
        fprintf(out, "%s%*s", text, last ? 0 : pad, "");
    fprintf(out, "%*s", last ? 0 : GAP, "");
}

void
table_print(FILE *out, const struct pg_result *rows, const struct column *columns, size_t n)
{
    CLEANUP(buf_free) struct buf text = {0};
    size_t *width = mem_alloc((n + 1) * sizeof *width);

    for (size_t c = 0; c < n; c++) {
        width[c] = text_columns(columns[c].title);
        for (size_t row = 0; row < pg_rows(rows); row++) {
            size_t w = text_columns(cell(rows, row, &columns[c], &text));
            if (w > width[c])
                width[c] = w;
        }
    }
    for (size_t c = 0; c < n; c++)
        put(out, columns[c].title, &columns[c], width[c], c + 1 == n);
    fputc('\n', out);
    for (size_t row = 0; row < pg_rows(rows); row++) {
        for (size_t c = 0; c < n; c++)
            put(out, cell(rows, row, &columns[c], &text), &columns[c], width[c], c + 1 == n);
        fputc('\n', out);
    }
    free(width);
}

int
table_json(struct cli *cli, const char *sql, const struct pg_param *params, size_t n)
{
    CLEANUP(pg_result_cleanup) struct pg_result *rows = NULL;
    int code = cli_exec(cli, sql, params, n, &rows);

    if (code != CLI_OK)
        return code;
    if (pg_rows(rows) == 0 || pg_get(rows, 0, "j") == NULL)
        return CLI_NOT_FOUND;
    value_print_text(pg_get(rows, 0, "j"), cli->terminal);
    return CLI_OK;
}

int
table_report(struct cli *cli, const struct report *report)
{
    CLEANUP(pg_result_cleanup) struct pg_result *rows = NULL;
    CLEANUP(buf_free) struct buf sql = {0};

    if (cli->json) {
        buf_printf(
            &sql, "SELECT coalesce(json_agg(" TABLE_JSON_ROW("q") "), '[]')::text AS j FROM (%s) q",
            report->json_sql != NULL ? report->json_sql : report->sql);
        return table_json(cli, sql.data, report->params, report->n_params);
    }
    int code = cli_exec(cli, report->sql, report->params, report->n_params, &rows);
    if (code != CLI_OK)
        return code;
    if (pg_rows(rows) == 0)
        cli_say("%s", report->nothing);
    else
        table_print(stdout, rows, report->columns, report->n_columns);
    return CLI_OK;
}
