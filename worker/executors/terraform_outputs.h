#ifndef WORKER_EXECUTORS_TERRAFORM_OUTPUTS_H
#define WORKER_EXECUTORS_TERRAFORM_OUTPUTS_H

#include <stdbool.h>

#include "common/json.h"
#include "worker/executors/job.h"

/* True when one of these outputs is sensitive: its value is not in the stream. */
bool terraform_outputs_sensitive(struct json_object *outputs);

/* Make each output an output of the task and, if the operation has a target, a result of it.
 * Sensitive ones only become secret results, with values taken from `values` (of `terraform output
 * -json`, NULL = none are sensitive).  report is the connection to the runner.  0, or the exit code
 * having said why. */
int terraform_outputs_send(const struct job *job, int report, struct json_object *outputs,
                           struct json_object *values) MUST_CHECK;

#endif
