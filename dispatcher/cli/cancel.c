/* hler cancel: stop an operation. */
#include <stdio.h>
#include <string.h>

#include "common/uuid.h"
#include "dispatcher/cli/await.h"
#include "dispatcher/cli/commands.h"
#include "dispatcher/cli/opref.h"

/* The database takes a request that comes too late as well: it has nothing left to do. */
static void
print_outcome(const struct cli *cli, const char *id, const struct pg_result *rows)
{
    const char *state = pg_get(rows, 0, "state"), *was = pg_get(rows, 0, "was");
    bool settled;

    (void)await_code(was, &settled);
    if (cli->json)
        printf("{\"id\":\"%s\",\"was\":\"%s\",\"state\":\"%s\"}\n", id, was, state);
    else if (strcmp(was, "held") == 0)
        printf("%s: was held; it is %s, and its lost attempt counts no more\n", id, state);
    else if (settled)
        printf("%s: had ended already, nothing to stop: it is %s\n", id, state);
    else
        printf("%s: asked to stop; it is %s\n", id, state);
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
    struct pg_param params[] = {cli_param(id), cli_param(args_text(args, "reason")),
                                cli_param(args_text(args, "actor"))};
    code = cli_exec(cli,
                    "SELECT o.state AS was, hler.cancel(o.id, reason => $2, actor => $3) AS state"
                    " FROM hler.operations o WHERE o.id = $1::uuid",
                    params, ARRAY_LEN(params), &rows);
    if (code == CLI_OK)
        print_outcome(cli, id, rows);
    return code;
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
