/* Finished journals make room, the oldest first; marks stay until no grant can come for them. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/temp_spool.h"

#include "common/file.h"
#include "worker/bridge/done.h"
#include "worker/bridge/spare.h"
#include "worker/runner/journal.h"

#define KEEP_S 3600
#define MANY 1000
#define JOURNALS 4
#define BYTES 1000

struct fixture {
    struct temp_spool temp;
    struct done done;
};

static char *
name_of(int i, char out[80])
{
    snprintf(out, 80, "0190b3a4-0000-7000-8000-00000000000%d.1.0123456789abcdef", i);
    return out;
}

/* JOURNALS of BYTES each; the one with number 0 is the oldest. */
static int
set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    temp_spool_make(&f->temp);
    for (int i = 0; i < JOURNALS; i++) {
        char name[80], path[120];
        struct timespec when = {.tv_sec = time(NULL) - JOURNALS + i}, times[2] = {when, when};

        name_of(i, name);
        assert_int_equal(mkdirat(f->temp.spool.done_fd, name, 0700), 0);
        snprintf(path, sizeof path, "%s/" JOURNAL_FILE, name);
        int fd = openat(f->temp.spool.done_fd, path, O_WRONLY | O_CREAT, 0600);
        assert_int_equal(ftruncate(fd, BYTES), 0);
        assert_int_equal(futimens(fd, times), 0);
        close(fd);
    }
    assert_int_equal(done_scan(&f->done, &f->temp.spool), 0);
    assert_int_equal(f->done.bytes, JOURNALS * BYTES);
    *state = f;
    return 0;
}

static int
tear_down(void **state)
{
    struct fixture *f = *state;

    done_free(&f->done);
    temp_spool_remove(&f->temp);
    free(f);
    return 0;
}

static bool
done_has_journal(const struct fixture *f, int i)
{
    char name[80];

    return faccessat(f->temp.spool.done_fd, name_of(i, name), F_OK, 0) == 0;
}

static void
expire(struct fixture *f, struct done_limits limits)
{
    done_limit(&f->done, &limits);
    done_expire(&f->done, &f->temp.spool);
}

static void
expect_newest(struct fixture *f, int n)
{
    assert_int_equal(f->done.journals.count, n);
    assert_int_equal(f->done.bytes, n * BYTES);
    for (int i = 0; i < JOURNALS; i++)
        assert_int_equal(done_has_journal(f, i), i >= JOURNALS - n);
}

static void
test_within_the_limits(void **state)
{
    struct fixture *f = *state;

    expire(f, (struct done_limits){KEEP_S, MANY, MANY, JOURNALS * BYTES, 0});
    expect_newest(f, JOURNALS);
}

static void
test_by_size(void **state)
{
    struct fixture *f = *state;

    expire(f, (struct done_limits){KEEP_S, MANY, MANY, 3 * BYTES - 1, 0});
    expect_newest(f, 2);
    expire(f, (struct done_limits){KEEP_S, MANY, MANY, -1, 0});
    expect_newest(f, 0);
}

static void
test_by_number(void **state)
{
    struct fixture *f = *state;

    expire(f, (struct done_limits){KEEP_S, 3, 3, MANY * BYTES, 0});
    expect_newest(f, 3);
}

static void
test_by_age(void **state)
{
    struct fixture *f = *state;

    expire(f, (struct done_limits){0, MANY, MANY, MANY * BYTES, 0});
    expect_newest(f, 0);
}

static void
test_the_wall_clock_ends_none(void **state)
{
    struct fixture *f = *state;
    struct timespec times[2] = {{.tv_sec = 1}, {.tv_sec = 1}}; /* as after a jump by decades */
    char name[80], path[120];

    for (int i = 0; i < JOURNALS; i++) {
        name_of(i, name);
        snprintf(path, sizeof path, "%s/" JOURNAL_FILE, name);
        assert_int_equal(utimensat(f->temp.spool.done_fd, path, times, 0), 0);
    }
    done_free(&f->done);
    assert_int_equal(done_scan(&f->done, &f->temp.spool), 0);
    expire(f, (struct done_limits){KEEP_S, MANY, MANY, MANY * BYTES, 0});
    expect_newest(f, JOURNALS);
}

