/* Array parameters in PostgreSQL's two forms.  Literals (PostgreSQL manual, 8.15.2): "{" items "}", text always
 * quoted with '"' and '\' escaped, so that nothing in an item is syntax.  And what array_recv() reads
 * (src/backend/utils/adt/arrayfuncs.c), all in network order: dimensions, whether there are NULLs, type, count,
 * lower bound, then each item with its length in front. */
#include <arpa/inet.h>
#include <inttypes.h>
#include <string.h>

#include "common/buf.h"
#include "common/pg.h"

#define ITEMS_COUNT_AT 12
#define ITEM_NULL (-1)

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

static void
add_int32(struct buf *b, int64_t number)
{
    uint32_t big_endian = htonl((uint32_t)number);

    buf_add(b, &big_endian, sizeof big_endian);
}

void
pg_items_open(struct buf *b, enum pg_item type)
{
    buf_clear(b);
    add_int32(b, 1); /* dimension */
    add_int32(b, 1); /* there may be NULLs */
    add_int32(b, type);
    add_int32(b, 0); /* items so far */
    add_int32(b, 1); /* the first one's subscript */
}

void
pg_items_add(struct buf *b, const void *item, size_t len)
{
    uint32_t count;

    memcpy(&count, b->data + ITEMS_COUNT_AT, sizeof count);
    count = htonl(ntohl(count) + 1);
    memcpy(b->data + ITEMS_COUNT_AT, &count, sizeof count);
    add_int32(b, item == NULL ? ITEM_NULL : (int64_t)len);
    if (item != NULL)
        buf_add(b, item, len);
}
