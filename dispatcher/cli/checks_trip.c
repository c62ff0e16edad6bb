/* One operation that does nothing, through every part and back. */
#include <stdio.h>
#include <string.h>

#include "common/uuid.h"
#include "dispatcher/cli/await.h"
#include "dispatcher/cli/checks.h"
#include "dispatcher/cli/opref.h"

#define STEP "round trip"
#define TRIP_S 10
#define PRIORITY                                                                                   \
    "100" /* the highest: before all that waits, or a backlog would look like an illness */

/* The hops in their order; what is ill when one is not reached. */
static const struct {
    const char *name, *column, *todo;
} hops[] = {
    {"offered", "offered", "no dispatcher took it: see hler-dispatcher's log"},
    {"granted", "granted", "no worker claimed it: see `hler workers`, `hler pools` and their logs"},
    {"started", "started", "the worker did not start it: see the worker's log"},
    {"finished", "finished", "the worker's events did not come back: see both logs"},
    {"recorded", "ended", "the end was not drawn from the events: see hler-dispatcher's log"},
};

static int
submit(struct checks *c, char id[UUID_TEXT_SIZE])
{
    CLEANUP(pg_result_cleanup) struct pg_result *r = NULL;
    int code = cli_exec(c->cli,
                        "SELECT hler.submit('hler.ping', '{}',"
                        " labels => '{\"" OPREF_ASIDE_LABEL
                        "\": \"hler doctor\"}', priority => " PRIORITY ") AS id",
                        NULL, 0, &r);

    if (code == CLI_OK)
        snprintf(id, UUID_TEXT_SIZE, "%s", pg_get(r, 0, "id"));
    return code;
}

/* When it passed each hop, in ms since it was created; NULL = not yet. */
static int
read_hops(struct checks *c, const char *id, struct pg_result **r)
{
    struct pg_param params[] = {cli_param(id)};

    return cli_exec(c->cli,
                    "SELECT o.state, o.message, a.worker,"
                    " round(extract(epoch FROM a.offered_at - o.created_at) * 1000) AS offered,"
                    " round(extract(epoch FROM a.granted_at - o.created_at) * 1000) AS granted,"
                    " round(extract(epoch FROM a.started_at - o.created_at) * 1000) AS started,"
                    " round(extract(epoch FROM a.finished_at - o.created_at) * 1000) AS finished,"
                    " round(extract(epoch FROM o.finished_at - o.created_at) * 1000) AS ended"
                    " FROM hler.operations o LEFT JOIN hler.attempts a ON a.operation = o.id"
                    " WHERE o.id = $1::uuid ORDER BY a.attempt DESC LIMIT 1",
                    params, ARRAY_LEN(params), r);
}

static void
add_finding(struct checks *c, const char *id, const struct pg_result *r)
{
    CLEANUP(buf_free) struct buf path = {0};
    const char *todo = NULL;

    buf_puts(&path, "created 0");
    for (size_t i = 0; i < ARRAY_LEN(hops) && todo == NULL; i++) {
        const char *ms = pg_get(r, 0, hops[i].column);
        if (ms != NULL)
            buf_printf(&path, ", %s %s", hops[i].name, ms);
        else
            todo = hops[i].todo;
    }
    if (strcmp(pg_get(r, 0, "state"), "succeeded") == 0)
        checks_add(c, FINDING_OK, STEP, NULL, "%s ms, by %s", path.data, pg_get(r, 0, "worker"));
    else
        checks_add(c, FINDING_ILL, STEP, todo != NULL ? todo : "see `hler show` of it",
                   "%s is %s after %s ms%s%s", id, pg_get(r, 0, "state"), path.data,
                   pg_get(r, 0, "message") != NULL ? ": " : "",
                   pg_get(r, 0, "message") != NULL ? pg_get(r, 0, "message") : "");
}

/* One that did not come back must not come back later. */
static void
give_up(struct checks *c, const char *id)
{
    struct pg_param params[] = {cli_param(id)};

    if (cli_exec(c->cli, "SELECT hler.cancel($1, reason => 'hler doctor did not wait longer')",
                 params, ARRAY_LEN(params), NULL) != CLI_OK)
        cli_say("the ping %s could not be cancelled", id);
}

void
checks_round_trip(struct checks *c)
{
    CLEANUP(pg_result_cleanup) struct pg_result *r = NULL;
    char id[UUID_TEXT_SIZE];
    bool settled = false;
    int waited = CLI_OK;

    if (submit(c, id) != CLI_OK) {
        checks_add(c, FINDING_ILL, STEP, "hler catalog apply deploy/examples/ping.cfg",
                   "the type hler.ping cannot be submitted");
        return;
    }
    struct await *await = await_new(c->cli, TRIP_S, false);
    while (read_hops(c, id, &r) == CLI_OK && pg_rows(r) > 0) {
        (void)await_code(pg_get(r, 0, "state"), &settled);
        if (settled || waited != CLI_OK)
            break;
        waited = await_next(await);
        pg_result_cleanup(&r);
        r = NULL;
    }
    await_free(await);
    if (r == NULL || pg_rows(r) == 0)
        checks_add(c, FINDING_ILL, STEP, "see what is said above", "%s cannot be looked at", id);
    else
        add_finding(c, id, r);
    if (!settled)
        give_up(c, id);
}
