/* Foreign text on a terminal, and lines out of pieces. */
#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "dispatcher/cli/lines.h"
#include "dispatcher/cli/text.h"

static void
assert_shown(const char *text, size_t width, const char *expected)
{
    struct buf out = {0};

    text_visible(&out, text, strlen(text), width);
    assert_string_equal(out.data != NULL ? out.data : "", expected);
    buf_free(&out);
}

static void
test_visible(void **state)
{
    (void)state;
    assert_shown("plain, grün, 日本", TEXT_NO_WIDTH, "plain, grün, 日本");
    assert_shown("\033[2Jx\r\a\177", TEXT_NO_WIDTH, "^[[2Jx^M^G^?");
    assert_shown("a\tb", TEXT_NO_WIDTH, "a       b");
    assert_shown("\xff\xc3(", TEXT_NO_WIDTH, "\\xff\\xc3(");
    assert_shown("\xc2\x9b"
                 "31m",
                 TEXT_NO_WIDTH, "\\u{9b}31m");
    assert_shown("abc\xe2\x80\xae"
                 "cba",
                 TEXT_NO_WIDTH, "abc\\u{202e}cba");
}

static void
test_cut(void **state)
{
    (void)state;
    assert_shown("abcdef", 6, "abcdef");
    assert_shown("abcdef", 5, "abcd…");
    assert_shown("日本語", 6, "日本語");
    assert_shown("日本語", 5, "日本…");
    assert_shown("日本語", 4, "日…");
    assert_shown("ab\033", 3, "ab…");
    assert_shown("abc", 1, "…");
    assert_int_equal(text_columns("grün 日"), 7);
}

static void
test_duration(void **state)
{
    const struct {
        int64_t ms;
        const char *text;
    } cases[] = {{-1, "-"},        {0, "0.0s"},       {450, "0.4s"},     {59999, "59.9s"},
                 {60000, "1m00s"}, {185000, "3m05s"}, {7620000, "2h07m"}};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf out = {0};
        text_duration(&out, cases[i].ms);
        assert_string_equal(out.data, cases[i].text);
        buf_free(&out);
    }
}

static void
collect(void *ctx, const struct lines_line *line)
{
    buf_printf(ctx, "%lld%c:%.*s|", (long long)line->number, line->stream[3], (int)line->len,
               line->text);
}

static void
add(struct lines *lines, struct buf *got, const char *stream, const char *text)
{
    lines_add(lines, &(struct lines_piece){stream, text, strlen(text), NULL}, collect, got);
}

/* A number is taken when a line begins, the line is handed over when it ends. */
static void
test_lines(void **state)
{
    struct lines lines = {0};
    struct buf got = {0};

    (void)state;
    add(&lines, &got, "stdout", "one\ntw");
    add(&lines, &got, "stderr", "err\n\n");
    add(&lines, &got, "stdout", "o\nopen");
    assert_string_equal(got.data, "1o:one|3e:err|4e:|2o:two|");
    lines_end(&lines, collect, &got);
    assert_string_equal(got.data, "1o:one|3e:err|4e:|2o:two|5o:open|");
    lines_end(&lines, collect, &got);
    assert_int_equal(lines.begun, 5);
    lines_free(&lines);
    buf_free(&got);
}

/* In order: what began first comes first, also when it never ends. */
static void
test_lines_in_order(void **state)
{
    struct lines lines = {.ordered = true};
    struct buf got = {0};

    (void)state;
    add(&lines, &got, "stdout", "prompt");
    add(&lines, &got, "stderr", "err\nmore\nlast");
    assert_null(got.data);
    add(&lines, &got, "stdout", " done\nopen");
    assert_string_equal(got.data, "1o:prompt done|2e:err|3e:more|");
    lines_end(&lines, collect, &got);
    assert_string_equal(got.data, "1o:prompt done|2e:err|3e:more|4e:last|5o:open|");
    lines_free(&lines);
    buf_free(&got);
}

static void
test_order_has_a_limit(void **state)
{
    static char piece[64 * 1024];
    struct lines lines = {.ordered = true};
    struct buf got = {0};

    (void)state;
    memset(piece, 'x', sizeof piece - 1);
    piece[sizeof piece - 2] = '\n';
    add(&lines, &got, "stdout", "open");
    for (size_t i = 0; i < 40; i++) {
        add(&lines, &got, "stderr", piece);
        assert_true(lines.held_bytes <= LINES_LONGEST);
    }
    lines_end(&lines, collect, &got);
    lines_free(&lines);
    buf_free(&got);
}

static void
count(void *ctx, const struct lines_line *line)
{
    *(size_t *)ctx += line->len;
}

/* A line without an end does not grow without bounds. */
static void
test_longest(void **state)
{
    static char piece[64 * 1024 + 1];
    struct lines lines = {0};
    size_t handed = 0;

    (void)state;
    memset(piece, 'x', sizeof piece - 1);
    for (size_t i = 0; i < 40; i++) {
        lines_add(&lines, &(struct lines_piece){"stdout", piece, sizeof piece - 1, NULL}, count,
                  &handed);
        assert_true(lines.open[0].text.len <= LINES_LONGEST + sizeof piece);
    }
    assert_true(handed >= LINES_LONGEST);
    lines_end(&lines, count, &handed);
    assert_int_equal(handed, 40 * (sizeof piece - 1));
    lines_free(&lines);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_visible),        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_duration),       cmocka_unit_test(test_lines),
        cmocka_unit_test(test_lines_in_order), cmocka_unit_test(test_order_has_a_limit),
        cmocka_unit_test(test_longest),
    };

    setlocale(LC_CTYPE, "C.UTF-8");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
