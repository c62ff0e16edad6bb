#ifndef DISPATCHER_BATCH_H
#define DISPATCHER_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/mq.h"
#include "dispatcher/flow.h"
#include "proto/claim.h"
#include "proto/event.h"
#include "proto/event_batch.h"
#include "proto/fault.h"

/* Deliveries, and the events of those that hold several, that are recorded together and acked
 * together, after the commit. */

/* What is left to be done with one. */
enum work {
    WORK_CLAIM,
    WORK_STAND, /* claims made ahead */
    WORK_FLOOD, /* a worker asks whether tasks start */
    WORK_STATE,
    WORK_LIFE, /* heartbeats and ticks */
    WORK_GONE,
    WORK_OUTPUT,
    WORK_REJECTED, /* a worker's report of an offer it did not understand */
    WORK_DEAD,     /* not understood, or not recordable: fault says why */
    WORK_DONE
};

struct item {
    enum work work;
    const char *queue;                                             /* static: where it came from */
    const char *routing_key, *type, *message_id, *user, *reply_to; /* NULL = absent */
    const char *body;                                              /* NULL = too large to be kept */
    size_t len;
    uint64_t tag;        /* of the delivery; 0 = it is a part of another's */
    char *strings;       /* one allocation for all of the above; NULL = they are another item's */
    struct claim *claim; /* decoded; NULL when it is none */
    struct event event;  /* decoded; all zero when it is none */
    struct fault fault;  /* WORK_DEAD */
};

struct batch {
    struct item **items;
    size_t n, cap;
    size_t bytes;      /* of bodies */
    uint64_t last_tag; /* acking up to it acks the whole batch */
};

/* Copy a delivery to the end; its work is WORK_DEAD until the caller has decoded it. */
struct item *batch_add(struct batch *batch, const char *queue, const struct mq_delivery *delivery);
/* The same for a delivery of one event or of several (protocol section 6.5): sort() is called for
 * each event, which is an item of its own, so that what is wrong with one is not the others'
 * fault.  What is no batch is marked as dead. */
typedef void batch_sort_fn(struct item *item);
void batch_add_events(struct batch *batch, const char *queue, const struct mq_delivery *delivery,
                      batch_sort_fn *sort);
void batch_clear(struct batch *batch);
void batch_free(struct batch *batch); /* and the memory */

/* Mark one as not understood; with fault_set() before it. */
void item_dead(struct item *item, const struct fault *fault);

/* Those with this work, in their order; *n may be 0.  The caller frees the array. */
struct item **batch_pick(const struct batch *batch, enum work work, size_t *n);

/* Do fn for all items with this work, all in one call if the database takes it.  When
 * rows are poison the halves are tried, and so on: the bad ones become WORK_DEAD, the
 * rest is recorded.  fn marks what it has done. */
typedef enum flow_status batch_fn(void *ctx, struct item **items, size_t n);
struct batch_job {
    struct flow *flow;
    enum work work;
    batch_fn *fn;
    void *ctx;
};
enum flow_status batch_do(const struct batch *batch, const struct batch_job *job) MUST_CHECK;

#endif
