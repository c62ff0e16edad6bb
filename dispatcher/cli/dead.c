/* hler dead list, hler dead show: what was not understood, and is kept with its reason. */
#include "dispatcher/cli/dead.h"

#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "dispatcher/cli/commands.h"
#include "dispatcher/cli/table.h"
#include "dispatcher/cli/text.h"
#include "proto/base64.h"

#define LIMIT_DEFAULT 50
#define LIMIT_MAX 100000
#define SHOWN_BYTES 4096u

#define FACT(key) "hler_core.dead_fact(facts, '" key "')"
#define TIME(column) "to_char(" column ", 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"
#define OUTLINE                                                                                    \
    "id, reason, source, coalesce(" FACT("user_id") ", " FACT(                                     \
        "user") ") AS sender,"                                                                     \
                " coalesce(" FACT("type") ", " FACT("kind") ") AS what, size, copies"

static const struct column columns[] = {
    {"MESSAGE", "id", true},    {"REASON", "reason", false}, {"SOURCE", "source", false},
    {"FROM", "sender", false},  {"WHAT", "what", false},     {"SIZE", "size", true},
    {"COPIES", "copies", true}, {"LAST", "last", false},     {"SAID", "said", false},
};

#define FILTER                                                                                     \
    " FROM hler.dead_message WHERE ($1::text IS NULL OR reason = $1)"                              \
    " AND ($2::text IS NULL OR source = $2) ORDER BY id DESC LIMIT $3::bigint"

static int
run_list(struct cli *cli, const struct args *args)
{
    char limit[24];
    int code = cli_connect(cli);

    if (code != CLI_OK)
        return code;
    snprintf(limit, sizeof limit, "%lld", (long long)args_int(args, "limit", LIMIT_DEFAULT));
    struct pg_param params[] = {cli_param(args_text(args, "fault")),
                                cli_param(args_text(args, "source")), cli_param(limit)};
    struct report report = {
        .sql = "SELECT " OUTLINE ", " TIME("last_at") " AS last, said" FILTER,
        .json_sql = "SELECT " OUTLINE ", received_at, last_at, redrive_at, said" FILTER,
        .params = params,
        .n_params = ARRAY_LEN(params),
        .columns = columns,
        .n_columns = ARRAY_LEN(columns),
        .nothing = "no message is set aside",
    };
    return table_report(cli, &report);
}

int
dead_ids(struct cli *cli, const struct args *args, struct buf *out)
{
    CLEANUP(pg_result_cleanup) struct pg_result *rows = NULL;
    const char *fault = args_text(args, "fault");
    struct pg_param params[] = {cli_param(fault)};
    int64_t number;

    if ((args->n_words == 0) == (fault == NULL)) {
        cli_say("give the messages' numbers (`hler dead list`), or --fault REASON");
        return CLI_USAGE;
    }
    pg_array_open(out);
    for (size_t i = 0; i < args->n_words; i++) {
        if (args_number(args->words[i], 1, INT64_MAX, &number) == -1) {
            cli_say("\"%s\" is no message: `hler dead list` shows their numbers", args->words[i]);
            return CLI_USAGE;
        }
        pg_array_int(out, number);
    }
    if (fault != NULL) {
        int code = cli_exec(cli, "SELECT id FROM hler.dead_message WHERE reason = $1::text", params,
                            ARRAY_LEN(params), &rows);
        if (code != CLI_OK)
            return code;
        for (size_t i = 0; i < pg_rows(rows); i++)
            pg_array_int(out, pg_get_int(rows, i, "id"));
        if (pg_rows(rows) == 0) {
            cli_say("no message with the reason %s is set aside", fault);
            return CLI_NOT_FOUND;
        }
    }
    pg_array_close(out);
    return CLI_OK;
}

static void
print_bytes(const struct buf *bytes)
{
    CLEANUP(buf_free) struct buf text = {0};
    size_t shown = bytes->len < SHOWN_BYTES ? bytes->len : SHOWN_BYTES;

    if (bytes->len == 0) {
        puts("its bytes were not kept");
        return;
    }
    text_visible(&text, bytes->data, shown, TEXT_NO_WIDTH);
    puts(text.data);
    if (shown < bytes->len)
        printf("… %zu more bytes: --raw writes all\n", bytes->len - shown);
}

static const char *
or_dash(const struct pg_result *rows, size_t row, const char *column)
{
    const char *text = pg_get(rows, row, column);

    return text != NULL ? text : "-";
}

static void
print_line(const char *label, const char *value)
{
    CLEANUP(buf_free) struct buf safe = {0};

    text_visible(&safe, value, strlen(value), TEXT_NO_WIDTH);
    printf("%-9s %s\n", label, safe.data != NULL ? safe.data : "");
}

static int
print_acts(struct cli *cli, const struct pg_param *id)
{
    CLEANUP(pg_result_cleanup) struct pg_result *rows = NULL;
    CLEANUP(buf_free) struct buf line = {0};
    int code = cli_exec(cli,
                        "SELECT " TIME("at") " AS at, act, login, actor, note FROM hler.dead_act"
                                             " WHERE message = $1::bigint ORDER BY no",
                        id, 1, &rows);

    for (size_t i = 0; code == CLI_OK && i < pg_rows(rows); i++) {
        buf_clear(&line);
        buf_printf(&line, "%s by %s (%s): %s", pg_get(rows, i, "act"), pg_get(rows, i, "login"),
                   or_dash(rows, i, "actor"), or_dash(rows, i, "note"));
        print_line(pg_get(rows, i, "at"), line.data);
    }
    return code;
}

