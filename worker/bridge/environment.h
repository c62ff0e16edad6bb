#ifndef BRIDGE_ENVIRONMENT_H
#define BRIDGE_ENVIRONMENT_H

#include <stdbool.h>

#include "common/buf.h"
#include "proto/offer.h"
#include "worker/bridge/settings.h"
#include "worker/bridge/strings.h"

/* Files that it names, in the attempt's directory. */
#define ENVIRONMENT_SPEC "spec.json"
#define ENVIRONMENT_VARS "vars.json"

/* The whole environment of a program (worker/executors/README.md section 2): nothing of
 * the worker's own is in it.  dir = absolute path of the attempt's directory. */
void environment_make(const struct settings *settings, const struct offer *offer, const char *dir,
                      struct strings *out);

/* The text of HLER_VARS. */
void environment_vars(const struct offer *offer, struct buf *out);

/* Is there a file ENVIRONMENT_SPEC?  What is built in needs none. */
bool environment_has_spec(const struct offer *offer);

#endif
