/* Waiting for an operation to end. */
#include "dispatcher/cli/await.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/clock.h"
#include "common/mem.h"
#include "dispatcher/cli/output.h"
#include "dispatcher/cli/table.h"
#include "dispatcher/cli/text.h"

#define LOOK_MS 1000
#define LOOK_OUTPUT_MS 200 /* of output there is no hint: it would be one a line */
#define LOOK_LEAST_MS 100
#define NS_PER_S INT64_C(1000000000)

struct await {
    struct cli *cli;
    int64_t look_ms;   /* a look is worth it after so long */
    int64_t until_ns;  /* INT64_MAX = for ever */
    int64_t looked_ns; /* when await_next() last returned */
};

static const struct {
    const char *state;
    int code;
} ends[] = {
    {"succeeded", CLI_OK},
    {"failed", CLI_FAILED},
    {"cancelled", CLI_CANCELLED},
    {"held", CLI_HELD},
};

int
await_code(const char *state, bool *settled)
{
    *settled = true;
    for (size_t i = 0; i < ARRAY_LEN(ends); i++)
        if (strcmp(state, ends[i].state) == 0)
            return ends[i].code;
    *settled = false;
    return CLI_OK;
}

struct await *
await_new(struct cli *cli, int64_t timeout_s, bool output)
{
    struct await *a = mem_alloc(sizeof *a);

    a->cli = cli;
    a->look_ms = output ? LOOK_OUTPUT_MS : LOOK_MS;
    a->until_ns = timeout_s > 0 ? clock_mono_ns() + timeout_s * NS_PER_S : INT64_MAX;
    pg_listen(cli->pg, "hler");
    return a;
}

void
await_free(struct await *await)
{
    free(await);
}

static void
sleep_ns(int64_t ns)
{
    struct timespec t = {.tv_sec = ns / NS_PER_S, .tv_nsec = ns % NS_PER_S};

    if (ns > 0)
        nanosleep(&t, NULL);
}

/* Until a notification or `until_ns`. */
static void
wait_hint(struct await *a, int64_t until_ns)
{
    for (;;) {
        int64_t left = until_ns - clock_mono_ns();
        if (pg_notified(a->cli->pg) || left <= 0)
            return;
        struct pollfd p = {.fd = pg_socket(a->cli->pg), .events = POLLIN};
        if (p.fd == -1) {
            sleep_ns(left);
            return;
        }
        if (poll(&p, 1, (int)(left / CLOCK_MS_NS) + 1) == -1 && errno != EINTR)
            sleep_ns(left);
    }
}

int
await_next(struct await *await)
{
    /* A busy platform notifies all the time: do not look at every hint. */
    sleep_ns(await->looked_ns + LOOK_LEAST_MS * CLOCK_MS_NS - clock_mono_ns());
    int64_t until = clock_mono_ns() + await->look_ms * CLOCK_MS_NS;
    wait_hint(await, until < await->until_ns ? until : await->until_ns);
    await->looked_ns = clock_mono_ns();
    return await->looked_ns < await->until_ns ? CLI_OK : CLI_TIMEOUT;
}

/* One line about the end on stderr, so that stdout stays the output. */
static void
print_end(const char *id, const struct pg_result *row)
{
    CLEANUP(buf_free) struct buf line = {0};
    const char *cause = pg_get(row, 0, "cause"), *message = pg_get(row, 0, "message");

    buf_printf(&line, "%s %s", id, pg_get(row, 0, "state"));
    if (pg_get(row, 0, "ms") != NULL) {
        buf_puts(&line, " after ");
        text_duration(&line, pg_get_int(row, 0, "ms"));
    }
    if (cause != NULL && strcmp(cause, "done") != 0)
        buf_printf(&line, " (%s)", cause);
    if (message != NULL && message[0] != '\0') {
        buf_puts(&line, ": ");
        text_visible(&line, message, strlen(message), TEXT_NO_WIDTH);
    }
    cli_say("%s", line.data);
    if (strcmp(pg_get(row, 0, "state"), "held") == 0)
        cli_say("its worker settles it when it comes back; else a person must act, by `hler retry "
                "--lost %s` or `hler cancel %s`: see `hler show %s`",
                id, id, id);
}

static int
print_operation(struct cli *cli, const char *id)
{
    struct pg_param params[] = {cli_param(id)};

    return table_json(
        cli,
        "SELECT " TABLE_JSON_ROW("o") "::text AS j FROM hler.operations o WHERE o.id = $1::uuid",
        params, ARRAY_LEN(params));
}

static int
end_reached(struct cli *cli, const char *id, const struct pg_result *row)
{
    bool settled;
    int code = await_code(pg_get(row, 0, "state"), &settled);
    int printed = cli->json ? print_operation(cli, id) : CLI_OK;

    print_end(id, row);
    return printed == CLI_OK ? code : printed;
}

/* What one wait is about. */
struct wait {
    struct cli *cli;
    const char *id;
    struct output *output; /* NULL = not followed */
    bool settled;
};

/* Look once. */
static int
look(struct wait *w)
{
    CLEANUP(pg_result_cleanup) struct pg_result *row = NULL;
    struct pg_param params[] = {cli_param(w->id)};
    bool settled;
    int code =
        cli_exec(w->cli,
                 "SELECT state, cause, message, (extract(epoch FROM finished_at - created_at)"
                 " * 1000)::bigint AS ms FROM hler.operations WHERE id = $1::uuid",
                 params, ARRAY_LEN(params), &row);

    if (code != CLI_OK)
        return code;
    if (pg_rows(row) == 0) {
        cli_say("operation %s is gone", w->id);
        return CLI_NOT_FOUND;
    }
    if (w->output != NULL && (code = output_more(w->output)) != CLI_OK)
        return code;
    (void)await_code(pg_get(row, 0, "state"), &settled);
    if (!settled || (w->output != NULL && !output_is_in(w->output)))
        return CLI_OK;
    w->settled = true;
    if (w->output != NULL)
        output_end(w->output, true);
    return end_reached(w->cli, w->id, row);
}

int
await_end(struct cli *cli, const char *id, bool follow, int64_t timeout_s)
{
    struct output_options options = {.operation = id};
    struct await *await = await_new(cli, timeout_s, follow);
    struct wait w = {.cli = cli, .id = id, .output = follow ? output_new(cli, &options) : NULL};
    int code, waited = CLI_OK;

    while ((code = look(&w)) == CLI_OK && !w.settled && waited == CLI_OK)
        waited = await_next(await);
    if (code == CLI_OK && !w.settled) {
        cli_say("%s goes on after %lld s: `hler watch %s`", id, (long long)timeout_s, id);
        code = cli->json ? print_operation(cli, id) : CLI_OK;
        code = code == CLI_OK ? waited : code;
    }
    output_free(w.output);
    await_free(await);
    return code;
}

int
await_started(struct cli *cli, const struct args *args, const char *id)
{
    bool follow = args_flag(args, "follow");
    bool wait = follow || args_flag(args, "wait");

    if (!cli->json) {
        /* With --follow stdout is the output; the id is for the reader. */
        if (follow)
            cli_say("operation %s", id);
        else
            puts(id);
    } else if (!wait) {
        printf("{\"id\":\"%s\"}\n", id);
    }
    fflush(stdout);
    return wait ? await_end(cli, id, follow, args_int(args, "timeout", 0)) : CLI_OK;
}
