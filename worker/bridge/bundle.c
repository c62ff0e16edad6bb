/* Events of one journal, or first and last words of several. */
#include "worker/bridge/bundle.h"

#include <stdio.h>
#include <string.h>

#include "worker/bridge/attempt.h"
#include "worker/bridge/record.h"

/* It takes no more of the window than one full record of output. */
#define BYTES_MOST LIMIT_OUTPUT_BYTES

/* States of several attempts may go together, if whoever listens to one requester gets no other's. */
static bool
fits(const struct bundle *u, const struct stream *s)
{
    const char *requester = s->attempt->requester;

    if (!u->mixed && u->parts[0].stream == s)
        return true;
    return !event_bulk(u->kind) && s->class == STREAM_STATE && requester != NULL &&
           strcmp(u->requester, requester) == 0;
}

bool
bundle_takes(const struct bundle *u, const struct stream *s, enum event_kind kind, size_t len)
{
    if (u->n == 0)
        return true;
    /* A result that is none goes as output: by another way. */
    return u->events < LIMIT_BATCH_EVENTS && u->body.len + len <= BYTES_MOST &&
           event_bulk(kind) == event_bulk(u->kind) && fits(u, s);
}

static struct bundle_part *
part_of(struct bundle *u, const struct stream *s)
{
    for (size_t i = u->n; i-- > 0;) /* mostly the last */
        if (u->parts[i].stream == s)
            return &u->parts[i];
    return NULL;
}

static void
note_part(struct bundle *u, struct stream *s, uint64_t end_offset)
{
    struct bundle_part *part = part_of(u, s);

    if (part == NULL)
        part = &u->parts[u->n++];
    part->stream = s;
    part->end_offset = end_offset;
}

void
bundle_add(struct bundle *u, struct stream *s, const struct journal_record *record,
           const struct bundle_source *source)
{
    struct event_about about = attempt_about(s->attempt, source->user);
    struct names_words words = {about.worker, about.requester, about.operation, about.name.task};
    const struct record_context context = {source->kind, &about, source->instance};

    if (u->n == 0) {
        bundle_clear(u);
        event_attempt_id(source->kind, &about.name, (int64_t)record->head.seq, u->id);
        snprintf(u->requester, sizeof u->requester, "%s",
                 about.requester != NULL ? about.requester : "");
    }
    if (u->events++ > 0)
        u->body.len--; /* its bracket */
    buf_puts(&u->body, u->events == 1 ? "[" : ",");
    record_encode(record, &context, &u->body);
    buf_puts(&u->body, "]");
    note_part(u, s, record->end_offset);
    u->mixed = u->mixed || u->n > 1;
    if (u->mixed)
        words.operation = words.task = NULL;
    u->kind = source->kind;
    names_routing_key(u->kind, &words, u->key);
}

bool
bundle_has(const struct bundle *u, const struct stream *s)
{
    for (size_t i = 0; i < u->n; i++)
        if (u->parts[i].stream == s)
            return true;
    return false;
}

void
bundle_forget(struct bundle *u, const struct stream *s)
{
    struct bundle_part *part = part_of(u, s);

    if (part != NULL)
        *part = u->parts[--u->n];
}

struct mq_message
bundle_message(const struct bundle *u)
{
    bool one = u->events == 1;

    return (struct mq_message){
        .exchange = NAMES_RESULTS,
        .routing_key = u->key,
        .content_type = one ? EVENT_CONTENT_TYPE : EVENT_BATCH_CONTENT_TYPE,
        .type = event_type(u->kind),
        .message_id = u->id,
        .body = one ? u->body.data + 1 : u->body.data,
        .len = one ? u->body.len - 2 : u->body.len, /* without its brackets */
        .persistent = true,
        .mandatory = true,
    };
}

void
bundle_clear(struct bundle *u)
{
    buf_clear(&u->body);
    u->events = u->n = 0;
    u->mixed = false;
}

void
bundle_free(struct bundle *u)
{
    buf_free(&u->body);
}
