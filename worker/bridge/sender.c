/* Journals on their way out: what is confirmed, when one is over.
 *
 * The file "sent" in an attempt's directory holds, per stream, the offset below which all is
 * confirmed.  It is a hint: lost or old, it only makes a restart send more again. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/file.h"
#include "common/log.h"
#include "common/mem.h"
#include "worker/bridge/bridge.h"

#define SWEEP_MS 1000
#define SENT_FILE "sent"
#define SENT_STEP (256u * 1024u) /* rewritten after so many more bytes were confirmed */
#define PATH_SIZE (IDENT_NAME_SIZE + 16)

static int
dir_of(const struct bridge *b, const struct attempt *a)
{
    return a->in_done ? b->spool.done_fd : b->spool.dir_fd;
}

static void
read_sent(const struct bridge *b, const struct attempt *a, uint64_t offsets[STREAMS])
{
    char path[PATH_SIZE];
    CLEANUP(file_cleanup_close) int fd = -1;

    offsets[STREAM_STATE] = offsets[STREAM_BULK] = 0;
    snprintf(path, sizeof path, "%s/" SENT_FILE, a->text);
    fd = openat(dir_of(b, a), path, O_RDONLY | O_CLOEXEC);
    if (fd == -1 ||
        pread(fd, offsets, STREAMS * sizeof *offsets, 0) != (ssize_t)(STREAMS * sizeof *offsets))
        offsets[STREAM_STATE] = offsets[STREAM_BULK] = 0;
}

static void
write_sent(const struct bridge *b, struct attempt *a)
{
    uint64_t offsets[STREAMS] = {a->streams[STREAM_STATE].confirmed,
                                 a->streams[STREAM_BULK].confirmed};
    char path[PATH_SIZE];
    CLEANUP(file_cleanup_close) int fd = -1;

    snprintf(path, sizeof path, "%s/" SENT_FILE, a->text);
    fd = openat(dir_of(b, a), path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd == -1 || pwrite(fd, offsets, sizeof offsets, 0) != (ssize_t)sizeof offsets)
        log_warn("attempt=%s file=" SENT_FILE ": %m", a->text);
    else
        a->sent_written = offsets[STREAM_STATE] + offsets[STREAM_BULK];
}

int
sender_open(struct bridge *b, struct attempt *a)
{
    char path[PATH_SIZE];
    uint64_t offsets[STREAMS] = {0};

    snprintf(path, sizeof path, "%s/" JOURNAL_FILE, a->text);
    a->journal_fd = openat(dir_of(b, a), path, O_RDONLY | O_CLOEXEC);
    if (a->journal_fd == -1)
        return errno == ENOENT ? -1
                               : log_errno(errno, "attempt=%s file=" JOURNAL_FILE ": %m", a->text);
    if (!a->asked && !a->in_done)
        read_sent(b, a, offsets);
    for (int class = 0; class < STREAMS; class ++) {
        struct stream *s = &a->streams[class];

        s->attempt = a;
        s->link = &b->links[class];
        s->class = (enum stream_class) class;
        stream_open(s, offsets[class]);
    }
    return 0;
}

void
sender_close(struct bridge *b, struct attempt *a)
{
    watch_remove(b, a);
    for (int class = 0; class < STREAMS; class ++) {
        if (a->streams[class].reader == NULL)
            continue;
        link_forget(a->streams[class].link, &a->streams[class]);
        stream_close(&a->streams[class]);
    }
    file_cleanup_close(&a->journal_fd);
    a->journal_fd = -1;
}

void
sender_wake(struct bridge *b, struct attempt *a)
{
    for (int class = 0; class < STREAMS; class ++) {
        link_queue(&b->links[class], &a->streams[class]);
        link_pump_soon(&b->links[class]);
    }
}

void
sender_finish(struct bridge *b, struct attempt *a)
{
    notices_forget_attempt(b, a);
    sender_close(b, a);
    if (!a->in_done)
        done_move(&b->done, &b->spool, a->text, a->tidy);
    log_debug("attempt=%s all confirmed", a->text);
    attempt_free(&b->attempts, a);
    consumer_adjust(b);
}

/* Nothing of it is open, waiting or unread. */
static bool
is_drained(const struct stream *s)
{
    return s->dry && stream_is_idle(s) && !s->queued && !bundle_has(&s->link->bundle, s);
}

/* An attempt whose runner is over may be complete now. */
static void
check_complete(struct bridge *b, struct attempt *a)
{
    const struct stream *state = &a->streams[STREAM_STATE], *bulk = &a->streams[STREAM_BULK];

    if (a->state == AT_SENDING && is_drained(state) && is_drained(bulk))
        sender_finish(b, a);
    else if (a->state == AT_LOST && is_drained(state) && is_drained(bulk) && !a->end_told)
        lost_tell(b, a);
}

void
sender_dry(struct bridge *b, struct stream *s)
{
    s->dry = s->attempt->state != AT_RUNNING;
    if (s->dry)
        check_complete(b, s->attempt);
}

void
sender_settled(struct bridge *b, struct attempt *a)
{
    uint64_t confirmed = a->streams[STREAM_STATE].confirmed + a->streams[STREAM_BULK].confirmed;

    if (!a->in_done && confirmed > a->sent_written + SENT_STEP)
        write_sent(b, a);
    check_complete(b, a);
}

