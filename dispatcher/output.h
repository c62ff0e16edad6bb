#ifndef DISPATCHER_OUTPUT_H
#define DISPATCHER_OUTPUT_H

#include "dispatcher/batch.h"

/* The output flow: what jobs print and their progress, in bulk, with a queue and
 * connections of its own so that a flood delays no state. */
extern const struct flow_kind output_kind;

/* Record output and progress; a batch_fn with the flow as context (output_record.c). */
enum flow_status output_record(void *flow, struct item **items, size_t n);

#endif
