/* Base64 as events carry bytes that are not text.  Strict: one way to write a thing. */
#include "proto/base64.h"

#include <stdbool.h>
#include <stdint.h>

#define QUAD 4
#define TRIPLE 3
#define DIGIT_BITS 6
#define BYTE_BITS 8

/* The value of one digit, -1 when it is none. */
static int
digit(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Four characters, `pad` of them '=' at the end. */
static int
add_quad(const char *text, size_t pad, struct buf *out)
{
    char bytes[TRIPLE];
    uint32_t value = 0;

    for (size_t i = 0; i < QUAD; i++) {
        int d = i < QUAD - pad ? digit(text[i]) : 0;

        if (d == -1)
            return -1;
        value = value << DIGIT_BITS | (uint32_t)d;
    }
    for (size_t i = 0; i < TRIPLE; i++)
        bytes[i] = (char)(value >> (BYTE_BITS * (TRIPLE - 1 - i)) & UINT8_MAX);
    for (size_t i = TRIPLE - pad; i < TRIPLE; i++)
        if (bytes[i] != 0) /* bits beyond the end */
            return -1;
    buf_add(out, bytes, TRIPLE - pad);
    return 0;
}

int
base64_decode(const char *text, size_t len, struct buf *out)
{
    if (len % QUAD != 0)
        return -1;
    for (size_t at = 0; at < len; at += QUAD) {
        bool last = at + QUAD == len;
        size_t pad = 0;

        if (last && text[at + 3] == '=')
            pad = text[at + 2] == '=' ? 2 : 1;
        if (add_quad(text + at, pad, out) == -1)
            return -1;
    }
    return 0;
}
