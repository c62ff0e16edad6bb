#include "worker/executors/roots.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/file.h"
#include "common/mem.h"

typedef char *find_in(const char *root, const char *relative, const void *ctx);

/* The first root that knows it decides, also when it says no. */
static char *
first_root(const char *roots, find_in *find, const char *relative, const void *ctx)
{
    CLEANUP(mem_cleanup) char *list = mem_dup(roots);
    char *save = NULL, *found = NULL;

    errno = ENOENT;
    for (char *root = strtok_r(list, ":", &save); root != NULL; root = strtok_r(NULL, ":", &save)) {
        found = find(root, relative, ctx);
        if (found != NULL || errno != ENOENT)
            break;
    }
    return found;
}

static char *
file_in(const char *root, const char *relative, const void *ctx)
{
    CLEANUP(file_cleanup_close) int fd = -1;
    char *real = NULL;

    (void)ctx;
    fd = file_open_beneath(root, relative, &real);
    return fd == -1 ? NULL : real;
}

char *
roots_file(const char *roots, const char *relative)
{
    return first_root(roots, file_in, relative, NULL);
}

static bool
has_suffix(const char *name, const char *const *suffixes)
{
    for (; *suffixes != NULL; suffixes++) {
        size_t len = strlen(name), tail = strlen(*suffixes);

        if (len > tail && strcmp(name + len - tail, *suffixes) == 0)
            return true;
    }
    return false;
}

/* The directory is what its files lie in: each is opened beneath the root, which also checks the
 * directories on the way. */
static char *
check_files(const char *root, const char *relative, DIR *dir, const char *const *suffixes)
{
    char *folder = NULL;
    struct dirent *entry;

    errno = ENOENT;
    while ((entry = readdir(dir)) != NULL) {
        CLEANUP(mem_cleanup) char *name = mem_printf("%s/%s", relative, entry->d_name);
        char *real;

        if (!has_suffix(entry->d_name, suffixes))
            continue;
        real = file_in(root, name, NULL);
        if (real == NULL) {
            mem_cleanup(&folder);
            return NULL;
        }
        if (folder == NULL) {
            *strrchr(real, '/') = '\0';
            folder = real;
        } else {
            free(real);
        }
    }
    if (folder == NULL)
        errno = ENOENT;
    return folder;
}

static char *
dir_in(const char *root, const char *relative, const void *suffixes)
{
    CLEANUP(mem_cleanup) char *path = mem_printf("%s/%s", root, relative);
    DIR *dir = opendir(path);
    char *folder;
    int err;

    if (dir == NULL)
        return NULL;
    folder = check_files(root, relative, dir, suffixes);
    err = errno;
    closedir(dir);
    errno = err;
    return folder;
}

char *
roots_dir(const char *roots, const char *relative, const char *const *suffixes)
{
    return first_root(roots, dir_in, relative, suffixes);
}

const char *
roots_why(int err)
{
    switch (err) {
    case ENOENT:
        return "not found in any of this worker's worker.roots";
    case EPERM:
        return "not a plain file, or it or a directory above it can be changed by others";
    case EXDEV:
        return "leads out of its root";
    default:
        return strerror(err);
    }
}
