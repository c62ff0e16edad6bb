/* What goes together in a message, and what its routing key says of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "worker/bridge/attempt.h"
#include "worker/bridge/bundle.h"

#define OPERATION "0190b3a4-0000-7000-8000-000000000099"
#define OFFSET 100 /* behind record 1; each takes as much */

/* An attempt, of which only its streams' words about it are looked at. */
static void
make(struct attempt *a, int number, const char *requester)
{
    memset(a, 0, sizeof *a);
    snprintf(a->name.task, sizeof a->name.task, "0190b3a4-0000-7000-8000-00000000000%d", number);
    snprintf(a->name.token, sizeof a->name.token, "0123456789abcdef");
    a->name.attempt = 1;
    a->operation = (char *)(uintptr_t)OPERATION;
    a->requester = (char *)(uintptr_t)requester;
    for (int class = 0; class < STREAMS; class ++) {
        a->streams[class].attempt = a;
        a->streams[class].class = (enum stream_class) class;
    }
}

static bool
add_of(struct bundle *u, struct stream *s, uint64_t seq, enum event_kind kind)
{
    const struct journal_record record = {
        .head = {.seq = seq, .len = 1, .kind = event_bulk(kind) ? JOURNAL_STDOUT : JOURNAL_START},
        .payload = (const unsigned char *)"7",
        .end_offset = OFFSET * seq};
    const struct bundle_source source = {kind, "w1", OPERATION};

    if (!bundle_takes(u, s, kind, record.head.len))
        return false;
    bundle_add(u, s, &record, &source);
    return true;
}

static bool
add(struct bundle *u, struct attempt *a, uint64_t seq, enum event_kind kind)
{
    return add_of(u, &a->streams[event_bulk(kind) ? STREAM_BULK : STREAM_STATE], seq, kind);
}

/* The message is a batch of so many events, or one. */
static void
expect(const struct bundle *u, size_t events, const char *key)
{
    struct mq_message m = bundle_message(u);
    struct event_piece pieces[LIMIT_BATCH_EVENTS];
    struct fault fault;

    assert_string_equal(m.routing_key, key);
    assert_string_equal(m.content_type,
                        events == 1 ? EVENT_CONTENT_TYPE : EVENT_BATCH_CONTENT_TYPE);
    assert_int_equal(event_batch_is(m.body, m.len), events > 1);
    if (events > 1)
        assert_int_equal(event_batch_split(m.body, m.len, pieces, &fault), events);
}

static void
states_of_several_go_together(void **state)
{
    struct attempt a, b, c;
    struct bundle u = {0};

    (void)state;
    make(&a, 1, "jo");
    make(&b, 2, "jo");
    make(&c, 3, "al");
    assert_true(add(&u, &a, 1, EVENT_STARTED));
    expect(&u, 1, "w1.attempt.started.jo." OPERATION ".0190b3a4-0000-7000-8000-000000000001");
    assert_true(add(&u, &a, 2, EVENT_STARTED));
    expect(&u, 2, "w1.attempt.started.jo." OPERATION ".0190b3a4-0000-7000-8000-000000000001");
    assert_true(add(&u, &b, 1, EVENT_STARTED));
    expect(&u, 3, "w1.attempt.started.jo.-.-");
    assert_false(add(&u, &c, 1, EVENT_STARTED)); /* somebody else's */
    assert_true(add(&u, &a, 3, EVENT_STARTED));
    expect(&u, 4, "w1.attempt.started.jo.-.-");
    assert_int_equal(u.n, 2);
    assert_ptr_equal(u.parts[0].stream, &a.streams[STREAM_STATE]);
    assert_int_equal(u.parts[0].end_offset, 3 * OFFSET);
    assert_int_equal(u.parts[1].end_offset, OFFSET);
    assert_string_equal(u.id, "0190b3a4-0000-7000-8000-000000000001.1.0123456789abcdef.1");
    bundle_clear(&u);
    assert_true(add(&u, &c, 1, EVENT_STARTED));
    expect(&u, 1, "w1.attempt.started.al." OPERATION ".0190b3a4-0000-7000-8000-000000000003");
    bundle_free(&u);
}

static void
a_log_goes_alone(void **state)
{
    struct attempt a, b;
    struct bundle u = {0};

    (void)state;
    make(&a, 1, "jo");
    make(&b, 2, "jo");
    assert_true(add(&u, &a, 1, EVENT_OUTPUT));
    assert_false(add(&u, &b, 1, EVENT_OUTPUT));
    assert_true(add(&u, &a, 2, EVENT_OUTPUT));
    assert_false(bundle_takes(&u, &a.streams[STREAM_BULK], EVENT_OUTPUT, LIMIT_OUTPUT_BYTES));
    expect(&u, 2, "w1.attempt.output.jo." OPERATION ".0190b3a4-0000-7000-8000-000000000001");
    bundle_clear(&u);
    assert_true(add(&u, &a, 1, EVENT_STARTED));
    assert_false(add_of(&u, &a.streams[STREAM_STATE], 2,
                        EVENT_OUTPUT)); /* a result that is none: another queue's */
    bundle_clear(&u);
    assert_true(add_of(&u, &a.streams[STREAM_STATE], 1, EVENT_OUTPUT));
    assert_false(add_of(&u, &b.streams[STREAM_STATE], 1, EVENT_OUTPUT));
    bundle_free(&u);
}

/* What was forgotten is still in the message: its key must not name the one that is left. */
static void
what_is_forgotten_may_go(void **state)
{
    struct attempt a, b;
    struct bundle u = {0};

    (void)state;
    make(&a, 1, "jo");
    make(&b, 2, "jo");
    assert_true(add(&u, &a, 1, EVENT_STARTED) && add(&u, &b, 1, EVENT_STARTED));
    assert_true(bundle_has(&u, &a.streams[STREAM_STATE]));
    bundle_forget(&u, &a.streams[STREAM_STATE]);
    assert_false(bundle_has(&u, &a.streams[STREAM_STATE]));
    assert_true(bundle_has(&u, &b.streams[STREAM_STATE]));
    assert_true(add(&u, &b, 2, EVENT_STARTED));
    expect(&u, 3, "w1.attempt.started.jo.-.-");
    bundle_forget(&u, &b.streams[STREAM_STATE]);
    assert_int_equal(u.n, 0);
    assert_true(add(&u, &b, 1, EVENT_STARTED));
    expect(&u, 1, "w1.attempt.started.jo." OPERATION ".0190b3a4-0000-7000-8000-000000000002");
    bundle_free(&u);
}

static void
there_is_a_limit(void **state)
{
    struct attempt a, b;
    struct bundle u = {0};

    (void)state;
    make(&a, 1, "jo");
    make(&b, 2, "jo");
    for (uint64_t seq = 1; seq <= LIMIT_BATCH_EVENTS; seq++)
        assert_true(add(&u, &a, seq, EVENT_STARTED));
    assert_false(add(&u, &a, 1, EVENT_STARTED));
    assert_false(add(&u, &b, 1, EVENT_STARTED));
    bundle_free(&u);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(states_of_several_go_together),
        cmocka_unit_test(a_log_goes_alone),
        cmocka_unit_test(what_is_forgotten_may_go),
        cmocka_unit_test(there_is_a_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
