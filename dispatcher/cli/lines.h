#ifndef CLI_LINES_H
#define CLI_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/attr.h"
#include "common/buf.h"

/* Lines out of pieces of two streams.  A line's number is counted when it begins, as in
 * hler.output_lines; it is handed over when it ends, or, in order, when also those have that
 * began before it. */

#define LINES_STREAMS 2
#define LINES_LONGEST (1024u * 1024u) /* a longer one is handed over in pieces */

struct lines_line {
    int64_t number;
    const char *stream; /* "stdout" or "stderr" */
    const char *text;   /* without the newline; NUL-terminated */
    size_t len;
    const char *at; /* worker's time of the piece that it ended in; NULL at the end */
};

typedef void lines_fn(void *ctx, const struct lines_line *line);

struct lines_held;

struct lines {
    bool ordered; /* for what is not followed live: at most LINES_LONGEST bytes wait */
    int64_t begun;
    struct lines_held *first, **end; /* ended, while an earlier one has not */
    size_t held_bytes;
    struct {
        struct buf text;
        int64_t number; /* 0 = no line begun */
    } open[LINES_STREAMS];
};

struct lines_piece {
    const char *stream; /* any but "stderr" counts as stdout */
    const char *text;
    size_t len;
    const char *at;
};

/* Take in a piece; calls fn for each line that ends in it. */
void lines_add(struct lines *lines, const struct lines_piece *piece, lines_fn *fn, void *ctx);

/* Hand over what has no newline at its end. */
void lines_end(struct lines *lines, lines_fn *fn, void *ctx);
void lines_free(struct lines *lines);

#endif
