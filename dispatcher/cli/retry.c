/* hler retry: an ended operation again, as a new one; or what is held after a lost attempt. */
#include "common/uuid.h"
#include "dispatcher/cli/await.h"
#include "dispatcher/cli/commands.h"
#include "dispatcher/cli/opref.h"

#define TIMEOUT_MAX_S (30 * 24 * 3600)

/* The same operation goes on: its held tasks get another attempt. */
static int
retry_lost(struct cli *cli, const struct args *args, const char *id)
{
    CLEANUP(pg_result_cleanup) struct pg_result *rows = NULL;
    struct pg_param params[] = {cli_param(id), cli_param(args_text(args, "reason")),
                                cli_param(args_text(args, "actor"))};
    int code = cli_exec(cli,
                        "SELECT name, attempt, coalesce(worker, '-') AS worker"
                        " FROM hler.retry_lost($1, reason => $2, actor => $3)",
                        params, ARRAY_LEN(params), &rows);

    for (size_t i = 0; code == CLI_OK && i < pg_rows(rows); i++)
        cli_say("task %s runs again; its attempt %s by worker %s counts no more, whatever becomes "
                "of it",
                pg_get(rows, i, "name"), pg_get(rows, i, "attempt"), pg_get(rows, i, "worker"));
    return code == CLI_OK ? await_started(cli, args, id) : code;
}

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
    if (args_flag(args, "lost"))
        return retry_lost(cli, args, id);
    struct pg_param params[] = {cli_param(id), cli_param(args_text(args, "reason")),
                                cli_param(args_text(args, "actor"))};
    code = cli_exec(cli, "SELECT hler.retry($1, reason => $2, actor => $3) AS id", params,
                    ARRAY_LEN(params), &rows);
    return code == CLI_OK ? await_started(cli, args, pg_get(rows, 0, "id")) : code;
}

static const struct opt options[] = {
    {"reason", OPT_TEXT, "TEXT", "why", 0, 0, false},
    {"actor", OPT_TEXT, "WHO", "the person behind this request", 0, 0, false},
    {"lost", OPT_FLAG, NULL, "run again what is held, though its last run may not be over", 0, 0,
     false},
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
    .help =
        "Tasks that succeeded stand as reused, with their outputs.  Prints the new id.\n\n"
        "With --lost: an operation that is held because nobody knows whether its task still runs.\n"
        "See first, on the worker's machine and the hosts, that the old run is over.  The task is\n"
        "then run again in the same operation, and the old attempt counts no more: if its worker\n"
        "comes back, it is stopped.  Refused when nothing is held.\n\n"
        "  hler retry last --lost --reason 'host was reinstalled'\n"
        "  hler retry last --reason 'disk was full' --follow\n",
    .run = run,
};
