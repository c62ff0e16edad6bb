#ifndef WORKER_RUN_LISTENER_H
#define WORKER_RUN_LISTENER_H

#include "common/attr.h"

/* The listening socket of a runner, and its name: REQUEST_SOCKET in the attempt's directory.  Between two attempts
 * it lies in another directory: to move it takes less than to make and to remove one (on ext4 a fifth, where
 * much was removed of late a tenth).  One for a process.  idle_dir: that directory, or -1 = none. */

/* Have it in the current directory, which has none.  Returns its descriptor, which stays this file's, or -1 with errno. */
int run_listener_open(int idle_dir) MUST_CHECK;

/* The attempt is over: its name is gone from the current directory, and so is whoever has not been accepted.  May be called
 * again.  Logs. */
void run_listener_close(int idle_dir);

/* The process is over.  Logs. */
void run_listener_leave(int idle_dir);

#endif
