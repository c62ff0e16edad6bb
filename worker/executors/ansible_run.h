#ifndef WORKER_EXECUTORS_ANSIBLE_RUN_H
#define WORKER_EXECUTORS_ANSIBLE_RUN_H

#include "worker/executors/job.h"

/* Run the playbook that job's specification names.  Returns the exit code, having said why it is not
 * 0. */
int ansible_run(const struct job *job) MUST_CHECK;

#endif
