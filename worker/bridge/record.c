/* One journal record becomes one event, always: a record that cannot be what it says
 * still takes its number, or the tables would wait for that number for ever. */
#include "worker/bridge/record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "common/jsonscan.h"
#include "common/log.h"
#include "proto/event_data.h"
#include "proto/limits.h"

#define DECIMAL 10

struct result_line {
    char entity[UUID_TEXT_SIZE], field[LIMIT_FIELD_BYTES + 1], mode[8], openness[8];
};

/* Split "<uuid> <field> <set|append> <plain|secret>\n<JSON>".  -1 when it is not that. */
static int
split_result(const struct journal_record *record, struct result_line *line,
             struct event_result *out)
{
    const char *text = (const char *)record->payload, *end;
    struct jsonscan_error err;
    char head[256];
    size_t head_len;

    end = memchr(text, '\n', record->head.len);
    if (end == NULL || (size_t)(end - text) >= sizeof head)
        return -1;
    head_len = (size_t)(end - text);
    memcpy(head, text, head_len);
    head[head_len] = '\0';
    if (sscanf(head, "%36s %63s %7s %7s", line->entity, line->field, line->mode, line->openness) !=
        4)
        return -1;
    out->entity = line->entity;
    out->field = line->field;
    out->append = strcmp(line->mode, "append") == 0;
    out->secret = strcmp(line->openness, "plain") != 0; /* when in doubt, a secret */
    out->value = end + 1;
    out->value_len = record->head.len - head_len - 1;
    if (!uuid_valid(line->entity) || !ident_field_valid(line->field) ||
        jsonscan(out->value, out->value_len, &err) == -1)
        return -1;
    return 0;
}

static bool
progress_valid(const struct journal_record *record)
{
    struct jsonscan_error err;
    const char *text = (const char *)record->payload;

    return record->head.len > 1 && text[0] == '{' && jsonscan(text, record->head.len, &err) == 0;
}

enum event_kind
record_kind(const struct journal_record *record)
{
    struct result_line line;
    struct event_result result;

    switch ((enum journal_kind)record->head.kind) {
    case JOURNAL_START:
        return EVENT_STARTED;
    case JOURNAL_END:
        return EVENT_FINISHED;
    case JOURNAL_RESULT:
        if (split_result(record, &line, &result) == 0)
            return EVENT_RESULT;
        break;
    case JOURNAL_PROGRESS:
        if (progress_valid(record))
            return EVENT_PROGRESS;
        break;
    case JOURNAL_STDOUT:
    case JOURNAL_STDERR:
        break;
    }
    return EVENT_OUTPUT;
}

static int64_t
start_pid(const struct journal_record *record)
{
    char text[24];
    size_t len = record->head.len < sizeof text - 1 ? record->head.len : sizeof text - 1;

    memcpy(text, record->payload, len);
    text[len] = '\0';
    return strtoll(text, NULL, DECIMAL);
}

void
record_encode(const struct journal_record *record, const struct record_context *context,
              struct buf *out)
{
    const struct event_about *about = context->about;
    struct result_line line;
    struct event_result result;

    event_open_attempt(out, context->kind, about, (int64_t)record->head.seq, record->head.wall_us);
    switch (context->kind) {
    case EVENT_STARTED:
        event_data_started(out, about->worker, context->instance, start_pid(record));
        break;
    case EVENT_FINISHED:
        record_finished(record, out);
        break;
    case EVENT_RESULT:
        if (split_result(record, &line, &result) == 0)
            event_data_result(out, &result);
        break;
    case EVENT_PROGRESS:
        buf_add(out, record->payload, record->head.len);
        break;
    default:
        event_data_output(out, record->head.kind == JOURNAL_STDOUT ? "stdout" : "stderr",
                          record->payload, record->head.len);
        break;
    }
    event_close(out);
}
