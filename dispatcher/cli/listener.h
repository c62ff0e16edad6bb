#ifndef CLI_LISTENER_H
#define CLI_LISTENER_H

#include <stdbool.h>

#include "common/attr.h"
#include "dispatcher/cli/cli.h"
#include "dispatcher/cli/mgmt.h"

/* The broker's part of a listener: its user, its queue, what is bound to it.  All
 * return an exit code having said what was wrong, and may be done twice. */

#define LISTENER_QUEUE_PREFIX "hler.listen."
#define LISTENER_USER_PREFIX "listener-"

struct listener {
    struct cli *cli;
    struct mgmt *mgmt;
    const char *name, *vhost;
    char *user, *queue;
};

/* Is there a policy that bounds such queues? */
int listener_check_policy(struct listener *l) MUST_CHECK;

int listener_user_exists(struct listener *l, bool *there) MUST_CHECK;

/* Make the user, or give it this password; it may read its queue and nothing else. */
int listener_make_user(struct listener *l, const char *password) MUST_CHECK;

/* Make the queue and its bindings; requester NULL = everybody's events. */
int listener_make_queue(struct listener *l, const char *requester) MUST_CHECK;

/* Remove user and queue.  *any = there was something. */
int listener_unmake(struct listener *l, bool *any) MUST_CHECK;

#endif
