/* Cutting output into lines. */
#include "dispatcher/cli/lines.h"

#include <string.h>

static const char *const stream_names[LINES_STREAMS] = {"stdout", "stderr"};

static void
hand_over(struct lines *l, size_t stream, const char *at, lines_fn *fn, void *ctx)
{
    struct buf *text = &l->open[stream].text;
    struct lines_line line = {
        .number = l->open[stream].number,
        .stream = stream_names[stream],
        .text = text->data != NULL ? text->data : "",
        .len = text->len,
        .at = at,
    };

    fn(ctx, &line);
    buf_clear(text);
    l->open[stream].number = 0;
}

void
lines_add(struct lines *lines, const struct lines_piece *piece, lines_fn *fn, void *ctx)
{
    size_t stream = strcmp(piece->stream, stream_names[1]) == 0 ? 1 : 0;
    const char *p = piece->text, *end = piece->text + piece->len;

    while (p < end) {
        const char *newline = memchr(p, '\n', (size_t)(end - p));
        if (lines->open[stream].number == 0)
            lines->open[stream].number = ++lines->begun;
        buf_add(&lines->open[stream].text, p, (size_t)((newline != NULL ? newline : end) - p));
        if (newline != NULL || lines->open[stream].text.len >= LINES_LONGEST)
            hand_over(lines, stream, piece->at, fn, ctx);
        p = newline != NULL ? newline + 1 : end;
    }
}

void
lines_end(struct lines *lines, lines_fn *fn, void *ctx)
{
    for (size_t s = 0; s < LINES_STREAMS; s++)
        if (lines->open[s].number != 0)
            hand_over(lines, s, NULL, fn, ctx);
}

void
lines_free(struct lines *lines)
{
    for (size_t s = 0; s < LINES_STREAMS; s++)
        buf_free(&lines->open[s].text);
}
