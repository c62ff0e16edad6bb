/* What the tables say about the platform's health. */
#include <string.h>
#include <time.h>

#include "common/buf.h"
#include "common/clock.h"
#include "dispatcher/cli/checks.h"

#define STEP_DATABASE "database"
#define TICK_LATE_MS 15000
#define TICK_WAIT_MS 5000
#define LOOK_NS 200000000L

bool
checks_database(struct checks *c)
{
    CLEANUP(pg_result_cleanup) struct pg_result *r = NULL;

    if (cli_connect(c->cli) != CLI_OK) {
        checks_add(c, FINDING_ILL, STEP_DATABASE, "see what is said above",
                   "cannot be used with this DSN and this version of hler");
        return false;
    }
    if (cli_exec(c->cli,
                 "SELECT current_database() AS db, session_user AS login,"
                 " current_setting('server_version') AS version,"
                 " pg_has_role(session_user, 'hler_operator', 'member') AS operator",
                 NULL, 0, &r) != CLI_OK) {
        checks_add(c, FINDING_ILL, STEP_DATABASE, NULL, "does not answer");
        return false;
    }
    checks_add(c, FINDING_OK, STEP_DATABASE, NULL, "PostgreSQL %s, database %s, schema version %d",
               pg_get(r, 0, "version"), pg_get(r, 0, "db"), cli_schema_version());
    if (!pg_get_bool(r, 0, "operator")) {
        checks_add(c, FINDING_ILL, "login", "use --dsn with a member of hler_operator",
                   "%s is no operator and cannot see the whole", pg_get(r, 0, "login"));
        return false;
    }
    checks_add(c, FINDING_OK, "login", NULL, "%s, a member of hler_operator",
               pg_get(r, 0, "login"));
    return true;
}

/* Run a query for one step; a failure is that step's finding. */
static bool
ask(struct checks *c, const char *step, const char *sql, struct pg_result **rows)
{
    if (cli_exec(c->cli, sql, NULL, 0, rows) == CLI_OK)
        return true;
    checks_add(c, FINDING_ILL, step, "see what is said above", "could not be asked");
    return false;
}

/* The last tick's age.  Right after the start of all there is none yet, and after an outage an
 * old one: a dispatcher that runs ticks within seconds. */
static bool
await_tick(struct checks *c, struct pg_result **r)
{
    const struct timespec pause = {0, LOOK_NS};
    int64_t end = clock_mono_ns() + TICK_WAIT_MS * CLOCK_MS_NS;

    for (bool told = false;; told = true) {
        if (!ask(
                c, "dispatcher",
                "SELECT (extract(epoch FROM clock_timestamp() - last_tick_at) * 1000)::bigint AS ms"
                " FROM hler.silence",
                r))
            return false;
        bool ticks = pg_rows(*r) > 0 && pg_get(*r, 0, "ms") != NULL &&
                     pg_get_int(*r, 0, "ms") <= TICK_LATE_MS;
        if (ticks || clock_mono_ns() > end)
            return true;
        if (!told)
            cli_say("waiting up to %d s for a dispatcher's tick", TICK_WAIT_MS / 1000);
        pg_result_cleanup(r);
        *r = NULL;
        (void)nanosleep(&pause, NULL);
    }
}

static void
check_dispatchers(struct checks *c)
{
    CLEANUP(pg_result_cleanup) struct pg_result *r = NULL;

    if (!await_tick(c, &r))
        return;
    if (pg_rows(r) == 0 || pg_get(r, 0, "ms") == NULL)
        checks_add(c, FINDING_ILL, "dispatcher",
                   "start hler-dispatcher; its log says why it is not", "no tick was ever seen");
    else if (pg_get_int(r, 0, "ms") > TICK_LATE_MS)
        checks_add(c, FINDING_ILL, "dispatcher",
                   "see that hler-dispatcher runs and reaches the broker: its log says",
                   "the last tick came %lld s ago", (long long)pg_get_int(r, 0, "ms") / 1000);
    else
        checks_add(c, FINDING_OK, "dispatcher", NULL, "last tick %lld ms ago",
                   (long long)pg_get_int(r, 0, "ms"));
}

