/* Journal: what is written is read; what is cut or spoilt is never taken for a record. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "worker/runner/journal.h"
#include "worker/runner/journal_crc.h"

#define RECORDS 12
#define MAGIC_LEN (sizeof JOURNAL_MAGIC - 1)

struct sample {
    int fd;
    struct journal_writer writer;
    uint64_t ends[RECORDS + 1]; /* offsets behind 0, 1, 2 ... records */
};

static unsigned char noise[JOURNAL_PAYLOAD_MAX + 1];

static size_t
sample_len(unsigned i)
{
    return (size_t)i * i * 3; /* 0, 3, 12, 27 ... 363 */
}

static void
open_empty(struct sample *s)
{
    s->fd = memfd_create("journal", MFD_CLOEXEC);
    assert_int_not_equal(s->fd, -1);
    assert_int_equal(write(s->fd, JOURNAL_MAGIC, MAGIC_LEN), MAGIC_LEN);
    s->writer = (struct journal_writer){.fd = s->fd, .bytes = MAGIC_LEN, .allocated = MAGIC_LEN};
    s->ends[0] = MAGIC_LEN;
}

static void
append_one(struct sample *s, unsigned i)
{
    enum journal_kind kind = i == 0 ? JOURNAL_START : JOURNAL_STDOUT;

    assert_int_equal(journal_append(&s->writer, kind, noise + i, sample_len(i)), 0);
    s->ends[i + 1] = s->writer.bytes;
}

static void
open_sample(struct sample *s)
{
    open_empty(s);
    for (unsigned i = 0; i < RECORDS; i++)
        append_one(s, i);
}

/* Read on; returns the number of records, *last is what ended them. */
static unsigned
read_all(struct journal_reader *r, unsigned first, enum journal_read *last)
{
    struct journal_record record;
    unsigned n = 0;

    while ((*last = journal_next(r, &record)) == JOURNAL_RECORD) {
        unsigned i = first + n++;

        assert_int_equal(record.head.seq, i + 1);
        assert_int_equal(record.head.len, sample_len(i));
        assert_memory_equal(record.payload, noise + i, record.head.len);
    }
    return n;
}

static unsigned
whole_before(const struct sample *s, uint64_t cut)
{
    unsigned n = 0;

    while (n < RECORDS && s->ends[n + 1] <= cut)
        n++;
    return n;
}

static void
known_checksum(void **state)
{
    const struct journal_head head = {
        .len = 9, .crc = 7, .seq = 1, .wall_us = 2, .kind = JOURNAL_STDOUT};
    const struct journal_head empty = {.crc = 7, .seq = 1, .wall_us = 2, .kind = JOURNAL_STDOUT};

    (void)
        state; /* python3 -c 'import struct, zlib; print(hex(zlib.crc32(struct.pack("<QqHHHH", 1, 2, 2, 0, 0, 0) + b"123456789")))' */
    assert_int_equal(journal_record_crc(&head, "123456789"), 0x2529316cu);
    assert_int_equal(journal_record_crc(&empty, NULL), 0xe7618d19u);
}

static void
cut_at_every_byte(void **state)
{
    struct sample s;

    (void)state;
    open_sample(&s);
    for (uint64_t cut = s.ends[RECORDS]; cut > 0; cut--) {
        unsigned whole = whole_before(&s, cut - 1);
        struct journal_reader *r;
        enum journal_read last;

        assert_int_equal(ftruncate(s.fd, (off_t)(cut - 1)), 0);
        r = journal_reader_new(s.fd, 0);
        assert_int_equal(read_all(r, 0, &last), whole);
        assert_int_equal(last,
                         cut - 1 == s.ends[whole] || cut == 1 ? JOURNAL_NO_MORE : JOURNAL_TORN);
        assert_int_equal(journal_next(r, &(struct journal_record){0}), last);
        journal_reader_free(r);
    }
    (void)close(s.fd);
}

static void
flip_every_bit(void **state)
{
    struct sample s;

    (void)state;
    open_sample(&s);
    for (uint64_t at = 0; at < s.ends[RECORDS]; at++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            struct journal_reader *r = journal_reader_new(s.fd, 0);
            enum journal_read last;
            unsigned char byte, spoilt;

            assert_int_equal(pread(s.fd, &byte, 1, (off_t)at), 1);
            spoilt = (unsigned char)(byte ^ (1u << bit));
            assert_int_equal(pwrite(s.fd, &spoilt, 1, (off_t)at), 1);
            assert_int_equal(read_all(r, 0, &last), whole_before(&s, at));
            assert_int_equal(last, JOURNAL_TORN);
            assert_int_equal(pwrite(s.fd, &byte, 1, (off_t)at), 1);
            journal_reader_free(r);
        }
    }
    (void)close(s.fd);
}

