#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/utf8.h"

struct text {
    const char *data;
    size_t len;
    size_t valid; /* prefix */
    const char *sane;
};

#define BAD "\xef\xbf\xbd"
#define TEXT(s, valid, sane)                                                                       \
    {                                                                                              \
        s, sizeof(s) - 1, valid, sane                                                              \
    }

static const struct text texts[] = {
    TEXT("", 0, ""),
    TEXT("plain", 5, "plain"),
    TEXT("a\0b", 3, "a" BAD "b"),
    TEXT("\x7f", 1, "\x7f"),
    TEXT("\xc2\x80", 2, "\xc2\x80"),                 /* U+0080 */
    TEXT("\xdf\xbf", 2, "\xdf\xbf"),                 /* U+07FF */
    TEXT("\xe0\xa0\x80", 3, "\xe0\xa0\x80"),         /* U+0800 */
    TEXT("\xed\x9f\xbf", 3, "\xed\x9f\xbf"),         /* U+D7FF */
    TEXT("\xee\x80\x80", 3, "\xee\x80\x80"),         /* U+E000 */
    TEXT("\xef\xbf\xbf", 3, "\xef\xbf\xbf"),         /* U+FFFF */
    TEXT("\xf0\x90\x80\x80", 4, "\xf0\x90\x80\x80"), /* U+10000 */
    TEXT("\xf4\x8f\xbf\xbf", 4, "\xf4\x8f\xbf\xbf"), /* U+10FFFF */
    TEXT("x\xc0\x80", 1, "x" BAD BAD),               /* overlong NUL */
    TEXT("\xc1\xbf", 0, BAD BAD),                    /* overlong */
    TEXT("\xe0\x9f\xbf", 0, BAD BAD BAD),            /* overlong */
    TEXT("\xf0\x8f\xbf\xbf", 0, BAD BAD BAD BAD),    /* overlong */
    TEXT("\xed\xa0\x80", 0, BAD BAD BAD),            /* surrogate D800 */
    TEXT("\xed\xbf\xbf", 0, BAD BAD BAD),            /* surrogate DFFF */
    TEXT("\xf4\x90\x80\x80", 0, BAD BAD BAD BAD),    /* above U+10FFFF */
    TEXT("\xf5\x80\x80\x80", 0, BAD BAD BAD BAD),    /* above U+10FFFF */
    TEXT("\xff\xfe", 0, BAD BAD),                    /* never in UTF-8 */
    TEXT("\x80", 0, BAD),                            /* continuation alone */
    TEXT("a\xc3", 1, "a" BAD),                       /* cut */
    TEXT("a\xe2\x82", 1, "a" BAD BAD),               /* cut */
    TEXT("\xe2\x82z\xe2\x82\xac", 0, BAD BAD "z\xe2\x82\xac"),
    TEXT("\xc3\xc3\xa9", 0, BAD "\xc3\xa9"),
};

static void
test_valid_prefix(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        assert_int_equal(utf8_valid_prefix(texts[i].data, texts[i].len), texts[i].valid);
}

static void
test_sanitise(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        CLEANUP(buf_free) struct buf b = {0};

        buf_puts(&b, ">");
        utf8_sanitise(texts[i].data, texts[i].len, &b);
        assert_string_equal(b.data + 1, texts[i].sane);
        assert_int_equal(b.len - 1, strlen(texts[i].sane));
        assert_int_equal(utf8_valid_prefix(b.data, b.len), b.len);
    }
}

static void
test_incomplete_tail(void **state)
{
    static const struct {
        const char *text;
        size_t tail;
    } cases[] = {
        {"", 0},
        {"abc", 0},
        {"\xc3\xa9", 0},
        {"a\xc3", 1},
        {"a\xe2", 1},
        {"a\xe2\x82", 2},
        {"a\xe2\x82\xac", 0},
        {"\xf0", 1},
        {"\xf0\x9f", 2},
        {"\xf0\x9f\x98", 3},
        {"\xf0\x9f\x98\x80", 0},
        {"\xe0\x80", 0}, /* can never become valid */
        {"\xed\xa0", 0},
        {"\xf4\x90", 0},
        {"\xc0", 0},
        {"\xff", 0},
        {"\x80\x80\x80\x80", 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(utf8_incomplete_tail(cases[i].text, strlen(cases[i].text)), cases[i].tail);
}

/* Every code point, written and read back. */
static void
test_all_code_points(void **state)
{
    (void)state;
    for (uint32_t c = 0x800; c <= 0x11ffff; c++) {
        const uint8_t three[] = {(uint8_t)(0xe0 | c >> 12), (uint8_t)(0x80 | (c >> 6 & 0x3f)),
                                 (uint8_t)(0x80 | (c & 0x3f))};
        const uint8_t four[] = {(uint8_t)(0xf0 | c >> 18), (uint8_t)(0x80 | (c >> 12 & 0x3f)),
                                (uint8_t)(0x80 | (c >> 6 & 0x3f)), (uint8_t)(0x80 | (c & 0x3f))};
        int right = c <= 0x10ffff && (c < 0xd800 || c > 0xdfff);

        if (c <= 0xffff && (utf8_valid_prefix(three, 3) == 3) != right)
            fail_msg("U+%04X", (unsigned)c);
        if (c > 0xffff && (utf8_valid_prefix(four, 4) == 4) != right)
            fail_msg("U+%04X", (unsigned)c);
    }
}

/* It looks at several bytes at a time: a bad one is found wherever it stands among them. */
static void
test_each_place(void **state)
{
    enum { LEN = 40 };
    char text[LEN];

    (void)state;
    for (size_t bad = 0; bad < LEN; bad++) {
        memset(text, 'a', sizeof text);
        text[bad] = '\xff';
        for (size_t start = 0; start <= bad; start++)
            assert_int_equal(utf8_valid_prefix(text + start, LEN - start), bad - start);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_valid_prefix),    cmocka_unit_test(test_sanitise),
        cmocka_unit_test(test_incomplete_tail), cmocka_unit_test(test_all_code_points),
        cmocka_unit_test(test_each_place),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
