/* The writing end of a journal.  Nothing is allocated, since the runner uses it; each record
 * is written at the writer's own offset, so a failed one leaves no trace once it is cut off. */
#include "worker/runner/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/file.h"
#include "worker/runner/journal_crc.h"

#define RESERVE_BYTES 8192u                 /* for the end record */
#define FIRST_BYTES (RESERVE_BYTES + 4096u) /* most attempts say no more than that */
/* So that not each record asks: as much again as there is, within these. */
#define GROWTH_BYTES 65536u
#define GROWTH_MOST_BYTES (1u << 20)
#define FLUSH_BYTES (1u << 20) /* on their way to the disk at a time */

static int
allocate(struct journal_writer *w, uint64_t bytes)
{
    while (fallocate(w->fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)bytes) == -1) {
        if (errno == EOPNOTSUPP) {
            w->allocated = UINT64_MAX; /* no better off than any other file */
            return 0;
        }
        if (errno != EINTR)
            return -1;
    }
    w->allocated = bytes;
    return 0;
}

/* Have place for len more bytes and the reserve behind them; on a full disk for no more than these. */
static int
make_room(struct journal_writer *w, size_t len)
{
    uint64_t need = w->bytes + len + RESERVE_BYTES, growth = w->bytes;

    if (need <= w->allocated)
        return 0;
    if (growth < GROWTH_BYTES)
        growth = GROWTH_BYTES;
    if (growth > GROWTH_MOST_BYTES)
        growth = GROWTH_MOST_BYTES;
    return allocate(w, need + growth) == 0 ? 0 : allocate(w, need);
}

int
journal_begin(struct journal_writer *w, int fd)
{
    struct stat st;

    *w = (struct journal_writer){.fd = fd};
    if (fstat(fd, &st) == -1)
        return -1;
    if (st.st_size != 0) {
        errno = EEXIST;
        return -1;
    }
    if (allocate(w, FIRST_BYTES) == -1 ||
        file_write_all(fd, JOURNAL_MAGIC, sizeof JOURNAL_MAGIC - 1) == -1) {
        int cause = errno;

        if (ftruncate(fd, 0) == 0)
            errno = cause;
        return -1;
    }
    w->bytes = sizeof JOURNAL_MAGIC - 1;
    return 0;
}

/* The attempt is over: what a long journal had in advance goes back.  For a short one that
 * would cost more than it gives. */
static void
give_back(struct journal_writer *w)
{
    if (w->allocated > FIRST_BYTES && ftruncate(w->fd, (off_t)w->bytes) == 0)
        w->allocated = w->bytes;
}

/* struct iovec has no const form for writing. */
static struct iovec
piece(const void *data, size_t skip, size_t len)
{
    return (struct iovec){(void *)((uintptr_t)data + skip), len - skip};
}

static int
write_record(const struct journal_writer *w, const struct journal_head *head, const void *payload)
{
    size_t total = sizeof *head + head->len;
    size_t done = 0;

    while (done < total) {
        size_t of_head = done < sizeof *head ? done : sizeof *head;
        struct iovec iov[2] = {piece(head, of_head, sizeof *head),
                               piece(payload, done - of_head, head->len)};
        ssize_t n = pwritev(w->fd, iov, 2, (off_t)(w->bytes + done));

        if (n == -1 && errno != EINTR)
            return -1;
        if (n > 0)
            done += (size_t)n;
    }
    return 0;
}

/* Have what a talkative job said written out bit by bit.  Left to the sync at its end, hundreds
 * of megabytes would go at once, and every other sync of the machine waits for them (0.3 s). */
static void
flush_written(struct journal_writer *w)
{
    if (w->bytes - w->flushed < FLUSH_BYTES)
        return;
    /* Only a beginning: the sync at the end finds whatever fails here. */
    (void)sync_file_range(w->fd, (off_t)w->flushed, (off_t)(w->bytes - w->flushed),
                          SYNC_FILE_RANGE_WRITE);
    w->flushed = w->bytes;
}

int
journal_append(struct journal_writer *w, enum journal_kind kind, const void *payload, size_t len)
{
    struct journal_head head = {
        .seq = w->seq + 1, .wall_us = clock_wall_us(), .kind = (uint16_t)kind};

    if (len > JOURNAL_PAYLOAD_MAX) {
        errno = EMSGSIZE;
        return -1;
    }
    if (kind != JOURNAL_END && make_room(w, sizeof head + len) == -1)
        return -1;
    head.len = (uint32_t)len;
    head.crc = journal_record_crc(&head, payload);
    if (write_record(w, &head, payload) == -1) {
        int cause = errno;

        /* Should even that fail, its errno is told; the torn rest is overwritten next time. */
        if (ftruncate(w->fd, (off_t)w->bytes) == 0)
            errno = cause;
        return -1;
    }
    w->seq++;
    w->bytes += sizeof head + len;
    flush_written(w);
    if (kind == JOURNAL_END)
        give_back(w);
    return 0;
}
