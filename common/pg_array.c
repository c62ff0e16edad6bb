/* PostgreSQL array literals (PostgreSQL manual, 8.15.2): "{" items "}", text always
 * quoted with '"' and '\' escaped, so that nothing in an item is syntax. */
#include <inttypes.h>
#include <string.h>

#include "common/buf.h"
#include "common/pg.h"

static void
separate(struct buf *b)
{
    if (b->data[b->len - 1] != '{')
        buf_add(b, ",", 1);
}

void
pg_array_open(struct buf *b)
{
    buf_clear(b);
    buf_add(b, "{", 1);
}

void
pg_array_text(struct buf *b, const char *item, size_t len)
{
    separate(b);
    if (item == NULL) {
        buf_puts(b, "NULL");
        return;
    }
    buf_add(b, "\"", 1);
    for (size_t i = 0; i < len;) {
        size_t plain = i;

        while (plain < len && item[plain] != '"' && item[plain] != '\\')
            plain++;
        buf_add(b, item + i, plain - i);
        if (plain < len) {
            buf_add(b, "\\", 1);
            buf_add(b, item + plain, 1);
            plain++;
        }
        i = plain;
    }
    buf_add(b, "\"", 1);
}

void
pg_array_bytea(struct buf *b, const void *item, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *bytes = item;
    char pair[2];

    separate(b);
    if (item == NULL) {
        buf_puts(b, "NULL");
        return;
    }
    buf_puts(b, "\"\\\\x");
    for (size_t i = 0; i < len; i++) {
        pair[0] = digits[bytes[i] / 16];
        pair[1] = digits[bytes[i] % 16];
        buf_add(b, pair, sizeof pair);
    }
    buf_add(b, "\"", 1);
}

void
pg_array_int(struct buf *b, int64_t item)
{
    separate(b);
    buf_printf(b, "%" PRId64, item);
}

void
pg_array_close(struct buf *b)
{
    buf_add(b, "}", 1);
}
