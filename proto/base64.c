/* Base64 as events carry bytes that are not text.  Strict: one way to write a thing. */
#include "proto/base64.h"

#include <stdbool.h>
#include <stdint.h>

#define QUAD 4
#define TRIPLE 3
#define CHUNK_TRIPLES 1024 /* decoded before they are appended */
#define DIGIT_BITS 6
#define BYTE_BITS 8

#define LOWER 26 /* value of 'a' */
#define DECIMAL 52
#define PLUS 62
#define SLASH 63

/* The value of one digit, -1 when it is none. */
static int
digit(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + LOWER;
    if (c >= '0' && c <= '9')
        return c - '0' + DECIMAL;
    return c == '+' ? PLUS : c == '/' ? SLASH : -1;
}

/* Four characters, `pad` of them '=' at the end, to three bytes.  -1: not base64. */
static int
decode_quad(const char *text, size_t pad, char bytes[TRIPLE])
{
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
    return 0;
}

int
base64_decode(const char *text, size_t len, struct buf *out)
{
    char chunk[CHUNK_TRIPLES * TRIPLE];
    size_t used = 0;

    if (len % QUAD != 0)
        return -1;
    for (size_t at = 0; at < len; at += QUAD) {
        size_t pad = 0;

        if (at + QUAD == len && text[at + 3] == '=')
            pad = text[at + 2] == '=' ? 2 : 1;
        if (decode_quad(text + at, pad, chunk + used) == -1)
            return -1;
        used += TRIPLE - pad;
        if (used + TRIPLE > sizeof chunk || at + QUAD == len) {
            buf_add(out, chunk, used);
            used = 0;
        }
    }
    return 0;
}
