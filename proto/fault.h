#ifndef PROTO_FAULT_H
#define PROTO_FAULT_H

#include <stddef.h>

#include "common/attr.h"

struct json_object;

/* Why a message is set aside (protocol section 7), and the common front door of
 * all decoders: size, UTF-8, JSON, then the schema. */

enum fault_reason {
    FAULT_TOO_LARGE,
    FAULT_NOT_UTF8,
    FAULT_BAD_JSON,
    FAULT_BAD_SCHEMA,
    FAULT_BAD_VERSION,
    FAULT_NO_USER,
    FAULT_FOREIGN,
    FAULT_BAD_KEY,
    FAULT_UNKNOWN_ATTEMPT,
    FAULT_NOT_RECORDABLE,
    FAULT_UNDELIVERABLE, /* the broker gave it up: it came back too often */
    FAULT_REASONS
};

struct fault {
    enum fault_reason reason;
    char text[256]; /* one line: which member, what was expected */
};

const char *fault_reason_name(enum fault_reason reason); /* "too_large", ... */

/* Fill *fault; returns -1, so that a decoder can end with it. */
int fault_set(struct fault *fault, enum fault_reason reason, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

/* Parse a body of len bytes (body NULL = it was too large to be kept) as one JSON
 * object.  Returns it (caller puts it) or NULL with *fault filled. */
struct json_object *fault_open(const char *body, size_t len, struct fault *fault);

/* The same without the object: 0, or -1 with *fault filled. */
int fault_check(const char *body, size_t len, struct fault *fault) MUST_CHECK;

/* Check the member "v".  0, or -1 with FAULT_BAD_VERSION. */
int fault_check_version(struct json_object *o, struct fault *fault) MUST_CHECK;

#endif
