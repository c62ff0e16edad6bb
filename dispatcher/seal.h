#ifndef DISPATCHER_SEAL_H
#define DISPATCHER_SEAL_H

#include <stdbool.h>
#include <stddef.h>

#include "common/attr.h"

/* HMAC with SHA-256 (RFC 2104), split so that who has no function for it, a database, can do the first half of the work once:
 * seal = SHA-256(outer pad || SHA-256(inner pad || text)). */

#define SEAL_BLOCK_BYTES 64 /* of SHA-256: as long as each pad */
#define SEAL_KEY_BYTES 32
#define SEAL_TEXT_CHARS 64 /* in hexadecimal digits */

struct seal {
    unsigned char key[SEAL_KEY_BYTES];
};

/* A new random key.  The system has none: the program ends. */
void seal_init(struct seal *seal);

void seal_pads(const struct seal *seal, unsigned char inner[SEAL_BLOCK_BYTES],
               unsigned char outer[SEAL_BLOCK_BYTES]);

/* Is hex (SEAL_TEXT_CHARS lower-case digits) the seal of len bytes of text?  In constant time. */
bool seal_fits(const struct seal *seal, const char *hex, const void *text, size_t len) MUST_CHECK;

#endif
