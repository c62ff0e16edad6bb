#ifndef WORKER_EMIT_SEND_H
#define WORKER_EMIT_SEND_H

#include "common/buf.h"

/* Exit codes; the last two from sysexits.h. */
enum emit_exit { EMIT_OK = 0, EMIT_USAGE = 2, EMIT_REFUSED = 65, EMIT_NO_RUNNER = 69 };

/* Print what is wrong; returns code. */
int emit_complain(enum emit_exit code, const char *what);

/* Send one request to the runner at $HLER_SOCKET and wait for its answer.  Returns an exit
 * code, having told what is wrong. */
int emit_send(const struct buf *request);

#endif
