#include "common/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/mem.h"

/* Opening what a message names, below a directory that the operator allows.  The
 * kernel keeps the path inside (openat2); then each directory on the *resolved* path
 * is looked at, so that nobody else can put another file in this place. */

static int
open_beneath(int dirfd, const char *path, int flags)
{
    struct open_how how = {.flags = (unsigned)(flags | O_CLOEXEC),
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};

    return (int)syscall(SYS_openat2, dirfd, path, &how, sizeof how);
}

/* Only root and we ourselves can change what fd is. */
static int
check_trusted(int fd, struct stat *st)
{
    if (fstat(fd, st) == -1)
        return -1;
    if ((st->st_uid != 0 && st->st_uid != geteuid()) || (st->st_mode & (S_IWGRP | S_IWOTH)) != 0) {
        errno = EPERM;
        return -1;
    }
    return 0;
}

/* The path under which the kernel knows fd; the caller frees it. */
static char *
path_of(int fd)
{
    char link[64], path[PATH_MAX];
    ssize_t n;

    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    n = readlink(link, path, sizeof path);
    if (n == -1)
        return NULL;
    if ((size_t)n == sizeof path) {
        errno = ENAMETOOLONG;
        return NULL;
    }
    return mem_dupn(path, (size_t)n);
}

/* Walk the directories of relative (which has no links any more) and check each one. */
static int
check_directories(int rootfd, const char *relative)
{
    CLEANUP(mem_cleanup) char *path = mem_dup(relative);
    struct stat st;

    for (char *slash = path; (slash = strchr(slash, '/')) != NULL; *slash++ = '/') {
        CLEANUP(file_cleanup_close) int fd = -1;

        *slash = '\0';
        fd = open_beneath(rootfd, path, O_PATH | O_DIRECTORY | O_NOFOLLOW);
        if (fd == -1 || check_trusted(fd, &st) == -1)
            return -1;
    }
    return 0;
}

/* The part of path behind root and its slash, or NULL with EXDEV. */
static const char *
strip_root(const char *path, const char *root)
{
    size_t len = strcmp(root, "/") == 0 ? 0 : strlen(root);

    if (strncmp(path, root, len) == 0 && path[len] == '/')
        return path + len + 1;
    errno = EXDEV;
    return NULL;
}

int
file_open_beneath(const char *root, const char *relative, char **real)
{
    CLEANUP(file_cleanup_close) int rootfd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    CLEANUP(file_cleanup_close) int fd = -1;
    CLEANUP(mem_cleanup) char *root_path = NULL;
    CLEANUP(mem_cleanup) char *path = NULL;
    const char *below;
    struct stat st;

    if (rootfd == -1 || check_trusted(rootfd, &st) == -1)
        return -1;
    /* O_NONBLOCK: opening a FIFO must not wait for its writer */
    fd = open_beneath(rootfd, relative, O_RDONLY | O_NONBLOCK | O_NOCTTY);
    if (fd == -1 || check_trusted(fd, &st) == -1)
        return -1;
    if (!S_ISREG(st.st_mode)) {
        errno = EPERM;
        return -1;
    }
    root_path = path_of(rootfd);
    path = path_of(fd);
    if (root_path == NULL || path == NULL)
        return -1;
    below = strip_root(path, root_path);
    if (below == NULL || check_directories(rootfd, below) == -1)
        return -1;
    *real = path;
    path = NULL;
    return file_take(&fd);
}
