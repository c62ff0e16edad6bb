#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/buf.h"
#include "common/jsonscan.h"
#include "common/jsonskip.h"

struct text {
    const char *text;
    size_t len; /* with NULs inside, so not by strlen() */
};

#define TEXT(s)                                                                                    \
    {                                                                                              \
        s, sizeof(s) - 1                                                                           \
    }

static const struct text good[] = {
    TEXT("0"),
    TEXT(" \t\r\n{} "),
    TEXT("[]"),
    TEXT("[1,-2,0,-0,3.5,1e3,1E-3,1e+3,-0.0]"),
    TEXT("{\"a\":1,\"b\":{\"a\":2},\"c\":[{\"a\":1},{\"a\":2}]}"), /* same key, other objects */
    TEXT("{\"a\":true,\"A\":false,\"\":null}"),
    TEXT("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\uD83D\\uDE00\""),
    TEXT("\"\xc3\xa9 \xf0\x9f\x98\x80 \x7f\""),
    TEXT("{\"a\\\"\":1,\"a\":2}"),
    TEXT("9007199254740992"), /* 2^53 */
    TEXT("-9007199254740992"),
    TEXT("1e308"),
    TEXT("9007199254740993.0"), /* a double, not an integer */
    TEXT("\"\\ud7ff\\ue000\\uffff\""),
};

static const struct {
    struct text text;
    const char *why;
} bad[] = {
    {TEXT(""), "expected a value"},
    {TEXT("{"), "expected a key in double quotes"},
    {TEXT("[1,]"), "expected a value"},
    {TEXT("{\"a\":1,}"), "expected a key in double quotes"},
    {TEXT("{\"a\" 1}"), "expected ':'"},
    {TEXT("{\"a\":1 \"b\":2}"), "expected ',' or '}'"},
    {TEXT("[1 2]"), "expected ',' or ']'"},
    {TEXT("[1}"), "expected ',' or ']'"},
    {TEXT("1 2"), "text behind the value"},
    {TEXT("{}x"), "text behind the value"},
    {TEXT("{}\0"), "text behind the value"},
    {TEXT("// c\n1"), "expected a value"},
    {TEXT("{a:1}"), "expected a key in double quotes"},
    {TEXT("{'a':1}"), "expected a key in double quotes"},
    {TEXT("'a'"), "expected a value"},
    {TEXT("{\"a\":1,\"a\":2}"), "duplicate key"},
    {TEXT("{\"a\":1,\"\\u0061\":2}"), "duplicate key"},
    {TEXT("{\"\xc3\xa9\":1,\"\\u00E9\":2}"), "duplicate key"},
    {TEXT("{\"\xf0\x9f\x98\x80\":1,\"\\ud83d\\ude00\":2}"), "duplicate key"},
    {TEXT("{\"\xe2\x82\xac\":1,\"\\u20ac\":2}"), "duplicate key"},
    {TEXT("{\"\\/\":1,\"/\":2}"), "duplicate key"},
    {TEXT("{\"\\n\":1,\"\\u000a\":2}"), "duplicate key"},
    {TEXT("{\"x\":{\"k\":1},\"y\":{\"k\":1,\"k\":1}}"), "duplicate key"},
    {TEXT("\"\\u0000\""), "NUL in a string"},
    {TEXT("{\"a\\u0000b\":1}"), "NUL in a string"},
    {TEXT("\"a\0b\""), "control character in a string"},
    {TEXT("\"a\nb\""), "control character in a string"},
    {TEXT("\"a\tb\""), "control character in a string"},
    {TEXT("\"\\ud800\""), "lone surrogate"},
    {TEXT("\"\\udc00\""), "lone surrogate"},
    {TEXT("\"\\ud800\\ud800\""), "lone surrogate"},
    {TEXT("\"\\ud800x\""), "lone surrogate"},
    {TEXT("\"\\ud800\\u\""), "lone surrogate"},
    {TEXT("\"\\x41\""), "bad escape"},
    {TEXT("\"\\u00g0\""), "bad \\u escape"},
    {TEXT("\"\\u00"), "bad \\u escape"},
    {TEXT("\"\\"), "bad escape"},
    {TEXT("\"abc"), "string without end"},
    {TEXT("\"\xff\""), "invalid UTF-8"},
    {TEXT("\"\xc0\x80\""), "invalid UTF-8"},
    {TEXT("\"\xed\xa0\x80\""), "invalid UTF-8"},
    {TEXT("\"\xf5\x80\x80\x80\""), "invalid UTF-8"},
    {TEXT("\xef\xbb\xbf{}"), "expected a value"}, /* byte order mark */
    {TEXT("NaN"), "expected a value"},
    {TEXT("[Infinity]"), "expected a value"},
    {TEXT("-Infinity"), "expected a value"},
    {TEXT("nul"), "expected a value"},
    {TEXT("True"), "expected a value"},
    {TEXT("+1"), "expected a value"},
    {TEXT(".5"), "expected a value"},
    {TEXT("01"), "number with a leading zero"},
    {TEXT("-01"), "number with a leading zero"},
    {TEXT("1."), "number without digits behind the point"},
    {TEXT("1.e3"), "number without digits behind the point"},
    {TEXT("1e"), "number without an exponent"},
    {TEXT("1e+"), "number without an exponent"},
    {TEXT("0x10"), "text behind the value"},
    {TEXT("9007199254740993"), "integer beyond 2^53"},
    {TEXT("-9007199254740993"), "integer beyond 2^53"},
    {TEXT("99999999999999999999999999"), "integer beyond 2^53"},
    {TEXT("1e400"), "number out of range"},
    {TEXT("-1e400"), "number out of range"},
    {TEXT("1e-20000"), "number out of range"},
    {TEXT("-0.0005e-20000"), "number out of range"},
};

