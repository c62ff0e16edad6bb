/* The output of an operation's attempts.  One pass asks which attempts there are, and
 * then for each what it said behind what was shown; a piece is at most 64 KiB,
 * so memory stays bounded however much there is. */
#include "dispatcher/cli/output.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/json.h"
#include "common/mem.h"
#include "dispatcher/cli/lines.h"
#include "dispatcher/cli/text.h"
#include "dispatcher/cli/value.h"

#define PAGE 64
#define PAGE_TEXT "64"
#define NUMBER_SIZE 24
#define HEX 16
#define LATE_MS 5000

/* One attempt that was seen. */
struct said {
    char task[UUID_TEXT_SIZE], attempt[NUMBER_SIZE];
    char *key;
    int64_t seq;    /* of the last piece shown */
    int64_t pieces; /* shown */
    bool ended;     /* all it will say was in the tables before we looked for it */
    bool given_up;  /* it may say something yet, and nobody waits for that */
    struct lines lines;
};

struct output {
    struct cli *cli;
    struct output_options options;
    struct said *said;
    size_t n;
    bool prefix; /* several attempts: say whose line it is */
    const struct said *current;
    int64_t late_until_ns; /* once settled: how long what is missing may be late; 0 = not yet */
};

struct output *
output_new(struct cli *cli, const struct output_options *options)
{
    struct output *o = mem_alloc(sizeof *o);

    o->cli = cli;
    o->options = *options;
    return o;
}

void
output_free(struct output *output)
{
    if (output == NULL)
        return;
    for (size_t i = 0; i < output->n; i++) {
        lines_free(&output->said[i].lines);
        free(output->said[i].key);
    }
    free(output->said);
    free(output);
}

static void
print_json(const struct output *o, const struct lines_line *line)
{
    CLEANUP(json_cleanup) struct json_object *j = json_object_new_object();
    struct json_object *text = json_object_new_string_len(line->text, (int)line->len);

    json_set_string(j, "operation", o->options.operation);
    json_set_string(j, "task", o->current->task);
    json_set_string(j, "key", o->current->key);
    json_set_int(j, "attempt", strtoll(o->current->attempt, NULL, 10));
    json_set_int(j, "line", line->number);
    json_set_string(j, "stream", line->stream);
    json_add(j, "text", text);
    json_set_string(j, "worker_at", line->at);
    value_print(j, false);
}

static void
print_line(void *ctx, const struct lines_line *line)
{
    struct output *o = ctx;
    CLEANUP(buf_free) struct buf shown = {0};

    if (o->cli->json) {
        print_json(o, line);
        return;
    }
    if (o->prefix && strcmp(o->current->attempt, "1") != 0)
        printf("%s#%s | ", o->current->key, o->current->attempt);
    else if (o->prefix)
        printf("%s | ", o->current->key);
    if (o->cli->terminal) {
        text_visible(&shown, line->text, line->len, TEXT_NO_WIDTH);
        puts(shown.len > 0 ? shown.data : "");
    } else {
        fwrite(line->text, 1, line->len, stdout);
        putchar('\n');
    }
}

/* The bytes as they were: PostgreSQL prints them as \x and hexadecimal digits. */
static void
print_raw(const struct pg_result *rows, size_t row)
{
    const char *hex = pg_get(rows, row, "raw");
    char pair[3] = "";

    if (hex == NULL) {
        fwrite(pg_get(rows, row, "text"), 1, pg_len(rows, row, "text"), stdout);
        return;
    }
    for (hex += strlen("\\x"); hex[0] != '\0' && hex[1] != '\0'; hex += 2) {
        memcpy(pair, hex, 2);
        putchar((int)strtol(pair, NULL, HEX));
    }
}

static void
show_piece(struct output *o, struct said *said, const struct pg_result *rows, size_t row)
{
    struct lines_piece piece = {
        .stream = pg_get(rows, row, "stream"),
        .text = pg_get(rows, row, "text"),
        .len = pg_len(rows, row, "text"),
        .at = pg_get(rows, row, "worker_at"),
    };

    said->seq = pg_get_int(rows, row, "seq");
    said->pieces++;
    o->current = said;
    if (o->options.raw)
        print_raw(rows, row);
    else
        lines_add(&said->lines, &piece, print_line, o);
}

/* Show all that an attempt has said since. */
static int
show_said(struct output *o, struct said *said)
{
    char seq[NUMBER_SIZE];
    size_t got = PAGE;
    int code = CLI_OK;

    while (code == CLI_OK && got == PAGE) {
        CLEANUP(pg_result_cleanup) struct pg_result *rows = NULL;
        snprintf(seq, sizeof seq, "%lld", (long long)said->seq);
        struct pg_param params[] = {cli_param(o->options.operation), cli_param(said->task),
                                    cli_param(said->attempt), cli_param(seq)};
        code = cli_exec(
            o->cli,
            "SELECT seq, stream, text, raw, replace(to_json(worker_at) #>> '{}', '+00:00', 'Z')"
            " AS worker_at"
            " FROM hler.output WHERE operation = $1::uuid AND task = $2::uuid"
            " AND attempt = $3::int AND seq > $4::bigint ORDER BY seq LIMIT " PAGE_TEXT,
            params, ARRAY_LEN(params), &rows);
        if (code != CLI_OK)
            break;
        got = pg_rows(rows);
        for (size_t i = 0; i < got; i++)
            show_piece(o, said, rows, i);
        fflush(stdout);
    }
    return code;
}

