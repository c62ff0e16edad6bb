#ifndef WORKER_EXECUTORS_REPORT_H
#define WORKER_EXECUTORS_REPORT_H

#include <stdbool.h>
#include <stddef.h>

#include "common/attr.h"

/* Client of the runner's socket (README, section 3): one connection, one request at a time, each
 * waits for its answer. */

#define REPORT_WHY_SIZE 256

/* Connect; the path may be longer than sun_path.  The descriptor, or -1 with errno. */
int report_open(const char *path) MUST_CHECK;

/* Send one request.  0 = answered OK, journalled; -1 with the reason in why, and a connection that
 * may be used again if the runner answered.  fd -1 (no runner) is OK, nothing is sent. */
struct report_result {
    const char *uuid;
    const char *field;
    bool secret;
};
int report_result(int fd, const struct report_result *result, const char *json, size_t len,
                  char why[REPORT_WHY_SIZE]) MUST_CHECK;
int report_progress(int fd, const char *json, size_t len, char why[REPORT_WHY_SIZE]) MUST_CHECK;

#endif
