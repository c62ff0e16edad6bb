/* Whether a message is an attempt's first words is read off its id: that decides about its turn, and about
 * nothing else. */
#include "dispatcher/ahead.h"

#include <stdlib.h>
#include <string.h>

#include "common/log.h"

#define FIRST_SEQ 3 /* up to this number: the start has the first */
#define BATCH_ITEMS 512
#define BATCH_BYTES (512u * 1024u)

static bool
is_first(const struct mq_delivery *delivery)
{
    const char *dot = delivery->message_id != NULL ? strrchr(delivery->message_id, '.') : NULL;

    return dot != NULL && strtol(dot + 1, NULL, 10) <= FIRST_SEQ;
}

static bool
is_full(const struct batch *batch)
{
    return batch->n >= BATCH_ITEMS || batch->bytes >= BATCH_BYTES;
}

static struct batch *
nth(struct ahead *ahead, size_t i)
{
    return &ahead->rest[(ahead->oldest + i) % AHEAD_BATCHES];
}

/* Where the next of the rest goes.  Where there is no room for a new batch the last one grows. */
static struct batch *
newest(struct ahead *ahead)
{
    if (ahead->n == 0 || (is_full(nth(ahead, ahead->n - 1)) && ahead->n < AHEAD_BATCHES))
        ahead->n++;
    return nth(ahead, ahead->n - 1);
}

struct batch *
ahead_batch_for(struct ahead *ahead, const struct mq_delivery *delivery)
{
    return is_first(delivery) ? &ahead->first : newest(ahead);
}

bool
ahead_is_empty(const struct ahead *ahead)
{
    return ahead->first.n == 0 && ahead->n == 0;
}

bool
ahead_has_backlog(const struct ahead *ahead)
{
    return ahead->n > 1;
}

bool
ahead_is_full(const struct ahead *ahead)
{
    size_t last = (ahead->oldest + AHEAD_BATCHES - 1) % AHEAD_BATCHES;

    return is_full(&ahead->first) || (ahead->n == AHEAD_BATCHES && is_full(&ahead->rest[last]));
}

static void
swap(struct batch *a, struct batch *b)
{
    struct batch kept = *a;

    *a = *b;
    *b = kept;
}

void
ahead_take(struct ahead *ahead, struct batch *first, struct batch *rest)
{
    if (first->n > 0 || rest->n > 0)
        log_panic("output: two batches at once");
    swap(&ahead->first, first);
    if (ahead->n == 0)
        return;
    swap(nth(ahead, 0), rest);
    ahead->oldest = (ahead->oldest + 1) % AHEAD_BATCHES;
    ahead->n--;
}

void
ahead_clear(struct ahead *ahead)
{
    batch_clear(&ahead->first);
    for (; ahead->n > 0; ahead->n--)
        batch_clear(nth(ahead, ahead->n - 1));
}

void
ahead_free(struct ahead *ahead)
{
    ahead_clear(ahead);
    batch_free(&ahead->first);
    for (size_t i = 0; i < AHEAD_BATCHES; i++)
        batch_free(&ahead->rest[i]);
}
