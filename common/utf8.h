#ifndef COMMON_UTF8_H
#define COMMON_UTF8_H

#include <stddef.h>

#include "common/buf.h"

/* Strict UTF-8 (RFC 3629: no overlong forms, no surrogates, nothing above
 * U+10FFFF).  json-c and PostgreSQL disagree about these (traps 5.1), we do not. */

/* Length of the longest valid prefix of data.  NUL is valid UTF-8 here. */
size_t utf8_valid_prefix(const void *data, size_t len);

/* Append data to out with each byte that is not part of a valid sequence, and
 * each NUL, replaced by U+FFFD. */
void utf8_sanitise(const void *data, size_t len, struct buf *out);

/* How many trailing bytes of data are the start of a sequence that may still
 * become valid (0..3): where to cut a stream without splitting a character. */
size_t utf8_incomplete_tail(const void *data, size_t len);

#endif
