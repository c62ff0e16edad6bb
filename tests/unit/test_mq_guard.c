#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/clock.h"
#include "common/mq_guard.h"

#define LIMIT_MS 80
#define LONG_MS 5000 /* a watchdog that never comes shall not hang the test */

static int pair[2];

static int
setup(void **state)
{
    (void)state;
    return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair);
}

static int
teardown(void **state)
{
    (void)state;
    close(pair[0]);
    close(pair[1]);
    return 0;
}

/* What a library call does that waits for a silent peer.  True = somebody ended the wait. */
static bool
read_ends_within(int ms)
{
    struct pollfd fd = {.fd = pair[0], .events = POLLIN};

    return poll(&fd, 1, ms) == 1;
}

static void
test_ends_a_long_call(void **state)
{
    struct mq_guard *guard = mq_guard_new(LIMIT_MS);
    int64_t start_ns = clock_mono_ns();
    char byte;

    (void)state;
    mq_guard_watch(guard, pair[0]);
    mq_guard_enter(guard);
    assert_true(read_ends_within(LONG_MS));
    assert_int_equal(read(pair[0], &byte, 1), 0);
    mq_guard_leave(guard);
    assert_true(clock_mono_ns() - start_ns >= LIMIT_MS * CLOCK_MS_NS);
    assert_true(mq_guard_fired(guard));
    mq_guard_watch(guard, -1);
    assert_false(mq_guard_fired(guard));
    mq_guard_free(guard);
}

static void
test_leaves_short_calls_alone(void **state)
{
    struct mq_guard *guard = mq_guard_new(LIMIT_MS);

    (void)state;
    mq_guard_watch(guard, pair[0]);
    for (int i = 0; i < 20; i++) { /* together longer than the limit */
        mq_guard_enter(guard);
        assert_false(read_ends_within(LIMIT_MS / 8));
        mq_guard_leave(guard);
    }
    assert_false(read_ends_within(2 * LIMIT_MS)); /* outside of calls there is no limit */
    assert_false(mq_guard_fired(guard));
    mq_guard_free(guard);
}

/* Only the connection that hangs is ended, and guards come and go while others live. */
static void
test_several(void **state)
{
    struct mq_guard *patient = mq_guard_new(60000);
    int64_t end_ns = clock_mono_ns() + LONG_MS * CLOCK_MS_NS;

    (void)state;
    mq_guard_watch(patient, pair[0]);
    mq_guard_enter(patient);
    for (int i = 0; i < 3; i++) {
        struct mq_guard *guard = mq_guard_new(LIMIT_MS);
        int other[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, other), 0);
        mq_guard_watch(guard, other[0]);
        mq_guard_enter(guard);
        while (!mq_guard_fired(guard) && clock_mono_ns() < end_ns)
            assert_false(read_ends_within(5));
        assert_true(mq_guard_fired(guard));
        mq_guard_leave(guard);
        mq_guard_watch(guard, -1);
        close(other[0]);
        close(other[1]);
        mq_guard_free(guard);
    }
    assert_false(mq_guard_fired(patient));
    mq_guard_free(patient);
    mq_guard_free(NULL);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_ends_a_long_call, setup, teardown),
        cmocka_unit_test_setup_teardown(test_leaves_short_calls_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(test_several, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
