/* Seals of what comes by a channel where others might speak, too. */
#include "dispatcher/seal.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sys/random.h>

#include "common/log.h"

#define INNER 0x36 /* RFC 2104, section 2 */
#define OUTER 0x5c

void
seal_init(struct seal *seal)
{
    if (getrandom(seal->key, sizeof seal->key, 0) != (ssize_t)sizeof seal->key)
        log_panic("getrandom: %m");
}

void
seal_pads(const struct seal *seal, unsigned char inner[SEAL_BLOCK_BYTES],
          unsigned char outer[SEAL_BLOCK_BYTES])
{
    for (size_t i = 0; i < SEAL_BLOCK_BYTES; i++) {
        unsigned char byte = i < SEAL_KEY_BYTES ? seal->key[i] : 0;

        inner[i] = byte ^ INNER;
        outer[i] = byte ^ OUTER;
    }
}

bool
seal_fits(const struct seal *seal, const char *hex, const void *text, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    unsigned char mac[EVP_MAX_MD_SIZE];
    char expected[SEAL_TEXT_CHARS];

    if (HMAC(EVP_sha256(), seal->key, sizeof seal->key, text, len, mac, NULL) == NULL)
        log_panic("HMAC: no SHA-256");
    for (size_t i = 0; i < sizeof expected / 2; i++) {
        expected[2 * i] = digits[mac[i] >> 4];
        expected[2 * i + 1] = digits[mac[i] & 0xf];
    }
    return CRYPTO_memcmp(hex, expected, sizeof expected) == 0;
}
