#ifndef BRIDGE_ACKS_H
#define BRIDGE_ACKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/attr.h"

/* Deliveries of one channel that are not acknowledged.  Each acknowledgement is an entry in the log of the broker's quorum
 * queue, one of several deliveries too (basic.ack with `multiple`: this one and all before it), so those that come close together are
 * gathered.  Without one a delivery comes again, which is noticed and costs a little: nothing depends on it. */

struct acks {
    struct acks_delivery *all; /* in order of their tags */
    size_t n, size;
    size_t n_done;
};

/* It has come.  Tags rise; one that does not is left out, and never acknowledged. */
void acks_add(struct acks *acks, uint64_t tag);

/* It may be acknowledged.  Returns whether it was waiting for that. */
bool acks_done(struct acks *acks, uint64_t tag);

/* It is settled in another way. */
void acks_forget(struct acks *acks, uint64_t tag);

/* The next acknowledgement to send, which is forgotten thereby; false = there is none. */
bool acks_next(struct acks *acks, uint64_t *tag, bool *multiple) MUST_CHECK;

/* With their channel all are void.  Frees everything. */
void acks_clear(struct acks *acks);

#endif
