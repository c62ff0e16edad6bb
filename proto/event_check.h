#ifndef PROTO_EVENT_CHECK_H
#define PROTO_EVENT_CHECK_H

#include "proto/event.h"

/* The members of `data` as protocol section 6 fixes them for each kind.
 * 0, or -1 with *fault = FAULT_BAD_SCHEMA. */
int event_check(enum event_kind kind, struct json_object *data, struct fault *fault) MUST_CHECK;

#endif
