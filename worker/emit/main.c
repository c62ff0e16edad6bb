/* hler-emit: sends results, progress and outputs of a job from a shell script, a Makefile or
 * anything else that can run a program. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/file.h"
#include "common/jsonscan.h"
#include "common/utf8.h"
#include "worker/emit/send.h"
#include "worker/runner/run_emit.h"

#define OUTPUT_MODE 0600

static const char help[] =
    "usage: hler-emit [--uuid UUID] [--append] [--secret] [--json] FIELD VALUE\n"
    "       hler-emit [--json] --output NAME VALUE\n"
    "       hler-emit --progress JSON\n"
    "       hler-emit --help | --version\n"
    "\n"
    "Sends a result for an entity (UUID; default: the target of the operation), sets an\n"
    "output for later tasks, or tells of progress.  VALUE is text; with --json any JSON.\n"
    "VALUE - is read from standard input; text loses one newline at its end.\n"
    "\n"
    "  --append   add to the values of the field instead of replacing them\n"
    "  --secret   marked: people see it only when they ask for it (hler results --reveal)\n"
    "\n"
    "Exit: 0 recorded, 2 wrong use, 65 refused (the reason is on stderr), 69 no runner.\n";

enum mode { MODE_RESULT, MODE_OUTPUT, MODE_PROGRESS };

struct options {
    enum mode mode;
    const char *uuid, *name;
    bool append, secret, json;
};

/* --- the value --- */

static int
read_stdin(struct buf *out)
{
    char chunk[BUFSIZ];
    ssize_t n;

    while (out->len <= RUN_EMIT_VALUE_MAX && (n = read(STDIN_FILENO, chunk, sizeof chunk)) != 0) {
        if (n == -1 && errno != EINTR)
            return -1;
        if (n > 0)
            buf_add(out, chunk, (size_t)n);
    }
    return 0;
}

static int
get_value(const struct options *o, const char *argument, struct buf *out)
{
    if (strcmp(argument, "-") != 0) {
        buf_puts(out, argument);
        return 0;
    }
    if (read_stdin(out) == -1)
        return -1;
    if (!o->json && out->len > 0 && out->data[out->len - 1] == '\n')
        out->len--;
    return 0;
}

/* Append text as a JSON string. */
static void
quote(struct buf *out, const char *text, size_t len)
{
    buf_puts(out, "\"");
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '"' || text[i] == '\\')
            buf_printf(out, "\\%c", text[i]);
        else if ((unsigned char)text[i] < ' ')
            buf_printf(out, "\\u%04x", (unsigned)text[i]);
        else
            buf_add(out, &text[i], 1);
    }
    buf_puts(out, "\"");
}

/* NULL when the value may be sent, else what is wrong with it. */
static const char *
check_value(const struct options *o, const struct buf *value)
{
    struct jsonscan_error error;

    if (value->len > RUN_EMIT_VALUE_MAX)
        return "value is longer than 65536 bytes";
    if (o->json)
        return jsonscan(value->data, value->len, &error) == -1 ? error.why : NULL;
    if (memchr(value->data, '\0', value->len) != NULL)
        return "NUL character in text";
    return utf8_valid_prefix(value->data, value->len) == value->len ? NULL : "text is not UTF-8";
}

/* --- outputs --- */

/* A raw newline in JSON is white space only, and one line is the form of the file. */
static void
add_json_line(struct buf *out, const struct buf *json)
{
    buf_add(out, json->data, json->len);
    for (size_t i = out->len - json->len; i < out->len; i++)
        if (out->data[i] == '\n' || out->data[i] == '\r')
            out->data[i] = ' ';
}

static void
add_output(struct buf *line, const struct options *o, const struct buf *value)
{
    bool one_line = strpbrk(value->data, "\r\n") == NULL;

    if (!o->json && one_line) {
        buf_printf(line, "%s=%.*s\n", o->name, (int)value->len, value->data);
        return;
    }
    buf_printf(line, "{\"field\": \"%s\", \"value\": ", o->name);
    if (o->json)
        add_json_line(line, value);
    else
        quote(line, value->data, value->len);
    buf_puts(line, "}\n");
}

