#include "common/jsonscan.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/jsonscan_key.h"
#include "common/utf8.h"

/* A recursive descent over RFC 8259.  Keys of the objects that are open at one time
 * lie on a stack, so that duplicates are found after their escapes are decoded: {"a":1,
 * "\u0061":2} has one. */

#define NUMBER_BYTES 128               /* longer numbers are refused */
#define INTEGER_MAX (INT64_C(1) << 53) /* what every JSON reader keeps exactly */
#define INTEGER_DIGITS 16              /* of INTEGER_MAX */

struct scan {
    const char *text;
    size_t len, at;
    struct jsonscan_error *err;
    int depth_max;
    size_t values;
    size_t keys; /* on the stack */
    uint32_t key_hash[JSONSCAN_KEYS];
    size_t key_at[JSONSCAN_KEYS]; /* behind the opening quote */
};

static int
fail(struct scan *s, const char *why, size_t at)
{
    s->err->why = why;
    s->err->at = at;
    return -1;
}

/* The byte at the cursor; 0 at the end (a NUL in the text is wrong everywhere). */
static unsigned char
peek(const struct scan *s)
{
    return s->at < s->len ? (unsigned char)s->text[s->at] : 0;
}

static void
skip_space(struct scan *s)
{
    while (peek(s) == ' ' || peek(s) == '\t' || peek(s) == '\n' || peek(s) == '\r')
        s->at++;
}

/* Cursor behind "\u". */
static int
scan_unicode_escape(struct scan *s)
{
    size_t start = s->at - 2;
    int unit = jsonscan_hex4(s->text + s->at, s->len - s->at);

    if (unit == -1)
        return fail(s, "bad \\u escape", start);
    if (unit == 0)
        return fail(s, "NUL in a string", start);
    s->at += 4;
    if (jsonscan_is_low(unit))
        return fail(s, "lone surrogate", start);
    if (!jsonscan_is_high(unit))
        return 0;
    if (s->len - s->at < 6 || s->text[s->at] != '\\' || s->text[s->at + 1] != 'u' ||
        !jsonscan_is_low(jsonscan_hex4(s->text + s->at + 2, s->len - s->at - 2)))
        return fail(s, "lone surrogate", start);
    s->at += 6;
    return 0;
}

/* A set bit in each byte that is below n (n <= 128), or is byte: exact as long as only the lowest set one
 * is trusted (Hacker's Delight, 6-1), which is enough to ask whether there is any. */
#define EACH_BYTE (UINT64_MAX / 255)
#define ANY_BELOW(x, n) (((x)-EACH_BYTE * (n)) & ~(x)&EACH_BYTE * 0x80)
#define ANY_IS(x, byte) ANY_BELOW((x) ^ EACH_BYTE * (byte), 1)

size_t
jsonscan_plain(const char *text, size_t len)
{
    size_t n = 0;
    uint64_t x;

    for (; len - n >= sizeof x; n += sizeof x) {
        memcpy(&x, text + n, sizeof x);
        if ((ANY_BELOW(x, 0x20) | ANY_IS(x, '"') | ANY_IS(x, '\\')) != 0)
            break;
    }
    while (n < len && (unsigned char)text[n] >= 0x20 && text[n] != '"' && text[n] != '\\')
        n++;
    return n;
}

/* Cursor on the opening quote. */
static int
scan_string(struct scan *s)
{
    for (s->at++;;) {
        unsigned char c;

        s->at += jsonscan_plain(s->text + s->at, s->len - s->at);
        c = peek(s);

        if (s->at >= s->len)
            return fail(s, "string without end", s->at);
        if (c < 0x20)
            return fail(s, "control character in a string", s->at);
        s->at++;
        if (c == '"')
            return 0;
        if (c != '\\')
            continue;
        c = peek(s);
        if (c == '\0' || strchr("\"\\/bfnrtu", c) == NULL)
            return fail(s, "bad escape", s->at - 1);
        s->at++;
        if (c == 'u' && scan_unicode_escape(s) == -1)
            return -1;
    }
}

/* Cursor on a key's opening quote; `first` is where this object's keys begin. */
static int
scan_key(struct scan *s, size_t first)
{
    size_t at = s->at + 1;
    uint32_t hash;

    if (peek(s) != '"')
        return fail(s, "expected a key in double quotes", s->at);
    if (scan_string(s) == -1)
        return -1;
    hash = jsonscan_key_hash(s->text + at);
    for (size_t i = first; i < s->keys; i++)
        if (s->key_hash[i] == hash && jsonscan_key_same(s->text + s->key_at[i], s->text + at))
            return fail(s, "duplicate key", at - 1);
    if (s->keys == JSONSCAN_KEYS)
        return fail(s, "too many keys", at - 1);
    s->key_hash[s->keys] = hash;
    s->key_at[s->keys++] = at;
    return 0;
}

static size_t
scan_digits(struct scan *s)
{
    size_t start = s->at;

    while (peek(s) >= '0' && peek(s) <= '9')
        s->at++;
    return s->at - start;
}

