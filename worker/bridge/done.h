#ifndef BRIDGE_DONE_H
#define BRIDGE_DONE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "worker/bridge/spool.h"

/* What is confirmed is kept for a while below done/, to be sent again on request. */

struct done_entry;

struct done_list {
    struct done_entry *first, *last; /* oldest first */
    size_t count;
};

/* What may lie there. */
struct done_limits {
    int64_t keep_s; /* age */
    int64_t count;
    int64_t enough; /* journals: of more the oldest's directory serves again */
    int64_t bytes;  /* below 0 = nothing */
    int64_t
        mark_ms; /* marks stay for so long whatever the others say: grants may be on their way */
};

struct done {
    struct done_limits limits;
    struct done_list journals, marks;
    struct done_list late; /* what could not be moved yet; no bytes */
    int64_t bytes;
    bool unsynced; /* a power cut may take marks away */
};

/* Take in what lies there. -1 after logging. */
int done_scan(struct done *done, const struct spool *spool) MUST_CHECK;

/* Move the attempt's directory there, without what only its run needed (spare_strip(); tidy: see there).  Where that
 * fails, which is logged, the directory stays as it is until done_move_late(), or a restart, which finds it. */
void done_move(struct done *done, const struct spool *spool, const char *name, bool tidy);

/* Try again what could not be moved.  Logs what it moved. */
void done_move_late(struct done *done, const struct spool *spool);

/* An empty directory there says that the attempt was declined or refused and never runs here: it
 * must outlive this process, since the tables may hear of it only after a copy of its offer has come. */
void done_mark(struct done *done, const struct spool *spool, const char *name);
/* Before that is said: all marks are on disk, by one sync for as many as there are.  A failure is
 * logged, and the next call tries again: a word that is never said would hold up its task. */
void done_sync_marks(struct done *done, const struct spool *spool);
bool done_is_marked(const struct spool *spool, const char *name);

/* Is the journal of the attempt there?  True when that cannot be known: what was not done would run again. */
bool done_has(const struct spool *spool, const char *name);

/* From now on no more than that may lie there.  Before the first call nothing may. */
void done_limit(struct done *done, const struct done_limits *limits);

/* Remove the oldest until the rest is within the limits.  Marks have no bytes.  Ages count by CLOCK_BOOTTIME, from the
 * start of the program for what was there before: a clock that is set ends none. */
void done_expire(struct done *done, const struct spool *spool);

/* A directory of that name below the spool for a new attempt: the oldest's (spare_reuse()) where more than enough are kept, or a new
 * one.  Returns its descriptor, or -1 with errno: what is left then is removed by the next one of that name. */
int done_dir(struct done *done, const struct spool *spool, const char *name) MUST_CHECK;

void done_free(struct done *done);

#endif
