#ifndef DISPATCHER_DEAD_H
#define DISPATCHER_DEAD_H

#include "dispatcher/batch.h"

/* Setting messages aside, once, with the reason (protocol section 7).  Both are
 * batch_fn with the flow as context. */

enum flow_status dead_letter(void *flow, struct item **items, size_t n);

/* The offers that workers did not understand, as worker.rejected tells of them. */
enum flow_status dead_rejected(void *flow, struct item **items, size_t n);

#endif
