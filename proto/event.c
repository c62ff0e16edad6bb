/* Events: the table of kinds, ids, and the envelope.  Written as text, since each
 * line of output of every job passes here. */
#include "proto/event.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/json.h"

#define DISPATCHER_SOURCE "/hler/dispatcher/"
#define WORKER_SOURCE "/hler/worker/"

/* NOLINTBEGIN(bugprone-macro-parentheses): parts of string literals */
#define KIND(class_name, kind_word)                                                                \
    .class = class_name, .word = kind_word, .type = "aegir.hler." class_name "." kind_word ".v1"
/* NOLINTEND(bugprone-macro-parentheses) */

static const struct {
    const char *class, *word, *type;
    bool numbered, bulk;
} kinds[] = {
    [EVENT_STARTED] = {KIND("attempt", "started"), .numbered = true},
    [EVENT_OUTPUT] = {KIND("attempt", "output"), .numbered = true, .bulk = true},
    [EVENT_PROGRESS] = {KIND("attempt", "progress"), .numbered = true, .bulk = true},
    [EVENT_RESULT] = {KIND("attempt", "result"), .numbered = true},
    [EVENT_FINISHED] = {KIND("attempt", "finished"), .numbered = true},
    [EVENT_REFUSED] = {KIND("attempt", "refused")},
    [EVENT_DECLINED] = {KIND("attempt", "declined")},
    [EVENT_HELD] = {KIND("attempt", "held")},
    [EVENT_LOST] = {KIND("attempt", "lost")},
    [EVENT_WORKER_STARTED] = {KIND("worker", "started")},
    [EVENT_WORKER_HEARTBEAT] = {KIND("worker", "heartbeat")},
    [EVENT_WORKER_DRAINING] = {KIND("worker", "draining")},
    [EVENT_WORKER_STOPPED] = {KIND("worker", "stopped")},
    [EVENT_WORKER_REJECTED] = {KIND("worker", "rejected")},
    [EVENT_TICK] = {KIND("dispatcher", "tick")},
};
static_assert(ARRAY_LEN(kinds) == EVENT_KINDS, "a row each");

const char *
event_class(enum event_kind kind)
{
    return kinds[kind].class;
}

const char *
event_word(enum event_kind kind)
{
    return kinds[kind].word;
}

const char *
event_type(enum event_kind kind)
{
    return kinds[kind].type;
}

bool
event_numbered(enum event_kind kind)
{
    return kinds[kind].numbered;
}

bool
event_bulk(enum event_kind kind)
{
    return kinds[kind].bulk;
}

char *
event_attempt_id(enum event_kind kind, const struct attempt_name *name, int64_t seq,
                 char out[EVENT_ID_SIZE])
{
    char text[IDENT_NAME_SIZE];

    ident_name_text(name, text);
    if (kinds[kind].numbered)
        snprintf(out, EVENT_ID_SIZE, "%s.%" PRId64, text, seq);
    else
        snprintf(out, EVENT_ID_SIZE, "%s.%s", text, kinds[kind].word);
    return out;
}

char *
event_worker_id(enum event_kind kind, const char *session, int64_t number, char out[EVENT_ID_SIZE])
{
    snprintf(out, EVENT_ID_SIZE, "%s.%s.%" PRId64, session, kinds[kind].word, number);
    return out;
}

static void
open_common(struct buf *out, enum event_kind kind, const char *id, const char *who)
{
    const char *source = kind == EVENT_TICK ? DISPATCHER_SOURCE : WORKER_SOURCE;

    buf_printf(out, "{\"specversion\":\"1.0\",\"id\":\"%s\",\"source\":\"%s%s\",\"type\":\"%s\",",
               id, source, who, kinds[kind].type);
}

static void
add_time(struct buf *out, int64_t wall_us)
{
    char text[CLOCK_TEXT_SIZE];

    buf_printf(out, "\"time\":\"%s\",\"datacontenttype\":\"application/json\",",
               clock_text(wall_us != 0 ? wall_us : clock_wall_us(), text));
}

void
event_open_attempt(struct buf *out, enum event_kind kind, const struct event_about *about,
                   int64_t seq, int64_t wall_us)
{
    char id[EVENT_ID_SIZE];

    open_common(out, kind, event_attempt_id(kind, &about->name, seq, id), about->worker);
    buf_printf(out, "\"subject\":\"%s\",", about->name.task);
    add_time(out, wall_us);
    if (about->operation != NULL)
        buf_printf(out, "\"operation\":\"%s\",", about->operation);
    buf_printf(out, "\"attempt\":%d,", (int)about->name.attempt);
    if (kinds[kind].numbered)
        buf_printf(out, "\"seq\":%" PRId64 ",", seq);
    if (about->traceparent != NULL) {
        buf_puts(out, "\"traceparent\":");
        json_quote(out, about->traceparent, strlen(about->traceparent));
        buf_puts(out, ",");
    }
    buf_puts(out, "\"data\":");
}

void
event_open_worker(struct buf *out, enum event_kind kind, const char *worker, const char *session,
                  int64_t number)
{
    char id[EVENT_ID_SIZE];

    open_common(out, kind, event_worker_id(kind, session, number, id), worker);
    add_time(out, 0);
    buf_puts(out, "\"data\":");
}

void
event_close(struct buf *out)
{
    buf_puts(out, "}");
}
