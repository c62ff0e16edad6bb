/* Cutting output into lines. */
#include "dispatcher/cli/lines.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

struct lines_held {
    struct lines_held *next;
    struct lines_line line;
    char *text, *at; /* ours */
};

static const char *const stream_names[LINES_STREAMS] = {"stdout", "stderr"};

/* Has a line begun before this one that has not ended? */
static bool
is_early(const struct lines *l, int64_t number)
{
    for (size_t s = 0; s < LINES_STREAMS; s++)
        if (l->open[s].number != 0 && l->open[s].number < number)
            return true;
    return false;
}

static void
hold(struct lines *l, const struct lines_line *line)
{
    struct lines_held *h = mem_alloc(sizeof *h);

    h->line = *line;
    h->line.text = h->text = mem_dupn(line->text, line->len);
    h->line.at = h->at = line->at != NULL ? mem_dup(line->at) : NULL;
    if (l->first == NULL)
        l->end = &l->first;
    *l->end = h;
    l->end = &h->next;
    l->held_bytes += line->len;
}

static void
drop_first(struct lines *l)
{
    struct lines_held *h = l->first;

    l->first = h->next;
    l->held_bytes -= h->line.len;
    free(h->text);
    free(h->at);
    free(h);
}

static void
release(struct lines *l, lines_fn *fn, void *ctx)
{
    while (l->first != NULL &&
           (l->held_bytes > LINES_LONGEST || !is_early(l, l->first->line.number))) {
        fn(ctx, &l->first->line);
        drop_first(l);
    }
}

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

    if (l->ordered && is_early(l, line.number))
        hold(l, &line);
    else
        fn(ctx, &line);
    buf_clear(text);
    l->open[stream].number = 0;
    release(l, fn, ctx);
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
    size_t first = lines->open[1].number != 0 && is_early(lines, lines->open[0].number) ? 1 : 0;

    for (size_t i = 0; i < LINES_STREAMS; i++) {
        size_t s = i == 0 ? first : 1 - first;
        if (lines->open[s].number != 0)
            hand_over(lines, s, NULL, fn, ctx);
    }
}

void
lines_free(struct lines *lines)
{
    for (size_t s = 0; s < LINES_STREAMS; s++)
        buf_free(&lines->open[s].text);
    while (lines->first != NULL)
        drop_first(lines);
}
