/* hler results: what is known of one entity. */
#include "common/uuid.h"
#include "dispatcher/cli/commands.h"
#include "dispatcher/cli/table.h"

/* A secret is shown only when $2 says so. */
#define SELECT_PLAIN                                                                               \
    "SELECT entity, field, CASE WHEN secret AND NOT $2::boolean THEN NULL ELSE value END AS "      \
    "value,"                                                                                       \
    " secret, operation, recorded_at"
#define SELECT_SHOWN                                                                               \
    "SELECT field, CASE WHEN secret AND NOT $2::boolean THEN '***' ELSE value::text END AS shown," \
    " operation, to_char(recorded_at, 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') AS recorded_at"
#define LATEST " FROM hler.results WHERE entity = $1::uuid ORDER BY field"
#define HISTORY                                                                                    \
    ", mode, stale FROM hler.result_history h WHERE entity = $1::uuid ORDER BY h.recorded_at, seq"

static const struct column columns[] = {
    {"FIELD", "field", false},
    {"VALUE", "shown", false},
    {"OPERATION", "operation", false},
    {"RECORDED", "recorded_at", false},
};

static const struct column history_columns[] = {
    {"RECORDED", "recorded_at", false},
    {"FIELD", "field", false},
    {"MODE", "mode", false},
    {"VALUE", "shown", false},
    {"STALE", "stale", false},
    {"OPERATION", "operation", false},
};

static int
run(struct cli *cli, const struct args *args)
{
    bool all = args_flag(args, "history");

    if (!uuid_valid(args->words[0])) {
        cli_say("\"%s\" is no UUID: give the entity's id", args->words[0]);
        return CLI_USAGE;
    }
    int code = cli_connect(cli);
    if (code != CLI_OK)
        return code;
    struct pg_param params[] = {cli_param(args->words[0]),
                                cli_param(args_flag(args, "reveal") ? "true" : "false")};
    struct report report = {
        .sql = all ? SELECT_SHOWN HISTORY : SELECT_SHOWN LATEST,
        .json_sql = all ? SELECT_PLAIN HISTORY : SELECT_PLAIN LATEST,
        .params = params,
        .n_params = ARRAY_LEN(params),
        .columns = all ? history_columns : columns,
        .n_columns = all ? ARRAY_LEN(history_columns) : ARRAY_LEN(columns),
        .nothing = "no results for this entity",
    };
    return table_report(cli, &report);
}

static const struct opt options[] = {
    {"history", OPT_FLAG, NULL, "every value that came, not only the latest", 0, 0, false},
    {"reveal", OPT_FLAG, NULL, "show secret values too", 0, 0, false},
};

const struct command command_results = {
    .name = "results",
    .summary = "Show the results of an entity",
    .synopsis = "UUID [OPTIONS]",
    .min_words = 1,
    .max_words = 1,
    .options = options,
    .n_options = ARRAY_LEN(options),
    .help =
        "UUID is the entity's own, given as --target when it was asked for.  Secret values are\n"
        "*** (null in JSON) without --reveal.\n\n"
        "  hler results 0190f2a4-5c1e-7d3b-9c7e-2f6b1a0d4e5f\n"
        "  hler results 0190f2a4-5c1e-7d3b-9c7e-2f6b1a0d4e5f --history --json\n",
    .run = run,
};