static int
print_message(struct cli *cli, const struct pg_param *id, const struct pg_result *r,
              const struct buf *bytes)
{
    static const char *const lines[][2] = {
        {"message", "id"},  {"reason", "reason"}, {"why", "why"},     {"source", "source"},
        {"from", "sender"}, {"what", "what"},     {"key", "key"},     {"name", "name"},
        {"size", "size"},   {"copies", "copies"}, {"first", "first"}, {"last", "last"},
        {"said", "said"},
    };

    for (size_t i = 0; i < ARRAY_LEN(lines); i++)
        print_line(lines[i][0], or_dash(r, 0, lines[i][1]));
    int code = print_acts(cli, id);
    putchar('\n');
    print_bytes(bytes);
    return code;
}

static int
show(struct cli *cli, const struct pg_param *id, bool raw)
{
    CLEANUP(pg_result_cleanup) struct pg_result *r = NULL;
    CLEANUP(buf_free) struct buf bytes = {0};
    int code = cli_exec(
        cli,
        "SELECT " OUTLINE ", " FACT("why") " AS why, " FACT(
            "routing_key") " AS key,"
                           " " FACT("message_id") " AS name, " TIME(
                               "received_at") " AS first,"
                                              " " TIME("last_at") " AS last, said,"
                                                                  " translate(encode(body, "
                                                                  "'base64'), E'\\n', '') AS base64"
                                                                  " FROM hler.dead_message WHERE "
                                                                  "id = $1::bigint",
        id, 1, &r);

    if (code != CLI_OK)
        return code;
    if (pg_rows(r) == 0) {
        cli_say("no message %s is set aside: see `hler dead list`", id->value);
        return CLI_NOT_FOUND;
    }
    const char *base64 = pg_get(r, 0, "base64");
    if (base64 != NULL && base64_decode(base64, strlen(base64), &bytes) == -1)
        log_panic("the database's base64 is none");
    if (!raw)
        return print_message(cli, id, r, &bytes);
    if (bytes.len > 0 && fwrite(bytes.data, bytes.len, 1, stdout) != 1)
        cli_say("cannot write the bytes: %m");
    return CLI_OK;
}

static int
run_show(struct cli *cli, const struct args *args)
{
    int64_t number;
    struct pg_param id = cli_param(args->words[0]);

    if (args_number(args->words[0], 1, INT64_MAX, &number) == -1) {
        cli_say("\"%s\" is no message: `hler dead list` shows their numbers", args->words[0]);
        return CLI_USAGE;
    }
    int code = cli_connect(cli);
    if (code != CLI_OK || !cli->json)
        return code == CLI_OK ? show(cli, &id, args_flag(args, "raw")) : code;
    code = table_json(
        cli,
        "SELECT " TABLE_JSON_ROW(
            "q") "::text AS j FROM (SELECT " OUTLINE ", facts, received_at,"
                 " last_at, redrive_at, said, translate(encode(body, 'base64'), E'\\n', '')"
                 " AS base64, (SELECT json_agg(" TABLE_JSON_ROW(
                     "a") " ORDER BY a.no) FROM hler.dead_act a"
                          " WHERE a.message = d.id) AS acts"
                          " FROM hler.dead_message d WHERE id = $1::bigint) q",
        &id, 1);
    if (code == CLI_NOT_FOUND)
        cli_say("no message %s is set aside: see `hler dead list`", id.value);
    return code;
}

static const struct opt list_options[] = {
    DEAD_FAULT_OPTION,
    {"source", OPT_TEXT, "QUEUE", "those that came by it: hler.state, hler.tasks, …", 0, 0, false},
    {"limit", OPT_INT, "N", "at most so many (default 50)", 1, LIMIT_MAX, false},
};

const struct command command_dead_list = {
    .name = "dead list",
    .summary = "List the messages that were not understood and set aside, the newest first",
    .synopsis = "[OPTIONS]",
    .options = list_options,
    .n_options = ARRAY_LEN(list_options),
    .help = "Each is there once; COPIES counts how often it came.  What the broker gave up\n"
            "(undeliverable) is among them.  SAID is what came of the last redrive.\n\n"
            "  hler dead list --fault bad_version\n",
    .run = run_list,
};

static const struct opt show_options[] = {
    {"raw", OPT_FLAG, NULL, "write its bytes and nothing else", 0, 0, false},
};

const struct command command_dead_show = {
    .name = "dead show",
    .summary = "Show a message that was set aside, why, and what was done with it",
    .synopsis = "MESSAGE [OPTIONS]",
    .min_words = 1,
    .max_words = 1,
    .options = show_options,
    .n_options = ARRAY_LEN(show_options),
    .help = "Control characters are made visible; --raw writes the bytes as they came.\n\n"
            "  hler dead show 1\n"
            "  hler dead show 1 --raw >message.json\n",
    .run = run_show,
};
