#ifndef DISPATCHER_CLOCK_FLOW_H
#define DISPATCHER_CLOCK_FLOW_H

#include "dispatcher/flow.h"

/* The clock flow: what becomes due by time alone, and the tick that travels through
 * the queue of states, against which the silence of workers is measured. */
extern const struct flow_kind clock_flow_kind;

#endif
