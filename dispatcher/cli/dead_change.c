/* hler dead redrive, hler dead drop: what people do with messages that were set aside.  The
 * tables note who did it and why. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/clock.h"
#include "dispatcher/cli/commands.h"
#include "dispatcher/cli/dead.h"
#include "dispatcher/cli/table.h"

#define WAIT_MS 15000 /* a dispatcher looks every 5 s */
#define LOOK_NS 100000000L

static const struct column columns[] = {
    {"MESSAGE", "id", true}, {"OUTCOME", "outcome", false}, {"NOTE", "note", false}};

/* The newest act on each. */
#define OUTCOMES                                                                                   \
    "SELECT DISTINCT ON (message) message AS id, act AS outcome,"                                  \
    " CASE WHEN act <> 'asked' THEN note END AS note FROM hler.dead_act"                           \
    " WHERE message = ANY ($1::bigint[]) ORDER BY message, no DESC"

static bool
any_is(const struct pg_result *rows, const char *outcome)
{
    for (size_t i = 0; i < pg_rows(rows); i++)
        if (strcmp(pg_get(rows, i, "outcome"), outcome) == 0)
            return true;
    return false;
}

/* CLI_OK once none waits for a dispatcher, CLI_FAILED when some are kept, CLI_TIMEOUT. */
static int
await_outcomes(struct cli *cli, const struct pg_param *ids)
{
    const struct timespec pause = {0, LOOK_NS};
    int64_t end = clock_mono_ns() + WAIT_MS * CLOCK_MS_NS;

    for (;;) {
        CLEANUP(pg_result_cleanup) struct pg_result *rows = NULL;
        int code = cli_exec(cli, OUTCOMES, ids, 1, &rows);

        if (code != CLI_OK)
            return code;
        if (!any_is(rows, "asked"))
            return any_is(rows, "kept") ? CLI_FAILED : CLI_OK;
        if (clock_mono_ns() > end)
            return CLI_TIMEOUT;
        (void)nanosleep(&pause, NULL);
    }
}

enum { IDS, ACTOR, REASON, CHANGE_PARAMS };

/* What both begin with: connect, and the messages that are meant.  `ids` is the caller's, and
 * `params` point into it. */
static int
open_change(struct cli *cli, const struct args *args, struct buf *ids,
            struct pg_param params[CHANGE_PARAMS])
{
    int code = cli_connect(cli);

    if (code == CLI_OK)
        code = dead_ids(cli, args, ids);
    if (code == CLI_OK) {
        params[IDS] = cli_param(ids->data);
        params[ACTOR] = cli_param(args_text(args, "actor"));
        params[REASON] = cli_param(args_text(args, "reason"));
    }
    return code;
}

static int
run_redrive(struct cli *cli, const struct args *args)
{
    CLEANUP(buf_free) struct buf ids = {0};
    struct pg_param params[CHANGE_PARAMS];
    int code = open_change(cli, args, &ids, params);
    struct report report = {
        .sql = OUTCOMES,
        .params = params,
        .n_params = 1,
        .columns = columns,
        .n_columns = ARRAY_LEN(columns),
    };

    if (code == CLI_OK)
        code = cli_exec(cli, "SELECT hler_core.dead_redrive($1::bigint[], $2, $3)", params,
                        CHANGE_PARAMS, NULL);
    if (code != CLI_OK)
        return code;
    int outcome = await_outcomes(cli, &params[IDS]);
    code = table_report(cli, &report);
    if (outcome == CLI_TIMEOUT)
        cli_say("no dispatcher has read all of them yet; the next that runs will");
    return code == CLI_OK ? outcome : code;
}

static int
run_drop(struct cli *cli, const struct args *args)
{
    CLEANUP(pg_result_cleanup) struct pg_result *rows = NULL;
    CLEANUP(buf_free) struct buf ids = {0};
    struct pg_param params[CHANGE_PARAMS];
    int code = open_change(cli, args, &ids, params);

    if (code == CLI_OK)
        code = cli_exec(cli, "SELECT hler_core.dead_drop($1::bigint[], $2, $3) AS n", params,
                        CHANGE_PARAMS, &rows);
    if (code == CLI_OK)
        printf(cli->json ? "{\"dropped\":%s}\n" : "dropped %s\n", pg_get(rows, 0, "n"));
    return code;
}

static const struct opt options[] = {
    DEAD_FAULT_OPTION,
    {"reason", OPT_TEXT, "TEXT", "why; noted with your login", 0, 0, false},
    {"actor", OPT_TEXT, "WHO", "the person behind this request", 0, 0, false},
};

const struct command command_dead_redrive = {
    .name = "dead redrive",
    .summary = "Read messages again that were set aside, now that they can be understood",
    .synopsis = "MESSAGE... | --fault REASON [OPTIONS]",
    .max_words = ARGS_NO_MAX,
    .options = options,
    .n_options = ARRAY_LEN(options),
    .help =
        "After an upgrade, say.  settled: it has done its work and is gone from here.  kept: it\n"
        "still cannot be used, the note says why (exit code 1).  Nothing is done twice: an event\n"
        "takes its place among those of its attempt or is a copy, and an offer is made anew\n"
        "from the tables, never sent again as it was.\n\n"
        "  hler dead redrive --fault bad_version --reason 'dispatcher upgraded'\n",
    .run = run_redrive,
};

const struct command command_dead_drop = {
    .name = "dead drop",
    .summary = "Delete messages that were set aside",
    .synopsis = "MESSAGE... | --fault REASON [OPTIONS]",
    .max_words = ARGS_NO_MAX,
    .options = options,
    .n_options = ARRAY_LEN(options),
    .help = "All or none.  Who, when and why is kept in hler.dead_act; the bytes are gone.\n\n"
            "  hler dead drop 1 --reason 'a test of mine'\n",
    .run = run_drop,
};
