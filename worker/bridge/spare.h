#ifndef BRIDGE_SPARE_H
#define BRIDGE_SPARE_H

#include <stdbool.h>

#include "worker/bridge/spool.h"

/* Directories for attempts: made anew, or used again after an attempt that has been kept for long enough.
 *
 * Making a file costs much more than writing to one, and most of all where many were removed: ext4 looks at each
 * inode that was freed within the last minute or five (recently_deleted() in its ialloc.c) before it gives a new one,
 * so a worker that removed what each of its attempts had got five times as slow in a quarter of an hour. */

/* A directory below the spool with all that an attempt's program is given.  Returns its descriptor, or -1 with errno: what is
 * left then is removed by the next one of that name. */
int spare_new(const struct spool *spool, const char *name) MUST_CHECK;

/* The attempt in this directory of the spool is over: take away all but what may be asked for (offer, journal, why it is
 * lost), since the rest may be large or secret.  tidy: no process of it is left, so what it did not touch may serve
 * again.  Returns 1 if the directory may (then it has all that a program is given), else 0, having logged what cannot
 * be removed; -1 with errno: it cannot be opened, and all is left as it was. */
int spare_strip(const struct spool *spool, const char *name, bool tidy) MUST_CHECK;

/* Make what spare_strip() said may serve again, and lies below done/ by its old name, one like a new one.  Nothing was written to it since.  Returns its descriptor; or -1 with errno: it
 * lies where it was, or is removed. */
int spare_reuse(const struct spool *spool, const char *old, const char *name) MUST_CHECK;

#endif
