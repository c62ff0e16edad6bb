#ifndef DISPATCHER_AHEAD_H
#define DISPATCHER_AHEAD_H

#include "dispatcher/batch.h"

/* Output that has arrived and is not recorded yet: in batches, in the order of arrival, but for
 * the first words of attempts.  Somebody waits for those, and they need not wait for all that
 * others had to say before. */

#define AHEAD_BATCHES 16

struct ahead {
    struct batch first; /* words */
    struct batch rest[AHEAD_BATCHES];
    size_t oldest, n; /* of rest: n have something, from oldest on */
};

/* The batch where a delivery belongs, to be added there. */
struct batch *ahead_batch_for(struct ahead *ahead, const struct mq_delivery *delivery);

bool ahead_is_empty(const struct ahead *ahead);
bool ahead_has_backlog(const struct ahead *ahead); /* more than one batch of the rest */

/* No other batch can be begun: the oldest should be recorded before more is added. */
bool ahead_is_full(const struct ahead *ahead);

/* Take what is to be recorded next into two empty batches: all first words, and the oldest batch
 * of the rest.  What arrives from then on has later tags than either. */
void ahead_take(struct ahead *ahead, struct batch *first, struct batch *rest);

void ahead_clear(struct ahead *ahead);
void ahead_free(struct ahead *ahead); /* and the memory */

#endif