void
sender_resend(struct bridge *b, struct attempt *a)
{
    if (a->end_told)
        return; /* its last word is on its way, after everything else */
    for (int class = 0; class < STREAMS; class ++) {
        struct stream *s = &a->streams[class];

        /* Still busy with the last time, or with the first: asking again changes nothing. */
        if (s->confirmed < s->resend_until || !stream_is_idle(s))
            continue;
        s->resend_until = s->read_offset;
        link_forget(s->link, s);
        stream_rewind(s, 0);
    }
    sender_wake(b, a);
}

static int
has_end_behind(const struct attempt *a, uint64_t offset)
{
    struct journal_reader *reader = journal_reader_new(a->journal_fd, offset);
    struct journal_record record;
    enum journal_read got;

    do
        got = journal_next(reader, &record);
    while (got == JOURNAL_RECORD && record.head.kind != JOURNAL_END);
    journal_reader_free(reader);
    return got == JOURNAL_IO_ERROR ? -1 : got == JOURNAL_RECORD;
}

/* What was confirmed by an earlier worker is not read again, and the end may be in it: before
 * the answer is no, the whole journal was looked through. */
int
sender_has_end(const struct attempt *a)
{
    const struct stream *state = &a->streams[STREAM_STATE], *bulk = &a->streams[STREAM_BULK];
    uint64_t from = state->read_offset > bulk->read_offset ? state->read_offset : bulk->read_offset;
    int found = state->end_seen || bulk->end_seen ? 1 : has_end_behind(a, from);

    return found == 0 && from > 0 ? has_end_behind(a, 0) : found;
}

void
sender_runner_over(struct bridge *b, struct attempt *a)
{
    int has_end = sender_has_end(a);

    if (has_end == -1)
        log_warn("attempt=%s: its journal cannot be read, which is tried again", a->text);
    else if (has_end == 0)
        lost_found(b, a, "runner_died");
    else
        sender_ended(b, a);
}

void
sender_ended(struct bridge *b, struct attempt *a)
{
    attempt_set(&b->attempts, a, AT_SENDING);
    watch_remove(b, a);
    consumer_ack(b, a);
    consumer_adjust(b);
    sender_wake(b, a);
}

void
sender_look(struct bridge *b, struct attempt *a)
{
    if (a->state == AT_RUNNING && !journal_is_held(a->journal_fd))
        sender_runner_over(b, a);
    else
        sender_wake(b, a);
}

static void
wake_unreadable(struct bridge *b, struct attempt *a)
{
    if (!a->streams[STREAM_STATE].unreadable && !a->streams[STREAM_BULK].unreadable)
        return;
    for (int class = 0; class < STREAMS; class ++)
        a->streams[class].unreadable = false;
    sender_wake(b, a);
}

/* Notifications are hints: whatever they miss is found here. */
static void
on_sweep(void *ctx)
{
    struct bridge *b = ctx;
    struct attempt *next;

    for (struct attempt *a = b->attempts.first; a != NULL; a = next) {
        next = a->next;
        if (a->state == AT_RUNNING)
            sender_look(b, a);
        else if (a->state == AT_STARTING && a->body == NULL)
            adopt_started(b, a); /* its journal could not be opened before */
        else
            wake_unreadable(b, a);
    }
    loop_timer_set(b->sweep, SWEEP_MS);
}

int
sender_init(struct bridge *b)
{
    b->sweep = loop_timer_new(b->loop, on_sweep, b);
    loop_timer_set(b->sweep, SWEEP_MS);
    return watch_init(b);
}

void
sender_free(struct bridge *b)
{
    watch_free(b);
    loop_timer_free(b->sweep);
}

void
sender_flush_offsets(struct bridge *b)
{
    for (struct attempt *a = b->attempts.first; a != NULL; a = a->next)
        if (a->journal_fd != -1 && !a->in_done)
            write_sent(b, a);
}

int64_t
sender_oldest_unsent_ms(const struct bridge *b)
{
    int64_t oldest = 0, now = clock_mono_ns();

    for (const struct attempt *a = b->attempts.first; a != NULL; a = a->next) {
        for (int class = 0; class < STREAMS; class ++) {
            int64_t since = a->streams[class].behind_since_ns;

            if (since != 0 && now - since > oldest)
                oldest = now - since;
        }
    }
    return oldest / CLOCK_MS_NS;
}

int64_t
sender_bytes(const struct bridge *b)
{
    int64_t bytes = 0;
    struct stat st;

    for (const struct attempt *a = b->attempts.first; a != NULL; a = a->next)
        if (!a->in_done && a->journal_fd != -1 && fstat(a->journal_fd, &st) == 0)
            bytes += st.st_size;
    return bytes;
}

bool
sender_all_sent(const struct bridge *b)
{
    if (notices_pending(b))
        return false;
    for (const struct attempt *a = b->attempts.first; a != NULL; a = a->next)
        if (a->state == AT_SENDING || a->state == AT_LOST || a->state == AT_CLOSING)
            return false;
    return true;
}
