/* The end record.  It is written whatever it takes: it has its place on the disk, and without
 * room even there it is tried again each second, since without it the attempt would be
 * reported lost. */
#include "worker/runner/runner.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/file.h"
#include "common/log.h"
#include "worker/runner/cgroup.h"

#define OUTPUTS_MAX 65536u
#define RETRY_MS 1000
#define US_NS 1000
#define EXIT_TRY_LATER 75   /* EX_TEMPFAIL */
#define EXIT_NEVER_RETRY 78 /* EX_CONFIG */

struct end_payload {
    struct journal_end end;
    char text[RUNNER_MESSAGE_MAX + 1 + OUTPUTS_MAX + 1]; /* message, outputs */
};

static struct end_payload payload;

_Static_assert(sizeof payload <= JOURNAL_PAYLOAD_MAX, "an end is one record");

static enum journal_cause
failure_cause(const struct child_failure *f)
{
    if (f->stage == CHILD_CHDIR)
        return END_BAD_CWD;
    if (f->stage == CHILD_EXEC && (f->error == ENOENT || f->error == ENOTDIR))
        return END_NOT_FOUND;
    if (f->stage == CHILD_EXEC && (f->error == EACCES || f->error == EPERM))
        return END_NOT_ALLOWED;
    return END_EXEC_FAILED;
}

/* A program that ends with 0 says that it is done, even when it was asked to stop; but a
 * lost record makes any end doubtful. */
static enum journal_cause
find_cause(const struct runner *r)
{
    const struct runner_child *c = &r->child;

    if (r->journal_error != 0)
        return END_JOURNAL_FULL;
    if (c->failure.stage != 0)
        return failure_cause(&c->failure);
    if (c->exit_code == 0)
        return END_DONE;
    if (r->stop.requested)
        return r->stop.cause;
    if (c->signal != 0)
        return END_SIGNAL;
    if (c->exit_code == EXIT_TRY_LATER)
        return END_TRY_LATER;
    return c->exit_code == EXIT_NEVER_RETRY ? END_NEVER_RETRY : END_EXIT;
}

/* Read the outputs file to out.  Returns its length, 0 when there is none, -1 when it is not
 * one or too large. */
static ssize_t
read_outputs(char *out)
{
    CLEANUP(file_cleanup_close)
    int fd = open(REQUEST_OUTPUTS, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    struct stat st;
    size_t len = 0;
    ssize_t n;

    if (fd == -1)
        return errno == ENOENT ? 0 : -1;
    if (fstat(fd, &st) == -1 || !S_ISREG(st.st_mode))
        return -1;
    while (len <= OUTPUTS_MAX && (n = read(fd, out + len, OUTPUTS_MAX + 1 - len)) != 0) {
        if (n == -1)
            return -1;
        len += (size_t)n;
    }
    return len <= OUTPUTS_MAX ? (ssize_t)len : -1;
}

/* Returns the length of the payload. */
static size_t
compose(struct runner *r)
{
    char *outputs = payload.text + RUNNER_MESSAGE_MAX + 1;
    enum journal_cause cause = find_cause(r);
    ssize_t outputs_len = cause == END_JOURNAL_FULL ? 0 : read_outputs(outputs);
    size_t message_len;

    if (outputs_len == -1 && cause == END_DONE)
        cause = END_OUTPUTS_INVALID;
    if (outputs_len == -1)
        outputs_len = 0;
    message_len = run_message(r, cause, payload.text, RUNNER_MESSAGE_MAX + 1);
    memmove(payload.text + message_len, outputs, (size_t)outputs_len);
    payload.end = (struct journal_end){
        .cause = cause,
        .exit_code = r->child.exit_code,
        .signal = r->child.signal,
        .left_behind =
            r->stop.left_behind < UINT16_MAX ? (uint16_t)r->stop.left_behind : UINT16_MAX,
        .daemons = run_child_reap(r),
        .results = r->emit.results,
        .output_bytes = r->output.kept_bytes,
        .dropped_bytes = r->output.dropped_bytes,
        .duration_us = (clock_mono_ns() - r->started_ns) / US_NS,
        .message_len = (uint32_t)message_len,
        .outputs_len = (uint32_t)outputs_len,
    };
    return offsetof(struct end_payload, text) + message_len + (size_t)outputs_len;
}

static int
append_end(struct runner *r)
{
    size_t len = compose(r);

    /* Every journal begins with a start, even one whose start record found no room. */
    if (r->journal.seq == 0 && journal_append(&r->journal, JOURNAL_START, "0", 1) == -1)
        return -1;
    return journal_append(&r->journal, JOURNAL_END, &payload, len);
}

void
run_end(struct runner *r)
{
    run_output_finish(r);
    run_emit_close(r);
    if (append_end(r) == -1) {
        log_err("attempt=%s end record, will try again: %m", r->request->dir);
        runner_timer_set(r, TIMER_END, RETRY_MS);
        return;
    }
    if (fdatasync(r->journal.fd) == -1)
        log_err("attempt=%s journal sync: %m", r->request->dir);
    cgroup_remove(r->groups, r->request->dir);
    r->phase = RUNNER_OVER;
}
