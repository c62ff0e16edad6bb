#ifndef WORKER_EXECUTORS_ANSIBLE_VERDICT_H
#define WORKER_EXECUTORS_ANSIBLE_VERDICT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/json.h"

/* What a run of ansible-playbook came to.  Neither its exit code nor its statistics suffice: it exits
 * 0 when no host matched, and 4 for an unreachable host as well as for a broken playbook. */

enum ansible_end {
    ANSIBLE_DONE,        /* exit 0, and a host was reached */
    ANSIBLE_FAILED,      /* a task failed */
    ANSIBLE_UNREACHABLE, /* no task failed, but a host was not reached: worth another try */
    ANSIBLE_NO_HOSTS,    /* exit 0, but nothing ran anywhere */
    ANSIBLE_BROKEN,      /* the playbook or the options are wrong */
    ANSIBLE_UNSEEN,      /* exit 0, but the callback told nothing: its collection is missing */
    ANSIBLE_INTERRUPTED  /* stopped by SIGINT */
};

/* What the callback saw; from its report file. */
struct ansible_report {
    bool started; /* the playbook was read */
    bool stats;   /* it came to its end */
    int64_t ok, failures, unreachable;
    const char *host; /* the first that failed, NULL = none; these point into the object */
    const char *task;
    const char *message;
};

/* Read the report; object NULL (there is none) gives an empty one. */
void ansible_report_read(struct json_object *object, struct ansible_report *out);

enum ansible_end ansible_judge(int exit_code, const struct ansible_report *report);

#endif
