/* Any bytes as a journal.  With the first byte odd the checksums are made right, so that the reader
 * is not stopped by the first of them. */
#include <sys/mman.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"
#include "worker/runner/journal.h"
#include "worker/runner/journal_crc.h"

#define MAGIC_LEN (sizeof JOURNAL_MAGIC - 1)

static void
mend_checksums(uint8_t *data, size_t size)
{
    struct journal_head head;

    for (size_t at = MAGIC_LEN; at + sizeof head <= size; at += sizeof head + head.len) {
        memcpy(&head, data + at, sizeof head);
        if (head.len > size - at - sizeof head)
            return;
        head.crc = journal_record_crc(&head, data + at + sizeof head);
        memcpy(data + at, &head, sizeof head);
    }
}

/* message and outputs lie within the payload, behind the struct. */
static void
check_end(const struct journal_record *record)
{
    struct journal_end end;
    const char *message, *outputs, *payload = (const char *)record->payload;

    if (journal_end_parse(record, &end, &message, &outputs) == -1)
        return;
    fuzz_check(end.cause < END_CAUSES && message == payload + sizeof end);
    fuzz_check(outputs == message + end.message_len &&
               outputs + end.outputs_len == payload + record->head.len);
}

static void
read_all(int fd, size_t size)
{
    struct journal_reader *reader = journal_reader_new(fd, 0);
    struct journal_record record;
    uint64_t offset = MAGIC_LEN, seq = 0;

    while (journal_next(reader, &record) == JOURNAL_RECORD) {
        offset += sizeof record.head + record.head.len;
        fuzz_check(record.end_offset == offset && offset <= size);
        fuzz_check(seq == 0 || record.head.seq == seq + 1);
        fuzz_check(record.head.len <= JOURNAL_PAYLOAD_MAX);
        seq = record.head.seq;
        if (record.head.kind == JOURNAL_END)
            check_end(&record);
    }
    journal_reader_free(reader);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int fd = -1;
    uint8_t *copy;

    if (fd == -1)
        fd = memfd_create("journal", MFD_CLOEXEC);
    if (size == 0)
        return 0;
    copy = malloc(size);
    memcpy(copy, data + 1, --size);
    if ((data[0] & 1) != 0)
        mend_checksums(copy, size);
    fuzz_check(ftruncate(fd, 0) == 0 && pwrite(fd, copy, size, 0) == (ssize_t)size);
    read_all(fd, size);
    free(copy);
    return 0;
}
