/* hler watch: an operation's states as they change.  On a terminal a picture that is
 * drawn again; elsewhere a line for each change. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/json.h"
#include "common/mem.h"
#include "common/uuid.h"
#include "dispatcher/cli/await.h"
#include "dispatcher/cli/commands.h"
#include "dispatcher/cli/opref.h"
#include "dispatcher/cli/text.h"
#include "dispatcher/cli/value.h"

#define TIMEOUT_MAX_S (30 * 24 * 3600)
#define WIDTH_DEFAULT 80
#define ROWS_DEFAULT 24
#define KEY_WIDTH 16
#define STATE_WIDTH 10
#define TIME_WIDTH 8
#define HEAD_ROWS 2 /* the operation's line, and the one the cursor stands on */

struct watch {
    struct cli *cli;
    const char *id;
    char **shown; /* state per row of the last look; [0] is the operation's */
    size_t n_shown;
    size_t drawn; /* lines of the picture that is on the terminal */
};

/* The operation first (no = 0), then its tasks, each with the tail of its output. */
static const char rows_sql[] =
    "SELECT 0 AS no, o.type AS key, o.state, o.cause, o.message, NULL AS tail,"
    " (extract(epoch FROM coalesce(o.finished_at, now()) - o.created_at) * 1000)::bigint AS ms"
    " FROM hler.operations o WHERE o.id = $1::uuid UNION ALL (SELECT t.no, coalesce(t.key, t.name),"
    " t.state, t.cause, t.message, u.text,"
    " (extract(epoch FROM coalesce(t.finished_at, now()) - t.started_at) * 1000)::bigint"
    " FROM hler.tasks t LEFT JOIN LATERAL (SELECT right(p.text, 2000) AS text FROM hler.output p"
    "  WHERE $2::boolean AND p.operation = t.operation AND p.task = t.id AND p.attempt = t.attempt"
    "  ORDER BY p.seq DESC LIMIT 1) u ON true WHERE t.operation = $1::uuid) ORDER BY no";

static void
print_change(const struct watch *w, const struct pg_result *rows, size_t row)
{
    CLEANUP(buf_free) struct buf line = {0};
    char now[CLOCK_TEXT_SIZE];
    const char *cause = pg_get(rows, row, "cause"), *message = pg_get(rows, row, "message");
    const char *key = pg_get(rows, row, "key");

    clock_text(clock_wall_us(), now);
    if (w->cli->json) {
        CLEANUP(json_cleanup) struct json_object *j = json_object_new_object();
        json_set_string(j, "at", now);
        json_set_string(j, "operation", w->id);
        json_set_string(j, "task", row == 0 ? NULL : key);
        json_set_string(j, "state", pg_get(rows, row, "state"));
        json_set_string(j, "cause", cause);
        json_set_string(j, "message", message);
        value_print(j, false);
    } else {
        buf_printf(&line, "%s %s %s", now, row == 0 ? w->id : key, pg_get(rows, row, "state"));
        if (cause != NULL)
            buf_printf(&line, " (%s)", cause);
        if (message != NULL && message[0] != '\0') {
            buf_puts(&line, ": ");
            text_visible(&line, message, strlen(message), TEXT_NO_WIDTH);
        }
        puts(line.data);
    }
    fflush(stdout);
}

/* Remember a row's state; true when it is another than before. */
static bool
note_state(struct watch *w, size_t row, const char *state)
{
    if (row >= w->n_shown) {
        w->shown = mem_resize(w->shown, (row + 1) * sizeof *w->shown);
        memset(w->shown + w->n_shown, 0, (row + 1 - w->n_shown) * sizeof *w->shown);
        w->n_shown = row + 1;
    }
    if (w->shown[row] != NULL && strcmp(w->shown[row], state) == 0)
        return false;
    free(w->shown[row]);
    w->shown[row] = mem_dup(state);
    return true;
}

static void
print_changes(struct watch *w, const struct pg_result *rows)
{
    /* Tasks before the operation: its end is the last line. */
    for (size_t row = 1; row < pg_rows(rows); row++)
        if (note_state(w, row, pg_get(rows, row, "state")))
            print_change(w, rows, row);
    if (note_state(w, 0, pg_get(rows, 0, "state")))
        print_change(w, rows, 0);
}

/* The last line of a text that has something in it. */
static const char *
last_line(const char *text, size_t *len)
{
    const char *end = text + strlen(text), *start;

    while (end > text && (end[-1] == '\n' || end[-1] == '\r'))
        end--;
    for (start = end; start > text && start[-1] != '\n' && start[-1] != '\r';)
        start--;
    *len = (size_t)(end - start);
    return start;
}

