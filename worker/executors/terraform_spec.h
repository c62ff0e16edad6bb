#ifndef WORKER_EXECUTORS_TERRAFORM_SPEC_H
#define WORKER_EXECUTORS_TERRAFORM_SPEC_H

#include <stdbool.h>

#include "common/buf.h"
#include "common/json.h"

/* The specification of a `terraform` task (README, section 7). */
struct terraform_spec {
    const char *dir;       /* of the root module, relative to a root */
    const char *binary;    /* "terraform" or "tofu" */
    const char *workspace; /* NULL = the default one; "@target" = named by the target's UUID */
    const char *vars_from; /* "inputs", "hler" or "none" */
    bool destroy;
};

/* Fill *out from spec, which it points into.  Returns the number of faults, told in *faults. */
unsigned terraform_spec_read(struct json_object *spec, struct terraform_spec *out,
                             struct buf *faults) MUST_CHECK;

#endif
