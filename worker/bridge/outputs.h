#ifndef BRIDGE_OUTPUTS_H
#define BRIDGE_OUTPUTS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/buf.h"

/* The HLER_OUTPUTS file of an attempt (worker/executors/README.md sections 3 and 4).  Pure
 * functions: the same bytes give the same answer, today and after a restart. */

struct outputs {
    struct buf json; /* text of one JSON object */
    char fault[256]; /* why it broke the grammar; "" when it did not */
};

/* Read outputs after exit 0.  On a fault json is "{}". */
void outputs_read(const char *text, size_t len, struct outputs *out);
void outputs_free(struct outputs *out);

/* The cause that an executor named for its failure: the last cause line. */
struct outputs_cause {
    const char *cause; /* static text; NULL = none was named */
    struct buf message;
};
void outputs_read_cause(const char *text, size_t len, struct outputs_cause *out);
void outputs_cause_free(struct outputs_cause *out);

#endif
