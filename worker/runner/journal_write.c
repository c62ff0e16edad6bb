/* The writing end of a journal.  Nothing is allocated, since the runner uses it; each record
 * is written at the writer's own offset, so a failed one leaves no trace once it is cut off. */
#include "worker/runner/journal.h"

#include <errno.h>
#include <sys/uio.h>
#include <unistd.h>

#include "common/clock.h"
#include "worker/runner/journal_crc.h"

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

int
journal_append(struct journal_writer *w, enum journal_kind kind, const void *payload, size_t len)
{
    struct journal_head head = {
        .seq = w->seq + 1, .wall_us = clock_wall_us(), .kind = (uint16_t)kind};

    if (len > JOURNAL_PAYLOAD_MAX) {
        errno = EMSGSIZE;
        return -1;
    }
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
    return 0;
}
