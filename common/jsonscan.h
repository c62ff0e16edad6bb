#ifndef COMMON_JSONSCAN_H
#define COMMON_JSONSCAN_H

#include <stddef.h>

#include "common/attr.h"

/* Strict check of one JSON text without any allocation, so that the runner may
 * use it too and json-c never sees what it would take wrongly (traps 5.1):
 * RFC 8259 grammar, RFC 3629 UTF-8, no NUL in any form, no lone surrogate, no
 * duplicate key, integers within +-2^53, finite doubles that do not become zero,
 * bounded depth and keys. */

#define JSONSCAN_DEPTH 16
#define JSONSCAN_KEYS 1024     /* in all the objects that are open at one place */
#define JSONSCAN_VALUES 200000 /* in all: json-c needs up to 700 bytes for each */

struct jsonscan_error {
    const char *why; /* static text, "duplicate key" */
    size_t at;       /* byte offset */
};

/* Returns 0 when text is one well-formed JSON value and nothing but white space
 * around it; else -1 with *err filled. */
int jsonscan(const char *text, size_t len, struct jsonscan_error *err) MUST_CHECK;

/* The same with another depth: for a value that will stand inside of a larger text. */
int jsonscan_within(const char *text, size_t len, int depth_max,
                    struct jsonscan_error *err) MUST_CHECK;

/* The number of values, in containers and containers themselves, in a text that jsonscan() has let
 * through. */
size_t jsonscan_count(const char *text, size_t len);

/* How many bytes in front stand for themselves inside of a JSON string: no quotation mark, no backslash, no control
 * character.  Says nothing of UTF-8. */
size_t jsonscan_plain(const char *text, size_t len);

#endif
