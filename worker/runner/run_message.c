/* The one line that tells a person how an attempt ended. */
#include "worker/runner/runner.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/utf8.h"

#define STDERR_LINE_MAX 300

struct line {
    char *out;
    size_t len, size;
};

PRINTF_LIKE(2, 3)
static void
put(struct line *l, const char *fmt, ...)
{
    va_list args;
    int n;

    va_start(args, fmt);
    n = vsnprintf(l->out + l->len, l->size - l->len, fmt, args);
    va_end(args);
    if (n > 0)
        l->len += (size_t)n < l->size - l->len ? (size_t)n : l->size - l->len - 1;
}

void
run_message_clean(char *text, size_t len)
{
    size_t good = 0;

    while (good < len) {
        good += utf8_valid_prefix(text + good, len - good);
        if (good < len)
            text[good] = '?';
    }
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] < ' ' || text[i] == '\x7f')
            text[i] = ' ';
}

static bool
is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

const char *
run_message_last_line(const char *text, size_t *len)
{
    size_t end = *len;
    size_t start;

    while (end > 0 && is_blank(text[end - 1]))
        end--;
    start = end;
    while (start > 0 && text[start - 1] != '\n')
        start--;
    while (start < end && is_blank(text[start]))
        start++;
    *len = end - start;
    return text + start;
}

static void
put_stderr(struct line *l, const struct run_output *o)
{
    size_t len = o->tail_len;
    const char *line = run_message_last_line(o->tail, &len);

    if (len > STDERR_LINE_MAX) {
        len = STDERR_LINE_MAX;
        len -= utf8_incomplete_tail(line, len);
    }
    if (len > 0)
        put(l, ": %.*s", (int)len, line);
}

static void
put_signal(struct line *l, int signo)
{
    const char *name = sigdescr_np(signo);

    put(l, "ended by signal %d (%s)", signo, name == NULL ? "real-time" : name);
}

static void
put_exit(struct line *l, const struct runner *r)
{
    if (r->child.signal != 0)
        put_signal(l, r->child.signal);
    else
        put(l, "exit code %d", r->child.exit_code);
}

static const char *
error_text(int error)
{
    const char *text = strerrordesc_np(error);

    return text == NULL ? "unknown error" : text;
}

static void
put_failure(struct line *l, const struct runner *r)
{
    const struct child_failure *f = &r->child.failure;
    const struct request *q = r->request;

    switch ((enum child_stage)f->stage) {
    case CHILD_SETUP:
        put(l, "cannot prepare the start: %s", error_text(f->error));
        return;
    case CHILD_CHDIR:
        put(l, "directory %s: %s", q->cwd == NULL ? REQUEST_WORK : q->cwd, error_text(f->error));
        return;
    case CHILD_EXEC:
        put(l, "%s: %s", q->argv[0], error_text(f->error));
        if (f->error == ENOENT && access(q->argv[0], F_OK) == 0)
            put(l, " (the interpreter that its first line names)");
        return;
    }
}

static void
put_stop(struct line *l, const struct runner *r, enum journal_cause cause)
{
    if (cause == END_DEADLINE)
        put(l, "deadline of %" PRId64 " ms passed", r->request->deadline_ms);
    else if (cause == END_IDLE)
        put(l, "no output for %" PRId64 " ms", r->request->idle_ms);
    else if (cause == END_CANCELLED)
        put(l, "cancelled");
    else if (cause == END_SUPERSEDED)
        put(l, "superseded by another attempt");
    else
        put(l, "the lease passed");
    put(l, ", ");
    put_exit(l, r);
}

static void
put_cause(struct line *l, const struct runner *r, enum journal_cause cause)
{
    switch (cause) {
    case END_DONE:
        put_exit(l, r);
        if (r->stop.requested)
            put(l, ", although stopped (%s)", journal_cause_name(r->stop.cause));
        return;
    case END_EXIT:
    case END_SIGNAL:
    case END_TRY_LATER:
    case END_NEVER_RETRY:
        put_exit(l, r);
        put_stderr(l, &r->output);
        return;
    case END_NOT_FOUND:
    case END_NOT_ALLOWED:
    case END_EXEC_FAILED:
    case END_BAD_CWD:
        put_failure(l, r);
        return;
    case END_OUTPUTS_INVALID:
        put(l, "the file HLER_OUTPUTS is not a plain file of at most 65536 bytes");
        return;
    case END_JOURNAL_FULL:
        put(l, "the journal could not take a record: %s", error_text(r->journal_error));
        return;
    case END_DEADLINE:
    case END_IDLE:
    case END_CANCELLED:
    case END_SUPERSEDED:
    case END_LEASE:
        put_stop(l, r, cause);
        put_stderr(l, &r->output);
        return;
    case END_CAUSES:
        return;
    }
}

size_t
run_message(const struct runner *r, enum journal_cause cause, char *out, size_t size)
{
    struct line l = {out, 0, size};

    put_cause(&l, r, cause);
    if (r->stop.left_behind > 0)
        put(&l, "; %u processes left behind", r->stop.left_behind);
    l.len -= utf8_incomplete_tail(out, l.len);
    run_message_clean(out, l.len);
    return l.len;
}
