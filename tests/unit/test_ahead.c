#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "dispatcher/ahead.h"

/* ahead: in what order what has arrived is recorded. */

#define BODY_BYTES (64u * 1024u)
#define IN_A_BATCH 8 /* bodies of that size */

static char body[BODY_BYTES];

static void
arrive(struct ahead *ahead, uint64_t tag, int seq)
{
    char id[64];
    const struct mq_delivery delivery = {
        .tag = tag, .message_id = id, .routing_key = "a.b", .body = body, .len = sizeof body};

    snprintf(id, sizeof id, "task.1.0123456789abcdef.%d", seq);
    batch_add(ahead_batch_for(ahead, &delivery), "queue", &delivery);
}

/* What is next to be recorded, as the flow holds it. */
struct hand {
    struct batch first, rest;
};

static void
take(struct ahead *ahead, struct hand *hand)
{
    batch_clear(&hand->first);
    batch_clear(&hand->rest);
    ahead_take(ahead, &hand->first, &hand->rest);
}

static void
drop(struct ahead *ahead, struct hand *hand)
{
    batch_free(&hand->first);
    batch_free(&hand->rest);
    ahead_free(ahead);
}

static void
first_words_apart(void **state)
{
    struct ahead ahead = {0};
    struct hand hand = {0};

    (void)state;
    arrive(&ahead, 1, 40);
    arrive(&ahead, 2, 2);
    arrive(&ahead, 3, 41);
    take(&ahead, &hand);
    assert_int_equal(hand.first.n, 1);
    assert_int_equal(hand.first.items[0]->tag, 2);
    assert_int_equal(hand.rest.n, 2);
    assert_int_equal(hand.rest.last_tag, 3);
    assert_true(ahead_is_empty(&ahead));
    drop(&ahead, &hand);
}

static void
what_has_no_number_waits_its_turn(void **state)
{
    const struct mq_delivery nameless = {.tag = 1, .routing_key = "a.b", .body = "", .len = 0};
    struct ahead ahead = {0};
    struct hand hand = {0};

    (void)state;
    batch_add(ahead_batch_for(&ahead, &nameless), "queue", &nameless);
    take(&ahead, &hand);
    assert_int_equal(hand.first.n, 0);
    assert_int_equal(hand.rest.n, 1);
    drop(&ahead, &hand);
}

static void
batches_in_order_of_arrival(void **state)
{
    struct ahead ahead = {0};
    struct hand hand = {0};
    uint64_t tag = 0;

    (void)state;
    take(&ahead, &hand);
    assert_int_equal(hand.rest.n, 0);
    for (int times = 0; times < 3; times++) { /* once around */
        while (!ahead_is_full(&ahead))
            arrive(&ahead, ++tag, 100);
        arrive(&ahead, ++tag, 100); /* there is room all the same */
        assert_int_equal(ahead.n, AHEAD_BATCHES);
        for (size_t i = 0; i < AHEAD_BATCHES - 1; i++) {
            take(&ahead, &hand);
            assert_int_equal(hand.rest.n, IN_A_BATCH);
            assert_int_equal(hand.rest.items[0]->tag + IN_A_BATCH - 1, hand.rest.last_tag);
        }
        take(&ahead, &hand);
        assert_int_equal(hand.rest.n, IN_A_BATCH + 1);
        assert_int_equal(hand.rest.last_tag, tag);
        take(&ahead, &hand);
        assert_int_equal(hand.rest.n, 0);
    }
    drop(&ahead, &hand);
}

/* What comes while a batch is in hand has later tags, so acking that up to its last one acks nothing else. */
static void
what_is_taken_is_closed(void **state)
{
    struct ahead ahead = {0};
    struct hand hand = {0};

    (void)state;
    arrive(&ahead, 1, 40);
    take(&ahead, &hand);
    arrive(&ahead, 2, 41);
    arrive(&ahead, 3, 1);
    assert_int_equal(hand.rest.last_tag, 1);
    take(&ahead, &hand);
    assert_int_equal(hand.first.items[0]->tag, 3);
    assert_int_equal(hand.rest.items[0]->tag, 2);
    arrive(&ahead, 4, 42);
    ahead_clear(&ahead);
    assert_true(ahead_is_empty(&ahead));
    drop(&ahead, &hand);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_words_apart),
        cmocka_unit_test(what_has_no_number_waits_its_turn),
        cmocka_unit_test(batches_in_order_of_arrival),
        cmocka_unit_test(what_is_taken_is_closed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
