#ifndef WORKER_SPAWNER_H
#define WORKER_SPAWNER_H

#define SPAWNER_SOCKET 3 /* its SOCK_SEQPACKET connection to the worker */
#define SPAWNER_LOCK "spawner.lock"
#define SPAWNER_BUSY 75 /* exit code: another spawner keeps the spool */

/* Serve requests from SPAWNER_SOCKET until the worker closes it: a runner for each, forked or
 * free again.  groups: the worker's control group (cgroup.h), below which each attempt gets its own;
 * NULL = none.  Returns the exit code of the process; in a runner it does not return.  Logs. */
int spawner_run(const char *spool, const char *groups);

#endif
