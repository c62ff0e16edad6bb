#ifndef WORKER_EXECUTORS_SPEC_H
#define WORKER_EXECUTORS_SPEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/json.h"

/* Reading a task's specification by a table of its members: unknown ones are refused, and all
 * faults are told together. */

enum spec_type { SPEC_STRING, SPEC_INT, SPEC_BOOL, SPEC_STRINGS, SPEC_VALUE };

struct spec_key {
    const char *name;
    enum spec_type type;
    size_t offset;    /* of the member: const char *, int64_t, bool, struct json_object * */
    int64_t min, max; /* SPEC_INT */
    bool required;
    bool (*valid)(const char *text); /* for each string; NULL = any */
    const char *expects;             /* what valid() asks for, for the message */
};

/* Fill *target; members that spec lacks stay as they were.  Strings and arrays stay owned by spec.
 * Faults are appended to faults, joined by "; ".  Returns their number. */
unsigned spec_read(struct json_object *spec, const struct spec_key *table, size_t n, void *target,
                   struct buf *faults) MUST_CHECK;

/* Append one fault. */
void spec_fault(struct buf *faults, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Grammars for spec_key.valid. */
bool spec_is_path(const char *text); /* relative, no ".." */
bool spec_is_word(const char *text); /* [A-Za-z0-9_][A-Za-z0-9._-]{0,127} */

#endif