/* One with a note.  What a person asked for, or what nothing waits for, is not ill. */
static enum finding
judge_pool(const struct pg_result *r, size_t i, const char **todo)
{
    bool waits = pg_get_int(r, i, "ready") + pg_get_int(r, i, "offered") > 0;

    if (pg_get_bool(r, i, "drained")) {
        *todo = "when it may work again: `hler drain --pool NAME --undo`";
        return FINDING_NOTE;
    }
    if (pg_get_int(r, i, "workers") == 0 && pg_get_bool(r, i, "draining")) {
        *todo = "when they may work again: `hler drain WORKER --undo`; or start others";
        return waits ? FINDING_ILL : FINDING_NOTE;
    }
    if (pg_get_int(r, i, "workers") == 0) {
        *todo = "start a worker with this pool, or see why it is silent";
        return FINDING_ILL;
    }
    *todo = "start a worker that has it, or apply a version of the type that needs another";
    return waits ? FINDING_ILL : FINDING_NOTE;
}

static void
check_pools(struct checks *c)
{
    CLEANUP(pg_result_cleanup) struct pg_result *r = NULL;
    size_t ill = 0, live = 0;

    if (!ask(c, "pools",
             "SELECT name, ready, offered, held, workers, note,"
             " note LIKE 'drained by %' AS drained,"
             " EXISTS (SELECT FROM hler.workers w WHERE w.pool = p.name AND w.state = 'draining')"
             " AS draining FROM hler.pools p ORDER BY name",
             &r))
        return;
    for (size_t i = 0; i < pg_rows(r); i++) {
        const char *note = pg_get(r, i, "note"), *todo = NULL;
        enum finding finding;

        live += pg_get_int(r, i, "workers") > 0 ? 1 : 0;
        if (note == NULL || note[0] == '\0')
            continue;
        finding = judge_pool(r, i, &todo);
        ill += finding == FINDING_ILL ? 1 : 0;
        checks_add(c, finding, "pools", todo, "%s: %s (%s tasks ready)", pg_get(r, i, "name"), note,
                   pg_get(r, i, "ready"));
    }
    for (size_t i = 0; i < pg_rows(r); i++)
        if (pg_get_int(r, i, "held") > 0)
            checks_add(c, FINDING_NOTE, "pools", "see `hler list --state held`",
                       "%s: %s tasks are held and need a person", pg_get(r, i, "name"),
                       pg_get(r, i, "held"));
    if (ill == 0)
        checks_add(c, FINDING_OK, "pools", NULL, "%zu with live workers", live);
}

static void
check_workers(struct checks *c)
{
    CLEANUP(pg_result_cleanup) struct pg_result *r = NULL;
    size_t live = 0, silent = 0, draining = 0;

    if (!ask(c, "workers", "SELECT id, state, silent_ms, note FROM hler.workers ORDER BY id", &r))
        return;
    for (size_t i = 0; i < pg_rows(r); i++) {
        const char *state = pg_get(r, i, "state"), *note = pg_get(r, i, "note");
        draining += strcmp(state, "draining") == 0 ? 1 : 0;
        if (strcmp(state, "silent") == 0) {
            silent++;
            checks_add(c, FINDING_ILL, "workers", "see its machine and its log",
                       "%s is silent since %lld s", pg_get(r, i, "id"),
                       (long long)pg_get_int(r, i, "silent_ms") / 1000);
        } else if (strcmp(state, "live") == 0) {
            live++;
            if (note != NULL && note[0] != '\0')
                checks_add(c, FINDING_NOTE, "workers", NULL, "%s: %s", pg_get(r, i, "id"), note);
        }
    }
    if (live == 0 && draining > 0)
        checks_add(c, FINDING_NOTE, "workers", "`hler workers` says by whom, and how far it is",
                   "all %zu are draining: nothing new is taken", draining);
    else if (live == 0)
        checks_add(c, FINDING_ILL, "workers", "start hler-worker; its log says why it is not",
                   "none is live");
    else if (silent == 0)
        checks_add(c, FINDING_OK, "workers", NULL, "%zu live", live);
}

static void
check_dead(struct checks *c)
{
    CLEANUP(pg_result_cleanup) struct pg_result *r = NULL;

    if (!ask(c, "set aside",
             "SELECT count(*) AS n, max(received_at)::text AS newest,"
             " (SELECT reason FROM hler.dead_message ORDER BY id DESC LIMIT 1) AS reason"
             " FROM hler.dead_message",
             &r))
        return;
    if (pg_get_int(r, 0, "n") == 0)
        checks_add(c, FINDING_OK, "set aside", NULL, "no message");
    else
        checks_add(c, FINDING_NOTE, "set aside", "see `hler dead list`",
                   "%s messages were not understood; the newest at %s: %s", pg_get(r, 0, "n"),
                   pg_get(r, 0, "newest"), pg_get(r, 0, "reason"));
}

void
checks_tables(struct checks *c)
{
    check_dispatchers(c);
    check_workers(c);
    check_pools(c);
    check_dead(c);
}
