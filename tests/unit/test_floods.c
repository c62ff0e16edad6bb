#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "common/clock.h"
#include "dispatcher/floods.h"

#define ASK_NS (50 * CLOCK_MS_NS)
#define BEGAN_NS (10000 * CLOCK_MS_NS)

static void
hears_of_starts_elsewhere_since_it_asked(void **state)
{
    struct floods floods = {0};
    int64_t now = BEGAN_NS;

    (void)state;
    floods_started(&floods, "c");
    assert_false(floods_asked(&floods, "a", now)); /* it was before */
    assert_false(floods_asked(&floods, "a", now += ASK_NS));
    floods_started(&floods, "c");
    assert_false(floods_asked(&floods, "b", now));
    assert_true(floods_asked(&floods, "a", now += ASK_NS));
    assert_false(floods_asked(&floods, "a", now += ASK_NS));
    floods_started(&floods, "a");
    assert_false(floods_asked(&floods, "a", now += ASK_NS)); /* it knows of its own */
    assert_true(floods_asked(&floods, "b", now));
}

static void
is_new_after_a_silence(void **state)
{
    struct floods floods = {0};

    (void)state;
    assert_false(floods_asked(&floods, "a", BEGAN_NS));
    floods_started(&floods, "b");
    assert_true(floods_asked(&floods, "a", BEGAN_NS + 2999 * CLOCK_MS_NS));
    floods_started(&floods, "b");
    assert_false(floods_asked(&floods, "a", BEGAN_NS + 5999 * CLOCK_MS_NS));
    floods_started(&floods, "b");
    assert_true(floods_asked(&floods, "a", BEGAN_NS + 6000 * CLOCK_MS_NS));
}

static void
who_has_a_place_keeps_it(void **state)
{
    struct floods floods = {0};
    char worker[16];

    (void)state;
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < FLOODS_MAX + 1; i++) {
            snprintf(worker, sizeof worker, "w%d", i);
            assert_int_equal(floods_asked(&floods, worker, BEGAN_NS + round * ASK_NS + i),
                             round > 0 && i < FLOODS_MAX);
        }
        floods_started(&floods, "other");
    }
    /* The one in vain has a place once another is silent. */
    for (int i = 1; i < FLOODS_MAX; i++) {
        snprintf(worker, sizeof worker, "w%d", i);
        assert_true(floods_asked(&floods, worker, BEGAN_NS + 2500 * CLOCK_MS_NS));
    }
    snprintf(worker, sizeof worker, "w%d", FLOODS_MAX);
    assert_false(floods_asked(&floods, worker, BEGAN_NS + 4000 * CLOCK_MS_NS));
    floods_started(&floods, "other");
    assert_true(floods_asked(&floods, worker, BEGAN_NS + 4001 * CLOCK_MS_NS));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hears_of_starts_elsewhere_since_it_asked),
        cmocka_unit_test(is_new_after_a_silence),
        cmocka_unit_test(who_has_a_place_keeps_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