static void
test_good(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        struct jsonscan_error err = {0};

        if (jsonscan(good[i].text, good[i].len, &err) != 0)
            fail_msg("%s: %s at %zu", good[i].text, err.why, err.at);
    }
}

/* Exactly as long as it is: a read behind the end is seen by the sanitizer. */
static int
scan_copy(const struct text *text, struct jsonscan_error *err)
{
    char *copy = malloc(text->len > 0 ? text->len : 1);
    int result;

    assert_non_null(copy);
    memcpy(copy, text->text, text->len);
    result = jsonscan(copy, text->len, err);
    free(copy);
    return result;
}

static void
test_bad(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct jsonscan_error err = {0};

        if (scan_copy(&bad[i].text, &err) != -1)
            fail_msg("taken: %s", bad[i].text.text);
        assert_string_equal(err.why, bad[i].why);
        assert_true(err.at <= bad[i].text.len);
    }
}

/* No prefix of a good text crashes or reads too far. */
static void
test_prefixes(void **state)
{
    const struct text whole =
        TEXT("{\"a\\ud83d\\ude00\":[1.5e3,true,null,{\"\xc3\xa9\":\"\\u00e9\"}],\"b\":-1}");

    (void)state;
    for (size_t len = 0; len < whole.len; len++) {
        const struct text part = {whole.text, len};
        struct jsonscan_error err;

        assert_int_equal(scan_copy(&part, &err), -1);
    }
}

static int
nested(int depth, const char *inner)
{
    CLEANUP(buf_free) struct buf b = {0};
    struct jsonscan_error err;
    int result;

    for (int i = 0; i < depth; i++)
        buf_puts(&b, i % 2 == 0 ? "[" : "{\"k\":");
    buf_puts(&b, inner);
    for (int i = depth; i-- > 0;)
        buf_puts(&b, i % 2 == 0 ? "]" : "}");
    result = jsonscan(b.data, b.len, &err);
    if (result == -1)
        assert_string_equal(err.why, "nested too deep");
    return result;
}

static void
test_depth(void **state)
{
    (void)state;
    assert_int_equal(nested(JSONSCAN_DEPTH, "1"), 0);
    assert_int_equal(nested(JSONSCAN_DEPTH - 1, "[]"), 0);
    assert_int_equal(nested(JSONSCAN_DEPTH + 1, "1"), -1);
    assert_int_equal(nested(JSONSCAN_DEPTH, "[]"), -1);
    assert_int_equal(nested(100000, "1"), -1);
}

