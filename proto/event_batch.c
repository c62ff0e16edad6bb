/* A batch is cut into its events by strings and brackets alone.  That is enough to find the end of any object
 * that is JSON; in what is none the cut may be elsewhere, but then that piece is no event, and each is
 * checked as strictly as one that came by itself.  No recursion, one pass, nothing allocated. */
#include "proto/event_batch.h"

#include <string.h>

#include "common/jsonscan.h"

struct cursor {
    const char *text;
    size_t len, at;
};

static char
peek(const struct cursor *c)
{
    return c->at < c->len ? c->text[c->at] : '\0';
}

static void
skip_space(struct cursor *c)
{
    while (peek(c) == ' ' || peek(c) == '\t' || peek(c) == '\n' || peek(c) == '\r')
        c->at++;
}

/* Cursor on the opening quote; behind the closing one, or at the end, when there is none. */
static void
skip_string(struct cursor *c)
{
    for (c->at++; c->at < c->len; c->at++) {
        c->at += jsonscan_plain(c->text + c->at, c->len - c->at);
        if (peek(c) == '"') {
            c->at++;
            return;
        }
        if (peek(c) == '\\')
            c->at++; /* what it escapes cannot end the string */
    }
    c->at = c->len;
}

/* Cursor on '{'; behind the bracket that closes it.  -1: there is none. */
static int
skip_object(struct cursor *c)
{
    size_t depth = 0;

    while (c->at < c->len) {
        char byte = peek(c);

        if (byte == '"') {
            skip_string(c);
            continue;
        }
        c->at++;
        if (byte == '{' || byte == '[')
            depth++;
        else if ((byte == '}' || byte == ']') && --depth == 0)
            return 0;
    }
    return -1;
}

static int
bad(const struct cursor *c, const char *what, struct fault *fault)
{
    return fault_set(fault, FAULT_BAD_JSON, "batch: %s at byte %zu", what, c->at);
}

bool
event_batch_is(const char *body, size_t len)
{
    struct cursor c = {body, body != NULL ? len : 0, 0};

    skip_space(&c);
    return peek(&c) == '[';
}

int
event_batch_split(const char *body, size_t len, struct event_piece pieces[LIMIT_BATCH_EVENTS],
                  struct fault *fault)
{
    struct cursor c = {body, len, 0};
    int n = 0;

    skip_space(&c);
    do {
        size_t start;

        c.at++; /* "[" or "," */
        skip_space(&c);
        if (peek(&c) != '{')
            return bad(&c, "expected an event", fault);
        if (n == LIMIT_BATCH_EVENTS)
            return fault_set(fault, FAULT_BAD_SCHEMA, "batch: more than %d events",
                             LIMIT_BATCH_EVENTS);
        start = c.at;
        if (skip_object(&c) == -1)
            return bad(&c, "an event without end", fault);
        pieces[n++] = (struct event_piece){body + start, c.at - start};
        skip_space(&c);
    } while (peek(&c) == ',');
    if (peek(&c) != ']')
        return bad(&c, "expected ',' or ']'", fault);
    c.at++;
    skip_space(&c);
    return c.at == len ? n : bad(&c, "text behind it", fault);
}
