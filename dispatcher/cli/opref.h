#ifndef CLI_OPREF_H
#define CLI_OPREF_H

#include "common/attr.h"
#include "common/uuid.h"
#include "dispatcher/cli/cli.h"

/* How people name an operation: its id, the first 8 or more characters of it, or "last". */

#define OPREF_PREFIX_MIN 8
#define OPREF_ASIDE_LABEL "hler.aside" /* an operation with this label is never "last" */

/* The smallest and largest id that begin with prefix (upper or lower case).
 * -1 when it is too short or no beginning of a UUID. */
int opref_range(const char *prefix, char low[UUID_TEXT_SIZE], char high[UUID_TEXT_SIZE]) MUST_CHECK;

/* Find the operation.  CLI_OK with id filled, or an exit code having said what is
 * wrong: no such one, more than one, not a reference. */
int opref_resolve(struct cli *cli, const char *ref, char id[UUID_TEXT_SIZE]) MUST_CHECK;

#endif
