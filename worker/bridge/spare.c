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
#include "proto/ident.h"
#include "worker/bridge/attempt_dir.h"
#include "worker/bridge/environment.h"
#include "worker/runner/journal.h"
#include "worker/runner/request.h"

#define AHEAD 4
#define MOST 512 /* what a busy worker starts until the next look at what is kept for too long */
#define PATH_SIZE (IDENT_NAME_SIZE + 16)
#define DIR_MODE 0700
#define FILE_MODE 0600

/* What a spare has beside its FIFO and its directory: written by attempt_dir.c without being made. */
static const char *const texts[] = {ATTEMPT_DIR_OFFER, ENVIRONMENT_VARS};

static char *
spare_name(size_t number, char out[static PATH_SIZE])
{
    snprintf(out, PATH_SIZE, ATTEMPT_DIR_PREPARED "spare.%zu", number);
    return out;
}

static int
open_dir(int dir_fd, const char *name)
{
    return openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* What only a program needs; what is there already is as it should be.  The FIFO is the runner's: made here, it is
 * there before the grant. */
static int
complete(int fd)
{
    if ((mkfifoat(fd, REQUEST_CTL, FILE_MODE) == -1 && errno != EEXIST) ||
        (mkdirat(fd, REQUEST_WORK, DIR_MODE) == -1 && errno != EEXIST))
        return -1;
    return 0;
}

int
spare_new(const struct spool *spool, const char *name, bool for_program)
{
    CLEANUP(file_cleanup_close) int fd = -1;

    /* EEXIST: an earlier try failed half way; its name is as good as none. */
    if (mkdirat(spool->dir_fd, name, DIR_MODE) == -1 &&
        (errno != EEXIST || file_remove_tree(spool->dir_fd, name) == -1 ||
         mkdirat(spool->dir_fd, name, DIR_MODE) == -1))
        return -1;
    fd = open_dir(spool->dir_fd, name);
    if (fd == -1 || (for_program && complete(fd) == -1))
        return -1;
    return file_take(&fd);
}

static int
add_texts(int fd)
{
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        if (file_fill(fd, texts[i], FILE_MODE, "", 0) == -1)
            return -1;
    return 0;
}

int
spare_make(struct spool *spool)
{
    char name[PATH_SIZE];

    while (spool->spares < AHEAD) {
        CLEANUP(file_cleanup_close)
        int fd = spare_new(spool, spare_name(spool->spares, name), true);

        if (fd == -1 || add_texts(fd) == -1)
            return -1;
        spool->spares++;
    }
    return 0;
}

int
spare_take(struct spool *spool, const char *name)
{
    char spare[PATH_SIZE];

    if (spool->spares == 0)
        return -1;
    if (renameat(spool->dir_fd, spare_name(spool->spares - 1, spare), spool->dir_fd, name) == -1) {
        if (errno == ENOENT) /* somebody has removed it */
            spool->spares--;
        return -1;
    }
    spool->spares--;
    return open_dir(spool->dir_fd, name);
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

/* Empty a file that is as it was made but for its content; false when it is not. */
static bool
empty_text(int dir_fd, const char *name)
{
    CLEANUP(file_cleanup_close) int fd = -1;
    struct stat st;

    if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == -1 || !is_ours(&st, S_IFREG | FILE_MODE))
        return false;
    if (st.st_size == 0)
        return true;
    fd = openat(dir_fd, name, O_WRONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
    return fd != -1 && ftruncate(fd, 0) == 0;
}

static void
remove_entry(const char *attempt, int dir_fd, const char *name)
{
    if (file_remove_tree(dir_fd, name) == -1)
        log_warn("attempt=%s file=%s: cannot be removed: %m", attempt, name);
}

void
spare_strip(const struct spool *spool, const char *name, bool tidy)
{
    static const char *const needless[] = {REQUEST_SOCKET, REQUEST_OUTPUTS, ENVIRONMENT_SPEC};
    CLEANUP(file_cleanup_close) int fd = open_dir(spool->dir_fd, name);

    if (fd == -1) {
        log_warn("attempt=%s: cannot be opened: %m", name);
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(needless); i++)
        remove_entry(name, fd, needless[i]);
    if (!tidy || !is_untouched_dir(fd, REQUEST_WORK))
        remove_entry(name, fd, REQUEST_WORK);
    if (!tidy || !is_untouched_fifo(fd, REQUEST_CTL))
        remove_entry(name, fd, REQUEST_CTL);
    if (!tidy || !empty_text(fd, ENVIRONMENT_VARS))
        remove_entry(name, fd, ENVIRONMENT_VARS);
}

static bool
is_of_spares(const char *entry)
{
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        if (strcmp(entry, texts[i]) == 0)
            return true;
    return strcmp(entry, JOURNAL_BLANK) == 0 || strcmp(entry, REQUEST_WORK) == 0 ||
           strcmp(entry, REQUEST_CTL) == 0 || strcmp(entry, ".") == 0 || strcmp(entry, "..") == 0;
}

/* No reader may ever find another attempt's records in a journal that it has open (a `report` for something that is
 * done): only one that nobody has may serve again.  That is what a lease for writing asks of the kernel (fcntl(2)).
 * Emptied before it is renamed: file systems keep that order through a power cut. */
static void
blank_journal(int dir_fd)
{
    CLEANUP(file_cleanup_close)
    int fd = openat(dir_fd, JOURNAL_FILE, O_RDWR | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
    struct stat st;

    if (fd == -1 || fstat(fd, &st) == -1 || !is_ours(&st, S_IFREG | FILE_MODE) ||
        fcntl(fd, F_SETLEASE, F_WRLCK) == -1)
        return;
    if (fcntl(fd, F_SETLEASE, F_UNLCK) == 0 && ftruncate(fd, 0) == 0)
        (void)renameat(dir_fd, JOURNAL_FILE, dir_fd, JOURNAL_BLANK);
}

/* Whatever else lies there. */
static int
remove_others(int dir_fd)
{
    int fd = open_dir(dir_fd, ".");
    DIR *dir = fd != -1 ? fdopendir(fd) : NULL;
    const struct dirent *d;
    int rc = 0;

    if (dir == NULL) {
        file_cleanup_close(&fd);
        return -1;
    }
    errno = 0;
    while (rc == 0 && (d = readdir(dir)) != NULL) {
        if (!is_of_spares(d->d_name))
            rc = file_remove_tree(dir_fd, d->d_name);
        errno = rc == 0 ? 0 : errno;
    }
    if (errno != 0) /* readdir()'s, too: what it did not show would stay */
        rc = -1;
    (void)closedir(dir);
    return rc;
}

/* What strip could not remove must not serve again; what is missing can be made. */
static bool
has_only_untouched(int fd)
{
    return (is_untouched_dir(fd, REQUEST_WORK) ||
            faccessat(fd, REQUEST_WORK, F_OK, AT_SYMLINK_NOFOLLOW) == -1) &&
           (is_untouched_fifo(fd, REQUEST_CTL) ||
            faccessat(fd, REQUEST_CTL, F_OK, AT_SYMLINK_NOFOLLOW) == -1);
}

static int
make_empty(int fd)
{
    struct stat st;

    /* A blank that is there already is a program's, who knows of what. */
    if (fstat(fd, &st) == -1 || !is_ours(&st, S_IFDIR | DIR_MODE) || !has_only_untouched(fd) ||
        file_remove_tree(fd, JOURNAL_BLANK) == -1)
        return -1;
    blank_journal(fd);
    if (remove_others(fd) == -1)
        return -1;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        if (!empty_text(fd, texts[i]) && (file_remove_tree(fd, texts[i]) == -1 ||
                                          file_fill(fd, texts[i], FILE_MODE, "", 0) == -1))
            return -1;
    return complete(fd);
}

/* A name of spares, for what lies below done/.  What has it already could not be made whole, or not removed, earlier. */
static int
move_to(const struct spool *spool, const char *name, const char *spare)
{
    if (renameat(spool->done_fd, name, spool->dir_fd, spare) == 0)
        return 0;
    if ((errno != ENOTEMPTY && errno != EEXIST) || file_remove_tree(spool->dir_fd, spare) == -1)
        return -1;
    return renameat(spool->done_fd, name, spool->dir_fd, spare);
}

int
spare_recycle(struct spool *spool, const char *name)
{
    CLEANUP(file_cleanup_close) int fd = -1;
    char spare[PATH_SIZE];

    if (spool->spares >= MOST) {
        errno = ENOSPC;
        return -1;
    }
    /* The name first: nobody takes what is cut off in the middle for an attempt, or for the mark of one (done.h). */
    if (move_to(spool, name, spare_name(spool->spares, spare)) == -1)
        return -1;
    fd = open_dir(spool->dir_fd, spare);
    if (fd != -1 && make_empty(fd) == 0) {
        spool->spares++;
        return 0;
    }
    remove_entry(name, spool->dir_fd, spare);
    return 0;
}
