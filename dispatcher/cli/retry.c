/* hler retry: an ended operation again, as a new one. */
#include "common/uuid.h"
#include "dispatcher/cli/await.h"
#include "dispatcher/cli/commands.h"
#include "dispatcher/cli/opref.h"

#define TIMEOUT_MAX_S (30 * 24 * 3600)

static int
run(struct cli *cli, const struct args *args)
{
    CLEANUP(pg_result_cleanup) struct pg_result *rows = NULL;
    char id[UUID_TEXT_SIZE];
    int code = cli_connect(cli);

    if (code == CLI_OK)
        code = opref_resolve(cli, args->words[0], id);
    if (code != CLI_OK)
        return code;
    struct pg_param params[] = {cli_param(id), cli_param(args_text(args, "reason")),
                                cli_param(args_text(args, "actor"))};
    code = cli_exec(cli, "SELECT hler.retry($1, reason => $2, actor => $3) AS id", params,
                    ARRAY_LEN(params), &rows);
    return code == CLI_OK ? await_started(cli, args, pg_get(rows, 0, "id")) : code;
}

static const struct opt options[] = {
    {"reason", OPT_TEXT, "TEXT", "why", 0, 0, false},
    {"actor", OPT_TEXT, "WHO", "the person behind this request", 0, 0, false},
    {"wait", OPT_FLAG, NULL, "wait for the end; the exit code says which", 0, 0, false},
    {"follow", OPT_FLAG, NULL, "the same, writing the output as it comes", 0, 0, false},
    {"timeout", OPT_INT, "SECONDS", "longest wait (default: no limit)", 1, TIMEOUT_MAX_S, false},
};

const struct command command_retry = {
    .name = "retry",
    .summary = "Run an ended operation again, as a new one",
    .synopsis = "OP [OPTIONS]",
    .min_words = 1,
    .max_words = 1,
    .options = options,
    .n_options = ARRAY_LEN(options),
    .help = "Tasks that succeeded stand as reused, with their outputs.  Prints the new id.\n\n"
            "  hler retry last --reason 'disk was full' --follow\n",
    .run = run,
};
