#ifndef WORKER_RUN_NOTHING_H
#define WORKER_RUN_NOTHING_H

#include "common/attr.h"
#include "worker/runner/journal.h"
#include "worker/runner/request.h"

/* The attempt of a request without a program: its whole journal, on the disk.  0, or -1 with errno and
 * a journal that must be removed. */
int run_nothing(const struct request *request, struct journal_writer *journal) MUST_CHECK;

#endif
