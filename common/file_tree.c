#include "common/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/mem.h"

/* Making and removing directories. */

#define TREE_DEPTH 256 /* deeper trees are refused: each level holds two descriptors */

/* mkdir path; an existing directory is right too. */
static int
make_one(const char *path)
{
    struct stat st;

    if (mkdir(path, 0700) == 0)
        return 0;
    if (errno != EEXIST)
        return -1;
    if (stat(path, &st) == -1)
        return -1;
    if (!S_ISDIR(st.st_mode)) {
        errno = ENOTDIR;
        return -1;
    }
    return 0;
}

int
file_mkdirs(const char *path)
{
    CLEANUP(mem_cleanup) char *copy = mem_dup(path);

    if (*path == '\0') {
        errno = ENOENT;
        return -1;
    }
    for (char *p = copy + 1; *p != '\0'; p++) {
        if (*p != '/')
            continue;
        *p = '\0';
        if (make_one(copy) == -1)
            return -1;
        *p = '/';
    }
    return make_one(copy);
}

static int remove_below(int dirfd, const char *name, int depth);

static void
cleanup_dir(DIR **dir)
{
    int saved = errno;

    if (*dir != NULL)
        closedir(*dir);
    errno = saved;
}

/* Remove all entries of the open directory fd, which is used up. */
static int
remove_entries(int fd, int depth)
{
    CLEANUP(cleanup_dir) DIR *dir = fdopendir(fd);

    if (dir == NULL) {
        file_cleanup_close(&fd);
        return -1;
    }
    for (;;) {
        const struct dirent *entry;

        errno = 0;
        entry = readdir(dir);
        if (entry == NULL)
            return errno == 0 ? 0 : -1;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (remove_below(dirfd(dir), entry->d_name, depth + 1) == -1)
            return -1;
    }
}

static int
remove_below(int dirfd, const char *name, int depth)
{
    int fd;

    if (unlinkat(dirfd, name, 0) == 0 || errno == ENOENT)
        return 0;
    if (errno != EISDIR && errno != EPERM)
        return -1;
    if (unlinkat(dirfd, name, AT_REMOVEDIR) == 0) /* most are empty */
        return 0;
    if (depth > TREE_DEPTH) {
        errno = ELOOP;
        return -1;
    }
    /* O_NOFOLLOW: what became a link since then is not entered */
    fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd == -1)
        return errno == ENOENT ? 0 : -1;
    if (remove_entries(fd, depth) == -1)
        return -1;
    return unlinkat(dirfd, name, AT_REMOVEDIR) == 0 || errno == ENOENT ? 0 : -1;
}

int
file_remove_tree(int dirfd, const char *name)
{
    return remove_below(dirfd, name, 0);
}
