#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/mq_confirm.h"

#define CAP 8
#define NO_BYTES_LIMIT SIZE_MAX
#define COOKIE 1000 /* cookie = COOKIE + tag */

struct seen {
    uint64_t cookie;
    enum mq_outcome outcome;
};

static struct mq_ring ring;
static struct seen seen[1000];
static size_t count;

static void
note(void *ctx, uint64_t cookie, enum mq_outcome outcome)
{
    (void)ctx;
    assert_true(count < ARRAY_LEN(seen));
    seen[count++] = (struct seen){cookie, outcome};
}

static void
publish(int n)
{
    while (n-- > 0) {
        uint64_t tag = ring.next;

        assert_int_equal(mq_ring_add(&ring, COOKIE + tag, 10, 5), tag);
    }
}

static int
answer(uint64_t tag, bool multiple, bool nack)
{
    const struct mq_answer a = {tag, multiple, nack};

    count = 0;
    return mq_ring_answer(&ring, &a, note, NULL);
}

static void
expect(size_t at, uint64_t tag, enum mq_outcome outcome)
{
    assert_true(at < count);
    assert_int_equal(seen[at].cookie, COOKIE + tag);
    assert_int_equal(seen[at].outcome, outcome);
}

static int
setup(void **state)
{
    (void)state;
    count = 0;
    mq_ring_init(&ring, CAP, NO_BYTES_LIMIT);
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    mq_ring_free(&ring);
    return 0;
}

static void
test_one_by_one(void **state)
{
    (void)state;
    publish(2);
    assert_int_equal(answer(1, false, false), 0);
    assert_int_equal(count, 1);
    expect(0, 1, MQ_CONFIRMED);
    assert_int_equal(answer(2, false, true), 0);
    expect(0, 2, MQ_NACKED);
    assert_int_equal(mq_ring_since(&ring), 0);
}

static void
test_out_of_order_then_multiple(void **state)
{
    (void)state;
    publish(6);
    assert_int_equal(answer(3, false, false), 0);
    assert_int_equal(answer(5, true, false), 0); /* 1, 2, 4, 5: not 3 again */
    assert_int_equal(count, 4);
    expect(0, 1, MQ_CONFIRMED);
    expect(1, 2, MQ_CONFIRMED);
    expect(2, 4, MQ_CONFIRMED);
    expect(3, 5, MQ_CONFIRMED);
    assert_int_equal(answer(0, true, true), 0); /* tag 0 = all there are */
    assert_int_equal(count, 1);
    expect(0, 6, MQ_NACKED);
    assert_int_equal(answer(4, true, false), 0); /* late, of old ones: nothing left to say */
    assert_int_equal(count, 0);
}

static void
test_return_beats_ack(void **state)
{
    (void)state;
    publish(3);
    assert_int_equal(mq_ring_return(&ring, 2), 0);
    assert_int_equal(answer(3, true, false), 0);
    expect(0, 1, MQ_CONFIRMED);
    expect(1, 2, MQ_RETURNED);
    expect(2, 3, MQ_CONFIRMED);
    publish(1); /* the slot of an old return says nothing about its next user */
    assert_int_equal(answer(4, false, false), 0);
    expect(0, 4, MQ_CONFIRMED);
}

static void
test_wrong_tags(void **state)
{
    (void)state;
    assert_int_equal(answer(1, false, false), -1);
    assert_int_equal(answer(1, true, false), -1);
    assert_int_equal(mq_ring_return(&ring, 1), -1);
    publish(2);
    assert_int_equal(answer(0, false, false), -1);
    assert_int_equal(answer(3, false, false), -1);
    assert_int_equal(answer(2, false, false), 0);
    assert_int_equal(answer(2, false, false), -1); /* twice */
    assert_int_equal(mq_ring_return(&ring, 2), -1);
    assert_int_equal(count, 0);
}

static void
test_room(void **state)
{
    (void)state;
    publish(CAP);
    assert_false(mq_ring_has_room(&ring, 0));
    assert_int_equal(answer(2, false, false), 0);
    assert_false(mq_ring_has_room(&ring, 0)); /* 1 still holds the ring's start */
    assert_int_equal(answer(1, false, false), 0);
    assert_true(mq_ring_has_room(&ring, 0));
    publish(2);
    assert_false(mq_ring_has_room(&ring, 0));
}

