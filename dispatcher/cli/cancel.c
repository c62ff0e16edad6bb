/* hler cancel: stop an operation. */
#include <stdio.h>

#include "common/uuid.h"
#include "dispatcher/cli/commands.h"
#include "dispatcher/cli/opref.h"

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
    code = cli_exec(cli, "SELECT hler.cancel($1, reason => $2, actor => $3) AS state", params,
                    ARRAY_LEN(params), &rows);
    if (code != CLI_OK)
        return code;
    /* Its state afterwards: the database takes a request that comes too late as well. */
    const char *state = pg_get(rows, 0, "state");
    if (cli->json)
        printf("{\"id\":\"%s\",\"state\":\"%s\"}\n", id, state);
    else
        printf("%s: asked to stop; it is %s\n", id, state);
    return CLI_OK;
}

static const struct opt options[] = {
    {"reason", OPT_TEXT, "TEXT", "why", 0, 0, false},
    {"actor", OPT_TEXT, "WHO", "the person behind this request", 0, 0, false},
};

const struct command command_cancel = {
    .name = "cancel",
    .summary = "Stop an operation",
    .synopsis = "OP [OPTIONS]",
    .min_words = 1,
    .max_words = 1,
    .options = options,
    .n_options = ARRAY_LEN(options),
    .help = "Tasks that have not begun never will; a running program gets its signal, and after\n"
            "its grace is ended with all it started.  Returns at once: `hler watch OP` shows the\n"
            "end.\n\n"
            "  hler cancel last --reason 'wrong title'\n",
    .run = run,
};
