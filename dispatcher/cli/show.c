/* hler show: all about one operation. */
#include <stdio.h>
#include <string.h>

#include "common/uuid.h"
#include "dispatcher/cli/commands.h"
#include "dispatcher/cli/opref.h"
#include "dispatcher/cli/table.h"
#include "dispatcher/cli/text.h"

#define AT "'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'"

static const char all_json[] =
    "SELECT json_build_object("
    "'operation', " TABLE_JSON_ROW(
        "o") ","
             "'tasks', (SELECT coalesce(json_agg(" TABLE_JSON_ROW(
                 "t") " ORDER BY t.no), '[]') FROM hler.tasks t"
                      " WHERE t.operation = o.id),"
                      "'attempts', (SELECT coalesce(json_agg(" TABLE_JSON_ROW(
                          "a") " ORDER BY a.offered_at, a.attempt), '[]')"
                               " FROM hler.attempts a WHERE a.operation = o.id))::text AS j"
                               " FROM hler.operations o WHERE o.id = $1::uuid";

static const char head_sql[] =
    "SELECT id, type || ' version ' || version AS type, state, cause, message, requester, actor,"
    " target, priority, inputs::text, nullif(labels::text, '{}') AS labels,"
    " retry_of || coalesce(': ' || retry_reason, '') AS retry_of, idempotency_key,"
    " to_char(run_at, " AT ") AS run_at, to_char(start_by, " AT ") AS start_by,"
    " to_char(cancel_requested_at, " AT ") || coalesce(' by ' || cancel_actor, '')"
    " || coalesce(': ' || cancel_reason, '') AS cancel_asked,"
    " to_char(created_at, " AT ") AS created, to_char(started_at, " AT ") AS started,"
    " to_char(finished_at, " AT ") AS finished"
    " FROM hler.operations WHERE id = $1::uuid";

static const char *const head[] = {
    "id",       "type",    "state",           "cause",    "message",      "requester", "actor",
    "target",   "labels",  "idempotency_key", "run_at",   "start_by",     "priority",  "inputs",
    "retry_of", "created", "started",         "finished", "cancel_asked",
};

#define HEAD_WIDTH 16

static const char tasks_sql[] =
    "SELECT no, coalesce(key, name) AS task, executor, pool,"
    " state || CASE WHEN reused THEN ' (reused)' ELSE '' END AS state, cause, attempt, tries,"
    " round(extract(epoch FROM coalesce(finished_at, now()) - started_at), 1) || ' s' AS took,"
    " message FROM hler.tasks WHERE operation = $1::uuid ORDER BY no";

static const struct column task_columns[] = {
    {"NO", "no", true},
    {"TASK", "task", false},
    {"EXECUTOR", "executor", false},
    {"POOL", "pool", false},
    {"STATE", "state", false},
    {"CAUSE", "cause", false},
    {"ATTEMPT", "attempt", true},
    {"TRIES", "tries", true},
    {"TOOK", "took", true},
    {"MESSAGE", "message", false},
};

static const char attempts_sql[] =
    "SELECT name AS task, attempt, state, worker, cause,"
    " coalesce('exit ' || exit_code, 'signal ' || signal) AS exit,"
    " output_bytes || CASE WHEN output_complete THEN '' ELSE ' (not all here)' END"
    " || CASE WHEN dropped_bytes > 0 THEN ' + ' || dropped_bytes || ' dropped' ELSE '' END"
    " AS output, nullif(left_behind, 0) AS left_behind,"
    " to_char(started_at, " AT ") AS started, to_char(finished_at, " AT ") AS finished"
    " FROM hler.attempts WHERE operation = $1::uuid ORDER BY offered_at, attempt";

static const struct column attempt_columns[] = {
    {"TASK", "task", false},       {"ATTEMPT", "attempt", true},
    {"STATE", "state", false},     {"WORKER", "worker", false},
    {"CAUSE", "cause", false},     {"EXIT", "exit", false},
    {"OUTPUT", "output", true},    {"LEFT BEHIND", "left_behind", true},
    {"STARTED", "started", false}, {"FINISHED", "finished", false},
};

static void
print_head(const struct pg_result *row)
{
    CLEANUP(buf_free) struct buf text = {0};

    for (size_t i = 0; i < ARRAY_LEN(head); i++) {
        const char *value = pg_get(row, 0, head[i]);
        if (value == NULL || value[0] == '\0')
            continue;
        buf_clear(&text);
        text_visible(&text, value, strlen(value), TEXT_NO_WIDTH);
        printf("%-*s %s\n", HEAD_WIDTH, head[i], text.data);
    }
}

static int
print_part(struct cli *cli, const char *sql, const struct pg_param *params,
           const struct column *columns, size_t n)
{
    CLEANUP(pg_result_cleanup) struct pg_result *rows = NULL;
    int code = cli_exec(cli, sql, params, 1, &rows);

    if (code == CLI_OK && pg_rows(rows) > 0) {
        putchar('\n');
        table_print(stdout, rows, columns, n);
    }
    return code;
}

static int
run(struct cli *cli, const struct args *args)
{
    CLEANUP(pg_result_cleanup) struct pg_result *row = NULL;
    char id[UUID_TEXT_SIZE];
    int code = cli_connect(cli);

    if (code == CLI_OK)
        code = opref_resolve(cli, args->words[0], id);
    if (code != CLI_OK)
        return code;
    struct pg_param params[] = {cli_param(id)};
    if (cli->json)
        return table_json(cli, all_json, params, ARRAY_LEN(params));
    code = cli_exec(cli, head_sql, params, ARRAY_LEN(params), &row);
    if (code != CLI_OK || pg_rows(row) == 0)
        return code != CLI_OK ? code : CLI_NOT_FOUND;
    print_head(row);
    code = print_part(cli, tasks_sql, params, task_columns, ARRAY_LEN(task_columns));
    if (code == CLI_OK)
        code = print_part(cli, attempts_sql, params, attempt_columns, ARRAY_LEN(attempt_columns));
    return code;
}

const struct command command_show = {
    .name = "show",
    .summary = "Show an operation, its tasks and attempts",
    .synopsis = "OP",
    .min_words = 1,
    .max_words = 1,
    .help = "  hler show last\n  hler show 0190f2a4 --json\n",
    .run = run,
};
