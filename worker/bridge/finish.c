/* The end record becomes the `data` of `finished`: state by cause, outputs after
 * exit 0, the cause an executor named after any other exit. */
#include <assert.h>
#include <string.h>

#include "common/clock.h"
#include "common/utf8.h"
#include "proto/event_data.h"
#include "proto/limits.h"
#include "worker/bridge/outputs.h"
#include "worker/bridge/record.h"

#define US_PER_MS 1000

static const char *const states[] = {
    [END_DONE] = "succeeded",         [END_EXIT] = "failed",         [END_SIGNAL] = "failed",
    [END_TRY_LATER] = "failed",       [END_NEVER_RETRY] = "failed",  [END_NOT_FOUND] = "failed",
    [END_NOT_ALLOWED] = "failed",     [END_EXEC_FAILED] = "failed",  [END_BAD_CWD] = "failed",
    [END_OUTPUTS_INVALID] = "failed", [END_JOURNAL_FULL] = "failed", [END_DEADLINE] = "timed_out",
    [END_IDLE] = "timed_out",         [END_CANCELLED] = "cancelled", [END_SUPERSEDED] = "cancelled",
    [END_LEASE] = "failed",
};
static_assert(ARRAY_LEN(states) == END_CAUSES, "a state each");

/* Clean text of at most LIMIT_END_MESSAGE_BYTES, whole characters, no line break. */
static void
one_line(const char *text, size_t len, struct buf *out)
{
    CLEANUP(buf_free) struct buf clean = {0};

    utf8_sanitise(text, len, &clean);
    if (clean.len > LIMIT_END_MESSAGE_BYTES) {
        clean.len = LIMIT_END_MESSAGE_BYTES;
        clean.len -= utf8_incomplete_tail(clean.data, clean.len);
    }
    for (size_t i = 0; i < clean.len; i++)
        if (clean.data[i] == '\n' || clean.data[i] == '\r')
            clean.data[i] = ' ';
    buf_add(out, clean.data != NULL ? clean.data : "", clean.len);
}

static bool
cause_may_be_named(uint32_t cause)
{
    return cause == END_EXIT || cause == END_TRY_LATER || cause == END_NEVER_RETRY;
}

/* Everything by the runner's word, then what the outputs file says beyond it. */
static void
fill(const struct journal_end *end, const char *raw, struct event_finished *f, struct outputs *o,
     struct outputs_cause *named)
{
    f->state = states[end->cause];
    f->cause = journal_cause_name((enum journal_cause)end->cause);
    f->outputs = "{}";
    if (end->cause == END_DONE) {
        outputs_read(raw, end->outputs_len, o);
        f->outputs = o->json.data;
        if (o->fault[0] != '\0') {
            f->state = states[END_OUTPUTS_INVALID];
            f->cause = journal_cause_name(END_OUTPUTS_INVALID);
        }
    } else if (cause_may_be_named(end->cause)) {
        outputs_read_cause(raw, end->outputs_len, named);
        if (named->cause != NULL)
            f->cause = named->cause;
    }
    f->retryable = strcmp(f->cause, "try_later") == 0 || strcmp(f->cause, "unreachable") == 0;
    f->exit_code = end->exit_code;
    f->signal = end->signal;
    f->results = end->results;
    f->output_bytes = end->output_bytes;
    f->dropped_bytes = end->dropped_bytes;
    f->duration_ms = end->duration_us / US_PER_MS;
    f->left_behind = end->left_behind;
}

void
record_finished(const struct journal_record *record, struct buf *out)
{
    CLEANUP(outputs_free) struct outputs outputs = {0};
    CLEANUP(outputs_cause_free) struct outputs_cause named = {0};
    CLEANUP(buf_free) struct buf line = {0};
    const char *message = "", *raw = "";
    struct event_finished f = {0};
    struct journal_end end;

    if (journal_end_parse(record, &end, &message, &raw) == -1 || end.cause >= END_CAUSES) {
        memset(&end, 0, sizeof end);
        end.cause = END_JOURNAL_FULL;
        end.exit_code = -1;
        message = "the end record cannot be read";
        end.message_len = (uint32_t)strlen(message);
    }
    fill(&end, raw, &f, &outputs, &named);
    if (outputs.fault[0] != '\0')
        one_line(outputs.fault, strlen(outputs.fault), &line);
    else if (named.cause != NULL && named.message.len > 0)
        one_line(named.message.data, named.message.len, &line);
    else
        one_line(message, end.message_len, &line);
    f.message = line.data;
    event_data_finished(out, &f);
}
