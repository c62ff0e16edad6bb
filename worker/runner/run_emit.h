#ifndef WORKER_RUN_EMIT_H
#define WORKER_RUN_EMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/attr.h"
#include "common/uuid.h"

/* The HLER_SOCKET of the program: results and progress, each answered by one line. */

#define RUN_EMIT_CONNECTIONS 8
#define RUN_EMIT_LINE_MAX 256
#define RUN_EMIT_VALUE_MAX 65536u
#define RUN_EMIT_BUFFER (RUN_EMIT_LINE_MAX + RUN_EMIT_VALUE_MAX)
#define RUN_EMIT_SKIP_MAX 16777216u /* refused values are read over up to this */
#define RUN_EMIT_FIELD_MAX 63

struct runner;

/* The first line of a request. */
struct run_emit_request {
    bool result; /* else progress */
    bool append, secret;
    char uuid[UUID_TEXT_SIZE];
    char field[RUN_EMIT_FIELD_MAX + 1];
    size_t length; /* bytes of value behind the line */
};

struct run_emit_connection {
    int fd;              /* -1 = free */
    bool unsynced;       /* a result was journalled, its answer waits for the sync */
    size_t skip;         /* bytes of a refused value still to be read over */
    const char *refusal; /* the answer due after them */
    size_t len;
    char *data; /* RUN_EMIT_BUFFER bytes */
};

struct run_emit {
    int listen_fd;
    bool full;                   /* all connections taken: the listener is not watched */
    char target[UUID_TEXT_SIZE]; /* what "-" stands for; "" = nothing */
    uint64_t results, progress_bytes;
    struct run_emit_connection connection[RUN_EMIT_CONNECTIONS];
};

/* Nothing open yet; the target is taken from the request. */
void run_emit_init(struct runner *r);

/* Listen on REQUEST_SOCKET in the current directory.  -1 with errno. */
int run_emit_open(struct runner *r) MUST_CHECK;
void run_emit_close(struct runner *r);

void run_emit_accept(struct runner *r);
void run_emit_read(struct runner *r, unsigned connection);

/* End of one round of events: sync the journal once for all results of the round, answer
 * them, go on with what those connections sent meanwhile. */
void run_emit_settle(struct runner *r);

/* Grammar of a field's name: [a-z][a-z0-9_]{0,62}. */
bool run_emit_field_valid(const char *name, size_t len);

/* Parse one line (len bytes without its newline).  target stands in for the uuid "-".  Returns
 * NULL, or the reason of the refusal; *framed then says whether length is known, so that
 * the connection can go on behind the value. */
const char *run_emit_parse(const char *line, size_t len, const char *target,
                           struct run_emit_request *out, bool *framed) MUST_CHECK;

#endif
