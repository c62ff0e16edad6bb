/* hler setting: figures in the tables, for all dispatchers alike. */
#include <stdio.h>

#include "dispatcher/cli/commands.h"
#include "dispatcher/cli/table.h"

static const struct column columns[] = {
    {"SETTING", "name", false}, {"VALUE", "value", true}, {"MEANING", "description", false}};

static int
run_list(struct cli *cli, const struct args *args)
{
    struct report report = {
        .sql = "SELECT name, value, description FROM hler.setting ORDER BY name",
        .columns = columns,
        .n_columns = ARRAY_LEN(columns),
        .nothing = "no settings",
    };
    int code = cli_connect(cli);

    (void)args;
    return code == CLI_OK ? table_report(cli, &report) : code;
}

static int
run_set(struct cli *cli, const struct args *args)
{
    CLEANUP(pg_result_cleanup) struct pg_result *rows = NULL;
    const char *name = args->words[0], *value = args->words[1];
    struct pg_param params[] = {cli_param(name), cli_param(value)};
    int64_t number;

    if (args_number(value, 0, INT64_MAX, &number) == -1) {
        cli_say("%s: \"%s\" is not a whole number from 0", name, value);
        return CLI_USAGE;
    }
    int code = cli_connect(cli);
    if (code == CLI_OK)
        code = cli_exec(cli, "SELECT hler_core.setting_set($1, $2::bigint) AS was", params,
                        ARRAY_LEN(params), &rows);
    if (code == CLI_NOT_FOUND)
        cli_say("`hler setting list` shows them");
    if (code != CLI_OK)
        return code;
    if (cli->json)
        printf("{\"name\":\"%s\",\"was\":%s,\"value\":%lld}\n", name, pg_get(rows, 0, "was"),
               (long long)number);
    else
        printf("%s is %lld now, was %s\n", name, (long long)number, pg_get(rows, 0, "was"));
    return CLI_OK;
}

const struct command command_setting_list = {
    .name = "setting list",
    .summary = "List the settings in the tables: limits, and how long what is kept",
    .synopsis = "",
    .help = "  hler setting list\n",
    .run = run_list,
};

const struct command command_setting_set = {
    .name = "setting set",
    .summary = "Change a setting in the tables; all dispatchers obey at once",
    .synopsis = "NAME VALUE",
    .min_words = 2,
    .max_words = 2,
    .help = "output_keep_days: events and output go by whole days, once all attempts that were "
            "offered\n"
            "on a day have ended.  operation_keep_days: ended operations go with all of theirs, "
            "but not\n"
            "those that sent results, nor those that a retry refers to.  0 keeps for ever.\n\n"
            "  hler setting set output_keep_days 365\n",
    .run = run_set,
};
