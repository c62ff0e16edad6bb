#include "common/mq_confirm.h"

#include <stdlib.h>

#include "common/log.h"
#include "common/mem.h"

/* A ring of slots from the oldest open tag to the newest. */

void
mq_ring_init(struct mq_ring *ring, size_t cap, size_t max_bytes)
{
    *ring = (struct mq_ring){.cap = cap, .max_bytes = max_bytes, .oldest = 1, .next = 1};
    ring->slots = mem_alloc(cap * sizeof *ring->slots);
}

void
mq_ring_free(struct mq_ring *ring)
{
    free(ring->slots);
    ring->slots = NULL;
}

static struct mq_open *
slot_of(const struct mq_ring *ring, uint64_t tag)
{
    return &ring->slots[tag % ring->cap];
}

static bool
is_open(const struct mq_ring *ring, uint64_t tag)
{
    return tag >= ring->oldest && tag < ring->next && !slot_of(ring, tag)->answered;
}

bool
mq_ring_has_room(const struct mq_ring *ring, size_t bytes)
{
    if (ring->oldest == ring->next)
        return true;
    return ring->next - ring->oldest < ring->cap && ring->bytes < ring->max_bytes &&
           bytes <= ring->max_bytes - ring->bytes;
}

uint64_t
mq_ring_add(struct mq_ring *ring, uint64_t cookie, size_t bytes, int64_t now_ns)
{
    if (ring->next - ring->oldest >= ring->cap)
        log_panic("mq: more than %zu open publishes", ring->cap);
    *slot_of(ring, ring->next) =
        (struct mq_open){.cookie = cookie, .bytes = bytes, .since_ns = now_ns};
    ring->bytes += bytes;
    return ring->next++;
}

int
mq_ring_return(struct mq_ring *ring, uint64_t tag)
{
    if (!is_open(ring, tag))
        return -1;
    slot_of(ring, tag)->returned = true;
    return 0;
}

/* All is consistent before fn runs, since fn may publish. */
static void
settle(struct mq_ring *ring, uint64_t tag, enum mq_outcome outcome, mq_ring_fn *fn, void *ctx)
{
    struct mq_open *slot = slot_of(ring, tag);
    uint64_t cookie = slot->cookie;

    slot->answered = true;
    ring->bytes -= slot->bytes;
    while (ring->oldest < ring->next && slot_of(ring, ring->oldest)->answered)
        ring->oldest++;
    fn(ctx, cookie, outcome);
}

static enum mq_outcome
outcome_of(const struct mq_ring *ring, uint64_t tag, bool nack)
{
    if (slot_of(ring, tag)->returned)
        return MQ_RETURNED;
    return nack ? MQ_NACKED : MQ_CONFIRMED;
}

int
mq_ring_answer(struct mq_ring *ring, const struct mq_answer *answer, mq_ring_fn *fn, void *ctx)
{
    uint64_t last = answer->multiple && answer->tag == 0 ? ring->next - 1 : answer->tag;
    uint64_t tag = answer->multiple ? ring->oldest : last;

    if (last >= ring->next || (!answer->multiple && !is_open(ring, last)))
        return -1;
    for (; tag <= last; tag++)
        if (is_open(ring, tag))
            settle(ring, tag, outcome_of(ring, tag, answer->nack), fn, ctx);
    return 0;
}

void
mq_ring_reset(struct mq_ring *ring, mq_ring_fn *fn, void *ctx)
{
    uint64_t end = ring->next;

    for (uint64_t tag = ring->oldest; tag < end; tag++)
        if (is_open(ring, tag))
            settle(ring, tag, slot_of(ring, tag)->returned ? MQ_RETURNED : MQ_UNKNOWN, fn, ctx);
    ring->oldest = ring->next = 1;
    ring->bytes = 0;
}

int64_t
mq_ring_since(const struct mq_ring *ring)
{
    return ring->oldest == ring->next ? 0 : slot_of(ring, ring->oldest)->since_ns;
}
