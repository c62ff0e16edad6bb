/* Control messages, most from rows, through the default exchange to a worker's own queue. */
#include "dispatcher/control.h"

#include <string.h>

#include "common/buf.h"
#include "common/log.h"
#include "proto/control.h"
#include "proto/names.h"

static void
send(struct post *post, const char *queue, const struct control *control)
{
    struct buf body CLEANUP(buf_free) = {0};

    control_encode(control, &body);
    post_send(post,
              &(struct mq_message){.exchange = "",
                                   .routing_key = queue,
                                   .content_type = NAMES_JSON,
                                   .type = NAMES_TYPE_CONTROL,
                                   .body = body.data,
                                   .len = body.len,
                                   .mandatory = true},
              &(struct parcel_label){.name = queue});
}

static void
read_name(const struct pg_result *result, size_t row, struct attempt_name *out)
{
    memcpy(out->task, pg_get(result, row, "task"), sizeof out->task);
    memcpy(out->token, pg_get(result, row, "token"), sizeof out->token);
    out->attempt = (int32_t)pg_get_int(result, row, "attempt");
}

static void
read_stop(const struct pg_result *result, size_t row, struct control *out)
{
    const char *cause = pg_get(result, row, "cause");

    out->kind = CONTROL_STOP;
    read_name(result, row, &out->name);
    out->grace_ms = pg_get_int(result, row, "grace_ms");
    /* The tables know more causes (start_by); to a worker each is a cancel. */
    if (cause == NULL || control_cause_parse(cause, &out->cause) == -1)
        out->cause = CONTROL_CANCELLED;
}

static void
read_beat(const struct pg_result *result, size_t row, struct control *out)
{
    out->kind = CONTROL_BEAT;
    memcpy(out->session, pg_get(result, row, "session"), sizeof out->session);
    out->number = pg_get_int(result, row, "number");
}

void
control_send(struct post *post, const struct pg_result *result, size_t row, int64_t lost_after_ms)
{
    const char *kind = pg_get(result, row, "kind");
    struct control control = {.lost_after_ms = lost_after_ms};

    if (strcmp(kind, "drain") == 0) {
        control.kind = CONTROL_DRAIN;
    } else if (strcmp(kind, "resume") == 0) {
        control.kind = CONTROL_RESUME;
    } else if (strcmp(kind, "beat") == 0) {
        read_beat(result, row, &control);
    } else if (strcmp(kind, "stop") == 0) {
        read_stop(result, row, &control);
    } else if (strcmp(kind, "report") == 0) {
        control.kind = CONTROL_REPORT;
        read_name(result, row, &control.name);
    } else {
        log_panic("heartbeat: %s is no kind of control message", kind);
    }
    send(post, pg_get(result, row, "control"), &control);
}

void
control_send_pace(struct post *post, const char *queue)
{
    send(post, queue, &(struct control){.kind = CONTROL_PACE});
}

void
control_send_stop(struct post *post, const struct pg_result *result, size_t row)
{
    struct control control = {0};

    read_stop(result, row, &control);
    send(post, pg_get(result, row, "control"), &control);
}
