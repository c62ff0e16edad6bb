#include "common/utf8.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* RFC 3629 section 4, as a table of the well-formed byte sequences: the second
 * byte has the narrow range, any further one is 80..BF. */

struct lead {
    uint8_t first, last; /* of the lead byte */
    uint8_t low, high;   /* of the second byte */
    uint8_t length;
};

static const struct lead leads[] = {
    {0x00, 0x7f, 0, 0, 1},       {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
    {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
    {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
};

static const struct lead *
find_lead(uint8_t byte)
{
    for (size_t i = 0; i < ARRAY_LEN(leads); i++)
        if (byte >= leads[i].first && byte <= leads[i].last)
            return &leads[i];
    return NULL;
}

/* Bytes from s (len > 0) that fit a sequence; *whole tells whether they are all of it.
 * 0 = s[0] cannot start one. */
static size_t
match(const uint8_t *s, size_t len, bool *whole)
{
    const struct lead *lead = find_lead(s[0]);
    size_t n = 1;

    *whole = false;
    if (lead == NULL)
        return 0;
    if (lead->length > 1 && len > 1 && s[1] >= lead->low && s[1] <= lead->high)
        for (n = 2; n < lead->length && n < len && s[n] >= 0x80 && s[n] <= 0xbf;)
            n++;
    *whole = n == lead->length;
    return n;
}

/* Bytes in front that are no part of longer sequences: the common case, eight at a time. */
static size_t
ascii(const uint8_t *s, size_t len)
{
    const uint64_t high_bits = UINT64_MAX / 255 * 0x80;
    size_t n = 0;
    uint64_t eight;

    for (; len - n >= sizeof eight; n += sizeof eight) {
        memcpy(&eight, s + n, sizeof eight);
        if ((eight & high_bits) != 0)
            break;
    }
    while (n < len && s[n] < 0x80)
        n++;
    return n;
}

size_t
utf8_valid_prefix(const void *data, size_t len)
{
    const uint8_t *s = data;
    size_t at = 0;
    bool whole;

    while (at < len) {
        size_t n = ascii(s + at, len - at);

        at += n;
        if (n > 0)
            continue;
        n = match(s + at, len - at, &whole);
        if (!whole)
            break;
        at += n;
    }
    return at;
}

void
utf8_sanitise(const void *data, size_t len, struct buf *out)
{
    const uint8_t *s = data;
    size_t at = 0, kept = 0;
    bool whole;

    while (at < len) {
        size_t n = match(s + at, len - at, &whole);

        if (whole && s[at] != '\0') {
            at += n;
            continue;
        }
        buf_add(out, s + kept, at - kept);
        buf_puts(out, "\xef\xbf\xbd");
        kept = ++at;
    }
    buf_add(out, s + kept, len - kept);
}

size_t
utf8_incomplete_tail(const void *data, size_t len)
{
    const uint8_t *s = data;
    bool whole;

    for (size_t tail = 1; tail <= 3 && tail <= len; tail++) {
        const uint8_t *start = s + len - tail;

        if (*start >= 0x80 && *start <= 0xbf)
            continue; /* the lead byte is further in front */
        return match(start, tail, &whole) == tail && !whole ? tail : 0;
    }
    return 0;
}
