#ifndef WORKER_CGROUP_H
#define WORKER_CGROUP_H

#include <stdbool.h>

#include "common/attr.h"

/* Control groups (cgroup v2): one for each attempt, below one of the worker's.  What a program has
 * started stays in its group whatever it does to its parents, session and environment, so the whole
 * of it can be ended at once.  The parent is a descriptor; -1 = there are none, and every function
 * below does nothing. */

/* The worker's group `name` below `path`, made if need be.  -1 with errno: ENOTSUP = not in a
 * cgroup v2 file system, or of a kernel before 5.14, which cannot kill a group. */
int cgroup_open(const char *path, const char *name) MUST_CHECK;

/* Move this process into the group, which is made if need be.  Safe after vfork().  -1 with errno. */
int cgroup_enter(int parent, const char *name) MUST_CHECK;

/* SIGKILL for all in the group.  True while one of them is still there. */
bool cgroup_kill(int parent, const char *name);

/* Remove it if nothing is in it. */
void cgroup_remove(int parent, const char *name);

/* Remove all that are empty. */
void cgroup_sweep(int parent);

#endif
