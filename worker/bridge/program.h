#ifndef BRIDGE_PROGRAM_H
#define BRIDGE_PROGRAM_H

#include "common/attr.h"
#include "proto/offer.h"
#include "worker/bridge/executors.h"
#include "worker/bridge/settings.h"
#include "worker/bridge/strings.h"

/* What an offer asks to be run, checked against what this worker allows. */

struct program {
    const struct executor *executor;
    struct strings argv; /* empty = nothing is run */
    char *cwd;           /* NULL = the attempt's own directory */
    struct strings env;  /* what the specification adds */
};

struct program_refusal {
    const char *cause; /* of attempt.refused (protocol section 6.2) */
    char message[256];
};

/* 0, or -1 with *refusal filled; *out may be freed in both cases.  A program or directory that is allowed but
 * not there is no refusal: the runner's error says so. */
int program_make(const struct settings *settings, const struct executors *executors,
                 const struct offer *offer, struct program *out,
                 struct program_refusal *refusal) MUST_CHECK;
void program_free(struct program *program);

#endif
