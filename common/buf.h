#ifndef COMMON_BUF_H
#define COMMON_BUF_H

#include <stddef.h>

#include "common/attr.h"

/* A growing run of bytes, always followed by a NUL that is not counted.
 * Zero-initialise (`struct buf b = {0}`) and buf_free() it. */
struct buf {
    char *data; /* NULL while nothing was ever added */
    size_t len;
    size_t cap;
};

void buf_add(struct buf *b, const void *data, size_t len);
void buf_puts(struct buf *b, const char *s);
void buf_printf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
void buf_clear(struct buf *b); /* len = 0, memory kept */
void buf_free(struct buf *b);  /* also for CLEANUP(buf_free) */

#endif