#define MARKS 3
static int syncs, sync_fails;

/* In place of the C library's. */
int
fsync(int fd)
{
    (void)fd;
    syncs++;
    return sync_fails > 0 ? (sync_fails--, errno = EIO, -1) : 0;
}

static void
mark_name(int i, char out[80])
{
    snprintf(out, 80, "0190b3a4-0000-7000-8000-00000000010%d.1.0123456789abcdef", i);
}

static void
expect_marks(struct fixture *f, int n)
{
    assert_int_equal(f->done.marks.count, n);
    for (int i = 0; i < MARKS; i++) {
        char name[80];

        mark_name(i, name);
        assert_int_equal(done_is_marked(&f->temp.spool, name), i >= MARKS - n);
    }
}

static void
make_marks(struct fixture *f)
{
    char name[80];

    for (int i = 0; i < MARKS; i++) {
        mark_name(i, name);
        done_mark(&f->done, &f->temp.spool, name);
    }
    done_mark(&f->done, &f->temp.spool, name); /* again */
    expect_marks(f, MARKS);
}

static void
test_young_marks_stay(void **state)
{
    struct fixture *f = *state;
    struct done_limits none = {.mark_ms = 30000, .bytes = -1};

    make_marks(f);
    expire(f, none);
    expect_newest(f, 0);
    expect_marks(f, MARKS);
    done_free(&f->done);
    /* a restart, after which old ones may look young */
    assert_int_equal(done_scan(&f->done, &f->temp.spool), 0);
    expire(f, none);
    expect_marks(f, MARKS);
}

static void
test_old_marks_go(void **state)
{
    struct fixture *f = *state;

    make_marks(f);
    expire(f, (struct done_limits){KEEP_S, MANY, MANY, -1, 0});
    expect_marks(f, MARKS); /* no bytes to gain */
    expire(f, (struct done_limits){KEEP_S, MARKS - 1, MARKS - 1, MANY * BYTES, 0});
    expect_marks(f, MARKS - 1);
    expire(f, (struct done_limits){0, MANY, MANY, MANY * BYTES, 0});
    expect_marks(f, 0);
}

static void
test_marks_are_synced_together(void **state)
{
    struct fixture *f = *state;

    syncs = 0;
    done_sync_marks(&f->done, &f->temp.spool);
    assert_int_equal(syncs, 0);
    make_marks(f);
    sync_fails = 1;
    done_sync_marks(&f->done, &f->temp.spool);
    done_sync_marks(&f->done, &f->temp.spool); /* again after a failure */
    done_sync_marks(&f->done, &f->temp.spool);
    assert_int_equal(syncs, 2);
}

static void
test_failed_move_is_tried_again(void **state)
{
    struct fixture *f = *state;
    char name[80], inside[100];

    name_of(JOURNALS, name);
    snprintf(inside, sizeof inside, "%s/x", name);
    assert_int_equal(mkdirat(f->temp.spool.dir_fd, name, 0700), 0);
    assert_int_equal(mkdirat(f->temp.spool.done_fd, name, 0700), 0);
    assert_int_equal(mkdirat(f->temp.spool.done_fd, inside, 0700), 0); /* in the way */
    done_move(&f->done, &f->temp.spool, name, true);
    done_move_late(&f->done, &f->temp.spool);
    assert_int_equal(faccessat(f->temp.spool.dir_fd, name, F_OK, 0), 0);
    assert_int_equal(unlinkat(f->temp.spool.done_fd, inside, AT_REMOVEDIR), 0);
    done_move_late(&f->done, &f->temp.spool);
    done_move(&f->done, &f->temp.spool, name, true); /* it has gone: not tried for ever */
    assert_int_equal(f->done.late.count, 0);
}

static ino_t
inode_of(int dir_fd, const char *name)
{
    struct stat st = {0};

    return fstatat(dir_fd, name, &st, 0) == 0 ? st.st_ino : 0;
}

