#ifndef BRIDGE_ATTEMPT_DIR_H
#define BRIDGE_ATTEMPT_DIR_H

#include <stdbool.h>

#include "worker/bridge/attempt.h"
#include "worker/bridge/done.h"
#include "worker/bridge/spool.h"

/* The directory of an attempt in the spool: everything that is needed to go on with it
 * after a restart.  It is made while the claim is on its way, under another name, and gets
 * its own with the grant: what bears an attempt's name was granted. */

#define ATTEMPT_DIR_OFFER                                                                          \
    "offer" /* in it: the boot's id and a newline, then the offer as it came */

#define ATTEMPT_DIR_LOST "lost" /* why it is (lost.c) */

/* No attempt's name begins so: a task's id is a UUID. */
#define ATTEMPT_DIR_PREPARED "new."

/* Make a few ahead, without a name of their own, where time matters less.  0, or -1 with errno: then the next attempt tells. */
int attempt_dir_make_ahead(struct spool *spool, struct done *done) MUST_CHECK;

/* Make it under the other name, unless that was done.  0, or -1 with errno; what is left then is
 * removed by attempt_dir_remove(). */
int attempt_dir_prepare(struct spool *spool, struct done *done, struct attempt *attempt) MUST_CHECK;

/* Granted: give it its name; prepares it if need be.  0, or -1 with errno. */
int attempt_dir_take(struct spool *spool, struct done *done, struct attempt *attempt) MUST_CHECK;

/* Remove it under whichever name it has.  -1 after logging: something is left. */
int attempt_dir_remove(const struct spool *spool, struct attempt *attempt) MUST_CHECK;

/* Is this entry of the spool one that was prepared and never granted? */
bool attempt_dir_is_prepared(const char *entry);

/* The name of the attempt that an entry of the spool is of, under whichever name; part of the entry. */
const char *attempt_dir_text(const char *entry);

/* Its offer, from below dir_fd.  0, or -1 after logging. */
int attempt_dir_offer(int dir_fd, const char *text, struct offer *out) MUST_CHECK;

/* Was it made before the machine was started last?  false also when that cannot be read. */
bool attempt_dir_other_boot(const struct spool *spool, const char *text);

#endif
