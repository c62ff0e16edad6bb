/* The `data` of the events that a worker sends. */
#include "proto/event_data.h"

#include <inttypes.h>
#include <string.h>

#include "common/json.h"
#include "common/utf8.h"
#include "proto/limits.h"

#define BASE64_IN 3  /* bytes that make ... */
#define BASE64_OUT 4 /* ... so many characters */

static void
quote(struct buf *out, const char *text)
{
    json_quote(out, text, strlen(text));
}

static void
base64(struct buf *out, const unsigned char *bytes, size_t len)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    for (size_t i = 0; i < len; i += BASE64_IN) {
        size_t left = len - i;
        unsigned v = (unsigned)bytes[i] << 16 | (left > 1 ? (unsigned)bytes[i + 1] << 8 : 0) |
                     (left > 2 ? bytes[i + 2] : 0);
        char four[BASE64_OUT] = {digits[v >> 18], digits[v >> 12 & 63],
                                 left > 1 ? digits[v >> 6 & 63] : '=',
                                 left > 2 ? digits[v & 63] : '='};

        buf_add(out, four, sizeof four);
    }
}

void
event_data_started(struct buf *out, const char *worker, const char *instance, int64_t pid)
{
    buf_printf(out, "{\"worker\":\"%s\",\"instance\":\"%s\",\"pid\":%" PRId64 "}", worker, instance,
               pid);
}

void
event_data_output(struct buf *out, const char *stream, const void *bytes, size_t len)
{
    CLEANUP(buf_free) struct buf clean = {0};
    /* PostgreSQL's text holds no NUL, so NUL counts as unclean although it is UTF-8. */
    bool exact = utf8_valid_prefix(bytes, len) == len && memchr(bytes, 0, len) == NULL;

    buf_printf(out, "{\"stream\":\"%s\",\"text\":", stream);
    if (exact) {
        json_quote(out, bytes, len);
        buf_puts(out, "}");
        return;
    }
    utf8_sanitise(bytes, len, &clean);
    json_quote(out, clean.data, clean.len);
    buf_puts(out, ",\"base64\":\"");
    base64(out, bytes, len);
    buf_puts(out, "\"}");
}

void
event_data_result(struct buf *out, const struct event_result *result)
{
    buf_printf(out, "{\"entity\":\"%s\",\"field\":\"%s\",\"mode\":\"%s\",\"secret\":%s,\"value\":",
               result->entity, result->field, result->append ? "append" : "set",
               result->secret ? "true" : "false");
    buf_add(out, result->value, result->value_len);
    buf_puts(out, "}");
}

static void
number_or_null(struct buf *out, const char *key, bool null, int value)
{
    if (null)
        buf_printf(out, "\"%s\":null,", key);
    else
        buf_printf(out, "\"%s\":%d,", key, value);
}

void
event_data_finished(struct buf *out, const struct event_finished *f)
{
    buf_printf(out, "{\"state\":\"%s\",\"cause\":\"%s\",\"message\":", f->state, f->cause);
    quote(out, f->message);
    buf_puts(out, ",");
    number_or_null(out, "exit_code", f->exit_code < 0, f->exit_code);
    number_or_null(out, "signal", f->signal == 0, f->signal);
    buf_printf(out, "\"retryable\":%s,\"outputs\":%s,", f->retryable ? "true" : "false",
               f->outputs);
    buf_printf(
        out, "\"results\":%" PRIu64 ",\"output_bytes\":%" PRIu64 ",\"dropped_bytes\":%" PRIu64 ",",
        f->results, f->output_bytes, f->dropped_bytes);
    buf_printf(out, "\"duration_ms\":%" PRId64 ",\"left_behind\":%" PRIu32 "}", f->duration_ms,
               f->left_behind);
}

void
event_data_refused(struct buf *out, const char *cause, const char *message)
{
    buf_printf(out, "{\"cause\":\"%s\",\"message\":", cause);
    quote(out, message);
    buf_puts(out, "}");
}

void
event_data_declined(struct buf *out, const char *message)
{
    buf_puts(out, "{\"message\":");
    quote(out, message);
    buf_puts(out, "}");
}

void
event_data_held(struct buf *out)
{
    buf_puts(out, "{}");
}

void
event_data_lost(struct buf *out, const char *cause, const char *message, uint32_t left_behind)
{
    buf_printf(out, "{\"cause\":\"%s\",\"message\":", cause);
    quote(out, message);
    buf_printf(out, ",\"left_behind\":%" PRIu32 "}", left_behind);
}

void
event_data_session(struct buf *out, const char *session)
{
    buf_printf(out, "{\"session\":\"%s\"}", session);
}

void
event_data_rejected(struct buf *out, const struct event_rejected *rejected)
{
    CLEANUP(buf_free) struct buf id = {0};
    size_t kept = rejected->size < LIMIT_REJECTED_BYTES ? rejected->size : LIMIT_REJECTED_BYTES;

    buf_printf(out, "{\"reason\":\"%s\",\"base64\":\"", rejected->reason);
    if (rejected->body != NULL)
        base64(out, rejected->body, kept);
    buf_printf(out, "\",\"size\":%zu,\"message_id\":", rejected->size);
    if (rejected->message_id != NULL) {
        /* It is as foreign as the body. */
        utf8_sanitise(rejected->message_id, strlen(rejected->message_id), &id);
        json_quote(out, id.data != NULL ? id.data : "", id.len);
    } else {
        buf_puts(out, "null");
    }
    buf_puts(out, "}");
}
