#ifndef DISPATCHER_OUTPUT_H
#define DISPATCHER_OUTPUT_H

#include "dispatcher/batch.h"

/* The output flow: what jobs print and their progress, in bulk, with a queue and
 * connections of its own so that a flood delays no state. */
extern const struct flow_kind output_kind;

/* output_record.c: record output and progress; a batch_fn with the flow as context. */
enum flow_status output_record(void *flow, struct item **items, size_t n);

/* The same in two halves, of what is to be recorded of a batch: output_send(), then
 * output_answer() when the database's socket is readable.  0; or -1: nothing of it is known to be
 * recorded, and output_record() is next. Of a batch without output output_send() is -1, too. */
int output_send(struct flow *flow, const struct batch *batch) MUST_CHECK;
int output_answer(struct flow *flow, const struct batch *batch) MUST_CHECK;

#endif
