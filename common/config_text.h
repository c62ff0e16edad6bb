#ifndef COMMON_CONFIG_TEXT_H
#define COMMON_CONFIG_TEXT_H

#include <stddef.h>

#include "common/attr.h"
#include "common/buf.h"

/* The text of a configuration file, made safe for libconfig 1.5.  Only for config.c. */

struct config_text_fault {
    int line;
    const char *what; /* static text */
};

/* Copy text (with a NUL behind it, as of a struct buf; NULL when len is 0) to out with an "L" behind every integer that lacks one: libconfig 1.5 wraps
 * plain integers beyond 32 bits without a word (3000000000 becomes -1294967296), and keeps
 * those with an L as they are.  Lines keep their numbers.
 *
 * Returns 0; or -1 with *fault for an integer beyond 64 bits, an @include (a second file
 * that nobody checked would be read with our rights), or a NUL byte. */
int config_text_prepare(const char *text, size_t len, struct buf *out,
                        struct config_text_fault *fault) MUST_CHECK;

#endif
