#ifndef BRIDGE_BUNDLE_H
#define BRIDGE_BUNDLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/mq.h"
#include "proto/event.h"
#include "proto/event_batch.h"
#include "proto/names.h"
#include "worker/bridge/stream.h"
#include "worker/runner/journal.h"

/* Events that were taken from journals and go together as one message (protocol section 6.5), while they are gathered and
 * until there is room for them on the connection. */

struct bundle_part {
    struct stream *stream;
    uint64_t end_offset; /* behind its last record in here */
};

struct bundle {
    struct bundle_part parts[LIMIT_BATCH_EVENTS]; /* one for each stream */
    size_t n;                                     /* 0 = the bundle is empty */
    struct buf body; /* of a batch, also of one event: that is what lies in the brackets */
    size_t events;
    bool mixed;           /* of several attempts */
    enum event_kind kind; /* of the last, as is the key */
    char key[NAMES_SIZE], id[EVENT_ID_SIZE], requester[LIMIT_ID_BYTES + 1];
};

/* Is there place for one more event of this stream and kind, with so many bytes of payload? */
bool bundle_takes(const struct bundle *bundle, const struct stream *stream, enum event_kind kind,
                  size_t len);

/* Add the stream's record, which has its place there.  user, instance: of the worker and its spool. */
struct bundle_source {
    enum event_kind kind; /* record_kind() of the record */
    const char *user, *instance;
};
void bundle_add(struct bundle *bundle, struct stream *stream, const struct journal_record *record,
                const struct bundle_source *source);

bool bundle_has(const struct bundle *bundle, const struct stream *stream);

/* Nobody waits any more for what is in here of this stream: it may go, or not. */
void bundle_forget(struct bundle *bundle, const struct stream *stream);

/* The message, which points into the bundle: valid until it is changed. */
struct mq_message bundle_message(const struct bundle *bundle);

void bundle_clear(struct bundle *bundle); /* keeps its memory */
void bundle_free(struct bundle *bundle);

#endif
