#ifndef CLI_CHECKS_H
#define CLI_CHECKS_H

#include <stdbool.h>

#include "common/attr.h"
#include "common/json.h"
#include "dispatcher/cli/cli.h"
#include "dispatcher/cli/mgmt.h"

/* What `hler doctor` looks at; each step writes down what it found. */

enum finding { FINDING_OK, FINDING_NOTE, FINDING_ILL };

struct checks {
    struct cli *cli;
    struct mgmt *mgmt;        /* NULL while the broker could not be asked */
    struct json_object *list; /* of {step, finding, detail, todo} */
    char *ill;                /* the steps, each once; NULL = none */
};

/* Write a step down, and print it unless --json.  todo NULL = nothing to do. */
void checks_add(struct checks *c, enum finding finding, const char *step, const char *todo,
                const char *fmt, ...) PRINTF_LIKE(5, 6);

/* Each adds one step or more.  The first two return whether the others can be asked. */
bool checks_database(struct checks *c) MUST_CHECK;
bool checks_broker(struct checks *c) MUST_CHECK;
void checks_tables(struct checks *c);   /* dispatchers, pools, workers, dead messages */
void checks_topology(struct checks *c); /* exchanges, queues, policies */
void checks_round_trip(struct checks *c);

#endif
