#ifndef BRIDGE_SPARE_H
#define BRIDGE_SPARE_H

#include <stdbool.h>

#include "worker/bridge/spool.h"

/* Empty directories for attempts: made anew, made ahead, or used again after an attempt that has been kept for long enough.
 *
 * Making a file costs much more than writing to one, and most of all where many were removed: ext4 looks at each
 * inode that was freed within the last minute or five (recently_deleted() in its ialloc.c) before it gives a new one,
 * so a worker that removed what each of its attempts had got five times as slow in a quarter of an hour. */

/* A directory below the spool with all that an attempt's program is given, or with nothing.  Returns its descriptor, or
 * -1 with errno: what is left then is removed by the next one of that name. */
int spare_new(const struct spool *spool, const char *name, bool for_program) MUST_CHECK;

/* Make a few ahead, where time matters less.  0, or -1 with errno: then the next attempt tells. */
int spare_make(struct spool *spool) MUST_CHECK;

/* Give one that is there its name.  Returns its descriptor, or -1: there is none. */
int spare_take(struct spool *spool, const char *name) MUST_CHECK;

/* The attempt in this directory of the spool is over: take away what it leaves and nobody needs any more, which may be
 * large or secret.  tidy: its runner left no process behind, so what it did not touch may serve again. */
void spare_strip(const struct spool *spool, const char *name, bool tidy);

/* Make a spare of the directory below done/ of a tidy attempt that nobody needs any more, or remove it where that cannot be
 * (a failure of that is logged).  0; or -1 with errno, ENOSPC when there are enough of them: then it is still there. */
int spare_recycle(struct spool *spool, const char *name) MUST_CHECK;

#endif
