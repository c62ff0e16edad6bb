#ifndef TESTS_TEMP_SPOOL_H
#define TESTS_TEMP_SPOOL_H

/* A spool directory for one test, as far as its files go: no lock, no identity.  After cmocka.h; statics in a header: each
 * test program is one file. */

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/file.h"
#include "worker/bridge/spool.h"

struct temp_spool {
    char path[32];
    struct spool spool;
};

static void
temp_spool_make(struct temp_spool *t)
{
    snprintf(t->path, sizeof t->path, "/tmp/hler-spool.XXXXXX");
    assert_non_null(mkdtemp(t->path));
    t->spool.dir_fd = open(t->path, O_RDONLY | O_DIRECTORY);
    assert_int_equal(mkdirat(t->spool.dir_fd, SPOOL_DONE, 0700), 0);
    t->spool.done_fd = openat(t->spool.dir_fd, SPOOL_DONE, O_RDONLY | O_DIRECTORY);
}

static void
temp_spool_remove(const struct temp_spool *t)
{
    close(t->spool.done_fd);
    close(t->spool.dir_fd);
    assert_int_equal(file_remove_tree(AT_FDCWD, t->path), 0);
}

#endif