static struct said *
remember(struct output *o, const struct pg_result *rows, size_t row)
{
    const char *task = pg_get(rows, row, "task"), *attempt = pg_get(rows, row, "attempt");

    for (size_t i = 0; i < o->n; i++)
        if (strcmp(o->said[i].task, task) == 0 && strcmp(o->said[i].attempt, attempt) == 0)
            return &o->said[i];
    o->said = mem_resize(o->said, (o->n + 1) * sizeof *o->said);
    struct said *s = &o->said[o->n++];
    *s = (struct said){.key = mem_dup(pg_get(rows, row, "key")),
                       .lines.ordered = o->options.ordered};
    snprintf(s->task, sizeof s->task, "%s", task);
    snprintf(s->attempt, sizeof s->attempt, "%s", attempt);
    return s;
}

int
output_more(struct output *output)
{
    CLEANUP(pg_result_cleanup) struct pg_result *rows = NULL;
    struct pg_param params[] = {cli_param(output->options.operation),
                                cli_param(output->options.task)};
    int code =
        cli_exec(output->cli,
                 "SELECT t.id AS task, coalesce(t.key, t.name) AS key, a.attempt,"
                 " coalesce(a.output_complete AND a.finished_at IS NOT NULL, false) AS ended,"
                 " coalesce(a.state = 'void', false) AS void,"
                 " count(*) OVER () > 1 AS several"
                 " FROM hler.tasks t LEFT JOIN hler.attempts a ON a.task = t.id AND a.operation = "
                 "t.operation"
                 " WHERE t.operation = $1::uuid AND ($2::text IS NULL OR $2 IN (t.name, t.key))"
                 " ORDER BY t.no, a.attempt",
                 params, ARRAY_LEN(params), &rows);

    if (code == CLI_OK && pg_rows(rows) == 0) {
        cli_say("operation %s has no task %s: see `hler show`", output->options.operation,
                output->options.task != NULL ? output->options.task : "at all");
        return CLI_NOT_FOUND;
    }
    for (size_t i = 0; code == CLI_OK && i < pg_rows(rows); i++) {
        output->prefix = pg_get_bool(rows, i, "several");
        if (pg_get(rows, i, "attempt") == NULL)
            continue;
        struct said *said = remember(output, rows, i);
        if (said->ended)
            continue;
        code = show_said(output, said);
        said->ended = pg_get_bool(rows, i, "ended");
        said->given_up = pg_get_bool(rows, i, "void");
    }
    return code;
}

bool
output_complete(const struct output *output)
{
    for (size_t i = 0; i < output->n; i++)
        if (!output->said[i].ended && !output->said[i].given_up)
            return false;
    return true;
}

bool
output_is_in(struct output *output)
{
    if (output_complete(output))
        return true;
    if (output->late_until_ns == 0)
        output->late_until_ns = clock_mono_ns() + LATE_MS * CLOCK_MS_NS;
    return clock_mono_ns() >= output->late_until_ns;
}

/* A piece may be recorded after one that follows it: then it was not shown. */
static void
say_late(struct output *o)
{
    CLEANUP(pg_result_cleanup) struct pg_result *rows = NULL;
    struct pg_param params[] = {cli_param(o->options.operation), cli_param(o->options.task)};
    int64_t shown = 0;

    for (size_t i = 0; i < o->n; i++)
        shown += o->said[i].pieces;
    if (cli_exec(o->cli,
                 "SELECT count(*) AS n FROM hler.output o JOIN hler.tasks t ON t.id = o.task"
                 " WHERE o.operation = $1::uuid AND ($2::text IS NULL OR $2 IN (t.name, t.key))",
                 params, ARRAY_LEN(params), &rows) == CLI_OK &&
        pg_get_int(rows, 0, "n") > shown)
        cli_say("pieces of the output arrived late and are not above: `hler log %s` has all",
                o->options.operation);
}

/* What a program said beyond its limit is not above, and nothing above shows that. */
static void
say_dropped(struct output *o)
{
    CLEANUP(pg_result_cleanup) struct pg_result *rows = NULL;
    struct pg_param params[] = {cli_param(o->options.operation), cli_param(o->options.task)};

    if (cli_exec(o->cli,
                 "SELECT coalesce(t.key, t.name) AS key, a.output_bytes, a.dropped_bytes"
                 " FROM hler.attempts a JOIN hler.tasks t ON t.id = a.task"
                 " WHERE a.operation = $1::uuid AND t.operation = $1::uuid AND a.dropped_bytes > 0"
                 " AND ($2::text IS NULL OR $2 IN (t.name, t.key)) ORDER BY t.no, a.attempt",
                 params, ARRAY_LEN(params), &rows) != CLI_OK)
        return;
    for (size_t i = 0; i < pg_rows(rows); i++)
        cli_say("task %s: %s bytes of output were kept and %s dropped (output_bytes is the limit)",
                pg_get(rows, i, "key"), pg_get(rows, i, "output_bytes"),
                pg_get(rows, i, "dropped_bytes"));
}

void
output_end(struct output *output, bool followed)
{
    for (size_t i = 0; i < output->n; i++) {
        output->current = &output->said[i];
        lines_end(&output->said[i].lines, print_line, output);
    }
    fflush(stdout);
    say_dropped(output);
    if (followed && !output_complete(output))
        cli_say("the output is not complete");
    if (followed)
        say_late(output);
}