static void
test_room_for_bytes(void **state)
{
    (void)state;
    mq_ring_free(&ring);
    mq_ring_init(&ring, CAP, 25);
    assert_true(mq_ring_has_room(&ring, 1000)); /* a large one alone is legal */
    publish(2);
    assert_true(mq_ring_has_room(&ring, 5));
    assert_false(mq_ring_has_room(&ring, 6));
    assert_int_equal(answer(2, false, false), 0); /* out of order gives its bytes back too */
    assert_true(mq_ring_has_room(&ring, 15));
    assert_false(mq_ring_has_room(&ring, 16));
}

static void
test_reset(void **state)
{
    (void)state;
    publish(4);
    assert_int_equal(answer(2, false, false), 0);
    assert_int_equal(mq_ring_return(&ring, 3), 0);
    count = 0;
    mq_ring_reset(&ring, note, NULL);
    assert_int_equal(count, 3);
    expect(0, 1, MQ_UNKNOWN);
    expect(1, 3, MQ_RETURNED); /* it certainly went nowhere */
    expect(2, 4, MQ_UNKNOWN);
    assert_int_equal(mq_ring_since(&ring), 0);
    assert_int_equal(mq_ring_add(&ring, 7, 1, 9), 1);
    assert_int_equal(mq_ring_since(&ring), 9);
    assert_int_equal(ring.bytes, 1);
}

static void
publish_again(void *ctx, uint64_t cookie, enum mq_outcome outcome)
{
    int *left = ctx;

    (void)cookie;
    assert_int_equal(outcome, MQ_CONFIRMED);
    if (*left > 0 && mq_ring_has_room(&ring, 10)) {
        --*left;
        publish(1);
    }
}

/* A handler that publishes the next message is the normal case. */
static void
test_publish_in_handler(void **state)
{
    const struct mq_answer all = {0, true, false};
    int left = CAP;

    (void)state;
    publish(CAP);
    assert_int_equal(mq_ring_answer(&ring, &all, publish_again, &left), 0);
    assert_int_equal(left, 0);
    assert_int_equal(ring.oldest, CAP + 1);
    assert_int_equal(ring.next, 2 * CAP + 1);
    assert_int_equal(ring.bytes, CAP * 10);
}

/* Chance that is the same in each run (constants of Numerical Recipes). */
static uint32_t
chance(uint32_t below)
{
    static uint32_t state = 1;

    state = state * 1664525u + 1013904223u;
    return (state >> 16) % below;
}

/* Against a plain model: every tag is settled once, whatever the order of answers. */
static void
test_random_orders(void **state)
{
    static bool open[4096];
    const size_t rounds = 2000;
    size_t settled = 0, published = 0;

    (void)state;
    for (size_t i = 0; i < rounds; i++) {
        uint64_t span = ring.next - ring.oldest, tag = ring.oldest;

        if (mq_ring_has_room(&ring, 10) && chance(2) == 0) {
            open[ring.next] = true;
            publish(1);
            published++;
            continue;
        }
        if (span == 0)
            continue;
        tag += chance((uint32_t)span);
        if (answer(tag, chance(4) == 0, chance(8) == 0) == -1) {
            assert_false(open[tag]);
            continue;
        }
        for (size_t k = 0; k < count; k++) {
            assert_true(open[seen[k].cookie - COOKIE]);
            open[seen[k].cookie - COOKIE] = false;
        }
        settled += count;
    }
    count = 0;
    mq_ring_reset(&ring, note, NULL);
    assert_true(published > rounds / 4);
    assert_int_equal(settled + count, published);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_one_by_one, setup, teardown),
        cmocka_unit_test_setup_teardown(test_out_of_order_then_multiple, setup, teardown),
        cmocka_unit_test_setup_teardown(test_return_beats_ack, setup, teardown),
        cmocka_unit_test_setup_teardown(test_wrong_tags, setup, teardown),
        cmocka_unit_test_setup_teardown(test_room, setup, teardown),
        cmocka_unit_test_setup_teardown(test_room_for_bytes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_reset, setup, teardown),
        cmocka_unit_test_setup_teardown(test_publish_in_handler, setup, teardown),
        cmocka_unit_test_setup_teardown(test_random_orders, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
