/* The reading end of a journal: reads ahead with pread(), hands out whole checked records.
 * What was read ahead is thrown away at the end of the file, since a record found incomplete
 * may be finished, or cut off and replaced, before the next look; so an idle reader holds no
 * buffer either. */
#include "worker/runner/journal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "common/guard.h"
#include "common/mem.h"
#include "worker/runner/journal_crc.h"

#define READ_AHEAD 16384u
#define MAGIC_LEN (sizeof JOURNAL_MAGIC - 1)

struct journal_reader {
    int fd;
    uint64_t offset; /* in the file, of data[start] */
    uint64_t seq;    /* of the last record; 0 = not known */
    unsigned char *data;
    size_t start, end, cap;
};

struct journal_reader *
journal_reader_new(int fd, uint64_t offset)
{
    struct journal_reader *r = mem_alloc(sizeof *r);

    r->fd = fd;
    r->offset = offset;
    return r;
}

static void
forget(struct journal_reader *r)
{
    free(r->data);
    r->data = NULL;
    r->start = r->end = r->cap = 0;
}

void
journal_reader_free(struct journal_reader *r)
{
    if (r == NULL)
        return;
    forget(r);
    free(r);
}

static void
make_room(struct journal_reader *r, size_t need)
{
    size_t have = r->end - r->start;

    if (have > 0 && r->start > 0)
        memmove(r->data, r->data + r->start, have);
    r->start = 0;
    r->end = have;
    if (r->cap < need + READ_AHEAD) {
        r->cap = need + READ_AHEAD;
        r->data = mem_resize(r->data, r->cap);
    }
}

/* Have `need` bytes at data[start]: JOURNAL_RECORD, or NO_MORE (none at all), TORN (some),
 * IO_ERROR. */
static enum journal_read
fill(struct journal_reader *r, size_t need)
{
    if (r->end - r->start >= need)
        return JOURNAL_RECORD;
    make_room(r, need);
    while (r->end < need) {
        ssize_t n = pread(r->fd, r->data + r->end, r->cap - r->end, (off_t)(r->offset + r->end));

        if (n == -1 && errno == EINTR)
            continue;
        if (n == -1)
            return JOURNAL_IO_ERROR;
        if (n == 0)
            return r->end == 0 ? JOURNAL_NO_MORE : JOURNAL_TORN;
        r->end += (size_t)n;
    }
    return JOURNAL_RECORD;
}

static void
consume(struct journal_reader *r, size_t len)
{
    r->start += len;
    r->offset += len;
}

static bool
plausible(const struct journal_reader *r, const struct journal_head *head)
{
    return head->len <= JOURNAL_PAYLOAD_MAX && head->kind >= JOURNAL_START &&
           head->kind <= JOURNAL_END && head->seq > 0 && (r->seq == 0 || head->seq == r->seq + 1);
}

static enum journal_read
read_magic(struct journal_reader *r)
{
    enum journal_read got = fill(r, MAGIC_LEN);

    if (got != JOURNAL_RECORD)
        return got;
    if (memcmp(r->data + r->start, JOURNAL_MAGIC, MAGIC_LEN) != 0)
        return JOURNAL_TORN;
    consume(r, MAGIC_LEN);
    return JOURNAL_RECORD;
}

static enum journal_read
read_record(struct journal_reader *r, struct journal_record *out)
{
    enum journal_read got = fill(r, sizeof out->head);

    if (got != JOURNAL_RECORD)
        return got;
    memcpy(&out->head, r->data + r->start, sizeof out->head);
    if (!plausible(r, &out->head))
        return JOURNAL_TORN;
    got = fill(r, sizeof out->head + out->head.len);
    if (got != JOURNAL_RECORD)
        return got;
    out->payload = r->data + r->start + sizeof out->head;
    if (journal_record_crc(&out->head, out->payload) != out->head.crc)
        return JOURNAL_TORN;
    consume(r, sizeof out->head + out->head.len);
    r->seq = out->head.seq;
    out->end_offset = r->offset;
    return JOURNAL_RECORD;
}

enum journal_read
journal_next(struct journal_reader *r, struct journal_record *out)
{
    enum journal_read got = r->offset == 0 ? read_magic(r) : JOURNAL_RECORD;

    if (got == JOURNAL_RECORD)
        got = read_record(r, out);
    if (got != JOURNAL_RECORD)
        forget(r);
    return got;
}

void
journal_unread(struct journal_reader *r, const struct journal_record *record)
{
    size_t len = sizeof record->head + record->head.len;

    r->start -= len;
    r->offset -= len;
    r->seq--;
}

bool
journal_is_held(int fd)
{
    if (flock(fd, LOCK_SH | LOCK_NB) == -1 && guard_is_on("journal-lock"))
        return true; /* any doubt counts as held: waiting is safe, "lost" is not */
    (void)flock(fd, LOCK_UN);
    return false;
}
