#ifndef CLI_TEXT_H
#define CLI_TEXT_H

#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"

/* Text of others, made safe for a terminal: it must not move the cursor, change
 * colours, or reorder what is read. */

#define TEXT_NO_WIDTH SIZE_MAX

/* Append text to out with control characters shown as ^[ or \u{9b}, a tab as spaces to the next
 * multiple of 8, bidirectional controls shown too, and bytes that are no UTF-8 as \xff.  Cut to
 * `width` columns; a cut ends in "…".  Needs a UTF-8 locale (LC_CTYPE). */
void text_visible(struct buf *out, const char *text, size_t len, size_t width);

/* Columns that text (UTF-8, printable) takes. */
size_t text_columns(const char *text);

/* A duration for people: "0.4s", "12.3s", "3m05s", "2h07m"; "-" when negative. */
void text_duration(struct buf *out, int64_t ms);

#endif
