#ifndef WORKER_EXECUTORS_ANSIBLE_SPEC_H
#define WORKER_EXECUTORS_ANSIBLE_SPEC_H

#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/json.h"

/* The specification of an `ansible` task (README, section 6). */
struct ansible_spec {
    const char *playbook;          /* relative to a root */
    struct json_object *inventory; /* string: relative to a root; array: host names */
    const char *limit;             /* NULL = none */
    const char *python;            /* NULL = found on each host */
    struct json_object *tags;      /* arrays of words, NULL = none */
    struct json_object *skip_tags;
    int64_t forks;     /* 0 = Ansible's default */
    int64_t verbosity; /* 0 .. 3 */
    bool check;
};

/* Fill *out from spec, which it points into.  Returns the number of faults, told in *faults. */
unsigned ansible_spec_read(struct json_object *spec, struct ansible_spec *out,
                           struct buf *faults) MUST_CHECK;

#endif
