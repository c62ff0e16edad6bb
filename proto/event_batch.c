/* A batch is cut into its events by strings and brackets alone.  That is enough to find the end of any object
 * that is JSON; in what is none the cut may be elsewhere, but then that piece is no event, and each is
 * checked as strictly as one that came by itself.  No recursion, one pass, nothing allocated. */
#include "proto/event_batch.h"

#include "common/jsonskip.h"

static int
bad(const struct jsonskip *c, const char *what, struct fault *fault)
{
    return fault_set(fault, FAULT_BAD_JSON, "batch: %s at byte %zu", what, c->at);
}

bool
event_batch_is(const char *body, size_t len)
{
    struct jsonskip c = {body, body != NULL ? len : 0, 0};

    jsonskip_space(&c);
    return jsonskip_peek(&c) == '[';
}

int
event_batch_split(const char *body, size_t len, struct event_piece pieces[LIMIT_BATCH_EVENTS],
                  struct fault *fault)
{
    struct jsonskip c = {body, len, 0};
    int n = 0;

    jsonskip_space(&c);
    do {
        size_t start;

        c.at++; /* "[" or "," */
        jsonskip_space(&c);
        if (jsonskip_peek(&c) != '{')
            return bad(&c, "expected an event", fault);
        if (n == LIMIT_BATCH_EVENTS)
            return fault_set(fault, FAULT_BAD_SCHEMA, "batch: more than %d events",
                             LIMIT_BATCH_EVENTS);
        start = c.at;
        if (jsonskip_value(&c) == -1)
            return bad(&c, "an event without end", fault);
        pieces[n++] = (struct event_piece){body + start, c.at - start};
        jsonskip_space(&c);
    } while (jsonskip_peek(&c) == ',');
    if (jsonskip_peek(&c) != ']')
        return bad(&c, "expected ',' or ']'", fault);
    c.at++;
    jsonskip_space(&c);
    return c.at == len ? n : bad(&c, "text behind it", fault);
}
