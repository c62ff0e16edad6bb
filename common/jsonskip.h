#ifndef COMMON_JSONSKIP_H
#define COMMON_JSONSKIP_H

#include <stdbool.h>
#include <stddef.h>

#include "common/attr.h"

/* Where values begin and end in a JSON text, by strings and brackets alone: one pass, no
 * recursion, nothing allocated. In what is not JSON the places mean nothing, but all of them are
 * inside of the text. */

struct jsonskip {
    const char *text;
    size_t len, at;
};

char jsonskip_peek(const struct jsonskip *s); /* the byte at the cursor; NUL at the end */
void jsonskip_space(struct jsonskip *s);

/* Cursor on the first byte of a value; behind the last one then.  -1: it has no end; the cursor is
 * at the text's. */
int jsonskip_value(struct jsonskip *s) MUST_CHECK;

/* One value's text. */
struct jsonskip_piece {
    const char *text;
    size_t len;
};

/* The value of a member of the object that this text is, as jsonscan() has found: of the outermost
 * one, and only if its key is written without escapes.  False: there is none such. */
bool jsonskip_member(const char *text, size_t len, const char *key, struct jsonskip_piece *out);

#endif