static void
reader_follows_a_growing_file(void **state)
{
    struct sample s;
    struct journal_reader *r;
    enum journal_read last;

    (void)state;
    open_empty(&s);
    r = journal_reader_new(s.fd, 0);
    for (unsigned i = 0; i < RECORDS; i++) {
        assert_int_equal(read_all(r, i, &last), 0);
        assert_int_equal(last, JOURNAL_NO_MORE);
        append_one(&s, i);
        assert_int_equal(read_all(r, i, &last), 1);
        assert_int_equal(last, JOURNAL_NO_MORE);
    }
    journal_reader_free(r);
    (void)close(s.fd);
}

/* A record seen half written is torn now and whole later. */
static void
torn_may_become_whole(void **state)
{
    struct sample s;
    struct journal_reader *r;
    enum journal_read last;
    char rest[64];

    (void)state;
    open_sample(&s);
    assert_int_equal(pread(s.fd, rest, sizeof rest, (off_t)(s.ends[RECORDS] - sizeof rest)),
                     sizeof rest);
    assert_int_equal(ftruncate(s.fd, (off_t)(s.ends[RECORDS] - sizeof rest)), 0);
    r = journal_reader_new(s.fd, 0);
    assert_int_equal(read_all(r, 0, &last), RECORDS - 1);
    assert_int_equal(last, JOURNAL_TORN);
    assert_int_equal(pwrite(s.fd, rest, sizeof rest, (off_t)(s.ends[RECORDS] - sizeof rest)),
                     sizeof rest);
    assert_int_equal(read_all(r, RECORDS - 1, &last), 1);
    assert_int_equal(last, JOURNAL_NO_MORE);
    journal_reader_free(r);
    (void)close(s.fd);
}

static void
reading_goes_on_from_an_offset(void **state)
{
    struct sample s;

    (void)state;
    open_sample(&s);
    for (unsigned i = 0; i <= RECORDS; i++) {
        struct journal_reader *r = journal_reader_new(s.fd, s.ends[i]);
        enum journal_read last;

        assert_int_equal(read_all(r, i, &last), RECORDS - i);
        assert_int_equal(last, JOURNAL_NO_MORE);
        journal_reader_free(r);
    }
    (void)close(s.fd);
}

static void
gap_in_the_numbers_is_torn(void **state)
{
    struct sample s;
    struct journal_reader *r;
    enum journal_read last;

    (void)state;
    open_empty(&s);
    append_one(&s, 0);
    s.writer.seq++;
    append_one(&s, 1);
    r = journal_reader_new(s.fd, 0);
    assert_int_equal(read_all(r, 0, &last), 1);
    assert_int_equal(last, JOURNAL_TORN);
    journal_reader_free(r);
    (void)close(s.fd);
}

static void
largest_record_and_one_more(void **state)
{
    struct journal_head head = {.len = JOURNAL_PAYLOAD_MAX + 1, .seq = 1, .kind = JOURNAL_STDOUT};
    struct journal_record record;
    struct journal_reader *r;
    struct sample s;

    (void)state;
    open_empty(&s);
    assert_int_equal(journal_append(&s.writer, JOURNAL_STDOUT, noise, JOURNAL_PAYLOAD_MAX), 0);
    assert_int_equal(journal_append(&s.writer, JOURNAL_STDOUT, noise, JOURNAL_PAYLOAD_MAX + 1), -1);
    assert_int_equal(errno, EMSGSIZE);
    r = journal_reader_new(s.fd, 0);
    assert_int_equal(journal_next(r, &record), JOURNAL_RECORD);
    assert_memory_equal(record.payload, noise, JOURNAL_PAYLOAD_MAX);
    assert_int_equal(record.end_offset, s.writer.bytes);
    assert_int_equal(journal_next(r, &record), JOURNAL_NO_MORE);
    journal_reader_free(r);

    head.crc = journal_record_crc(&head, noise);
    assert_int_equal(pwrite(s.fd, &head, sizeof head, MAGIC_LEN), sizeof head);
    assert_int_equal(pwrite(s.fd, noise, head.len, MAGIC_LEN + sizeof head), head.len);
    r = journal_reader_new(s.fd, 0);
    assert_int_equal(journal_next(r, &record), JOURNAL_TORN);
    journal_reader_free(r);
    (void)close(s.fd);
}

