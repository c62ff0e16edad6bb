#ifndef COMMON_JSONSCAN_KEY_H
#define COMMON_JSONSCAN_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Keys and escapes.  Only for jsonscan.c. */

/* The value of four hexadecimal digits; -1 when they are not there. */
int jsonscan_hex4(const char *text, size_t len);

/* The two halves of a surrogate pair. */
bool jsonscan_is_high(int unit);
bool jsonscan_is_low(int unit);

/* A key begins behind its opening quote and is well-formed up to its closing one.  Escapes
 * are decoded first: "a" and "\u0061" are the same key. */
uint32_t jsonscan_key_hash(const char *key);
bool jsonscan_key_same(const char *a, const char *b);

#endif