/* One line of the picture: name, state, time, and what is to say. */
static void
draw_row(const struct pg_result *rows, size_t row, size_t width)
{
    CLEANUP(buf_free) struct buf line = {0};
    CLEANUP(buf_free) struct buf took = {0};
    const char *key = pg_get(rows, row, "key"), *message = pg_get(rows, row, "message");
    const char *tail = pg_get(rows, row, "tail");
    size_t len;

    text_duration(&took, pg_get(rows, row, "ms") != NULL ? pg_get_int(rows, row, "ms") : -1);
    buf_printf(&line, "%s%-*s %-*s %*s  ", row == 0 ? "" : "  ", KEY_WIDTH, key, STATE_WIDTH,
               pg_get(rows, row, "state"), TIME_WIDTH, took.data);
    /* Of what succeeded the output says more than "exit code 0". */
    bool well = strcmp(pg_get(rows, row, "state"), "succeeded") == 0 && tail != NULL;
    if (message != NULL && message[0] != '\0' && !well) {
        buf_puts(&line, message);
    } else if (tail != NULL) {
        tail = last_line(tail, &len);
        buf_add(&line, tail, len);
    }
    buf_clear(&took);
    text_visible(&took, line.data, line.len, width);
    printf("\r\033[K%s\n", took.data);
}

static void
draw(struct watch *w, const struct pg_result *rows)
{
    struct winsize size = {.ws_col = WIDTH_DEFAULT, .ws_row = ROWS_DEFAULT};

    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == -1 || size.ws_col == 0 || size.ws_row == 0)
        size = (struct winsize){.ws_col = WIDTH_DEFAULT, .ws_row = ROWS_DEFAULT};
    size_t room = size.ws_row > HEAD_ROWS ? size.ws_row - (size_t)HEAD_ROWS : 1;
    size_t first = 1, n = pg_rows(rows);

    /* Too many tasks for the screen: those that have succeeded leave it first. */
    while (n - first > room && strcmp(pg_get(rows, first, "state"), "succeeded") == 0)
        first++;
    if (w->drawn > 0)
        printf("\033[%zuA", w->drawn);
    draw_row(rows, 0, size.ws_col - 1u);
    w->drawn = 1;
    for (size_t row = first; row < n && w->drawn <= room; row++, w->drawn++)
        draw_row(rows, row, size.ws_col - 1u);
    printf("\033[J");
    fflush(stdout);
}

static int
look(struct watch *w, bool picture, bool *settled)
{
    CLEANUP(pg_result_cleanup) struct pg_result *rows = NULL;
    struct pg_param params[] = {cli_param(w->id), cli_param(picture ? "true" : "false")};
    int code = cli_exec(w->cli, rows_sql, params, ARRAY_LEN(params), &rows);

    if (code != CLI_OK)
        return code;
    if (pg_rows(rows) == 0) {
        cli_say("operation %s is gone", w->id);
        return CLI_NOT_FOUND;
    }
    if (picture)
        draw(w, rows);
    else
        print_changes(w, rows);
    return await_code(pg_get(rows, 0, "state"), settled);
}

static int
run(struct cli *cli, const struct args *args)
{
    char id[UUID_TEXT_SIZE];
    bool settled = false;
    int waited = CLI_OK, code = cli_connect(cli);

    if (code == CLI_OK)
        code = opref_resolve(cli, args->words[0], id);
    if (code != CLI_OK)
        return code;
    struct watch w = {.cli = cli, .id = id};
    struct await *await = await_new(cli, args_int(args, "timeout", 0), false);
    while ((code = look(&w, cli->terminal && !cli->json, &settled)) == CLI_OK && !settled &&
           waited == CLI_OK)
        waited = await_next(await);
    await_free(await);
    for (size_t i = 0; i < w.n_shown; i++)
        free(w.shown[i]);
    free(w.shown);
    return code == CLI_OK && !settled ? waited : code;
}

static const struct opt options[] = {
    {"timeout", OPT_INT, "SECONDS", "longest wait (default: no limit)", 1, TIMEOUT_MAX_S, false},
};

const struct command command_watch = {
    .name = "watch",
    .summary = "Watch an operation until it ends",
    .synopsis = "OP [OPTIONS]",
    .min_words = 1,
    .max_words = 1,
    .options = options,
    .n_options = ARRAY_LEN(options),
    .help =
        "On a terminal: a line for each task with its state, how long it has run, and its last\n"
        "line of output.  Elsewhere: a line for each change, with the time it was seen.\n"
        "The exit code says how the operation ended.\n\n"
        "  hler watch last\n"
        "  hler watch 0190f2a4 --json --timeout 60\n",
    .run = run,
};
