/* hler list: operations, the newest first. */
#include <stdio.h>
#include <string.h>

#include "common/buf.h"
#include "dispatcher/cli/commands.h"
#include "dispatcher/cli/table.h"

#define LIMIT_DEFAULT 20
#define LIMIT_MAX 10000

static const struct column columns[] = {
    {"OPERATION", "id", false}, {"TYPE", "type", false},           {"STATE", "state", false},
    {"CAUSE", "cause", false},  {"REQUESTER", "requester", false}, {"CREATED", "created_at", false},
    {"TOOK", "took", true},
};

#define FILTER                                                                                     \
    " WHERE ($1::text IS NULL OR state = $1) AND ($2::text IS NULL OR type = $2)"                  \
    " AND ($3::text IS NULL OR requester = $3) ORDER BY o.created_at DESC, id DESC LIMIT "         \
    "$4::bigint"

/* The states of operations (proto/transitions.json; a test compares them). */
static const char *const states[] = {"pending",   "running", "waiting",  "held",
                                     "succeeded", "failed",  "cancelled"};

static int
check_state(const char *state)
{
    CLEANUP(buf_free) struct buf known = {0};

    for (size_t i = 0; state != NULL && i < ARRAY_LEN(states); i++) {
        if (strcmp(state, states[i]) == 0)
            return CLI_OK;
        buf_printf(&known, " %s", states[i]);
    }
    if (state == NULL)
        return CLI_OK;
    cli_say("--state %s: no operation is ever that; one of:%s", state, known.data);
    return CLI_USAGE;
}

static int
run(struct cli *cli, const struct args *args)
{
    char limit[24];
    int code = check_state(args_text(args, "state"));

    if (code == CLI_OK)
        code = cli_connect(cli);

    if (code != CLI_OK)
        return code;
    snprintf(limit, sizeof limit, "%lld", (long long)args_int(args, "limit", LIMIT_DEFAULT));
    struct pg_param params[] = {cli_param(args_text(args, "state")),
                                cli_param(args_text(args, "type")),
                                cli_param(args_text(args, "requester")), cli_param(limit)};
    struct report report = {
        .sql = "SELECT id, type, state, cause, requester,"
               " to_char(created_at, 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') AS created_at,"
               " date_trunc('second', coalesce(finished_at, now()) - started_at)::text AS took"
               " FROM hler.operations o" FILTER,
        .json_sql = "SELECT * FROM hler.operations o" FILTER,
        .params = params,
        .n_params = ARRAY_LEN(params),
        .columns = columns,
        .n_columns = ARRAY_LEN(columns),
        .nothing = "no operations to show",
    };
    return table_report(cli, &report);
}

static const struct opt options[] = {
    {"state", OPT_TEXT, "STATE", "only these: pending, running, waiting, held, succeeded, …", 0, 0,
     false},
    {"type", OPT_TEXT, "TYPE", "only operations of this type", 0, 0, false},
    {"requester", OPT_TEXT, "LOGIN", "only those of this login", 0, 0, false},
    {"limit", OPT_INT, "N", "at most so many (default 20)", 1, LIMIT_MAX, false},
};

const struct command command_list = {
    .name = "list",
    .summary = "List operations, the newest first",
    .synopsis = "[OPTIONS]",
    .max_words = 0,
    .options = options,
    .n_options = ARRAY_LEN(options),
    .help = "A front end's login sees its own, an operator's all.\n\n"
            "  hler list --state held\n"
            "  hler list --type site.deploy --limit 100 --json\n",
    .run = run,
};
