#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/uuid.h"

/* buf, mem, clock, uuid, log: what everything else stands on. */

static void
test_buf(void **state)
{
    CLEANUP(buf_free) struct buf b = {0};

    (void)state;
    buf_add(&b, "", 0);
    assert_string_equal(b.data, "");
    buf_add(&b, "a\0b", 3);
    assert_int_equal(b.len, 3);
    assert_memory_equal(b.data, "a\0b", 4);
    buf_clear(&b);
    assert_int_equal(b.len, 0);
    for (int i = 0; i < 1000; i++)
        buf_printf(&b, "%d,", i);
    buf_puts(&b, "end");
    assert_int_equal(b.len, 10 * 2 + 90 * 3 + 900 * 4 + 3);
    assert_string_equal(b.data + b.len - 7, "999,end");
    assert_true(b.cap > b.len);
    buf_free(&b);
    assert_null(b.data);
}

static void
test_mem(void **state)
{
    CLEANUP(mem_cleanup) char *text = mem_printf("%s-%d", "x", 5);
    CLEANUP(mem_cleanup) char *part = mem_dupn("abcdef", 3);
    CLEANUP(mem_cleanup) char *zero = mem_alloc(3);

    (void)state;
    assert_string_equal(text, "x-5");
    assert_string_equal(part, "abc");
    assert_memory_equal(zero, "\0\0\0", 3);
    assert_null(mem_dup(NULL));
}

static void
test_clock_text(void **state)
{
    char out[CLOCK_TEXT_SIZE];

    (void)state;
    assert_string_equal(clock_text(0, out), "1970-01-01T00:00:00.000000Z");
    assert_string_equal(clock_text(1767323045678901, out), "2026-01-02T03:04:05.678901Z");
    assert_string_equal(clock_text(951782400000000, out), "2000-02-29T00:00:00.000000Z");
    assert_string_equal(clock_text(-1, out), "1969-12-31T23:59:59.999999Z");
    assert_string_equal(clock_text(-1000000, out), "1969-12-31T23:59:59.000000Z");
    assert_true(clock_mono_ns() <= clock_mono_ns());
    assert_true(clock_boot_ns() > 0);
    assert_true(clock_wall_us() > 1767323045678901);
}

static void
test_uuid_forms(void **state)
{
    char a[UUID_TEXT_SIZE], b[UUID_TEXT_SIZE], token[TOKEN_TEXT_SIZE];

    (void)state;
    for (int i = 0; i < 1000; i++) {
        assert_true(uuid_valid(uuid_v7(a)));
        assert_int_equal(a[14], '7');
        assert_non_null(strchr("89ab", a[19]));
        assert_true(uuid_valid(uuid_v4(b)));
        assert_int_equal(b[14], '4');
        assert_non_null(strchr("89ab", b[19]));
        assert_true(uuid_token_valid(uuid_token(token)));
    }
}

/* The first 48 bits are the milliseconds, so ids of later times sort behind. */
static void
test_uuid_v7_time(void **state)
{
    char text[UUID_TEXT_SIZE], high[9] = "", low[5] = "";
    int64_t before_ms = clock_wall_us() / 1000, ms;

    (void)state;
    uuid_v7(text);
    memcpy(high, text, 8);
    memcpy(low, text + 9, 4);
    ms = (int64_t)(strtoull(high, NULL, 16) << 16 | strtoull(low, NULL, 16));
    assert_in_range(ms, before_ms, clock_wall_us() / 1000);
}

static void
test_uuid_valid(void **state)
{
    static const char *const bad[] = {
        "",
        "0190c0de-0000-7000-8000-00000000abc",
        "0190c0de-0000-7000-8000-00000000abcde",
        "0190C0de-0000-7000-8000-00000000abcd",
        "0190c0de00000-7000-8000-00000000abcd",
        "0190c0de-0000-7000-8000-00000000abcg",
        "{190c0de-0000-7000-8000-00000000abc}",
    };

    (void)state;
    assert_true(uuid_valid("0190c0de-0000-7000-8000-00000000abcd"));
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(uuid_valid(bad[i]));
    assert_true(uuid_token_valid("0123456789abcdef"));
    assert_false(uuid_token_valid("0123456789abcde"));
    assert_false(uuid_token_valid("0123456789abcdef0"));
    assert_false(uuid_token_valid("0123456789ABCDEF"));
}

/* What fn writes to stderr. */
static char *
said_by(void (*fn)(void))
{
    static char text[8192];
    int pipe_fd[2], saved = dup(STDERR_FILENO);
    ssize_t n;

    assert_int_equal(pipe(pipe_fd), 0);
    dup2(pipe_fd[1], STDERR_FILENO);
    fn();
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(pipe_fd[1]);
    n = read(pipe_fd[0], text, sizeof text - 1);
    close(pipe_fd[0]);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

static void
say_lines(void)
{
    log_open("prog", LOG_INFO);
    errno = ENOENT;
    log_err("file=%s: %m", "x");
    assert_int_equal(errno, ENOENT);
    log_debug("not shown");
    log_info("one\ntwo\x1b[0m");
    assert_int_equal(log_errno(EPERM, "why: %m"), -1);
    assert_int_equal(errno, EPERM);
}

static void
say_long(void)
{
    char text[6000];

    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    log_open("prog", LOG_INFO);
    log_info("%s", text);
}

static void
test_log(void **state)
{
    const char *text;

    (void)state;
    setenv("JOURNAL_STREAM", "1:2", 1);
    text = said_by(say_lines);
    assert_string_equal(text, "<3>prog: file=x: No such file or directory\n"
                              "<6>prog: one two [0m\n"
                              "<3>prog: why: Operation not permitted\n");
    text = said_by(say_long);
    assert_int_equal(strlen(text), 4096 - 1);
    assert_int_equal(text[strlen(text) - 1], '\n');

    unsetenv("JOURNAL_STREAM");
    text = said_by(say_lines);
    assert_int_equal(text[26], 'Z'); /* "2026-01-02T03:04:05.678901Z prog[123]: error: ..." */
    assert_non_null(strstr(text, "Z prog["));
    assert_non_null(strstr(text, "]: error: file=x: No such file or directory\n"));
    log_open("test", LOG_INFO);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_buf),          cmocka_unit_test(test_mem),
        cmocka_unit_test(test_clock_text),   cmocka_unit_test(test_uuid_forms),
        cmocka_unit_test(test_uuid_v7_time), cmocka_unit_test(test_uuid_valid),
        cmocka_unit_test(test_log),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
