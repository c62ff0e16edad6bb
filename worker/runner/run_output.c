/* Output of the program.  Each stream has one buffer; a record is made when it is full,
 * RUN_OUTPUT_WAIT_MS after its first byte, or when the other stream speaks, so that the
 * journal keeps the order in which both were read.  The pipes are read on, whatever happens to the
 * journal: a program must not hang because of its supervisor. */
#include "worker/runner/run_output.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/file.h"
#include "common/log.h"
#include "common/utf8.h"
#include "worker/runner/runner.h"

/* Two streams that take turns make a record each time, but no more than this in one window:
 * beyond that a program could fill the tables with rows of one byte. */
#define SWITCHES_PER_WINDOW 16
#define DRAIN_READS 64
#define SECOND_NS (1000 * CLOCK_MS_NS)
/* No attempt keeps more for long: its pipe is full then, and the program waits.  A flood at the speed of
 * the page cache takes the disk from those who must sync, and that is everybody who starts (measured: the
 * slowest tenth of starts on the same machine took three times as long, and at this rate twice). */
#define KEPT_BYTES_PER_S (INT64_C(64) << 20)
#define PAUSE_MS 20 /* and for so long what is read may run ahead of the rate */

/* Apart from what describes them, so that it can be set anew without a look at them. */
static unsigned char buffer[2][JOURNAL_OUTPUT_MAX];

void
run_output_init(struct run_output *o)
{
    *o = (struct run_output){.stream = {{.fd = -1, .kind = JOURNAL_STDOUT, .data = buffer[0]},
                                        {.fd = -1, .kind = JOURNAL_STDERR, .data = buffer[1]}}};
}

size_t
run_output_cut(const unsigned char *data, size_t len)
{
    const unsigned char *newline = memrchr(data, '\n', len);
    size_t tail;

    if (newline != NULL)
        return (size_t)(newline - data) + 1;
    tail = utf8_incomplete_tail(data, len);
    return tail < len ? len - tail : len;
}

/* Make one record of the first n buffered bytes; the rest counts as read now. */
static void
make_record(struct runner *r, struct run_stream *s, size_t n)
{
    if (runner_journal(r, s->kind, s->data, n) == -1) {
        r->output.kept_bytes -= n;
        r->output.dropped_bytes += n;
    }
    r->output.spoken = true;
    s->len -= n;
    memmove(s->data, s->data + n, s->len);
    s->first_ns = clock_mono_ns();
}

static void
flush_all(struct runner *r, struct run_stream *s)
{
    if (s->len > 0)
        make_record(r, s, s->len);
}

/* Both streams, the one that spoke first first. */
static void
flush_both(struct runner *r)
{
    struct run_stream *s = r->output.stream;
    unsigned first = s[0].len > 0 && s[1].len > 0 && s[1].first_ns < s[0].first_ns;

    flush_all(r, &s[first]);
    flush_all(r, &s[1 - first]);
}

static void
keep_tail(struct run_output *o, const unsigned char *data, size_t n)
{
    size_t keep;

    if (n >= sizeof o->tail) {
        memcpy(o->tail, data + n - sizeof o->tail, sizeof o->tail);
        o->tail_len = sizeof o->tail;
        return;
    }
    keep = sizeof o->tail - n < o->tail_len ? sizeof o->tail - n : o->tail_len;
    memmove(o->tail, o->tail + o->tail_len - keep, keep);
    memcpy(o->tail + keep, data, n);
    o->tail_len = keep + n;
}

/* The journal tells where output was cut off. */
static void
mark_limit(struct runner *r)
{
    char text[80];
    int n = snprintf(text, sizeof text, "{\"kind\":\"output_limit\",\"kept_bytes\":%" PRIu64 "}",
                     r->output.kept_bytes);

    flush_both(r);
    (void)runner_journal(r, JOURNAL_PROGRESS, text, (size_t)n); /* a failure stops the attempt */
}

static void
pay(struct run_output *o, size_t n)
{
    int64_t now_ns = clock_mono_ns();

    if (o->paid_ns < now_ns)
        o->paid_ns = now_ns;
    o->paid_ns += (int64_t)n * SECOND_NS / KEPT_BYTES_PER_S;
}

/* n bytes were read behind what s holds: count them, and drop what is over the limit. */
static void
account(struct runner *r, struct run_stream *s, size_t n)
{
    struct run_output *o = &r->output;
    uint64_t room = r->request->output_bytes - o->kept_bytes;
    size_t kept = n < room ? n : (size_t)room;
    bool first_drop = kept < n && o->dropped_bytes == 0;

    pay(o, kept);
    if (s->kind == JOURNAL_STDERR)
        keep_tail(o, s->data + s->len, n);
    if (s->len == 0)
        s->first_ns = clock_mono_ns();
    s->len += kept;
    o->kept_bytes += kept;
    o->dropped_bytes += n - kept;
    if (first_drop)
        mark_limit(r);
}

