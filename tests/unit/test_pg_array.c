/* Array parameters: nothing in an item of a literal may be syntax, and of a binary one all is what it was. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "common/buf.h"
#include "common/pg.h"

static void
text_is_quoted(void **state)
{
    struct buf b = {0};

    (void)state;
    pg_array_open(&b);
    pg_array_text(&b, "plain", strlen("plain"));
    pg_array_text(&b, "a\"b\\c,{}", strlen("a\"b\\c,{}"));
    pg_array_text(&b, NULL, 0);
    pg_array_text(&b, "NULL", strlen("NULL"));
    pg_array_text(&b, "", 0);
    pg_array_close(&b);
    assert_string_equal(b.data, "{\"plain\",\"a\\\"b\\\\c,{}\",NULL,\"NULL\",\"\"}");
    buf_free(&b);
}

static void
items_are_counted(void **state)
{
    static const char expected[] = "\0\0\0\1\0\0\0\1\0\0\0\x11\0\0\0\3\0\0\0\1"
                                   "\0\0\0\3\0\xff\""
                                   "\xff\xff\xff\xff"
                                   "\0\0\0\0";
    struct buf b = {0};

    (void)state;
    pg_items_open(&b, PG_BYTEA);
    pg_items_add(&b, "\0\xff\"", 3);
    pg_items_add(&b, NULL, 0);
    pg_items_add(&b, "", 0);
    assert_int_equal(b.len, sizeof expected - 1);
    assert_memory_equal(b.data, expected, b.len);
    buf_free(&b);
}

static void
open_starts_again(void **state)
{
    struct buf b = {0};

    (void)state;
    pg_array_open(&b);
    pg_array_int(&b, INT64_MIN);
    pg_array_int(&b, 7);
    pg_array_close(&b);
    assert_string_equal(b.data, "{-9223372036854775808,7}");
    pg_array_open(&b);
    pg_array_close(&b);
    assert_string_equal(b.data, "{}");
    buf_free(&b);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_is_quoted),
        cmocka_unit_test(items_are_counted),
        cmocka_unit_test(open_starts_again),
    };

    return cmocka_run_group_tests_name("pg_array", tests, NULL, NULL);
}
