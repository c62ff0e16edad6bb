/* Going on with what the spool holds: at the start of the worker, after a spawner's death,
 * and for a `report` about something that is done. The journal's lock and records say what became
 * of each attempt; nothing else is believed. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/file.h"
#include "common/log.h"
#include "worker/bridge/bridge.h"

#define PATH_SIZE (IDENT_NAME_SIZE + 16)
#define UNREAD_MS 10000

/* When in doubt there is one: what it may hold nobody else has. */
static bool
has_journal(const struct bridge *b, const char *text)
{
    char path[PATH_SIZE];

    snprintf(path, sizeof path, "%.*s/" JOURNAL_FILE, IDENT_NAME_SIZE, text);
    return faccessat(b->spool.dir_fd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0 ||
           (errno != ENOENT && errno != ENOTDIR);
}

/* The open journal is one that no runner has begun.  That counts within one boot: a power cut may have taken away what it
 * said. */
static bool
is_empty(const struct attempt *a)
{
    struct stat st;

    return fstat(a->journal_fd, &st) == 0 && st.st_size == 0;
}

static enum journal_read
first_record(const struct attempt *a)
{
    struct journal_reader *reader = journal_reader_new(a->journal_fd, 0);
    struct journal_record record;
    enum journal_read got = journal_next(reader, &record);

    journal_reader_free(reader);
    return got;
}

/* The machine that it ran on may have lost what was not synced. */
static bool
is_of_before(const struct bridge *b, const struct attempt *a)
{
    return b->spool.moved || attempt_dir_other_boot(&b->spool, a->text);
}

/* Why one without runner and end is lost. */
static const char *
cause_of(const struct bridge *b, const struct attempt *a)
{
    if (b->spool.moved)
        return "moved_spool";
    if (attempt_dir_other_boot(&b->spool, a->text))
        return "other_boot";
    return "runner_died";
}

/* Does a runner hold the journal?  Then it is watched, and looked at once more: it may have been let
 * go before that.  Most short jobs are over by now and need no watch. */
static bool
is_held(struct bridge *b, struct attempt *a)
{
    if (!journal_is_held(a->journal_fd))
        return false;
    watch_add(b, a);
    return journal_is_held(a->journal_fd);
}

/* No runner holds its journal, as far as that can be known. */
static bool
is_over(const struct bridge *b, const char *text)
{
    char path[PATH_SIZE];
    CLEANUP(file_cleanup_close) int fd = -1;

    snprintf(path, sizeof path, "%.*s/" JOURNAL_FILE, IDENT_NAME_SIZE, text);
    fd = openat(b->spool.dir_fd, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    return fd != -1 && !journal_is_held(fd);
}

/* Its journal is open: which state is it in? */
static void
sort_out(struct bridge *b, struct attempt *a)
{
    bool held = is_held(b, a);
    int has_end = held ? 0 : sender_has_end(a);
    enum journal_read start = held || has_end == 1 ? JOURNAL_RECORD : first_record(a);

    if (start == JOURNAL_IO_ERROR || has_end == -1) {
        /* Neither "never started" nor "lost" may come of that: as if it could not be opened. */
        log_warn("attempt=%s: its journal cannot be read, which is tried again", a->text);
        sender_close(b, a);
        return;
    }
    if (start != JOURNAL_RECORD && !is_of_before(b, a)) {
        closing_decline(b, a, "its runner ended before the program was started");
        return;
    }
    attempt_set(&b->attempts, a, AT_RUNNING);
    if (held) {
        if (a->stop_wanted)
            orders_stop_runner(b, a);
        sender_wake(b, a);
    } else if (lost_recall(b, a)) {
        attempt_set(&b->attempts, a, AT_LOST);
        sender_wake(b, a);
    } else if (has_end) {
        sender_ended(b, a);
    } else {
        lost_found(b, a, cause_of(b, a));
    }
}

void
adopt_started(struct bridge *b, struct attempt *a)
{
    if (sender_open(b, a) == -1 && errno != ENOENT) {
        attempt_drop_offer(a); /* the runner goes on; the next sweep tries again */
        return;
    }
    if (a->journal_fd == -1 || (is_empty(a) && !is_of_before(b, a))) {
        sender_close(b, a);
        if (a->body == NULL)
            closing_decline(b, a, "its journal has gone");
        a->asked = false; /* the spawner never came to it */
        return;
    }
    attempt_drop_offer(a);
    log_debug("attempt=%s started", a->text);
    sort_out(b, a);
}

/* Its offer cannot be read: cut off while it was made; but with a journal it may run.  What a power cut has taken does not come
 * back: where no runner is, it is lost. */
static void
adopt_without_offer(struct bridge *b, const char *text, bool is_cut)
{
    struct attempt_name name;

    if (!has_journal(b, text)) {
        if (file_remove_tree(b->spool.dir_fd, text) == -1)
            log_warn("attempt=%s: its directory cannot be removed: %m", text);
    } else if (is_cut && is_over(b, text) && ident_name_parse(text, &name) == 0) {
        lost_tell_stranger(b, &name);
        done_move(&b->done, &b->spool, text, false);
    } else {
        b->unread_until_ns = clock_mono_ns() + UNREAD_MS * CLOCK_MS_NS;
    }
}

/* It has an offer and no journal. */
static void
without_journal(struct bridge *b, struct attempt *a)
{
    if (!is_of_before(b, a)) {
        closing_decline(b, a, "the worker was stopped before it was started");
        return;
    }
    lost_tell_stranger(b, &a->name); /* a power cut may have taken it */
    done_move(&b->done, &b->spool, a->text, false);
    attempt_free(&b->attempts, a);
}

static void
adopt_one(struct bridge *b, const char *text)
{
    struct attempt *a;
    struct offer offer;

    if (attempt_dir_offer(b->spool.dir_fd, text, &offer) == -1) {
        adopt_without_offer(b, text, errno == EBADMSG);
        return;
    }
    a = attempt_new(&b->attempts, &offer, AT_STARTING);
    attempt_drop_offer(a);
    if (!has_journal(b, text)) {
        without_journal(b, a);
        return;
    }
    log_info("attempt=%s found in the spool", text);
    /* Never declined where there is a journal: it may run, or hold what nobody else has. */
    if (sender_open(b, a) == 0)
        sort_out(b, a);
}

/* Nobody knows its attempt, and nothing ran in it. */
static bool
is_leftover(const struct bridge *b, const char *entry)
{
    const char *text = attempt_dir_text(entry);
    struct attempt_name name;

    return ident_name_parse(text, &name) == 0 && attempt_find(&b->attempts, &name) == NULL &&
           (attempt_dir_is_prepared(entry) || !has_journal(b, entry));
}

bool
adopt_is_unread(const struct bridge *b, const struct attempt_name *name)
{
    char text[IDENT_NAME_SIZE];

    ident_name_text(name, text);
    return attempt_find(&b->attempts, name) == NULL &&
           (has_journal(b, text) || done_has(&b->spool, text));
}

/* One entry of the spool, again. */
static void
look_again(struct bridge *b, const char *entry, bool unread_too)
{
    struct attempt_name name;
    char text[IDENT_NAME_SIZE];

    if (is_leftover(b, entry)) {
        if (file_remove_tree(b->spool.dir_fd, entry) == -1)
            b->leftover = true;
    } else if (unread_too && ident_name_parse(entry, &name) == 0 && adopt_is_unread(b, &name)) {
        adopt_one(b, ident_name_text(&name, text));
    }
}

void
adopt_sweep(struct bridge *b)
{
    bool unread_too = b->unread_until_ns != 0 && clock_mono_ns() >= b->unread_until_ns;
    int fd = b->leftover || unread_too
                 ? openat(b->spool.dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
                 : -1;
    DIR *dir = fd != -1 ? fdopendir(fd) : NULL;
    struct dirent *d;

    if (dir == NULL) {
        file_cleanup_close(&fd);
        return;
    }
    b->leftover = false;
    if (unread_too)
        b->unread_until_ns = 0;
    while ((d = readdir(dir)) != NULL)
        look_again(b, d->d_name, unread_too);
    (void)closedir(dir);
}

int
adopt_all(struct bridge *b)
{
    int fd = openat(b->spool.dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd != -1 ? fdopendir(fd) : NULL;
    struct attempt_name name;
    char text[IDENT_NAME_SIZE];
    struct dirent *d;

    if (dir == NULL) {
        file_cleanup_close(&fd);
        return log_errno(errno, "spool=%s: %m", b->spool.path);
    }
    while ((d = readdir(dir)) != NULL) {
        if (ident_name_parse(d->d_name, &name) == 0)
            adopt_one(b, ident_name_text(&name, text));
        else if (attempt_dir_is_prepared(d->d_name) &&
                 file_remove_tree(b->spool.dir_fd, d->d_name) == -1)
            log_warn("spool=%s dir=%s: cannot be removed: %m", b->spool.path, d->d_name);
    }
    (void)closedir(dir);
    return 0;
}

struct attempt *
adopt_done(struct bridge *b, const struct attempt_name *name)
{
    char text[IDENT_NAME_SIZE];
    struct attempt *a;
    struct offer offer;

    ident_name_text(name, text);
    if (!done_has(&b->spool, text))
        return NULL;
    if (attempt_dir_offer(b->spool.done_fd, text, &offer) == -1) {
        if (errno == EBADMSG)
            lost_tell_stranger(b, name);
        return NULL;
    }
    a = attempt_new(&b->attempts, &offer, AT_STARTING);
    attempt_drop_offer(a);
    a->in_done = true;
    if (sender_open(b, a) == -1) {
        if (errno == ENOENT)
            lost_tell_stranger(b, name);
        attempt_free(&b->attempts, a);
        return NULL;
    }
    attempt_set(&b->attempts, a, AT_RUNNING);
    attempt_set(&b->attempts, a, lost_recall(b, a) ? AT_LOST : AT_SENDING);
    return a;
}
