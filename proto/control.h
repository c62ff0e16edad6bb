#ifndef PROTO_CONTROL_H
#define PROTO_CONTROL_H

#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "proto/fault.h"
#include "proto/ident.h"

/* Control messages, dispatcher to worker (protocol section 5). */

enum control_kind {
    CONTROL_BEAT,
    CONTROL_STOP,
    CONTROL_REPORT,
    CONTROL_DRAIN,
    CONTROL_RESUME,
    CONTROL_PACE,
    CONTROL_UNKNOWN
};
enum control_cause { CONTROL_CANCELLED, CONTROL_SUPERSEDED };

struct control {
    enum control_kind kind;
    char kind_text[24];           /* as received, cut: for the log line about an unknown one */
    char session[UUID_TEXT_SIZE]; /* beat */
    int64_t number;               /* beat: of the heartbeat answered */
    int64_t lost_after_ms;        /* beat */
    struct attempt_name name;     /* stop, report */
    enum control_cause cause;     /* stop */
    int64_t grace_ms;             /* stop */
};

const char *control_cause_name(enum control_cause cause);           /* "cancelled", "superseded" */
int control_cause_parse(const char *text, enum control_cause *out); /* -1: not one of them */

void control_encode(const struct control *control, struct buf *out); /* dispatcher */
/* An unknown kind is no fault: kind = CONTROL_UNKNOWN. */
int control_decode(const char *body, size_t len, struct control *out,
                   struct fault *fault) MUST_CHECK; /* worker */

#endif
