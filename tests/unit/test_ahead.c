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

static void
first_words_apart(void **state)
{
    struct ahead ahead = {0};

    (void)state;
    arrive(&ahead, 1, 40);
    arrive(&ahead, 2, 2);
    arrive(&ahead, 3, 41);
    assert_int_equal(ahead.first.n, 1);
    assert_int_equal(ahead.first.items[0]->tag, 2);
    assert_int_equal(ahead_oldest(&ahead)->n, 2);
    assert_int_equal(ahead_oldest(&ahead)->last_tag, 3);
    ahead_free(&ahead);
}

static void
what_has_no_number_waits_its_turn(void **state)
{
    const struct mq_delivery nameless = {.tag = 1, .routing_key = "a.b", .body = "", .len = 0};
    struct ahead ahead = {0};

    (void)state;
    batch_add(ahead_batch_for(&ahead, &nameless), "queue", &nameless);
    assert_int_equal(ahead.first.n, 0);
    assert_int_equal(ahead_oldest(&ahead)->n, 1);
    ahead_free(&ahead);
}

static void
batches_in_order_of_arrival(void **state)
{
    struct ahead ahead = {0};
    uint64_t tag = 0;

    (void)state;
    assert_null(ahead_oldest(&ahead));
    for (int times = 0; times < 3; times++) { /* once around */
        while (!ahead_is_full(&ahead))
            arrive(&ahead, ++tag, 100);
        arrive(&ahead, ++tag, 100); /* there is room all the same */
        assert_int_equal(ahead.n, AHEAD_BATCHES);
        for (size_t i = 0; i < AHEAD_BATCHES - 1; i++) {
            assert_int_equal(ahead_oldest(&ahead)->n, IN_A_BATCH);
            assert_int_equal(ahead_oldest(&ahead)->items[0]->tag + IN_A_BATCH - 1,
                             ahead_oldest(&ahead)->last_tag);
            ahead_drop_oldest(&ahead);
        }
        assert_int_equal(ahead_oldest(&ahead)->n, IN_A_BATCH + 1);
        assert_int_equal(ahead_oldest(&ahead)->last_tag, tag);
        ahead_drop_oldest(&ahead);
        assert_null(ahead_oldest(&ahead));
    }
    arrive(&ahead, ++tag, 100);
    ahead_clear(&ahead);
    assert_null(ahead_oldest(&ahead));
    ahead_free(&ahead);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_words_apart),
        cmocka_unit_test(what_has_no_number_waits_its_turn),
        cmocka_unit_test(batches_in_order_of_arrival),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
