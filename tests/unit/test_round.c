#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "worker/bridge/round.h"

/* round: whose turn it is to be read. */

static void
in_turn(void **state)
{
    struct stream a = {.spoken = true}, b = {.spoken = true};
    struct round round = {0};

    (void)state;
    assert_true(round_is_empty(&round));
    assert_null(round_take(&round));
    round_add(&round, &a);
    round_add(&round, &b);
    round_add(&round, &a); /* is there */
    assert_ptr_equal(round_take(&round), &a);
    round_add(&round, &a);
    assert_ptr_equal(round_take(&round), &b);
    assert_ptr_equal(round_take(&round), &a);
    assert_null(round_take(&round));
    assert_true(round_is_empty(&round));
}

static void
new_ones_before_the_others(void **state)
{
    struct stream old = {.spoken = true}, first = {0}, second = {0};
    struct round round = {0};

    (void)state;
    round_add(&round, &old);
    assert_false(round_has_new(&round));
    round_add(&round, &first);
    round_add(&round, &second);
    assert_true(round_has_new(&round));
    assert_ptr_equal(round_take(&round), &first);
    first.spoken = true;
    round_add(&round, &first);
    assert_ptr_equal(round_take(&round), &second);
    assert_false(round_has_new(&round));
    assert_ptr_equal(round_take(&round), &old);
    assert_ptr_equal(round_take(&round), &first);
}

static void
taken_out(void **state)
{
    struct stream s[3] = {{0}, {0}, {0}};
    struct round round = {0};

    (void)state;
    round_remove(&round, &s[0]); /* is not there */
    for (int gone = 0; gone < 3; gone++) {
        for (int i = 0; i < 3; i++)
            round_add(&round, &s[i]);
        round_remove(&round, &s[gone]);
        round_add(&round, &s[gone]); /* at the end now */
        assert_ptr_equal(round_take(&round), &s[gone == 0 ? 1 : 0]);
        assert_ptr_equal(round_take(&round), &s[gone == 2 ? 1 : 2]);
        assert_ptr_equal(round_take(&round), &s[gone]);
        assert_true(round_is_empty(&round));
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_turn),
        cmocka_unit_test(new_ones_before_the_others),
        cmocka_unit_test(taken_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
