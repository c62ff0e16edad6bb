#ifndef CLI_DEAD_H
#define CLI_DEAD_H

#include "common/buf.h"
#include "dispatcher/cli/cli.h"

/* The messages that were set aside, as the command line names them. */

#define DEAD_FAULT_OPTION                                                                          \
    {                                                                                              \
        "fault", OPT_TEXT, "REASON", "those with this reason: bad_version, bad_schema, …", 0, 0,   \
            false                                                                                  \
    }

/* Read numbers from the words as a PostgreSQL array into *out, or, without words, all that
 * have --fault.  CLI_OK, or an exit code having said what is wrong; *out is the caller's. */
int dead_ids(struct cli *cli, const struct args *args, struct buf *out) MUST_CHECK;

#endif
