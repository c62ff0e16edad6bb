#ifndef WORKER_RUN_LISTENER_H
#define WORKER_RUN_LISTENER_H

#include <sys/types.h>

#include "common/attr.h"

/* The listening socket of a runner, and its name: REQUEST_SOCKET in the attempt's directory.  Between two attempts
 * it lies in another directory: to move it takes less than to make and to remove one (on ext4 half as long, where
 * much was removed of late a sixth).  One for a process.  idle_dir: that directory, or -1 = none. */

/* Have it in the current directory, which has none.  Who was not accepted earlier is not accepted now.  Returns its descriptor, which stays this
 * file's, or -1 with errno. */
int run_listener_open(int idle_dir) MUST_CHECK;

/* The attempt of that name is over: its socket is gone from the current directory, and who was not accepted is sent away.  May be called again.  Logs. */
void run_listener_close(int idle_dir, const char *attempt);

/* The process is over.  Logs. */
void run_listener_leave(int idle_dir);

/* Another process is over that may have left one.  Logs. */
void run_listener_forget(int idle_dir, pid_t pid);

#endif
