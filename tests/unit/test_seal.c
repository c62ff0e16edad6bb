/* Against OpenSSL's plain SHA-256 over the pads, which is what the database does, and a published vector. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/evp.h>

#include "dispatcher/seal.h"

#define DIGEST_BYTES 32

static void
digest(const unsigned char *pad, const void *text, size_t len, unsigned char out[DIGEST_BYTES])
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();

    assert_non_null(ctx);
    assert_int_equal(EVP_DigestInit_ex(ctx, EVP_sha256(), NULL), 1);
    assert_int_equal(EVP_DigestUpdate(ctx, pad, SEAL_BLOCK_BYTES), 1);
    assert_int_equal(EVP_DigestUpdate(ctx, text, len), 1);
    assert_int_equal(EVP_DigestFinal_ex(ctx, out, NULL), 1);
    EVP_MD_CTX_free(ctx);
}

static void
as_the_database(const struct seal *seal, const char *text, char hex[SEAL_TEXT_CHARS + 1])
{
    unsigned char inner[SEAL_BLOCK_BYTES], outer[SEAL_BLOCK_BYTES], d[DIGEST_BYTES];

    seal_pads(seal, inner, outer);
    digest(inner, text, strlen(text), d);
    digest(outer, d, sizeof d, d);
    for (size_t i = 0; i < sizeof d; i++)
        snprintf(hex + 2 * i, 3, "%02x", d[i]);
}

/* RFC 4231, test case 2; its key is padded with zeros, which is the same key. */
static void
test_published_vector(void **state)
{
    static const char text[] = "what do ya want for nothing?";
    static const char hex[] = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
    struct seal seal = {"Jefe"};
    char ours[SEAL_TEXT_CHARS + 1];

    (void)state;
    assert_true(seal_fits(&seal, hex, text, strlen(text)));
    as_the_database(&seal, text, ours);
    assert_string_equal(ours, hex);
}

static void
test_any_change_is_seen(void **state)
{
    struct seal one, other;
    char text[] = "hler.control.w1 x.1 t.1.y {}", hex[SEAL_TEXT_CHARS + 1];

    (void)state;
    seal_init(&one);
    seal_init(&other);
    as_the_database(&one, text, hex);
    assert_true(seal_fits(&one, hex, text, strlen(text)));
    assert_false(seal_fits(&other, hex, text, strlen(text)));
    assert_false(seal_fits(&one, hex, text, strlen(text) - 1));
    for (size_t i = 0; i < strlen(text); i++) {
        text[i] ^= 1;
        assert_false(seal_fits(&one, hex, text, strlen(text)));
        text[i] ^= 1;
    }
    for (size_t i = 0; i < SEAL_TEXT_CHARS; i++) {
        hex[i] ^= 1;
        assert_false(seal_fits(&one, hex, text, strlen(text)));
        hex[i] ^= 1;
    }
    assert_true(seal_fits(&one, hex, text, strlen(text)));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_published_vector),
                                       cmocka_unit_test(test_any_change_is_seen)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
