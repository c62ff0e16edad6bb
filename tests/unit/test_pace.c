#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/clock.h"
#include "worker/bridge/pace.h"

#define RATE 1000000 /* bytes per second: a byte costs a microsecond */
#define START_NS (1000 * CLOCK_MS_NS)

static void
no_limit_while_nothing_starts(void **state)
{
    struct pace pace;

    (void)state;
    pace_init(&pace, RATE);
    pace_sent(&pace, SIZE_MAX / 2, START_NS);
    assert_false(pace_is_on(&pace, START_NS));
    assert_int_equal(pace_wait_ms(&pace, START_NS), 0);
}

static void
what_was_sent_is_paid_for(void **state)
{
    struct pace pace;

    (void)state;
    pace_init(&pace, RATE);
    pace_share(&pace, START_NS);
    assert_int_equal(pace_wait_ms(&pace, START_NS), 0);
    pace_sent(&pace, 20000, START_NS); /* the bucket holds 20 ms */
    assert_int_equal(pace_wait_ms(&pace, START_NS), 0);
    pace_sent(&pace, 5001, START_NS);
    assert_int_equal(pace_wait_ms(&pace, START_NS), 6);
    assert_int_equal(pace_wait_ms(&pace, START_NS + 5 * CLOCK_MS_NS), 1);
    assert_int_equal(pace_wait_ms(&pace, START_NS + 6 * CLOCK_MS_NS), 0);
}

static void
rest_is_not_saved_up(void **state)
{
    struct pace pace;
    int64_t later = START_NS + 500 * CLOCK_MS_NS;

    (void)state;
    pace_init(&pace, RATE);
    pace_share(&pace, START_NS);
    pace_sent(&pace, 1, START_NS);
    pace_sent(&pace, 30000, later);
    assert_int_equal(pace_wait_ms(&pace, later), 10);
}

static void
over_all_it_is_the_rate(void **state)
{
    struct pace pace;
    int64_t now = START_NS, bytes = 0;

    (void)state;
    pace_init(&pace, RATE);
    pace_share(&pace, now);
    while (pace_is_on(&pace, now)) {
        int64_t wait_ms = pace_wait_ms(&pace, now);

        now += wait_ms * CLOCK_MS_NS;
        pace_sent(&pace, 1500, now);
        bytes += 1500;
    }
    assert_in_range(bytes, RATE, RATE + RATE / 40);
}

static void
the_limit_ends_a_second_after_the_last_start(void **state)
{
    struct pace pace;

    (void)state;
    pace_init(&pace, RATE);
    pace_share(&pace, START_NS);
    pace_share(&pace, START_NS + 400 * CLOCK_MS_NS);
    pace_sent(&pace, 5 * RATE, START_NS + 400 * CLOCK_MS_NS);
    assert_true(pace_wait_ms(&pace, START_NS + 1399 * CLOCK_MS_NS) > 0);
    assert_int_equal(pace_wait_ms(&pace, START_NS + 1400 * CLOCK_MS_NS), 0);
}

static void
a_flood_asks_twenty_times_a_second(void **state)
{
    struct pace pace;
    int64_t now = START_NS;
    int asked = 0;

    (void)state;
    pace_init(&pace, RATE);
    assert_false(pace_asks(&pace, 1, now)); /* the first word after a long silence */
    for (int ms = 1; ms <= 1000; ms++)
        asked += pace_asks(&pace, 3 * RATE / 1000, now += CLOCK_MS_NS);
    assert_int_equal(asked, 20);
}

static void
who_keeps_to_less_does_not_ask(void **state)
{
    struct pace pace;
    int64_t now = START_NS;

    (void)state;
    pace_init(&pace, RATE);
    assert_false(pace_asks(&pace, 1, now));
    for (int ms = 1; ms <= 1000; ms++)
        assert_false(pace_asks(&pace, RATE / 1000 / 2 - 1, now += CLOCK_MS_NS));
    /* Under the limit, too, where one message may be worth more than the bucket holds. */
    pace_share(&pace, now += PACE_ASK_MS * CLOCK_MS_NS);
    pace_sent(&pace, RATE / 40, now);
    assert_true(pace_wait_ms(&pace, now) > 0);
    assert_false(pace_asks(&pace, RATE / 100, now));
    /* At half of the pace it does, in whatever pieces. */
    assert_true(pace_asks(&pace, RATE, now + 2000 * CLOCK_MS_NS));
}

static void
who_waits_for_the_pace_goes_on_asking(void **state)
{
    struct pace pace;
    int64_t now = START_NS;

    (void)state;
    pace_init(&pace, RATE);
    pace_share(&pace, now);
    assert_false(pace_asks(&pace, 1, now));
    pace_sent(&pace, RATE, now);
    for (int n = 0; n < 19; n++)
        assert_true(pace_asks(&pace, 0, now += PACE_ASK_MS * CLOCK_MS_NS));
    now = START_NS + 1000 * CLOCK_MS_NS; /* all is paid for */
    pace_share(&pace, now);
    assert_false(pace_asks(&pace, 0, now));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_limit_while_nothing_starts),
        cmocka_unit_test(what_was_sent_is_paid_for),
        cmocka_unit_test(rest_is_not_saved_up),
        cmocka_unit_test(over_all_it_is_the_rate),
        cmocka_unit_test(the_limit_ends_a_second_after_the_last_start),
        cmocka_unit_test(a_flood_asks_twenty_times_a_second),
        cmocka_unit_test(who_keeps_to_less_does_not_ask),
        cmocka_unit_test(who_waits_for_the_pace_goes_on_asking),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
