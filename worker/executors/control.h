#ifndef WORKER_EXECUTORS_CONTROL_H
#define WORKER_EXECUTORS_CONTROL_H

#include "common/attr.h"

/* The directory of ssh's control sockets.  It is not below the attempt's: with the longest name that
 * ssh makes, the path must fit into the 108 bytes of sun_path. */

/* Make one, 0700.  Its path, or NULL with errno. */
char *control_new(void) MUST_CHECK;

/* End the ssh masters that still wait there, remove and free it.  NULL is legal. */
void control_free(char *dir);

#endif
