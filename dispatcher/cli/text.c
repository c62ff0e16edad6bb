/* Foreign text on a terminal. */
#include "dispatcher/cli/text.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <wchar.h>

#define TAB 8
#define SECOND_MS 1000
#define MINUTE_S 60
#define HOUR_S 3600
#define DEL 0x7f
#define CONTROL_C1_END 0xa0
#define PIECE_MAX 16

static bool
is_reordering(wchar_t c)
{
    return c == 0x061c || c == 0x200e || c == 0x200f || (c >= 0x202a && c <= 0x202e) ||
           (c >= 0x2066 && c <= 0x2069);
}

/* One character at text as it shall appear; returns the bytes it had.  piece is
 * NUL-terminated, *columns what it takes. */
static size_t
show_one(const char *text, size_t len, size_t column, char piece[PIECE_MAX], size_t *columns)
{
    mbstate_t state = {0};
    wchar_t c;
    unsigned char first = (unsigned char)text[0];

    if (first == '\t') {
        *columns = TAB - column % TAB;
        snprintf(piece, PIECE_MAX, "%*s", (int)*columns, "");
        return 1;
    }
    if (first < ' ' || first == DEL) {
        snprintf(piece, PIECE_MAX, "^%c", first == DEL ? '?' : first + '@');
        *columns = 2;
        return 1;
    }
    size_t used = mbrtowc(&c, text, len, &state);
    if (used == 0 || used > len) {
        *columns = (size_t)snprintf(piece, PIECE_MAX, "\\x%02x", first);
        return 1;
    }
    int width = wcwidth(c);
    if (width < 0 || (c >= DEL && c < CONTROL_C1_END) || is_reordering(c)) {
        *columns = (size_t)snprintf(piece, PIECE_MAX, "\\u{%x}", (unsigned)c);
        return used;
    }
    memcpy(piece, text, used);
    piece[used] = '\0';
    *columns = (size_t)width;
    return used;
}

void
text_visible(struct buf *out, const char *text, size_t len, size_t width)
{
    char piece[PIECE_MAX];
    size_t columns, at = 0, column = 0;
    size_t cut_len = out->len; /* where to cut so that the mark fits */

    while (at < len) {
        at += show_one(text + at, len - at, column, piece, &columns);
        if (width != TEXT_NO_WIDTH && column + columns > width) {
            out->len = cut_len;
            buf_puts(out, width > 0 ? "…" : "");
            return;
        }
        column += columns;
        buf_puts(out, piece);
        if (column < width)
            cut_len = out->len;
    }
}

size_t
text_columns(const char *text)
{
    char piece[PIECE_MAX];
    size_t columns, total = 0, len = strlen(text);

    for (size_t at = 0; at < len; total += columns)
        at += show_one(text + at, len - at, total, piece, &columns);
    return total;
}

void
text_duration(struct buf *out, int64_t ms)
{
    int64_t s = ms / SECOND_MS;

    if (ms < 0)
        buf_puts(out, "-");
    else if (s < MINUTE_S)
        buf_printf(out, "%lld.%llds", (long long)s, (long long)(ms % SECOND_MS / 100));
    else if (s < HOUR_S)
        buf_printf(out, "%lldm%02llds", (long long)(s / MINUTE_S), (long long)(s % MINUTE_S));
    else
        buf_printf(out, "%lldh%02lldm", (long long)(s / HOUR_S),
                   (long long)(s % HOUR_S / MINUTE_S));
}
