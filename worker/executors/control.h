#ifndef WORKER_EXECUTORS_CONTROL_H
#define WORKER_EXECUTORS_CONTROL_H

#include "common/attr.h"

/* The directory of ssh's control sockets.  It is not below the attempt's: with the longest name
 * that ssh makes, the path must fit into the 108 bytes of sun_path. */
struct control {
    char *dir; /* NULL: none was made */
    int lock_fd;
};

/* Make one, 0700, locked for as long as this process lives, and take away those of this user that
 * no process has locked: what an executor that was killed left.  0, or -1 with errno. */
int control_make(struct control *c) MUST_CHECK;

/* End the ssh masters that still wait there, remove it. */
void control_free(struct control *c);

#endif
