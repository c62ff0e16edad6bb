/* Finished journals, kept for a while, without what only the run needed. */
#include "worker/bridge/done.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/file.h"
#include "common/log.h"
#include "common/mem.h"
#include "proto/ident.h"
#include "worker/bridge/attempt_dir.h"
#include "worker/bridge/spare.h"
#include "worker/runner/journal.h"

#define NS_PER_S INT64_C(1000000000)

struct done_entry {
    struct done_entry *next;
    char name[IDENT_NAME_SIZE];
    int64_t written_s; /* wall clock: only for the order of those that were there before */
    int64_t since_ns;  /* CLOCK_BOOTTIME, at the earliest the start of the program */
    bool is_mark;
    bool whole; /* may serve again */
    int64_t bytes;
};

static struct done_entry *
describe(const struct spool *spool, const char *name, bool whole)
{
    struct done_entry *e = mem_alloc(sizeof *e);
    char path[IDENT_NAME_SIZE + sizeof JOURNAL_FILE + 1];
    struct stat st;

    snprintf(e->name, sizeof e->name, "%s", name);
    snprintf(path, sizeof path, "%s/" JOURNAL_FILE, e->name);
    if (fstatat(spool->done_fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0) {
        e->bytes = st.st_size;
        e->written_s = st.st_mtim.tv_sec;
    } else {
        e->is_mark = true;
    }
    e->since_ns = clock_boot_ns();
    e->whole = whole;
    return e;
}

static void
add(struct done_list *list, struct done_entry *e)
{
    e->next = NULL;
    if (list->last != NULL)
        list->last->next = e;
    else
        list->first = e;
    list->last = e;
    list->count++;
}

static void
append(struct done *done, struct done_entry *e)
{
    add(e->is_mark ? &done->marks : &done->journals, e);
    done->bytes += e->bytes;
}

static struct done_entry *
take_first(struct done *done, struct done_list *list)
{
    struct done_entry *e = list->first;

    list->first = e->next;
    if (list->first == NULL)
        list->last = NULL;
    list->count--;
    done->bytes -= e->bytes;
    return e;
}

static int
by_age(const void *a, const void *b)
{
    const struct done_entry *x = *(struct done_entry *const *)a;
    const struct done_entry *y = *(struct done_entry *const *)b;

    return (x->written_s > y->written_s) - (x->written_s < y->written_s);
}

int
done_scan(struct done *done, const struct spool *spool)
{
    int fd = openat(spool->done_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd != -1 ? fdopendir(fd) : NULL;
    struct done_entry **all = NULL;
    struct attempt_name name;
    struct dirent *d;
    size_t n = 0;

    memset(done, 0, sizeof *done);
    if (dir == NULL) {
        file_cleanup_close(&fd);
        return log_errno(errno, "spool=%s dir=" SPOOL_DONE ": %m", spool->path);
    }
    while ((d = readdir(dir)) != NULL) {
        if (ident_name_parse(d->d_name, &name) == -1)
            continue;
        all = mem_resize(all, (n + 1) * sizeof *all);
        all[n++] = describe(spool, d->d_name, false);
    }
    (void)closedir(dir);
    if (n > 0)
        qsort(all, n, sizeof *all, by_age);
    for (size_t i = 0; i < n; i++)
        append(done, all[i]);
    free(all);
    return 0;
}

/* By a clock that nobody sets: what is kept here is the only copy of what the broker may have lost. */
static int64_t
age_ns(const struct done_list *list)
{
    return clock_boot_ns() - list->first->since_ns;
}

static bool
journal_is_over(const struct done *done)
{
    const struct done_limits *limits = &done->limits;

    return done->journals.first != NULL &&
           (age_ns(&done->journals) >= limits->keep_s * NS_PER_S ||
            (int64_t)done->journals.count > limits->count || done->bytes > limits->bytes);
}

static bool
mark_is_over(const struct done *done)
{
    const struct done_limits *limits = &done->limits;
    int64_t age = done->marks.first != NULL ? age_ns(&done->marks) : 0;

    return done->marks.first != NULL && age >= limits->mark_ms * CLOCK_MS_NS &&
           (age >= limits->keep_s * NS_PER_S || (int64_t)done->marks.count > limits->count);
}

static void
remove_first(struct done *done, const struct spool *spool, struct done_list *list)
{
    struct done_entry *e = take_first(done, list);

    if (file_remove_tree(spool->done_fd, e->name) == -1)
        log_warn("attempt=%s: cannot be removed from " SPOOL_DONE ": %m", e->name);
    free(e);
}

/* 0: it is there, or has gone altogether.  -1: it is to be tried again. */
static int
move_now(struct done *done, const struct spool *spool, const char *name, bool tidy)
{
    int whole = spare_strip(spool, name, tidy);

    if (whole != -1 && renameat(spool->dir_fd, name, spool->done_fd, name) == 0) {
        append(done, describe(spool, name, whole == 1));
        return 0;
    }
    if (errno != ENOENT)
        return -1;
    log_warn("attempt=%s: its directory has gone", name);
    return 0;
}

void
done_move(struct done *done, const struct spool *spool, const char *name, bool tidy)
{
    struct done_entry *e;

    if (move_now(done, spool, name, tidy) == 0)
        return;
    log_warn("attempt=%s: cannot be moved to " SPOOL_DONE ", which is tried again: %m", name);
    e = mem_alloc(sizeof *e);
    snprintf(e->name, sizeof e->name, "%s", name);
    add(&done->late, e);
}

void
done_move_late(struct done *done, const struct spool *spool)
{
    struct done_entry *e = done->late.first, *next;

    done->late = (struct done_list){0};
    for (; e != NULL; e = next) {
        next = e->next;
        if (move_now(done, spool, e->name, false) == -1) {
            add(&done->late, e);
            continue;
        }
        free(e);
    }
}

bool
done_has(const struct spool *spool, const char *name)
{
    char path[IDENT_NAME_SIZE + sizeof ATTEMPT_DIR_OFFER + 1];

    snprintf(path, sizeof path, "%s/" ATTEMPT_DIR_OFFER, name);
    return faccessat(spool->done_fd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0 ||
           (errno != ENOENT && errno != ENOTDIR);
}

bool
done_is_marked(const struct spool *spool, const char *name)
{
    return faccessat(spool->done_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0 &&
           !done_has(spool, name);
}

void
done_mark(struct done *done, const struct spool *spool, const char *name)
{
    if (mkdirat(spool->done_fd, name, 0700) == -1) {
        if (errno != EEXIST)
            log_warn("attempt=%s: cannot be marked in " SPOOL_DONE ": %m", name);
        return;
    }
    append(done, describe(spool, name, false));
    done->unsynced = true;
}

void
done_sync_marks(struct done *done, const struct spool *spool)
{
    if (!done->unsynced)
        return;
    if (fsync(spool->done_fd) == 0)
        done->unsynced = false;
    else
        log_warn("spool=%s dir=" SPOOL_DONE ": cannot be synced: %m", spool->path);
}

void
done_limit(struct done *done, const struct done_limits *limits)
{
    done->limits = *limits;
}

void
done_expire(struct done *done, const struct spool *spool)
{
    while (journal_is_over(done))
        remove_first(done, spool, &done->journals);
    while (mark_is_over(done))
        remove_first(done, spool, &done->marks);
}

/* May the oldest's directory serve again? */
static bool
has_spare(const struct done *done)
{
    const struct done_entry *e = done->journals.first;

    return e != NULL && e->whole &&
           ((int64_t)done->journals.count > done->limits.enough || journal_is_over(done));
}

int
done_dir(struct done *done, const struct spool *spool, const char *name)
{
    const char *old;
    int fd;

    if (!has_spare(done))
        return spare_new(spool, name);
    old = done->journals.first->name;
    fd = spare_reuse(spool, old, name);
    if (fd == -1)
        log_warn("attempt=%s: its directory cannot serve again: %m", old);
    /* It may have failed for something that goes by: what is kept here is not given up for that. */
    if (fd != -1 || faccessat(spool->done_fd, old, F_OK, AT_SYMLINK_NOFOLLOW) == -1)
        free(take_first(done, &done->journals));
    return fd != -1 ? fd : spare_new(spool, name);
}

void
done_free(struct done *done)
{
    while (done->journals.first != NULL)
        free(take_first(done, &done->journals));
    while (done->marks.first != NULL)
        free(take_first(done, &done->marks));
    while (done->late.first != NULL)
        free(take_first(done, &done->late));
}
