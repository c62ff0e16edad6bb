#include "common/uuid.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "common/clock.h"
#include "common/log.h"

#define UUID_BYTES 16

static void
random_bytes(void *out, size_t len)
{
    /* Up to 256 bytes getrandom() is never short once the kernel's pool is ready,
     * and it waits for that. */
    if (getrandom(out, len, 0) != (ssize_t)len)
        log_panic("getrandom: %m");
}

static char *
format(uint8_t b[UUID_BYTES], unsigned version, char out[UUID_TEXT_SIZE])
{
    char *p = out;

    b[6] = (uint8_t)((b[6] & 0x0f) | version << 4);
    b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
    for (int i = 0; i < UUID_BYTES; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *p++ = '-';
        *p++ = "0123456789abcdef"[b[i] >> 4];
        *p++ = "0123456789abcdef"[b[i] & 15];
    }
    *p = '\0';
    return out;
}

char *
uuid_v7(char out[UUID_TEXT_SIZE])
{
    uint64_t ms = (uint64_t)clock_wall_us() / 1000;
    uint8_t b[UUID_BYTES];

    random_bytes(b, sizeof b);
    for (int i = 0; i < 6; i++)
        b[i] = (uint8_t)(ms >> (40 - 8 * i));
    return format(b, 7, out);
}

char *
uuid_v4(char out[UUID_TEXT_SIZE])
{
    uint8_t b[UUID_BYTES];

    random_bytes(b, sizeof b);
    return format(b, 4, out);
}

char *
uuid_token(char out[TOKEN_TEXT_SIZE])
{
    uint64_t token;

    random_bytes(&token, sizeof token);
    snprintf(out, TOKEN_TEXT_SIZE, "%016llx", (unsigned long long)token);
    return out;
}

static bool
is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

bool
uuid_valid(const char *text)
{
    if (strnlen(text, UUID_TEXT_SIZE) != UUID_TEXT_SIZE - 1)
        return false;
    for (int i = 0; i < UUID_TEXT_SIZE - 1; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;

        if (dash ? text[i] != '-' : !is_hex(text[i]))
            return false;
    }
    return true;
}

bool
uuid_token_valid(const char *text)
{
    if (strnlen(text, TOKEN_TEXT_SIZE) != TOKEN_TEXT_SIZE - 1)
        return false;
    for (int i = 0; i < TOKEN_TEXT_SIZE - 1; i++)
        if (!is_hex(text[i]))
            return false;
    return true;
}
