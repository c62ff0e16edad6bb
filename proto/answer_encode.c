/* Answers to claims as a dispatcher writes them. */
#include <inttypes.h>

#include "proto/claim.h"

/* The items that were granted, or those that were refused. */
static void
add_items(struct buf *out, const struct answer *answer, bool granted)
{
    const char *comma = "";

    for (size_t i = 0; i < answer->n; i++) {
        const struct answer_item *item = &answer->items[i];

        if ((item->verdict == VERDICT_GRANTED) != granted)
            continue;
        buf_printf(out, "%s{\"task\":\"%s\",\"attempt\":%d,\"token\":\"%s\"", comma,
                   item->name.task, (int)item->name.attempt, item->name.token);
        if (!granted)
            buf_printf(out, ",\"reason\":\"%s\"", verdict_name(item->verdict));
        buf_puts(out, "}");
        comma = ",";
    }
}

void
answer_encode(const struct answer *answer, struct buf *out)
{
    buf_printf(out, "{\"v\":1,\"session\":\"%s\",\"claim\":%" PRId64 ",\"granted\":[",
               answer->session, answer->claim);
    add_items(out, answer, true);
    buf_puts(out, "],\"refused\":[");
    add_items(out, answer, false);
    buf_puts(out, "]}");
}