/* Text is the number from start to the cursor. */
static int
check_range(struct scan *s, size_t start, bool integer)
{
    char copy[NUMBER_BYTES + 1];
    size_t len = s->at - start;

    if (len > NUMBER_BYTES)
        return fail(s, "number too long", start);
    memcpy(copy, s->text + start, len);
    copy[len] = '\0';
    if (!integer) {
        double value = strtod(copy, NULL);
        bool zero = strcspn(copy, "123456789") >= strcspn(copy, "eE");

        /* Too small counts, too: PostgreSQL's numeric has an end there. */
        return isfinite(value) && (value != 0 || zero) ? 0 : fail(s, "number out of range", start);
    }
    if (len > INTEGER_DIGITS + 1 || llabs(strtoll(copy, NULL, 10)) > INTEGER_MAX)
        return fail(s, "integer beyond 2^53", start);
    return 0;
}

static int
scan_number(struct scan *s)
{
    size_t start = s->at, whole;
    bool integer = true;

    if (peek(s) == '-')
        s->at++;
    whole = s->at;
    if (scan_digits(s) == 0)
        return fail(s, "expected a value", start);
    if (s->text[whole] == '0' && s->at - whole > 1)
        return fail(s, "number with a leading zero", start);
    if (peek(s) == '.') {
        s->at++;
        integer = false;
        if (scan_digits(s) == 0)
            return fail(s, "number without digits behind the point", start);
    }
    if (peek(s) == 'e' || peek(s) == 'E') {
        s->at++;
        integer = false;
        if (peek(s) == '+' || peek(s) == '-')
            s->at++;
        if (scan_digits(s) == 0)
            return fail(s, "number without an exponent", start);
    }
    return check_range(s, start, integer);
}

static int
scan_word(struct scan *s, const char *word)
{
    size_t n = strlen(word);

    if (s->len - s->at < n || memcmp(s->text + s->at, word, n) != 0)
        return fail(s, "expected a value", s->at);
    s->at += n;
    return 0;
}

static int scan_value(struct scan *s, int depth);

/* One member or item, with the white space around it. */
static int
scan_item(struct scan *s, int depth, bool keyed, size_t first_key)
{
    skip_space(s);
    if (keyed) {
        if (scan_key(s, first_key) == -1)
            return -1;
        skip_space(s);
        if (peek(s) != ':')
            return fail(s, "expected ':'", s->at);
        s->at++;
        skip_space(s);
    }
    if (scan_value(s, depth) == -1)
        return -1;
    skip_space(s);
    return 0;
}

/* Cursor on '{' or '['. */
static int
scan_container(struct scan *s, int depth)
{
    bool keyed = peek(s) == '{';
    unsigned char end = keyed ? '}' : ']';
    size_t first_key = s->keys;

    if (depth == s->depth_max)
        return fail(s, "nested too deep", s->at);
    s->at++;
    skip_space(s);
    if (peek(s) == end) {
        s->at++;
        return 0;
    }
    for (;;) {
        if (scan_item(s, depth + 1, keyed, first_key) == -1)
            return -1;
        if (peek(s) != ',')
            break;
        s->at++;
    }
    if (peek(s) != end)
        return fail(s, keyed ? "expected ',' or '}'" : "expected ',' or ']'", s->at);
    s->at++;
    s->keys = first_key;
    return 0;
}

static int
scan_value(struct scan *s, int depth)
{
    if (++s->values > JSONSCAN_VALUES)
        return fail(s, "too many values", s->at);
    switch (peek(s)) {
    case '{':
    case '[':
        return scan_container(s, depth);
    case '"':
        return scan_string(s);
    case 't':
        return scan_word(s, "true");
    case 'f':
        return scan_word(s, "false");
    case 'n':
        return scan_word(s, "null");
    default:
        return scan_number(s);
    }
}

int
jsonscan_within(const char *text, size_t len, int depth_max, struct jsonscan_error *err)
{
    struct scan s; /* its large arrays need no clearing */
    size_t valid = utf8_valid_prefix(text, len);

    s.text = text;
    s.len = len;
    s.at = 0;
    s.err = err;
    s.depth_max = depth_max;
    s.values = 0;
    s.keys = 0;
    if (valid != len)
        return fail(&s, "invalid UTF-8", valid);
    skip_space(&s);
    if (scan_value(&s, 0) == -1)
        return -1;
    skip_space(&s);
    return s.at == len ? 0 : fail(&s, "text behind the value", s.at);
}

int
jsonscan(const char *text, size_t len, struct jsonscan_error *err)
{
    return jsonscan_within(text, len, JSONSCAN_DEPTH, err);
}

/* Behind the string that begins before text[at]. */
static size_t
skip_string(const char *text, size_t len, size_t at)
{
    for (;;) {
        at += jsonscan_plain(text + at, len - at);
        if (at >= len || text[at] == '"')
            return at + 1;
        at += 2; /* an escape */
    }
}

size_t
jsonscan_count(const char *text, size_t len)
{
    size_t n = 0, at = 0;

    while (at < len) {
        switch (text[at++]) {
        case '"':
            at = skip_string(text, len, at);
            n++;
            break;
        case ':': /* the string before it was a key */
            n--;
            break;
        case '{':
        case '[':
            n++;
            break;
        case '}':
        case ']':
        case ',':
        case ' ':
        case '\t':
        case '\r':
        case '\n':
            break;
        default:
            while (at < len && strchr(",]} \t\r\n", text[at]) == NULL)
                at++;
            n++;
        }
    }
    return n;
}
