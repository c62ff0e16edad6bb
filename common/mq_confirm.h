#ifndef COMMON_MQ_CONFIRM_H
#define COMMON_MQ_CONFIRM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/attr.h"
#include "common/mq.h"

/* The publishes of one channel that the broker has not answered yet.  Their delivery
 * tags count 1, 2, 3 ...; answers come late, in any order, and for many tags at once
 * (traps 1.5).  Knows no librabbitmq. */

struct mq_open {
    uint64_t cookie;
    size_t bytes;
    int64_t since_ns;
    bool answered, returned;
};

struct mq_ring {
    struct mq_open *slots; /* tag modulo cap */
    size_t cap;            /* most tags from the oldest open one on */
    size_t max_bytes;
    uint64_t oldest; /* oldest open tag; == next when none is open */
    uint64_t next;   /* tag of the next publish */
    size_t bytes;    /* of the open ones */
};

/* Called once for each publish that is settled.  May call mq_ring_add(). */
typedef void mq_ring_fn(void *ctx, uint64_t cookie, enum mq_outcome outcome);

void mq_ring_init(struct mq_ring *ring, size_t cap, size_t max_bytes);
void mq_ring_free(struct mq_ring *ring);

/* Whether a publish of that size fits.  Anything fits into an empty ring. */
bool mq_ring_has_room(const struct mq_ring *ring, size_t bytes);

/* Note a publish; returns its tag.  There must be room. */
uint64_t mq_ring_add(struct mq_ring *ring, uint64_t cookie, size_t bytes, int64_t now_ns);

/* basic.return came for this tag: its answer will mean MQ_RETURNED.  -1 = no such open tag. */
int mq_ring_return(struct mq_ring *ring, uint64_t tag) MUST_CHECK;

/* basic.ack or basic.nack.  With `multiple` it answers all open tags up to `tag` (0 =
 * all there are).  -1 when the tag was never published or is answered already. */
struct mq_answer {
    uint64_t tag;
    bool multiple, nack;
};
int mq_ring_answer(struct mq_ring *ring, const struct mq_answer *answer, mq_ring_fn *fn,
                   void *ctx) MUST_CHECK;

/* The connection is gone: settle all open ones as MQ_UNKNOWN; tags start at 1 again. */
void mq_ring_reset(struct mq_ring *ring, mq_ring_fn *fn, void *ctx);

/* When the oldest open publish was made; 0 = none is open. */
int64_t mq_ring_since(const struct mq_ring *ring);

#endif
