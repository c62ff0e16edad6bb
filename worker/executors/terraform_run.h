#ifndef WORKER_EXECUTORS_TERRAFORM_RUN_H
#define WORKER_EXECUTORS_TERRAFORM_RUN_H

#include "worker/executors/job.h"

/* init and apply (or destroy) the module that job's specification names.  Returns the exit code,
 * having said why it is not 0. */
int terraform_run(const struct job *job) MUST_CHECK;

#endif
