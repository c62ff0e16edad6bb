#ifndef BRIDGE_SPOOL_H
#define BRIDGE_SPOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/attr.h"
#include "common/uuid.h"

/* The spool directory: one live worker, one machine, one boot at a time. */

#define SPOOL_DONE "done"
#define SPOOL_IN_USE 75 /* EX_TEMPFAIL: exit code when another worker holds the lock */

struct spool {
    const char *path;
    int dir_fd, done_fd, lock_fd;
    bool moved; /* it was copied or moved here: what runs by it is not ours to adopt */
    char instance[UUID_TEXT_SIZE];
    char boot_id[UUID_TEXT_SIZE];
    size_t spares; /* attempt_dir.c: directories that are made ahead */
};

/* Make, lock and identify it.  0; SPOOL_IN_USE; or -1.  All logged. */
int spool_open(struct spool *spool, const char *path) MUST_CHECK;
void spool_close(struct spool *spool);

/* True while the file system has room for new work: at least 5 % free. */
bool spool_has_room(const struct spool *spool);

#endif
