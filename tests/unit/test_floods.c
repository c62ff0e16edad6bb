#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/clock.h"
#include "dispatcher/floods.h"

#define NOW_NS (10000 * CLOCK_MS_NS)

static void
hears_of_starts_elsewhere(void **state)
{
    struct floods floods = {0};

    (void)state;
    assert_false(floods_asked(&floods, "a", NOW_NS));
    floods_started(&floods, "a", NOW_NS);
    assert_false(floods_asked(&floods, "a", NOW_NS)); /* it knows of its own */
    assert_true(floods_asked(&floods, "b", NOW_NS));
    floods_started(&floods, "b", NOW_NS);
    assert_true(floods_asked(&floods, "a", NOW_NS));
    assert_true(floods_asked(&floods, "b", NOW_NS));
    assert_true(floods_asked(&floods, "c", NOW_NS));
}

static void
for_half_a_second(void **state)
{
    struct floods floods = {0};

    (void)state;
    floods_started(&floods, "a", NOW_NS);
    assert_true(floods_asked(&floods, "b", NOW_NS + 499 * CLOCK_MS_NS));
    assert_false(floods_asked(&floods, "b", NOW_NS + 500 * CLOCK_MS_NS));
}

/* However often the worker itself has started some since. */
static void
the_last_one_of_another_counts(void **state)
{
    struct floods floods = {0};
    int64_t now = NOW_NS;

    (void)state;
    floods_started(&floods, "a", now);
    floods_started(&floods, "b", now += 250 * CLOCK_MS_NS);
    floods_started(&floods, "b", now += 200 * CLOCK_MS_NS);
    assert_true(floods_asked(&floods, "b", NOW_NS + 499 * CLOCK_MS_NS));
    assert_false(floods_asked(&floods, "b", NOW_NS + 500 * CLOCK_MS_NS));
    floods_started(&floods, "a", now += 100 * CLOCK_MS_NS);
    assert_true(floods_asked(&floods, "b", now + 499 * CLOCK_MS_NS));
    assert_false(floods_asked(&floods, "a", now + 400 * CLOCK_MS_NS));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hears_of_starts_elsewhere),
        cmocka_unit_test(for_half_a_second),
        cmocka_unit_test(the_last_one_of_another_counts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
