/* hler log: what the programs wrote. */
#include "common/uuid.h"
#include "dispatcher/cli/await.h"
#include "dispatcher/cli/commands.h"
#include "dispatcher/cli/opref.h"
#include "dispatcher/cli/output.h"

/* *outcome = the exit code for its state. */
static int
look(struct cli *cli, const char *id, bool *settled, int *outcome)
{
    CLEANUP(pg_result_cleanup) struct pg_result *rows = NULL;
    struct pg_param params[] = {cli_param(id)};
    int code = cli_exec(cli, "SELECT state FROM hler.operations WHERE id = $1::uuid", params,
                        ARRAY_LEN(params), &rows);

    *settled = true;
    if (code == CLI_OK && pg_rows(rows) > 0)
        *outcome = await_code(pg_get(rows, 0, "state"), settled);
    return code;
}

/* Show what there is; with follow, until the operation has ended and its output is in, and then
 * return the exit code for its end. */
static int
show(struct cli *cli, const struct output_options *what, bool follow)
{
    struct await *await = await_new(cli, 0, follow);
    struct output *output = output_new(cli, what);
    bool settled = false;
    int code, outcome = CLI_OK;

    for (;;) {
        code = look(cli, what->operation, &settled, &outcome);
        if (code == CLI_OK)
            code = output_more(output);
        if (code != CLI_OK || !follow || (settled && output_is_in(output)))
            break;
        if ((code = await_next(await)) != CLI_OK)
            break;
    }
    if (code == CLI_OK)
        output_end(output, follow);
    output_free(output);
    await_free(await);
    return code == CLI_OK && follow ? outcome : code;
}

static int
run(struct cli *cli, const struct args *args)
{
    char id[UUID_TEXT_SIZE];
    int code = cli_connect(cli);

    if (code == CLI_OK)
        code = opref_resolve(cli, args->words[0], id);
    if (code != CLI_OK)
        return code;
    bool follow = args_flag(args, "follow");
    struct output_options what = {.operation = id,
                                  .task = args_text(args, "task"),
                                  .raw = args_flag(args, "raw"),
                                  .ordered = !follow};
    return show(cli, &what, follow);
}

static const struct opt options[] = {
    {"follow", OPT_FLAG, NULL, "go on until the operation has ended", 0, 0, false},
    {"task", OPT_TEXT, "NAME", "only this task", 0, 0, false},
    {"raw", OPT_FLAG, NULL, "the very bytes, even on a terminal", 0, 0, false},
};

const struct command command_log = {
    .name = "log",
    .summary = "Show the output of an operation's tasks",
    .synopsis = "OP [OPTIONS]",
    .min_words = 1,
    .max_words = 1,
    .options = options,
    .n_options = ARRAY_LEN(options),
    .help =
        "Standard output and standard error, in the order in which they were written.  With\n"
        "several tasks each line has its task's name in front.  On a terminal control\n"
        "characters are made visible unless --raw is given.  With --json: a line of JSON each.\n"
        "With --follow the exit code says how the operation ended.\n\n"
        "  hler log last --follow\n"
        "  hler log 0190f2a4 --task build --raw >build.log\n",
    .run = run,
};