static void
keep_order(struct runner *r, struct run_stream *other)
{
    if (other->len > 0 && r->output.switches < SWITCHES_PER_WINDOW) {
        r->output.switches++;
        flush_all(r, other);
    }
}

static void
end_stream(struct run_stream *s)
{
    (void)close(s->fd);
    s->fd = -1;
}

/* How much makes a record.  The first is small: where many begin to talk at once, the first line of each need not
 * wait for 64 KiB of each before it. */
static size_t
full_size(const struct runner *r)
{
    return r->output.spoken ? JOURNAL_OUTPUT_MAX : RUN_OUTPUT_FIRST;
}

/* Returns whether there may be more at once. */
static bool
read_some(struct runner *r, unsigned which)
{
    struct run_stream *s = &r->output.stream[which];
    ssize_t n;

    if (s->fd == -1)
        return false;
    n = read(s->fd, s->data + s->len, full_size(r) - s->len);
    if (n == -1 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (n == -1)
        log_err("output pipe: %m");
    if (n <= 0) {
        end_stream(s);
        return false;
    }
    keep_order(r, &r->output.stream[1 - which]);
    account(r, s, (size_t)n);
    if (s->len == full_size(r)) {
        if (!r->output.spoken)
            r->output.paid_ns += r->request->listen_ms * CLOCK_MS_NS;
        make_record(r, s, run_output_cut(s->data, s->len));
    }
    return true;
}

/* Come back when the older of the buffered pieces is due. */
static void
arm(struct runner *r)
{
    int64_t due = 0;

    for (unsigned i = 0; i < 2; i++) {
        const struct run_stream *s = &r->output.stream[i];

        if (s->len > 0 && (due == 0 || s->first_ns < due))
            due = s->first_ns;
    }
    r->timer_ns[TIMER_FLUSH] = due == 0 ? 0 : due + RUN_OUTPUT_WAIT_MS * CLOCK_MS_NS;
}

/* -1: one of them could not be changed. */
static int
watch_both(struct runner *r, bool on)
{
    int status = 0;

    for (unsigned i = 0; i < 2; i++) {
        int fd = r->output.stream[i].fd;

        if (fd == -1 || runner_watch_set(r, fd, SOURCE_STDOUT + i, on) == 0)
            continue;
        log_err("attempt=%s output pipe: epoll_ctl: %m", r->request->dir);
        status = -1;
    }
    return status;
}

/* After a read: is it too fast?  The end of a stream is told during the pause, too (runner_watch_set()). */
static void
pause_output(struct runner *r)
{
    int64_t ahead_ms = (r->output.paid_ns - clock_mono_ns()) / CLOCK_MS_NS;

    if (r->timer_ns[TIMER_PAUSE] != 0 || ahead_ms < PAUSE_MS)
        return;
    (void)watch_both(r, false); /* read on, then */
    runner_timer_set(r, TIMER_PAUSE, ahead_ms);
}

void
run_output_resume(struct runner *r)
{
    if (watch_both(r, true) == -1)
        runner_timer_set(r, TIMER_PAUSE, PAUSE_MS); /* the program must not wait for ever */
}

bool
run_output_read(struct runner *r, unsigned which)
{
    if (!read_some(r, which))
        return false;
    arm(r);
    pause_output(r);
    if (r->request->idle_ms > 0 && r->phase == RUNNER_RUNNING)
        runner_timer_set(r, TIMER_IDLE, r->request->idle_ms);
    return true;
}

void
run_output_tick(struct runner *r)
{
    struct run_stream *s = r->output.stream;
    int64_t due = clock_mono_ns() - RUN_OUTPUT_WAIT_MS * CLOCK_MS_NS;
    unsigned first = s[1].len > 0 && s[1].first_ns < s[0].first_ns;

    r->output.switches = 0;
    for (unsigned i = 0; i < 2; i++) {
        struct run_stream *now = &s[first ^ i];

        if (now->len > 0 && now->first_ns <= due)
            make_record(r, now, run_output_cut(now->data, now->len));
    }
    arm(r);
}

void
run_output_drain(struct runner *r)
{
    for (unsigned i = 0; i < DRAIN_READS; i++) {
        bool more = read_some(r, 0);

        more = read_some(r, 1) || more;
        if (!more)
            return;
    }
}

void
run_output_finish(struct runner *r)
{
    run_output_drain(r);
    flush_both(r);
    for (unsigned i = 0; i < 2; i++)
        file_cleanup_close(&r->output.stream[i].fd);
    r->output.stream[0].fd = r->output.stream[1].fd = -1;
}

bool
run_output_open(const struct runner *r)
{
    return r->output.stream[0].fd != -1 || r->output.stream[1].fd != -1;
}
