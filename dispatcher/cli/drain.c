/* hler drain: workers finish what they run and take nothing new. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/clock.h"
#include "dispatcher/cli/commands.h"
#include "dispatcher/cli/table.h"

#define TIMEOUT_MAX_S (30 * 24 * 3600)
#define LOOK_NS 200000000L
#define S_NS INT64_C(1000000000)

static const struct column columns[] = {
    {"WORKER", "id", false},      {"STATE", "state", false}, {"DRAIN", "drain", false},
    {"RUNNING", "running", true}, {"NOTE", "note", false},
};

#define WORKERS                                                                                    \
    " FROM hler.workers WHERE CASE $1::text WHEN 'pool' THEN pool ELSE id END = $2::text"

/* What is drained: parameters of all statements here. */
struct target {
    const char *kind, *name;
};

/* A line for each worker that has changed since the last look. */
static int
look(struct cli *cli, const struct target *t, struct buf *last, bool *quiet)
{
    CLEANUP(pg_result_cleanup) struct pg_result *rows = NULL;
    struct pg_param params[] = {cli_param(t->kind), cli_param(t->name)};
    int code = cli_exec(cli,
                        "SELECT string_agg(id || ' ' || coalesce(drain, '-') || ', ' || running ||"
                        " ' running', '; ' ORDER BY id) AS line,"
                        " coalesce(bool_and(drain = 'quiet'), true) AS quiet" WORKERS,
                        params, ARRAY_LEN(params), &rows);

    if (code != CLI_OK)
        return code;
    *quiet = pg_get_bool(rows, 0, "quiet");
    const char *now = pg_get(rows, 0, "line");
    if (now != NULL && (last->data == NULL || strcmp(last->data, now) != 0)) {
        if (!cli->json)
            cli_say("%s", now);
        buf_clear(last);
        buf_puts(last, now);
    }
    return CLI_OK;
}

static int
wait_until_quiet(struct cli *cli, const struct target *t, int64_t timeout_s)
{
    CLEANUP(buf_free) struct buf last = {0};
    const struct timespec pause = {0, LOOK_NS};
    int64_t end = timeout_s > 0 ? clock_mono_ns() + timeout_s * S_NS : INT64_MAX;

    for (;;) {
        bool quiet;
        int code = look(cli, t, &last, &quiet);

        if (code != CLI_OK || quiet)
            return code;
        if (clock_mono_ns() > end) {
            cli_say("not quiet after %lld s; it goes on draining", (long long)timeout_s);
            return CLI_TIMEOUT;
        }
        (void)nanosleep(&pause, NULL);
    }
}

static int
drain(struct cli *cli, const struct args *args, const struct target *t)
{
    struct pg_param params[] = {cli_param(t->kind), cli_param(t->name),
                                cli_param(args_text(args, "actor")),
                                cli_param(args_text(args, "reason"))};
    int code =
        cli_exec(cli, "SELECT hler_core.drain($1, $2, $3, $4)", params, ARRAY_LEN(params), NULL);
    struct report report = {
        .sql = "SELECT id, state, drain, running, note" WORKERS " ORDER BY id",
        .params = params,
        .n_params = 2,
        .columns = columns,
        .n_columns = ARRAY_LEN(columns),
        .nothing = "no worker of it is known; one that comes will take nothing",
    };

    if (code != CLI_OK)
        return code;
    int waited =
        args_flag(args, "wait") ? wait_until_quiet(cli, t, args_int(args, "timeout", 0)) : CLI_OK;
    if (waited != CLI_OK && waited != CLI_TIMEOUT)
        return waited;
    code = table_report(cli, &report);
    return code == CLI_OK ? waited : code;
}

static int
undo(struct cli *cli, const struct target *t)
{
    CLEANUP(pg_result_cleanup) struct pg_result *rows = NULL;
    struct pg_param params[] = {cli_param(t->kind), cli_param(t->name)};
    int code =
        cli_exec(cli, "SELECT hler_core.undrain($1, $2) AS was", params, ARRAY_LEN(params), &rows);

    if (code != CLI_OK)
        return code;
    if (!pg_get_bool(rows, 0, "was")) {
        cli_say("nobody had asked for the drain of %s %s: see `hler workers`", t->kind, t->name);
        return CLI_NOT_FOUND;
    }
    printf(cli->json ? "{\"undone\":\"%s\"}\n" : "%s takes work again with its next heartbeat\n",
           t->name);
    return CLI_OK;
}

static int
run(struct cli *cli, const struct args *args)
{
    const char *pool = args_text(args, "pool");
    struct target t = {pool != NULL ? "pool" : "worker", pool};

    if ((args->n_words == 0) == (pool == NULL)) {
        cli_say("name one worker, or --pool POOL; `hler workers` shows both");
        return CLI_USAGE;
    }
    if (pool == NULL)
        t.name = args->words[0];
    int code = cli_connect(cli);
    if (code != CLI_OK)
        return code;
    return args_flag(args, "undo") ? undo(cli, &t) : drain(cli, args, &t);
}

static const struct opt options[] = {
    {"pool", OPT_TEXT, "POOL", "all workers of this pool, also those that come later", 0, 0, false},
    {"wait", OPT_FLAG, NULL, "wait until nothing runs any more", 0, 0, false},
    {"timeout", OPT_INT, "SECONDS", "longest wait (default: no limit)", 1, TIMEOUT_MAX_S, false},
    {"undo", OPT_FLAG, NULL, "take work again", 0, 0, false},
    {"reason", OPT_TEXT, "TEXT", "why; shown by `hler workers`", 0, 0, false},
    {"actor", OPT_TEXT, "WHO", "the person behind this request", 0, 0, false},
};

const struct command command_drain = {
    .name = "drain",
    .summary = "Have a worker, or a pool, finish what runs and take nothing new",
    .synopsis = "WORKER | --pool POOL [OPTIONS]",
    .max_words = 1,
    .options = options,
    .n_options = ARRAY_LEN(options),
    .help =
        "It lasts until --undo, over restarts of all programs.  A worker hears of it by its next\n"
        "heartbeat, also one that was away.  asked: not heard yet.  draining: finishes what it\n"
        "has.  quiet: nothing runs there, and nothing will.  Not needed for an upgrade: restart a\n"
        "worker at any time, its tasks go on.\n\n"
        "  hler drain --pool default --wait --reason 'new disks'\n"
        "  hler drain --pool default --undo\n",
    .run = run,
};
