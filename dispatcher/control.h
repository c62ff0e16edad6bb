#ifndef DISPATCHER_CONTROL_H
#define DISPATCHER_CONTROL_H

#include <stdint.h>

#include "common/pg.h"
#include "dispatcher/post.h"

/* Send what one row of hler_core.heartbeat() asks for to its worker.  A worker that
 * is gone gets nothing, and the next heartbeat asks again: so it is not kept. */
void control_send(struct post *post, const struct pg_result *result, size_t row,
                  int64_t lost_after_ms);

/* Output is to keep to its pace: to the worker with this control queue. */
void control_send_pace(struct post *post, const char *queue);

/* The same as control_send() for a row of hler_core.stops_due(). */
void control_send_stop(struct post *post, const struct pg_result *result, size_t row);

#endif
