/* One class of a journal's records: what is given back comes again, and nothing counts as confirmed that was taken and not sent. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "worker/bridge/attempt.h"
#include "worker/bridge/stream.h"

static const enum journal_kind kinds[] = {JOURNAL_START,  JOURNAL_STDOUT,   JOURNAL_PROGRESS,
                                          JOURNAL_RESULT, JOURNAL_PROGRESS, JOURNAL_STDERR,
                                          JOURNAL_END};

/* An attempt whose journal has these records, of 1, 2, 3 ... bytes, and a stream of one class of them. */
static struct stream *
open_stream(struct attempt *attempt, enum stream_class class)
{
    struct stream *s = &attempt->streams[class];
    struct journal_writer writer;

    memset(attempt, 0, sizeof *attempt);
    attempt->journal_fd = memfd_create("journal", MFD_CLOEXEC);
    assert_int_equal(journal_begin(&writer, attempt->journal_fd), 0);
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        assert_int_equal(journal_append(&writer, kinds[i], "xxxxxxxx", i + 1), 0);
    s->attempt = attempt;
    s->class = class;
    stream_open(s, 0);
    return s;
}

static void
close_stream(struct stream *s)
{
    stream_close(s);
    (void)close(s->attempt->journal_fd);
}

static void
expect(struct stream *s, uint64_t seq, struct journal_record *record)
{
    assert_int_equal(stream_next(s, record), STREAM_RECORD);
    assert_int_equal(record->head.seq, seq);
    assert_int_equal(record->head.len, seq);
    assert_int_equal(s->read_offset, record->end_offset);
}

static void
test_what_is_given_back_comes_again(void **state)
{
    struct attempt attempt;
    struct stream *s = open_stream(&attempt, STREAM_BULK);
    struct journal_record record;
    uint64_t behind;

    (void)state;
    expect(s, 2, &record);
    stream_unread(s, &record); /* the first of its kind: one of the other lies before it */
    expect(s, 2, &record);
    behind = record.end_offset;
    expect(s, 3, &record);
    stream_unread(s, &record);
    assert_int_equal(s->read_offset, behind);
    stream_rewind(s, s->read_offset);
    expect(s, 3, &record);
    expect(s, 5, &record);
    expect(s, 6, &record);
    stream_unread(s, &record);
    expect(s, 6, &record);
    assert_int_equal(stream_next(s, &record), STREAM_DRY);
    close_stream(s);
}

static void
test_nothing_taken_is_confirmed_by_what_is_skipped(void **state)
{
    struct attempt attempt;
    struct stream *s = open_stream(&attempt, STREAM_BULK);
    struct journal_record record;
    uint64_t start;

    (void)state;
    expect(s, 2, &record);
    start = s->confirmed;
    assert_int_equal(start, record.end_offset - sizeof record.head - 2);
    expect(s, 3, &record);
    expect(s, 5, &record); /* passes over a result */
    assert_int_equal(s->confirmed, start);
    close_stream(s);
}

/* Nothing is looked for behind an end, but it is looked for itself as long as it is not taken. */
static void
test_an_end_that_is_given_back_comes_again(void **state)
{
    struct attempt attempt;
    struct stream *s = open_stream(&attempt, STREAM_STATE);
    struct journal_record record;

    (void)state;
    expect(s, 1, &record);
    expect(s, 4, &record);
    expect(s, 7, &record);
    assert_int_equal(stream_next(s, &record), STREAM_DRY);
    stream_unread(s, &record);
    expect(s, 7, &record);
    assert_int_equal(stream_next(s, &record), STREAM_DRY);
    close_stream(s);
}

static bool
is_tidy(uint16_t left_behind, uint16_t daemons)
{
    const struct journal_end end = {
        .cause = END_DONE, .left_behind = left_behind, .daemons = daemons};
    struct attempt attempt = {.journal_fd = memfd_create("journal", MFD_CLOEXEC)};
    struct stream *s = &attempt.streams[STREAM_STATE];
    struct journal_writer writer;
    struct journal_record record;

    assert_int_equal(journal_begin(&writer, attempt.journal_fd), 0);
    assert_int_equal(journal_append(&writer, JOURNAL_START, "7", 1), 0);
    assert_int_equal(journal_append(&writer, JOURNAL_END, &end, sizeof end), 0);
    s->attempt = &attempt;
    stream_open(s, 0);
    assert_int_equal(stream_next(s, &record), STREAM_RECORD);
    assert_false(attempt.tidy);
    assert_int_equal(stream_next(s, &record), STREAM_RECORD);
    close_stream(s);
    return attempt.tidy;
}

static void
test_what_left_no_process_is_tidy(void **state)
{
    (void)state;
    assert_true(is_tidy(0, 0));
    assert_false(is_tidy(1, 0));
    assert_false(is_tidy(0, 1));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_given_back_comes_again),
        cmocka_unit_test(test_an_end_that_is_given_back_comes_again),
        cmocka_unit_test(test_nothing_taken_is_confirmed_by_what_is_skipped),
        cmocka_unit_test(test_what_left_no_process_is_tidy),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
