/* hler workers, hler pools: who can run tasks. */
#include "dispatcher/cli/commands.h"
#include "dispatcher/cli/table.h"

static const struct column worker_columns[] = {
    {"WORKER", "id", false},       {"STATE", "state", false},  {"POOL", "pool", false},
    {"SLOTS", "slots", true},      {"FREE", "free", true},     {"RUNNING", "running", true},
    {"SEEN", "seen", true},        {"UNSENT", "unsent", true}, {"VERSION", "version", false},
    {"EXECUTORS", "kinds", false}, {"DRAIN", "drain", false},  {"NOTE", "note", false},
};

static const struct column pool_columns[] = {
    {"POOL", "name", false},      {"WORKERS", "workers", true}, {"SLOTS", "slots", true},
    {"FREE", "free", true},       {"READY", "ready", true},     {"OFFERED", "offered", true},
    {"RUNNING", "running", true}, {"HELD", "held", true},       {"NOTE", "note", false},
};

static int
run_workers(struct cli *cli, const struct args *args)
{
    struct report report = {
        .sql = "SELECT w.*, round(silent_ms / 1000.0, 1) || ' s ago' AS seen,"
               " round(oldest_unsent_ms / 1000.0, 1) || ' s' AS unsent,"
               " (SELECT string_agg(k, ' ' ORDER BY k) FROM jsonb_object_keys(executors::jsonb) k)"
               " AS kinds FROM hler.workers w ORDER BY pool, id",
        .json_sql = "SELECT * FROM hler.workers ORDER BY pool, id",
        .columns = worker_columns,
        .n_columns = ARRAY_LEN(worker_columns),
        .nothing = "no worker was ever seen; start hler-worker",
    };
    int code = cli_connect(cli);

    (void)args;
    return code == CLI_OK ? table_report(cli, &report) : code;
}

static int
run_pools(struct cli *cli, const struct args *args)
{
    struct report report = {
        .sql = "SELECT * FROM hler.pools ORDER BY name",
        .columns = pool_columns,
        .n_columns = ARRAY_LEN(pool_columns),
        .nothing = "no pool has a worker or a task",
    };
    int code = cli_connect(cli);

    (void)args;
    return code == CLI_OK ? table_report(cli, &report) : code;
}

const struct command command_workers = {
    .name = "workers",
    .summary = "List the workers and what each can run",
    .synopsis = "",
    .help = "live: heard of lately.  draining: takes nothing new.  silent: not heard of; what it\n"
            "runs may go on.  stopped: said good-bye.\n"
            "DRAIN is what became of `hler drain`: asked, draining, quiet.\n\n"
            "  hler workers\n",
    .run = run_workers,
};

const struct command command_pools = {
    .name = "pools",
    .summary = "List the pools, their tasks and free slots",
    .synopsis = "",
    .help = "  hler pools\n",
    .run = run_pools,
};
