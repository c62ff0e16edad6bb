#include "common/jsonscan_key.h"

#include <string.h>

/* Strings of a JSON text by what they mean, not by how they are written. */

int
jsonscan_hex4(const char *text, size_t len)
{
    int value = 0;

    if (len < 4)
        return -1;
    for (size_t i = 0; i < 4; i++) {
        char c = text[i];

        if (c >= '0' && c <= '9')
            value = value * 16 + (c - '0');
        else if (c >= 'a' && c <= 'f')
            value = value * 16 + (c - 'a' + 10);
        else if (c >= 'A' && c <= 'F')
            value = value * 16 + (c - 'A' + 10);
        else
            return -1;
    }
    return value;
}

bool
jsonscan_is_high(int unit)
{
    return unit >= 0xd800 && unit <= 0xdbff;
}

bool
jsonscan_is_low(int unit)
{
    return unit >= 0xdc00 && unit <= 0xdfff;
}

/* Reads a string that was found well-formed, with its escapes decoded to UTF-8. */
struct decoder {
    const char *at;
    unsigned char pending[4]; /* bytes of one escape, last first */
    int pendings;
};

static void
push_code_point(struct decoder *d, uint32_t c)
{
    d->pendings = 0;
    if (c < 0x80) {
        d->pending[d->pendings++] = (unsigned char)c;
        return;
    }
    d->pending[d->pendings++] = (unsigned char)(0x80 | (c & 0x3f));
    if (c < 0x800) {
        d->pending[d->pendings++] = (unsigned char)(0xc0 | c >> 6);
        return;
    }
    d->pending[d->pendings++] = (unsigned char)(0x80 | (c >> 6 & 0x3f));
    if (c < 0x10000) {
        d->pending[d->pendings++] = (unsigned char)(0xe0 | c >> 12);
        return;
    }
    d->pending[d->pendings++] = (unsigned char)(0x80 | (c >> 12 & 0x3f));
    d->pending[d->pendings++] = (unsigned char)(0xf0 | c >> 18);
}

static void
decode_unicode_escape(struct decoder *d)
{
    uint32_t c = (uint32_t)jsonscan_hex4(d->at, 4);

    d->at += 4;
    if (jsonscan_is_high((int)c)) {
        c = 0x10000 + ((c - 0xd800) << 10) + ((uint32_t)jsonscan_hex4(d->at + 2, 4) - 0xdc00);
        d->at += 6;
    }
    push_code_point(d, c);
}

/* The next byte of the decoded string, or -1 at its end. */
static int
next_byte(struct decoder *d)
{
    static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
    const char *found;
    char c;

    if (d->pendings > 0)
        return d->pending[--d->pendings];
    c = *d->at++;
    if (c == '"')
        return -1;
    if (c != '\\')
        return (unsigned char)c;
    c = *d->at++;
    if (c == 'u') {
        decode_unicode_escape(d);
        return d->pending[--d->pendings];
    }
    found = strchr(from, c);
    return found == NULL ? (unsigned char)c : (unsigned char)to[found - from];
}

uint32_t
jsonscan_key_hash(const char *key)
{
    struct decoder d = {.at = key};
    uint32_t hash = 2166136261u; /* FNV-1a */
    int byte;

    while ((byte = next_byte(&d)) != -1)
        hash = (hash ^ (uint32_t)byte) * 16777619u;
    return hash;
}

bool
jsonscan_key_same(const char *a, const char *b)
{
    struct decoder da = {.at = a}, db = {.at = b};
    int byte;

    do {
        byte = next_byte(&da);
        if (byte != next_byte(&db))
            return false;
    } while (byte != -1);
    return true;
}
