#ifndef CLI_AWAIT_H
#define CLI_AWAIT_H

#include <stdbool.h>
#include <stdint.h>

#include "common/attr.h"
#include "dispatcher/cli/cli.h"

/* Waiting for an operation: LISTEN as a hint, a look at the tables every second
 * at the latest, at most ten times a second. */

/* Exit code for an operation's state.  *settled = nothing more comes by itself. */
int await_code(const char *state, bool *settled);

struct await;

/* timeout_s 0 = for ever.  output: look more often, for those who follow it.  Starts to listen. */
struct await *await_new(struct cli *cli, int64_t timeout_s, bool output);
void await_free(struct await *await);

/* Wait until it is worth looking again.  CLI_OK, CLI_TIMEOUT when the time is up. */
int await_next(struct await *await) MUST_CHECK;

/* Wait for the end of operation id.  With `follow` its output is written as it comes.  Prints how
 * it ended and returns the exit code for that. */
int await_end(struct cli *cli, const char *id, bool follow, int64_t timeout_s) MUST_CHECK;

/* What submit and retry do with their new operation: print its id, and wait for it when args
 * (options wait, follow, timeout) say so. */
int await_started(struct cli *cli, const struct args *args, const char *id) MUST_CHECK;

#endif
