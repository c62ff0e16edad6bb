#ifndef PROTO_EVENT_DATA_H
#define PROTO_EVENT_DATA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "proto/ident.h"

/* The `data` member of each event that a worker sends (protocol section 6.1 to 6.3),
 * appended to an opened event as one JSON value. */

void event_data_started(struct buf *out, const char *worker, const char *instance, int64_t pid);

/* bytes: anything; when they are not clean UTF-8 the event also carries them as base64. */
void event_data_output(struct buf *out, const char *stream, const void *bytes, size_t len);

struct event_result {
    const char *entity, *field;
    bool append, secret;
    const char *value; /* JSON text, checked by the caller */
    size_t value_len;
};
void event_data_result(struct buf *out, const struct event_result *result);

struct event_finished {
    const char *state, *cause;
    const char *message; /* valid UTF-8 */
    int exit_code;       /* -1 = null */
    int signal;          /* 0 = null */
    bool retryable;
    const char *outputs; /* JSON text of an object */
    uint64_t results, output_bytes, dropped_bytes;
    int64_t duration_ms;
    uint32_t left_behind;
};
void event_data_finished(struct buf *out, const struct event_finished *finished);

void event_data_refused(struct buf *out, const char *cause, const char *message);
void event_data_declined(struct buf *out, const char *message);
void event_data_held(struct buf *out);
void event_data_lost(struct buf *out, const char *cause, const char *message, uint32_t left_behind);
void event_data_session(struct buf *out, const char *session); /* draining, stopped */

struct event_rejected {
    const char *reason, *message_id; /* message_id NULL = none */
    const void *body;                /* NULL = not kept; the first 4 KiB are sent */
    size_t size;                     /* of the whole message */
};
void event_data_rejected(struct buf *out, const struct event_rejected *rejected);

struct event_held_attempt {
    struct attempt_name name;
    const char *state; /* "claimed", "running", "sending" */
};

struct event_heartbeat {
    const char *session, *instance, *boot_id, *pool, *note, *control;
    const char *executors; /* JSON text of an object: name -> version */
    int64_t number;
    int64_t slots, free_slots;
    int64_t claim; /* a standing claim; 0 = none */
    bool draining;
    int64_t spool_bytes, oldest_unsent_ms;
    const struct event_held_attempt *held;
    size_t n_held;
};
void event_data_heartbeat(struct buf *out, const struct event_heartbeat *heartbeat);

#endif
