#ifndef CLI_MGMT_H
#define CLI_MGMT_H

#include "common/attr.h"
#include "common/json.h"
#include "dispatcher/cli/cli.h"

/* The broker's management HTTP API, for what AMQP cannot say: users, policies, and the
 * making of a listener's objects. */

struct mgmt;

/* CLI_OK, or an exit code having said what is missing in the settings. */
int mgmt_new(struct cli *cli, struct mgmt **mgmt) MUST_CHECK;
void mgmt_free(struct mgmt *mgmt); /* NULL is legal */

struct mgmt_answer {
    long status;              /* HTTP: 200, 201, 204, 404, … */
    struct json_object *body; /* NULL when none or no JSON; mgmt_answer_free() */
};

/* One request.  path is below /api, its parts already escaped (mgmt_path()); body NULL = none.
 * CLI_OK for any HTTP answer but 401, CLI_UNREACHABLE having said why otherwise. */
int mgmt_call(struct mgmt *mgmt, const char *method, const char *path, struct json_object *body,
              struct mgmt_answer *answer) MUST_CHECK;
void mgmt_answer_free(struct mgmt_answer *answer);

/* The same, for a change: says what the broker's reason was and returns CLI_FAILED for any
 * answer that is not 2xx. */
int mgmt_change(struct mgmt *mgmt, const char *method, const char *path,
                struct json_object *body) MUST_CHECK;

/* Append the parts, percent-encoded, with "/" in front of each: path parts in a
 * NULL-terminated list. */
void mgmt_path(struct buf *out, const char *const *parts);

#endif
