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
#include "worker/runner/journal.h"

#define KEEP_S 3600
#define MANY 1000
#define JOURNALS 4
#define BYTES 1000

struct fixture {
    struct temp_spool temp;
    struct done done;
};

static void
name_of(int i, char out[80])
{
    snprintf(out, 80, "0190b3a4-0000-7000-8000-00000000000%d.1.0123456789abcdef", i);
}

/* JOURNALS of BYTES each; the one with number 0 is the oldest. */
static int
set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    temp_spool_make(&f->temp);
    for (int i = 0; i < JOURNALS; i++) {
        char name[80], path[120];
        struct timespec times[2] = {{.tv_sec = time(NULL) - JOURNALS + i},
                                    {.tv_sec = time(NULL) - JOURNALS + i}};

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

static void
expect_newest(struct fixture *f, int n)
{
    assert_int_equal(f->done.journals.count, n);
    assert_int_equal(f->done.bytes, n * BYTES);
    for (int i = 0; i < JOURNALS; i++) {
        char name[80];

        name_of(i, name);
        assert_int_equal(faccessat(f->temp.spool.done_fd, name, F_OK, 0),
                         i >= JOURNALS - n ? 0 : -1);
    }
}

static void
test_within_the_limits(void **state)
{
    struct fixture *f = *state;

    done_expire(&f->done, &f->temp.spool, &(struct done_limits){KEEP_S, MANY, JOURNALS * BYTES, 0});
    expect_newest(f, JOURNALS);
}

static void
test_by_size(void **state)
{
    struct fixture *f = *state;

    done_expire(&f->done, &f->temp.spool, &(struct done_limits){KEEP_S, MANY, 3 * BYTES - 1, 0});
    expect_newest(f, 2);
    done_expire(&f->done, &f->temp.spool, &(struct done_limits){KEEP_S, MANY, -1, 0});
    expect_newest(f, 0);
}

static void
test_by_number(void **state)
{
    struct fixture *f = *state;

    done_expire(&f->done, &f->temp.spool, &(struct done_limits){KEEP_S, 3, MANY * BYTES, 0});
    expect_newest(f, 3);
}

static void
test_by_age(void **state)
{
    struct fixture *f = *state;

    done_expire(&f->done, &f->temp.spool, &(struct done_limits){0, MANY, MANY * BYTES, 0});
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
    done_expire(&f->done, &f->temp.spool, &(struct done_limits){KEEP_S, MANY, MANY * BYTES, 0});
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
    done_expire(&f->done, &f->temp.spool, &none);
    expect_newest(f, 0);
    expect_marks(f, MARKS);
    done_free(&f->done);
    assert_int_equal(done_scan(&f->done, &f->temp.spool),
                     0); /* a restart, after which old ones may look young */
    done_expire(&f->done, &f->temp.spool, &none);
    expect_marks(f, MARKS);
}

static void
test_old_marks_go(void **state)
{
    struct fixture *f = *state;

    make_marks(f);
    done_expire(&f->done, &f->temp.spool, &(struct done_limits){KEEP_S, MANY, -1, 0});
    expect_marks(f, MARKS); /* no bytes to gain */
    done_expire(&f->done, &f->temp.spool,
                &(struct done_limits){KEEP_S, MARKS - 1, MANY * BYTES, 0});
    expect_marks(f, MARKS - 1);
    done_expire(&f->done, &f->temp.spool, &(struct done_limits){0, MANY, MANY * BYTES, 0});
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
    assert_int_equal(faccessat(f->temp.spool.dir_fd, name, F_OK, 0), -1);
    assert_int_equal(f->done.late.count, 0);
}

static void
test_only_what_was_tidy_serves_again(void **state)
{
    struct fixture *f = *state;

    for (int tidy = 0; tidy < 2; tidy++) {
        char name[80], path[120];

        name_of(JOURNALS + tidy, name);
        assert_int_equal(mkdirat(f->temp.spool.dir_fd, name, 0700), 0);
        snprintf(path, sizeof path, "%s/" JOURNAL_FILE, name);
        assert_int_equal(file_create(f->temp.spool.dir_fd, path, 0600, "x", 1), 0);
        done_move(&f->done, &f->temp.spool, name, tidy == 1);
        done_expire(&f->done, &f->temp.spool, &(struct done_limits){KEEP_S, 0, MANY * BYTES, 0});
        assert_int_equal(faccessat(f->temp.spool.done_fd, name, F_OK, 0), -1);
        assert_int_equal(f->temp.spool.spares, tidy);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_within_the_limits, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_by_size, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_by_number, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_by_age, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_wall_clock_ends_none, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_young_marks_stay, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_old_marks_go, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_failed_move_is_tried_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_marks_are_synced_together, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_only_what_was_tidy_serves_again, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
