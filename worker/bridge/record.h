#ifndef BRIDGE_RECORD_H
#define BRIDGE_RECORD_H

#include <stdbool.h>

#include "common/buf.h"
#include "proto/event.h"
#include "worker/runner/journal.h"

/* Journal record -> event.  Pure functions of the record and the spool's instance: sent
 * again, an event has the same bytes. */

/* The kind of event that a record becomes. */
enum event_kind record_kind(const struct journal_record *record);

/* Append the whole event.  kind: its record_kind(), which takes a look at every byte. */
struct record_context {
    enum event_kind kind;
    const struct event_about *about;
    const char *instance; /* the spool's */
};
void record_encode(const struct journal_record *record, const struct record_context *context,
                   struct buf *out);

/* The `data` of `finished` (protocol section 6.1 and 9). */
void record_finished(const struct journal_record *record, struct buf *out);

#endif