/* An object of n keys, then another with one more. */
static int
with_keys(int n)
{
    CLEANUP(buf_free) struct buf b = {0};
    struct jsonscan_error err;
    int result;

    buf_puts(&b, "[{");
    for (int i = 0; i < n; i++)
        buf_printf(&b, "%s\"k%d\":0", i > 0 ? "," : "", i);
    buf_puts(&b, "},{\"k0\":1}]");
    result = jsonscan(b.data, b.len, &err);
    if (result == -1)
        assert_string_equal(err.why, "too many keys");
    return result;
}

static void
test_counts(void **state)
{
    CLEANUP(buf_free) struct buf b = {0};
    struct jsonscan_error err;

    (void)state;
    assert_int_equal(with_keys(JSONSCAN_KEYS), 0);
    assert_int_equal(with_keys(JSONSCAN_KEYS + 1), -1);

    buf_puts(&b, "[0");
    for (int i = 2; i < JSONSCAN_VALUES; i++)
        buf_puts(&b, ",0");
    buf_puts(&b, "]");
    assert_int_equal(jsonscan(b.data, b.len, &err), 0);
    b.data[b.len - 1] = ',';
    buf_puts(&b, "0]");
    assert_int_equal(jsonscan(b.data, b.len, &err), -1);
    assert_string_equal(err.why, "too many values");
}

/* It looks at several bytes at a time: each byte, at each place among them, is told apart. */
static void
test_plain(void **state)
{
    enum { LEN = 24 };
    char text[LEN];

    (void)state;
    for (unsigned byte = 0; byte <= UINT8_MAX; byte++) {
        bool plain = byte >= 0x20 && byte != '"' && byte != '\\';

        for (size_t at = 0; at < LEN; at++) {
            memset(text, 'a', sizeof text);
            text[at] = (char)byte;
            assert_int_equal(jsonscan_plain(text, LEN), plain ? LEN : at);
        }
    }
    assert_int_equal(jsonscan_plain("", 0), 0);
}

static void
member(const char *text, const char *key, const char *expected)
{
    struct jsonskip_piece found;

    assert_int_equal(jsonskip_member(text, strlen(text), key, &found), expected != NULL);
    if (expected == NULL)
        return;
    assert_int_equal(found.len, strlen(expected));
    assert_memory_equal(found.text, expected, found.len);
}

static void
test_member(void **state)
{
    static const char text[] = " { \"a\" : 1 ,\"b\":{\"c\":\"}\\\"]\",\"a\":[2]}\t, \"\":null,"
                               "\"d\":[{},\"x\"], \"e\":true}";

    (void)state;
    member(text, "a", "1");
    member(text, "b", "{\"c\":\"}\\\"]\",\"a\":[2]}");
    member(text, "", "null");
    member(text, "d", "[{},\"x\"]");
    member(text, "e", "true");
    member(text, "c", NULL);
    member("{}", "a", NULL);
    member("{\"\\u0061\":1}", "a", NULL);
    for (size_t len = 0; len < sizeof text;
         len++) { /* cut off it is no JSON, and no reason to leave it */
        char *cut = malloc(len + 1);
        struct jsonskip_piece found;

        assert_non_null(cut);
        memcpy(cut, text, len);
        (void)jsonskip_member(cut, len, "none", &found);
        free(cut);
    }
}

static void
values_are_counted(void **state)
{
    static const struct {
        const char *text;
        size_t n;
    } cases[] = {
        {"0", 1},
        {" {} ", 1},
        {"[[],{}]", 3},
        {"{\"a:b,{\":\"c\\\",[\",\"d\":[null , -1.5e3,true]}", 6},
        {"{\"a\" : {\"b\" :\t[ 1 ,\n2 ]} }", 5},
        {"\"\\\\\"", 1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(jsonscan_count(cases[i].text, strlen(cases[i].text)), cases[i].n);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),     cmocka_unit_test(test_bad),
        cmocka_unit_test(test_prefixes), cmocka_unit_test(test_depth),
        cmocka_unit_test(test_counts),   cmocka_unit_test(test_plain),
        cmocka_unit_test(test_member),   cmocka_unit_test(values_are_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
