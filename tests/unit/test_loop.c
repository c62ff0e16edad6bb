#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/clock.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/thread.h"

#define MANY 2000

static struct loop *loop;
static char trace[64]; /* one character for each call */
static struct loop_timer *timers[MANY];
static int fired;

static void
note(void *ctx)
{
    const char *name = ctx;
    size_t at = strlen(trace);

    assert_true(at + 1 < sizeof trace);
    trace[at] = *name;
    trace[at + 1] = '\0';
}

static void
stop(void *ctx)
{
    (void)ctx;
    loop_stop(loop);
}

/* Run until everything that is due within ms has been called. */
static void
run_for(int64_t ms)
{
    struct loop_timer *end = loop_timer_new(loop, stop, NULL);

    loop_timer_set(end, ms);
    loop_run(loop);
    loop_timer_free(end);
}

static int
setup(void **state)
{
    (void)state;
    trace[0] = '\0';
    fired = 0;
    loop = loop_new();
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    loop_free(loop);
    return 0;
}

static void
test_timer_order(void **state)
{
    static char names[][2] = {"a", "b", "c", "d"};
    struct loop_timer *t[4];
    int64_t start_ns = clock_mono_ns();

    (void)state;
    for (size_t i = 0; i < 4; i++)
        t[i] = loop_timer_new(loop, note, names[i]);
    loop_timer_set(t[0], 20);
    loop_timer_set(t[1], 5);
    loop_timer_set(t[2], 10);
    loop_timer_set(t[3], 0);
    loop_timer_set(t[2], 30); /* moved */
    assert_true(loop_timer_armed(t[0]));
    run_for(40);
    assert_string_equal(trace, "dbac");
    assert_true(clock_mono_ns() - start_ns >= 40 * CLOCK_MS_NS);
    assert_false(loop_timer_armed(t[0]));
    loop_timer_set(t[0], 1);
    loop_timer_stop(t[0]);
    run_for(5);
    assert_string_equal(trace, "dbac");
    for (size_t i = 0; i < 4; i++)
        loop_timer_free(t[i]);
    loop_timer_free(NULL);
}

/* Timers of one deadline run in the order they were set; see it with zero delays. */
static void
count_up(void *ctx)
{
    struct loop_timer *const *timer = ctx;

    assert_ptr_equal(*timer, timers[fired]);
    fired++;
}

static void
test_many_timers(void **state)
{
    (void)state;
    for (int i = 0; i < MANY; i++) {
        timers[i] = loop_timer_new(loop, count_up, &timers[i]);
        loop_timer_set(timers[i], 1000000);
    }
    for (int i = 0; i < MANY; i++)
        loop_timer_set(timers[i], 0);
    run_for(0);
    assert_int_equal(fired, MANY);
    for (int i = 0; i < MANY; i++)
        loop_timer_free(timers[i]);
}

static void
again(void *ctx)
{
    struct loop_timer **timer = ctx;

    fired++;
    loop_timer_set(*timer, 0);
}

/* A timer that sets itself to 0 lets others run. */
static void
test_busy_timer(void **state)
{
    struct loop_timer *timer = loop_timer_new(loop, again, &timer);

    (void)state;
    loop_timer_set(timer, 0);
    run_for(5);
    assert_true(fired > 1);
    loop_timer_free(timer);
}

static void
free_both(void *ctx)
{
    (void)ctx;
    fired++;
    loop_timer_free(timers[0]);
    loop_timer_free(timers[1]);
}

static void
test_free_in_handler(void **state)
{
    (void)state;
    timers[0] = loop_timer_new(loop, free_both, NULL);
    timers[1] = loop_timer_new(loop, free_both, NULL);
    loop_timer_set(timers[0], 0);
    loop_timer_set(timers[1], 0);
    run_for(5);
    assert_int_equal(fired, 1);
}

struct pair {
    int fd[2][2]; /* two pipes */
    struct loop_source *source[2];
};

static void
remove_both(void *ctx, uint32_t events)
{
    struct pair *pair = ctx;

    assert_true((events & EPOLLIN) != 0);
    fired++;
    loop_remove(pair->source[0]);
    loop_remove(pair->source[1]);
}

/* Both are readable in one round; whichever runs first removes itself and the other. */
static void
test_remove_in_handler(void **state)
{
    struct pair pair;

    (void)state;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pipe(pair.fd[i]), 0);
        assert_int_equal(write(pair.fd[i][1], "x", 1), 1);
        pair.source[i] = loop_add(loop, pair.fd[i][0], EPOLLIN, remove_both, &pair);
    }
    run_for(10);
    assert_int_equal(fired, 1);
    for (int i = 0; i < 2; i++) {
        close(pair.fd[i][0]);
        close(pair.fd[i][1]);
    }
    loop_remove(NULL);
}

static void
on_event(void *ctx, uint32_t events)
{
    struct pair *pair = ctx;

    fired++;
    if ((events & EPOLLOUT) != 0)
        loop_modify(pair->source[0], 0);
}

static void
test_modify(void **state)
{
    struct pair pair;

    (void)state;
    assert_int_equal(pipe(pair.fd[0]), 0);
    pair.source[0] = loop_add(loop, pair.fd[0][1], 0, on_event, &pair);
    run_for(2);
    assert_int_equal(fired, 0);
    loop_modify(pair.source[0], EPOLLOUT);
    run_for(5);
    assert_int_equal(fired, 1);
    loop_remove(pair.source[0]);
    close(pair.fd[0][0]);
    close(pair.fd[0][1]);
}

static void
count_one(void *ctx)
{
    (void)ctx;
    fired++;
}

static void
wake_from_thread(void *ctx)
{
    (void)ctx;
    for (int i = 0; i < 1000; i++)
        loop_wake(loop, count_one, NULL);
    loop_wake(loop, stop, NULL);
}

/* Ends only if the other thread's last call wakes the sleeping loop. */
static void
test_wake(void **state)
{
    pthread_t thread;

    (void)state;
    thread = thread_start(wake_from_thread, NULL, "waker");
    loop_run(loop);
    thread_join(thread);
    assert_in_range(fired, 1, 1000);

    fired = 0;
    loop_wake(loop, count_one, NULL);
    loop_wake(loop, count_one, NULL); /* merged */
    loop_wake(loop, count_one, &fired);
    run_for(5);
    assert_int_equal(fired, 2);
    loop_wake(loop, count_one, NULL); /* left over for loop_free() */
}

static void
test_signals(void **state)
{
    static char term[] = "T", hup[] = "H";

    (void)state;
    loop_block_signals();
    loop_signal(loop, SIGTERM, note, term);
    loop_signal(loop, SIGHUP, note, hup);
    assert_int_equal(kill(getpid(), SIGHUP), 0);
    run_for(5);
    assert_string_equal(trace, "H");
    assert_int_equal(kill(getpid(), SIGTERM), 0);
    run_for(5);
    assert_string_equal(trace, "HT");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_timer_order, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_timers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_busy_timer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_free_in_handler, setup, teardown),
        cmocka_unit_test_setup_teardown(test_remove_in_handler, setup, teardown),
        cmocka_unit_test_setup_teardown(test_modify, setup, teardown),
        cmocka_unit_test_setup_teardown(test_wake, setup, teardown),
        cmocka_unit_test_setup_teardown(test_signals, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
