/* Reading one class of records of a journal, again and again if need be. */
#include "worker/bridge/stream.h"

#include "common/clock.h"
#include "worker/bridge/attempt.h"

#define SKIP_TURN 8 /* records of the other class passed over in one turn */

static bool
is_bulk(const struct journal_record *record)
{
    switch ((enum journal_kind)record->head.kind) {
    case JOURNAL_START:
    case JOURNAL_RESULT:
    case JOURNAL_END:
        return false;
    case JOURNAL_STDOUT:
    case JOURNAL_STDERR:
    case JOURNAL_PROGRESS:
        break;
    }
    return true;
}

void
stream_open(struct stream *s, uint64_t offset)
{
    s->reader = journal_reader_new(s->attempt->journal_fd, offset);
    s->read_offset = s->confirmed = offset;
    s->flight_first = s->flight_last = -1;
    s->failed = s->end_seen = s->dry = s->unreadable = false;
}

void
stream_close(struct stream *s)
{
    journal_reader_free(s->reader);
    s->reader = NULL;
    s->unreadable = false;
}

void
stream_rewind(struct stream *s, uint64_t offset)
{
    stream_close(s);
    stream_open(s, offset);
}

static void
see_end(struct stream *s, const struct journal_record *record)
{
    const char *message, *outputs;
    struct journal_end end;

    s->end_seen = true;
    s->attempt->tidy = journal_end_parse(record, &end, &message, &outputs) == 0 &&
                       end.left_behind == 0 && end.daemons == 0;
}

enum stream_step
stream_next(struct stream *s, struct journal_record *record)
{
    if (s->end_seen)
        return STREAM_DRY; /* nothing is ever written behind an end */
    for (int skipped = 0; skipped < SKIP_TURN; skipped++) {
        switch (journal_next(s->reader, record)) {
        case JOURNAL_NO_MORE:
            return STREAM_DRY;
        case JOURNAL_TORN:
            return STREAM_BROKEN;
        case JOURNAL_IO_ERROR:
            s->unreadable = true;
            s->dry = false; /* nobody knows what is behind */
            return STREAM_UNREADABLE;
        case JOURNAL_RECORD:
            break;
        }
        s->read_offset = record->end_offset;
        if (record->head.kind == JOURNAL_END)
            see_end(s, record);
        if (is_bulk(record) == (s->class == STREAM_BULK)) {
            if (s->behind_since_ns == 0)
                s->behind_since_ns = clock_mono_ns();
            return STREAM_RECORD;
        }
        if (s->behind_since_ns == 0)       /* nothing was taken that is not confirmed */
            s->confirmed = s->read_offset; /* the other stream's business */
    }
    return STREAM_SKIPPED;
}

void
stream_unread(struct stream *s, const struct journal_record *record)
{
    journal_unread(s->reader, record);
    if (record->head.kind == JOURNAL_END)
        s->end_seen = false; /* or nobody would look again */
    s->read_offset = record->end_offset - sizeof record->head - record->head.len;
}

bool
stream_is_idle(const struct stream *s)
{
    return s->flight_first == -1 && !s->failed;
}
