/* Directories of attempts before and after their attempt. */
#include "worker/bridge/spare.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/file.h"
#include "common/log.h"
#include "worker/bridge/attempt_dir.h"
#include "worker/bridge/environment.h"
#include "worker/runner/journal.h"
#include "worker/runner/request.h"

#define DIR_MODE 0700
#define FILE_MODE 0600
#define BLANK_BYTES 8192 /* few texts are longer */

/* What a program may change, and a spare has as it was made. */
enum { HAS_WORK = 1, HAS_CTL = 2, HAS_ALL = HAS_WORK | HAS_CTL };

static int
open_dir(int dir_fd, const char *name)
{
    return openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* What only a program needs.  The FIFO is the runner's: made here, it is there before the grant. */
static int
complete(int fd, unsigned has)
{
    if ((has & HAS_CTL) == 0 && mkfifoat(fd, REQUEST_CTL, FILE_MODE) == -1)
        return -1;
    return (has & HAS_WORK) == 0 ? mkdirat(fd, REQUEST_WORK, DIR_MODE) : 0;
}

int
spare_new(const struct spool *spool, const char *name)
{
    CLEANUP(file_cleanup_close) int fd = -1;

    /* EEXIST: an earlier try failed half way; its name is as good as none. */
    if (mkdirat(spool->dir_fd, name, DIR_MODE) == -1 &&
        (errno != EEXIST || file_remove_tree(spool->dir_fd, name) == -1 ||
         mkdirat(spool->dir_fd, name, DIR_MODE) == -1))
        return -1;
    fd = open_dir(spool->dir_fd, name);
    return fd != -1 && complete(fd, 0) == 0 ? file_take(&fd) : -1;
}

/* Is it what was made here, under no other name besides?  (A program may do with its directory what it likes.) */
static bool
is_ours(const struct stat *st, mode_t mode)
{
    return st->st_mode == mode && st->st_uid == geteuid() && (S_ISDIR(mode) || st->st_nlink == 1);
}

/* Is it a directory as it was made, with nothing in it? */
static bool
is_untouched_dir(int dir_fd, const char *name)
{
    int fd = open_dir(dir_fd, name);
    DIR *dir = fd != -1 ? fdopendir(fd) : NULL;
    struct stat st;
    int entries = 0;
    bool ours;

    if (dir == NULL) {
        file_cleanup_close(&fd);
        return false;
    }
    ours = fstat(fd, &st) == 0 && is_ours(&st, S_IFDIR | DIR_MODE);
    errno = 0;
    while (entries <= 2 && readdir(dir) != NULL) /* "." and ".." */
        entries++;
    ours = ours && errno == 0;
    (void)closedir(dir);
    return ours && entries == 2;
}

static bool
is_untouched_fifo(int dir_fd, const char *name)
{
    struct stat st;

    return fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
           is_ours(&st, S_IFIFO | FILE_MODE);
}

/* Take away what an open file says; false when that is not only ours.  What is to be written there next is about as long, so it
 * keeps its length: to give up a block of the disk and get another costs four times as much as to write over it. */
static bool
blank_text(int fd)
{
    static const char nothing[BLANK_BYTES];
    struct stat st;

    if (fd == -1 || fstat(fd, &st) == -1 || !is_ours(&st, S_IFREG | FILE_MODE))
        return false;
    if (st.st_size > BLANK_BYTES)
        return ftruncate(fd, 0) == 0;
    return pwrite(fd, nothing, (size_t)st.st_size, 0) == (ssize_t)st.st_size;
}

static bool
blank_file(int dir_fd, const char *name)
{
    CLEANUP(file_cleanup_close)
    int fd = openat(dir_fd, name, O_WRONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);

    return blank_text(fd);
}

static int
remove_entry(const char *attempt, int dir_fd, const char *name)
{
    if (file_remove_tree(dir_fd, name) == 0)
        return 0;
    log_warn("attempt=%s file=%s: cannot be removed: %m", attempt, name);
    return -1;
}

/* Is this entry one that serves again as the program has left it?  Notes which. */
static bool
serves_again(int dir_fd, const char *entry, unsigned *has)
{
    if (strcmp(entry, REQUEST_WORK) == 0 && is_untouched_dir(dir_fd, entry)) {
        *has |= HAS_WORK;
        return true;
    }
    if (strcmp(entry, REQUEST_CTL) == 0 && is_untouched_fifo(dir_fd, entry)) {
        *has |= HAS_CTL;
        return true;
    }
    return strcmp(entry, ENVIRONMENT_VARS) == 0 && blank_file(dir_fd, entry);
}

/* What may be asked for as long as the attempt is kept. */
static bool
is_kept(const char *entry)
{
    return strcmp(entry, ATTEMPT_DIR_OFFER) == 0 || strcmp(entry, JOURNAL_FILE) == 0 ||
           strcmp(entry, ATTEMPT_DIR_LOST) == 0 || strcmp(entry, ".") == 0 ||
           strcmp(entry, "..") == 0;
}

static bool
strip(DIR *dir, const char *name, bool tidy)
{
    const struct dirent *d;
    unsigned has = 0;
    struct stat st;

    errno = 0;
    while ((d = readdir(dir)) != NULL) {
        if (strcmp(d->d_name, ATTEMPT_DIR_LOST) == 0)
            tidy = false; /* the next attempt would take it for its own */
        if (!is_kept(d->d_name) && !(tidy && serves_again(dirfd(dir), d->d_name, &has)) &&
            remove_entry(name, dirfd(dir), d->d_name) == -1)
            tidy = false;
        errno = 0;
    }
    return tidy && errno == 0 && fstat(dirfd(dir), &st) == 0 && is_ours(&st, S_IFDIR | DIR_MODE) &&
           (has == HAS_ALL || complete(dirfd(dir), has) == 0);
}

int
spare_strip(const struct spool *spool, const char *name, bool tidy)
{
    int fd = open_dir(spool->dir_fd, name);
    DIR *dir = fd != -1 ? fdopendir(fd) : NULL;
    bool whole;

    if (dir == NULL) {
        file_cleanup_close(&fd);
        return -1;
    }
    whole = strip(dir, name, tidy);
    (void)closedir(dir);
    return whole;
}

/* No reader may ever find another attempt's records in a journal that it has open (a `report` for something that is
 * done): only one that nobody has may serve again.  That is what a lease for writing asks of the kernel (fcntl(2)). */
static bool
is_read(int fd)
{
    return fcntl(fd, F_SETLEASE, F_WRLCK) == -1 || fcntl(fd, F_SETLEASE, F_UNLCK) == -1;
}

/* Truncated, not written over: that comes before the directory's next name on the disk, too, and file systems keep that order
 * through a power cut, after which nobody takes one attempt's words for another's. */
static int
empty_file(int dir_fd, const char *name)
{
    CLEANUP(file_cleanup_close)
    int fd = openat(dir_fd, name, O_WRONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
    struct stat st;

    if (fd != -1 && fstat(fd, &st) == 0 && is_ours(&st, S_IFREG | FILE_MODE) && !is_read(fd) &&
        ftruncate(fd, 0) == 0)
        return 0;
    return file_remove_tree(dir_fd, name);
}

/* The name of one that is made, for what lies below done/.  What has it already is the rest of an earlier try. */
static int
move_to(const struct spool *spool, const char *old, const char *name)
{
    if (renameat(spool->done_fd, old, spool->dir_fd, name) == 0)
        return 0;
    if ((errno != ENOTEMPTY && errno != EEXIST) || file_remove_tree(spool->dir_fd, name) == -1)
        return -1;
    return renameat(spool->done_fd, old, spool->dir_fd, name);
}

int
spare_reuse(const struct spool *spool, const char *old, const char *name)
{
    CLEANUP(file_cleanup_close) int fd = open_dir(spool->done_fd, old);

    /* The name first: nobody takes what is cut off in the middle for an attempt, or for the mark of one (done.h). */
    if (fd == -1 || move_to(spool, old, name) == -1)
        return -1;
    if (empty_file(fd, JOURNAL_FILE) == 0 && empty_file(fd, ATTEMPT_DIR_OFFER) == 0)
        return file_take(&fd);
    (void)remove_entry(old, spool->dir_fd, name);
    return -1;
}
