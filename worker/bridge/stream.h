#ifndef BRIDGE_STREAM_H
#define BRIDGE_STREAM_H

#include <stdbool.h>
#include <stdint.h>

#include "worker/runner/journal.h"

/* One class of records of one journal on its way to the broker.  A journal has two: what
 * changes states, and bulk; so a full output queue does not hold back an end.  Records go out in order;
 * `confirmed` only ever passes what the broker has confirmed. */

enum stream_class { STREAM_STATE, STREAM_BULK, STREAMS };

struct attempt;
struct link;

struct stream {
    struct attempt *attempt;
    struct link *link;
    enum stream_class class;
    struct journal_reader *reader; /* NULL = closed */
    uint64_t read_offset;          /* behind the last record taken from the reader */
    uint64_t confirmed;            /* offset below which all is confirmed */
    uint64_t resend_until;         /* a `report` is being answered up to here */
    int flight_first, flight_last; /* its open publishes, in order; -1 = none */
    bool failed;                   /* one did not arrive: rewind when all are settled */
    bool end_seen;                 /* the end record was read */
    bool dry;                      /* read to its end after the runner was over */
    bool unreadable;               /* the last look at the journal failed */
    bool spoken;                   /* something of it was sent; set while it is not queued */
    bool queued;                   /* in the link's round of streams with something to read */
    struct stream *next_queued;
    int64_t behind_since_ns; /* since when something is unconfirmed; 0 = nothing is */
};

enum stream_step {
    STREAM_RECORD,    /* *record is the next to send */
    STREAM_SKIPPED,   /* enough was skipped for one turn: come again */
    STREAM_DRY,       /* nothing more now */
    STREAM_BROKEN,    /* the journal is cut here: it ends */
    STREAM_UNREADABLE /* the disk has an error: nothing is known, later perhaps */
};

/* Begin at offset (0 = the start).  The attempt's journal_fd must be open. */
void stream_open(struct stream *stream, uint64_t offset);
void stream_close(struct stream *stream);

enum stream_step stream_next(struct stream *stream, struct journal_record *record);

/* Have stream_next() give the record again that it has just given. */
void stream_unread(struct stream *stream, const struct journal_record *record);

/* Nothing is open and nothing was read that is unconfirmed. */
bool stream_is_idle(const struct stream *stream);

/* Go back to what is confirmed, after a failure; or to the start, for a `report`. */
void stream_rewind(struct stream *stream, uint64_t offset);

#endif
