#ifndef PROTO_OFFER_H
#define PROTO_OFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/fault.h"
#include "proto/ident.h"

/* An offer (protocol section 3).  Strings and objects belong to root. */
struct offer {
    struct json_object *root;
    struct attempt_name name;
    const char *operation, *type, *requester;
    const char *target; /* NULL = none */
    const char *task_name, *key, *executor;
    const char *traceparent; /* NULL = none */
    int32_t try_number;
    struct json_object *spec, *inputs, *outputs;
    int64_t deadline_ms, idle_ms, grace_ms, output_bytes, lease_ms;
    bool repeatable;
};

/* 0, or -1 with *fault filled and nothing to free. */
int offer_decode(const char *body, size_t len, struct offer *out, struct fault *fault) MUST_CHECK;
void offer_free(struct offer *offer); /* also for CLEANUP; a zeroed one is legal */

#endif