static int
emit_output(const struct options *o, const struct buf *value)
{
    CLEANUP(buf_free) struct buf line = {0};
    CLEANUP(file_cleanup_close) int fd = -1;
    const char *path = getenv("HLER_OUTPUTS");

    if (!run_emit_field_valid(o->name, strlen(o->name)))
        return emit_complain(EMIT_REFUSED, "bad output name");
    if (path == NULL)
        return emit_complain(EMIT_NO_RUNNER, "HLER_OUTPUTS is not set");
    add_output(&line, o, value);
    fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, OUTPUT_MODE);
    if (fd == -1 || file_write_all(fd, line.data, line.len) == -1) {
        (void)fprintf(stderr, "hler-emit: %s: %s\n", path, strerror(errno));
        return EMIT_NO_RUNNER;
    }
    return EMIT_OK;
}

static int
emit_result(const struct options *o, const struct buf *value)
{
    CLEANUP(buf_free) struct buf json = {0};
    CLEANUP(buf_free) struct buf request = {0};

    if (o->json)
        buf_add(&json, value->data, value->len);
    else
        quote(&json, value->data, value->len);
    buf_printf(&request, "RESULT %s %s %s %s %zu\n", o->uuid, o->name, o->append ? "append" : "set",
               o->secret ? "secret" : "plain", json.len);
    buf_add(&request, json.data, json.len);
    return emit_send(&request);
}

static int
emit_progress(const struct buf *value)
{
    CLEANUP(buf_free) struct buf request = {0};

    buf_printf(&request, "PROGRESS %zu\n", value->len);
    buf_add(&request, value->data, value->len);
    return emit_send(&request);
}

/* --- options --- */

/* Returns false for an unknown option. */
static bool
take_option(struct options *o, int option)
{
    switch (option) {
    case 'u':
        o->uuid = optarg;
        return true;
    case 'a':
        o->append = true;
        return true;
    case 's':
        o->secret = true;
        return true;
    case 'j':
        o->json = true;
        return true;
    case 'o':
        o->mode = MODE_OUTPUT;
        return true;
    case 'p':
        o->mode = MODE_PROGRESS;
        o->json = true;
        return true;
    default:
        return false;
    }
}

static int
emit(const struct options *o, const char *argument)
{
    CLEANUP(buf_free) struct buf value = {0};
    const char *wrong;

    buf_puts(&value, "");
    if (get_value(o, argument, &value) == -1)
        return emit_complain(EMIT_USAGE, "cannot read standard input");
    wrong = check_value(o, &value);
    if (wrong != NULL)
        return emit_complain(EMIT_REFUSED, wrong);
    switch (o->mode) {
    case MODE_RESULT:
        return emit_result(o, &value);
    case MODE_OUTPUT:
        return emit_output(o, &value);
    case MODE_PROGRESS:
        return emit_progress(&value);
    }
    return EMIT_USAGE;
}

int
main(int argc, char **argv)
{
    static const struct option table[] = {{"uuid", required_argument, NULL, 'u'},
                                          {"append", no_argument, NULL, 'a'},
                                          {"secret", no_argument, NULL, 's'},
                                          {"json", no_argument, NULL, 'j'},
                                          {"output", no_argument, NULL, 'o'},
                                          {"progress", no_argument, NULL, 'p'},
                                          {"help", no_argument, NULL, 'h'},
                                          {"version", no_argument, NULL, 'v'},
                                          {0}};
    struct options o = {.mode = MODE_RESULT, .uuid = "-"};
    int option, positional;

    /* "+": a VALUE may begin with a dash. */
    while ((option = getopt_long(argc, argv, "+", table, NULL)) != -1) {
        if (option == 'h')
            return fputs(help, stdout) == EOF ? EXIT_FAILURE : EMIT_OK;
        if (option == 'v')
            return puts("hler-emit " HLER_VERSION) == EOF ? EXIT_FAILURE : EMIT_OK;
        if (!take_option(&o, option))
            return emit_complain(EMIT_USAGE, "see `hler-emit --help`"); /* getopt has said why */
    }
    positional = o.mode == MODE_PROGRESS ? 1 : 2;
    if (argc - optind != positional) {
        return emit_complain(EMIT_USAGE,
                             o.mode == MODE_PROGRESS
                                 ? "expected options, then one JSON text, and nothing else: "
                                   "see `hler-emit --help`"
                                 : "expected options, then FIELD and VALUE, and nothing "
                                   "else: see `hler-emit --help`");
    }
    o.name = argv[optind];
    return emit(&o, argv[argc - 1]);
}
