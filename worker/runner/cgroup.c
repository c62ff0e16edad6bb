#include "worker/runner/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "common/file.h"
#include "common/log.h"

#define KILL_FILE "cgroup.kill" /* since Linux 5.14 */
#define PROCS_FILE "cgroup.procs"
#define EVENTS_FILE "cgroup.events"
#define GROUP_MODE 0755
#define EVENTS_BYTES 256
#define TRIES 3 /* a group may be swept between its making and the move */

/* Open a file of a group.  -1 with errno. */
static int
open_file(int parent, const char *name, const char *file, int flags)
{
    char path[PATH_MAX];

    if ((size_t)snprintf(path, sizeof path, "%s/%s", name, file) >= sizeof path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    return openat(parent, path, flags | O_CLOEXEC | O_NOFOLLOW);
}

static int
write_file(int parent, const char *name, const char *file, const char *text)
{
    CLEANUP(file_cleanup_close) int fd = open_file(parent, name, file, O_WRONLY);

    if (fd == -1)
        return -1;
    return write(fd, text, strlen(text)) == -1 ? -1 : 0;
}

static int
make(int parent, const char *name)
{
    return mkdirat(parent, name, GROUP_MODE) == -1 && errno != EEXIST ? -1 : 0;
}

int
cgroup_open(const char *path, const char *name)
{
    CLEANUP(file_cleanup_close) int above = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CLEANUP(file_cleanup_close) int fd = -1;
    struct statfs fs;

    if (above == -1 || fstatfs(above, &fs) == -1)
        return -1;
    if (fs.f_type != CGROUP2_SUPER_MAGIC) {
        errno = ENOTSUP;
        return -1;
    }
    if (make(above, name) == -1)
        return -1;
    fd = openat(above, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd == -1)
        return -1;
    if (faccessat(fd, KILL_FILE, W_OK, AT_EACCESS) == -1) {
        errno = errno == ENOENT ? ENOTSUP : errno;
        return -1;
    }
    return file_take(&fd);
}

int
cgroup_enter(int parent, const char *name)
{
    if (parent == -1)
        return 0;
    for (int i = 0; i < TRIES; i++) {
        if (make(parent, name) == -1)
            return -1;
        if (write_file(parent, name, PROCS_FILE, "0") == 0)
            return 0;
        if (errno != ENOENT && errno != ENODEV) /* it went before, or after, it was opened */
            return -1;
    }
    return -1;
}

static bool
is_populated(int parent, const char *name)
{
    CLEANUP(file_cleanup_close) int fd = open_file(parent, name, EVENTS_FILE, O_RDONLY);
    char text[EVENTS_BYTES];
    ssize_t n = fd == -1 ? -1 : read(fd, text, sizeof text - 1);

    if (n <= 0)
        return false;
    text[n] = '\0';
    return strstr(text, "populated 1") != NULL;
}

bool
cgroup_kill(int parent, const char *name)
{
    if (parent == -1 || !is_populated(parent, name))
        return false;
    if (write_file(parent, name, KILL_FILE, "1") == -1)
        log_warn("group=%s: cannot be ended: %m", name);
    return true;
}

void
cgroup_remove(int parent, const char *name)
{
    /* Busy: a daemon that outlives its job, which is its right. */
    if (parent != -1 && unlinkat(parent, name, AT_REMOVEDIR) == -1 && errno != ENOENT &&
        errno != EBUSY)
        log_warn("group=%s: cannot be removed: %m", name);
}

void
cgroup_sweep(int parent)
{
    DIR *groups =
        parent == -1 ? NULL : fdopendir(openat(parent, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    const struct dirent *d;

    if (groups == NULL)
        return;
    while ((d = readdir(groups)) != NULL)
        if (d->d_type == DT_DIR && d->d_name[0] != '.')
            cgroup_remove(parent, d->d_name);
    (void)closedir(groups);
}