/* A regular file, since RLIMIT_FSIZE stands for the full disk. */
static void
failed_append_leaves_no_trace(void **state)
{
    char name[] = "/tmp/hler-test-journal-XXXXXX";
    struct sample s;
    struct rlimit old, small;
    struct journal_reader *r;
    enum journal_read last;

    (void)state;
    s.fd = mkstemp(name);
    assert_int_not_equal(s.fd, -1);
    assert_int_equal(unlink(name), 0);
    assert_int_equal(write(s.fd, JOURNAL_MAGIC, MAGIC_LEN), MAGIC_LEN);
    s.writer = (struct journal_writer){.fd = s.fd, .bytes = MAGIC_LEN, .allocated = MAGIC_LEN};
    append_one(&s, 0);
    append_one(&s, 1);
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small = (struct rlimit){s.writer.bytes + 100, old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    assert_int_equal(journal_append(&s.writer, JOURNAL_STDOUT, noise, 5000), -1);
    assert_int_equal(errno, EFBIG);
    assert_int_equal(lseek(s.fd, 0, SEEK_END), s.ends[2]);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    append_one(&s, 2);
    r = journal_reader_new(s.fd, 0);
    assert_int_equal(read_all(r, 0, &last), 3);
    assert_int_equal(last, JOURNAL_NO_MORE);
    journal_reader_free(r);
    (void)close(s.fd);
}

static void
read_error_is_told(void **state)
{
    struct journal_reader *r = journal_reader_new(-1, 0);
    struct journal_record record;

    (void)state;
    assert_int_equal(journal_next(r, &record), JOURNAL_IO_ERROR);
    assert_int_equal(errno, EBADF);
    journal_reader_free(r);
    journal_reader_free(NULL);
}

static void
lock_tells_of_a_runner(void **state)
{
    char name[] = "/tmp/hler-test-journal-XXXXXX";
    int holder = mkstemp(name);
    FILE *reader = fopen(name, "r");

    (void)state;
    assert_non_null(reader);
    assert_int_equal(unlink(name), 0);
    assert_false(journal_is_held(fileno(reader)));
    assert_int_equal(flock(holder, LOCK_EX | LOCK_NB), 0);
    assert_true(journal_is_held(fileno(reader)));
    (void)close(holder);
    assert_false(journal_is_held(fileno(reader)));
    (void)fclose(reader);
}

static void
end_is_parsed_strictly(void **state)
{
    struct {
        struct journal_end end;
        char text[8];
    } payload = {{.cause = END_EXIT, .exit_code = 3, .message_len = 5, .outputs_len = 3},
                 "exit3a=b"};
    struct journal_record record = {.head = {.kind = JOURNAL_END, .len = sizeof payload},
                                    .payload = (const unsigned char *)&payload};
    const char *message, *outputs;
    struct journal_end end;

    (void)state;
    _Static_assert(sizeof payload == sizeof(struct journal_end) + 8, "no padding");
    assert_int_equal(journal_end_parse(&record, &end, &message, &outputs), 0);
    assert_int_equal(end.exit_code, 3);
    assert_memory_equal(message, "exit3", 5);
    assert_memory_equal(outputs, "a=b", 3);
    record.head.len--;
    assert_int_equal(journal_end_parse(&record, &end, &message, &outputs), -1);
    record.head.len = sizeof end - 1;
    assert_int_equal(journal_end_parse(&record, &end, &message, &outputs), -1);
    record.head.len = sizeof payload;
    payload.end.message_len = UINT32_MAX;
    payload.end.outputs_len = 9;
    assert_int_equal(journal_end_parse(&record, &end, &message, &outputs), -1);
    payload.end = (struct journal_end){.cause = END_CAUSES, .message_len = 8};
    assert_int_equal(journal_end_parse(&record, &end, &message, &outputs), -1);
}

static void
every_cause_has_a_name(void **state)
{
    (void)state;
    for (unsigned i = 0; i < END_CAUSES; i++) {
        assert_non_null(journal_cause_name((enum journal_cause)i));
        for (unsigned k = 0; k < i; k++)
            assert_string_not_equal(journal_cause_name((enum journal_cause)i),
                                    journal_cause_name((enum journal_cause)k));
    }
    assert_string_equal(journal_cause_name(END_LEASE), "lease");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_checksum),
        cmocka_unit_test(cut_at_every_byte),
        cmocka_unit_test(flip_every_bit),
        cmocka_unit_test(reader_follows_a_growing_file),
        cmocka_unit_test(torn_may_become_whole),
        cmocka_unit_test(reading_goes_on_from_an_offset),
        cmocka_unit_test(gap_in_the_numbers_is_torn),
        cmocka_unit_test(largest_record_and_one_more),
        cmocka_unit_test(failed_append_leaves_no_trace),
        cmocka_unit_test(read_error_is_told),
        cmocka_unit_test(lock_tells_of_a_runner),
        cmocka_unit_test(end_is_parsed_strictly),
        cmocka_unit_test(every_cause_has_a_name),
    };

    for (size_t i = 0; i < sizeof noise; i++)
        noise[i] = (unsigned char)(i * 7 + (i >> 8) * 13 + 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
