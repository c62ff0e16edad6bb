#ifndef CLI_OUTPUT_H
#define CLI_OUTPUT_H

#include <stdbool.h>

#include "common/attr.h"
#include "common/uuid.h"
#include "dispatcher/cli/cli.h"

/* What the tasks of an operation have written, from the tables to stdout: as lines (with the
 * task's name in front when there are several attempts), as JSON lines, or as the
 * very bytes.  On a terminal control characters are made visible, except when raw. */

struct output;

struct output_options {
    const char *operation;
    const char *task; /* only the task of this name or key; NULL = all */
    bool raw;
    bool ordered; /* lines in the order in which they began, however late they end */
};

struct output *output_new(struct cli *cli, const struct output_options *options);
void output_free(struct output *output); /* NULL is legal */

/* Write what has come since the last call, task by task, attempt by attempt.  An exit
 * code; CLI_NOT_FOUND when there is no task of that name. */
int output_more(struct output *output) MUST_CHECK;

/* All attempts have ended and all their output is in the tables, as of the last output_more(). */
bool output_complete(const struct output *output);

/* The same; or the operation is settled, and what is missing has been late for some seconds since the first of
 * these calls.  The end and the output come by different queues. */
bool output_is_in(struct output *output);

/* Write the lines that never ended.  After following: say so when the output is not complete,
 * or when pieces arrived too late to be shown in their place. */
void output_end(struct output *output, bool followed);

#endif