/* One more attempt ran and is over.  Returns its directory's inode. */
static ino_t
keep(struct fixture *f, int i, bool tidy)
{
    char name[80];
    int fd = spare_new(&f->temp.spool, name_of(i, name));
    ino_t inode;

    assert_true(fd != -1);
    assert_int_equal(file_create(fd, JOURNAL_FILE, 0600, "x", 1), 0);
    close(fd);
    inode = inode_of(f->temp.spool.dir_fd, name);
    done_move(&f->done, &f->temp.spool, name, tidy);
    return inode;
}

/* Nothing is kept but that, which is more than enough. */
static ino_t
keep_one(struct fixture *f, bool tidy)
{
    expire(f, (struct done_limits){KEEP_S, 1, 0, -1, 0});
    done_limit(&f->done, &(struct done_limits){KEEP_S, 1, 0, MANY * BYTES, 0});
    return keep(f, JOURNALS, tidy);
}

/* Returns the inode of the directory that a new attempt gets. */
static ino_t
next_dir(struct fixture *f)
{
    int fd = done_dir(&f->done, &f->temp.spool, "new.next");
    ino_t inode = inode_of(f->temp.spool.dir_fd, "new.next");

    assert_true(fd != -1);
    close(fd);
    assert_int_equal(file_remove_tree(f->temp.spool.dir_fd, "new.next"), 0);
    return inode;
}

static void
test_the_oldest_serves_again_when_there_are_enough(void **state)
{
    struct fixture *f = *state;
    ino_t first = keep_one(f, true);

    done_limit(&f->done, &(struct done_limits){KEEP_S, 2, 1, MANY * BYTES, 0});
    assert_int_not_equal(next_dir(f), first);
    (void)keep(f, JOURNALS + 1, true);
    assert_int_equal(next_dir(f), first);
    assert_int_equal(f->done.journals.count, 1);
    assert_false(done_has_journal(f, JOURNALS));
}

static void
test_what_was_not_tidy_does_not_serve(void **state)
{
    struct fixture *f = *state;
    ino_t first = keep_one(f, false);

    assert_int_not_equal(next_dir(f), first);
    assert_true(done_has_journal(f, JOURNALS));
}

/* Below that number, too: what is over would be removed. */
static void
test_what_is_over_serves_again(void **state)
{
    struct fixture *f = *state;
    ino_t first = keep_one(f, true);

    done_limit(&f->done, &(struct done_limits){KEEP_S, MANY, MANY, MANY * BYTES, 0});
    assert_int_not_equal(next_dir(f), first);
    done_limit(&f->done, &(struct done_limits){0, MANY, MANY, MANY * BYTES, 0});
    assert_int_equal(next_dir(f), first);
}

/* What failed may have failed for something that goes by. */
static void
test_one_that_cannot_be_moved_stays(void **state)
{
    struct fixture *f = *state;
    struct spool elsewhere = f->temp.spool;

    (void)keep_one(f, true);
    elsewhere.dir_fd = open("/proc", O_RDONLY | O_DIRECTORY);
    assert_int_equal(done_dir(&f->done, &elsewhere, "new.next"), -1);
    close(elsewhere.dir_fd);
    assert_true(done_has_journal(f, JOURNALS));
    assert_int_equal(f->done.journals.count, 1);
}

/* Somebody has taken it away. */
static void
test_a_new_one_is_made_where_none_can_serve(void **state)
{
    struct fixture *f = *state;
    char name[80];

    (void)keep_one(f, true);
    assert_int_equal(file_remove_tree(f->temp.spool.done_fd, name_of(JOURNALS, name)), 0);
    assert_int_not_equal(next_dir(f), 0);
    assert_int_equal(f->done.journals.count, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_within_the_limits),
        TEST(test_by_size),
        TEST(test_by_number),
        TEST(test_by_age),
        TEST(test_the_wall_clock_ends_none),
        TEST(test_young_marks_stay),
        TEST(test_old_marks_go),
        TEST(test_failed_move_is_tried_again),
        TEST(test_marks_are_synced_together),
        TEST(test_the_oldest_serves_again_when_there_are_enough),
        TEST(test_what_was_not_tidy_does_not_serve),
        TEST(test_what_is_over_serves_again),
        TEST(test_one_that_cannot_be_moved_stays),
        TEST(test_a_new_one_is_made_where_none_can_serve),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
