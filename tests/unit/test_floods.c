#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "common/clock.h"
#include "dispatcher/floods.h"

#define ASK_NS (50 * CLOCK_MS_NS)
#define BEGAN_NS (1000 * CLOCK_MS_NS)

static void
hears_of_starts_since_it_asked(void **state)
{
    struct floods floods = {0};
    int64_t now = BEGAN_NS;

    (void)state;
    assert_false(floods_asked(&floods, "a", 7, now)); /* its own start, as a rule */
    assert_false(floods_asked(&floods, "a", 7, now += ASK_NS));
    assert_true(floods_asked(&floods, "a", 8, now += ASK_NS));
    assert_false(floods_asked(&floods, "a", 8, now += ASK_NS));
    assert_false(floods_asked(&floods, "b", 9, now));
    assert_true(floods_asked(&floods, "a", 9, now += ASK_NS));
    assert_false(floods_asked(&floods, "b", 9, now));
}

static void
is_new_after_a_silence(void **state)
{
    struct floods floods = {0};

    (void)state;
    assert_false(floods_asked(&floods, "a", 1, BEGAN_NS));
    assert_true(floods_asked(&floods, "a", 2, BEGAN_NS + 499 * CLOCK_MS_NS));
    assert_false(floods_asked(&floods, "a", 3, BEGAN_NS + 999 * CLOCK_MS_NS));
    assert_true(floods_asked(&floods, "a", 4, BEGAN_NS + 1000 * CLOCK_MS_NS));
}

static void
the_longest_silent_gives_its_place(void **state)
{
    struct floods floods = {0};
    char queue[16];

    (void)state;
    for (int i = 0; i < FLOODS_MAX + 1; i++) {
        snprintf(queue, sizeof queue, "q%d", i);
        assert_false(floods_asked(&floods, queue, 1, BEGAN_NS + i));
    }
    assert_false(floods_asked(&floods, "q0", 2, BEGAN_NS + ASK_NS)); /* takes that of q1 */
    assert_true(floods_asked(&floods, "q2", 2, BEGAN_NS + ASK_NS));
    assert_false(floods_asked(&floods, "q1", 2, BEGAN_NS + ASK_NS));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hears_of_starts_since_it_asked),
        cmocka_unit_test(is_new_after_a_silence),
        cmocka_unit_test(the_longest_silent_gives_its_place),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
