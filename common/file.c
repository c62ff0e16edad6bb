#include "common/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/uuid.h"

/* Reading, creating and replacing whole files. */

#define READ_BYTES 16384
#define LOCK_POLL_MS 20

void
file_cleanup_close(int *fd)
{
    int saved = errno;

    if (*fd >= 0)
        close(*fd);
    errno = saved;
}

int
file_take(int *fd)
{
    int taken = *fd;

    *fd = -1;
    return taken;
}

int
file_write_all(int fd, const void *data, size_t len)
{
    const char *p = data;

    while (len > 0) {
        ssize_t n = write(fd, p, len);

        if (n == -1 && errno == EINTR)
            continue;
        if (n == -1)
            return -1;
        p += n;
        len -= (size_t)n;
    }
    return 0;
}

int
file_read(int dirfd, const char *name, size_t max, struct buf *out)
{
    CLEANUP(file_cleanup_close) int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    char chunk[READ_BYTES];
    size_t total = 0;

    if (fd == -1)
        return -1;
    for (;;) {
        ssize_t n = read(fd, chunk, sizeof chunk);

        if (n == -1 && errno == EINTR)
            continue;
        if (n == -1)
            return -1;
        if (n == 0)
            break;
        total += (size_t)n;
        if (total > max) {
            errno = EFBIG;
            return -1;
        }
        buf_add(out, chunk, (size_t)n);
    }
    buf_add(out, "", 0); /* an empty file too is a NUL-terminated text */
    return 0;
}

int
file_create(int dirfd, const char *name, mode_t mode, const void *data, size_t len)
{
    const int flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW;
    CLEANUP(file_cleanup_close) int fd = openat(dirfd, name, flags, mode);

    if (fd == -1)
        return -1;
    return file_write_all(fd, data, len);
}

int
file_fill(int dirfd, const char *name, mode_t mode, const void *data, size_t len)
{
    const int flags = O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW;
    CLEANUP(file_cleanup_close) int fd = openat(dirfd, name, flags, mode);
    struct stat st;

    if (fd == -1 || fstat(fd, &st) == -1 || file_write_all(fd, data, len) == -1)
        return -1;
    return st.st_size > (off_t)len ? ftruncate(fd, (off_t)len) : 0;
}

static int
sync_parent(int dirfd, const char *name)
{
    const char *slash = strrchr(name, '/');
    CLEANUP(file_cleanup_close) int fd = -1;
    char dir[PATH_MAX];
    int n;

    if (slash == NULL) {
        n = snprintf(dir, sizeof dir, ".");
    } else {
        int len = slash == name ? 1 : (int)(slash - name);

        n = snprintf(dir, sizeof dir, "%.*s", len, name);
    }
    if (n < 0 || (size_t)n >= sizeof dir) {
        errno = ENAMETOOLONG;
        return -1;
    }
    fd = openat(dirfd, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd == -1 ? -1 : fsync(fd);
}

/* Write the new content beside the old, under its own name. */
static int
write_synced(int dirfd, const char *name, mode_t mode, const void *data, size_t len)
{
    const int flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW;
    CLEANUP(file_cleanup_close) int fd = openat(dirfd, name, flags, mode);

    if (fd == -1 || file_write_all(fd, data, len) == -1)
        return -1;
    return fsync(fd);
}

int
file_replace(int dirfd, const char *name, mode_t mode, const void *data, size_t len)
{
    char token[TOKEN_TEXT_SIZE];
    char temporary[PATH_MAX];
    int n = snprintf(temporary, sizeof temporary, "%s.%s.tmp", name, uuid_token(token));

    if (n < 0 || (size_t)n >= sizeof temporary) {
        errno = ENAMETOOLONG;
        return -1;
    }
    if (write_synced(dirfd, temporary, mode, data, len) == -1 ||
        renameat(dirfd, temporary, dirfd, name) == -1) {
        int saved = errno;

        unlinkat(dirfd, temporary, 0); /* best effort; the name is never used again */
        errno = saved;
        return -1;
    }
    return sync_parent(dirfd, name);
}

int
file_lock(int fd, int64_t wait_ms)
{
    static const struct timespec pause = {.tv_nsec = LOCK_POLL_MS * CLOCK_MS_NS};
    int64_t give_up = clock_mono_ns() + wait_ms * CLOCK_MS_NS;

    while (flock(fd, LOCK_EX | LOCK_NB) == -1) {
        if (errno != EWOULDBLOCK || clock_mono_ns() > give_up)
            return -1;
        (void)nanosleep(&pause, NULL);
    }
    return 0;
}
