#ifndef WORKER_EXECUTORS_TERRAFORM_STREAM_H
#define WORKER_EXECUTORS_TERRAFORM_STREAM_H

#include <stdbool.h>
#include <stddef.h>

#include "common/buf.h"
#include "common/json.h"

/* What `terraform apply -json` says, line by line: its text becomes our log, its apply events
 * become progress, its errors and outputs are kept for the end. */
struct terraform_stream {
    int report;                  /* connection to the runner, -1 = none */
    bool report_failed;          /* nothing more is sent */
    bool outputs_unread;         /* a message of outputs that our strict JSON does not take */
    bool locked;                 /* the state is locked by somebody else: worth another try */
    struct buf error;            /* the first error, one line */
    struct json_object *outputs; /* of the last `outputs` message, NULL = there was none */
};

/* A child_line: ctx is a struct terraform_stream. */
void terraform_stream_line(void *ctx, char *text, size_t len);

/* A child_line for stderr and for what is not JSON: passes the line on and keeps the first error. */
void terraform_stream_text(void *ctx, char *text, size_t len);

void terraform_stream_free(struct terraform_stream *stream);

#endif
