/* A valid journal cut at any byte is read to its last whole record, no more and no less.  The input is
 * where to cut (two bytes), and then for each record its kind, the length of its payload and its payload. */
#include <sys/mman.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"
#include "worker/runner/journal.h"

#define RECORDS_MAX 64
#define LONG                                                                                       \
    250 /* from this length on, of one byte, payloads are longer than the reader's buffer */
#define REPEAT 97

struct sample {
    struct journal_writer writer;
    uint64_t ends[RECORDS_MAX + 1]; /* offsets behind 0, 1, 2 ... records */
    unsigned records;
};

static void
append(struct sample *s, const uint8_t *data, size_t size)
{
    static uint8_t payload[UINT8_MAX * REPEAT];
    size_t len = data[1] < LONG ? data[1] : (size_t)data[1] * REPEAT;
    enum journal_kind kind = JOURNAL_START + data[0] % JOURNAL_END;

    memset(payload, 0, len);
    memcpy(payload, data, size < len ? size : len);
    fuzz_check(journal_append(&s->writer, kind, payload, len) == 0);
    s->ends[++s->records] = s->writer.bytes;
}

static void
check_prefix(const struct sample *s, uint64_t cut)
{
    struct journal_reader *reader = journal_reader_new(s->writer.fd, 0);
    struct journal_record record;
    enum journal_read got;
    unsigned n = 0, whole = 0;

    while (whole < s->records && s->ends[whole + 1] <= cut)
        whole++;
    while ((got = journal_next(reader, &record)) == JOURNAL_RECORD) {
        n++;
        fuzz_check(n <= whole && record.head.seq == n && record.end_offset == s->ends[n]);
    }
    fuzz_check(n == whole);
    fuzz_check(got == (cut == 0 || cut == s->ends[whole] ? JOURNAL_NO_MORE : JOURNAL_TORN));
    journal_reader_free(reader);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int fd = -1;
    struct sample s = {0};
    uint64_t cut;

    if (size < sizeof(uint16_t))
        return 0;
    if (fd == -1)
        fd = memfd_create("journal", MFD_CLOEXEC);
    fuzz_check(ftruncate(fd, 0) == 0 && lseek(fd, 0, SEEK_SET) == 0 &&
               journal_begin(&s.writer, fd) == 0);
    s.ends[0] = s.writer.bytes;
    cut = (uint64_t)data[0] << 8 | data[1];
    for (size_t at = 2; at + 2 <= size && s.records < RECORDS_MAX; at += 2)
        append(&s, data + at, size - at);
    cut = cut * (s.writer.bytes + 1) / (UINT16_MAX + 1);
    fuzz_check(ftruncate(fd, (off_t)cut) == 0);
    check_prefix(&s, cut);
    return 0;
}
