/* Directories that serve again: only what an attempt left as it was, and nothing that it said. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/temp_spool.h"

#include "common/file.h"
#include "worker/bridge/attempt_dir.h"
#include "worker/bridge/environment.h"
#include "worker/bridge/spare.h"
#include "worker/runner/journal.h"
#include "worker/runner/request.h"

#define NAME "0190b3a4-0000-7000-8000-000000000000.1.0123456789abcdef"
#define SPARE ATTEMPT_DIR_PREPARED "spare.0/"
#define MOST 512 /* spare.c */

struct fixture {
    struct temp_spool temp;
    ino_t inodes[4];
};

/* What serves again, in the order of inodes[]. */
static const char *const parts[] = {REQUEST_WORK, REQUEST_CTL, ENVIRONMENT_VARS, ATTEMPT_DIR_OFFER};

static struct stat
look(const struct fixture *f, const char *dir, const char *part)
{
    struct stat st = {0};
    char path[160];

    snprintf(path, sizeof path, "%s/%s", dir, part);
    if (fstatat(f->temp.spool.dir_fd, path, &st, AT_SYMLINK_NOFOLLOW) == -1)
        st.st_ino = 0;
    return st;
}

static void
put(const struct fixture *f, const char *path)
{
    assert_int_equal(file_create(f->temp.spool.dir_fd, path, 0600, "secret", 6), 0);
}

/* The directory of an attempt that ran. */
static int
set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    int fd;

    temp_spool_make(&f->temp);
    assert_int_equal(spare_make(&f->temp.spool), 0);
    fd = spare_take(&f->temp.spool, NAME);
    assert_true(fd != -1);
    assert_int_equal(file_fill(fd, ATTEMPT_DIR_OFFER, 0600, "secret", 6), 0);
    assert_int_equal(file_fill(fd, ENVIRONMENT_VARS, 0600, "secret", 6), 0);
    close(fd);
    put(f, NAME "/" JOURNAL_FILE);
    put(f, NAME "/" ENVIRONMENT_SPEC);
    put(f, NAME "/" REQUEST_OUTPUTS);
    put(f, NAME "/left");
    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        f->inodes[i] = look(f, NAME, parts[i]).st_ino;
    f->temp.spool.spares = 0; /* its name is the next one's */
    *state = f;
    return 0;
}

static int
tear_down(void **state)
{
    struct fixture *f = *state;

    temp_spool_remove(&f->temp);
    free(f);
    return 0;
}

static void
end_and_recycle(struct fixture *f, bool tidy)
{
    for (int i = 0; i < 4; i++) { /* the others that were made ahead */
        char name[32];

        snprintf(name, sizeof name, ATTEMPT_DIR_PREPARED "spare.%d", i);
        assert_int_equal(file_remove_tree(f->temp.spool.dir_fd, name), 0);
    }
    spare_strip(&f->temp.spool, NAME, tidy);
    assert_int_equal(look(f, NAME, ENVIRONMENT_VARS).st_size, 0);
    assert_int_equal(look(f, NAME, ENVIRONMENT_SPEC).st_ino, 0);
    assert_int_equal(look(f, NAME, REQUEST_OUTPUTS).st_ino, 0);
    assert_int_equal(look(f, NAME, JOURNAL_FILE).st_size, 6); /* may be asked for again */
    assert_int_equal(look(f, NAME, ATTEMPT_DIR_OFFER).st_size, 6);
    assert_int_equal(renameat(f->temp.spool.dir_fd, NAME, f->temp.spool.done_fd, NAME), 0);
    assert_int_equal(spare_recycle(&f->temp.spool, NAME), 0);
}

static void
expect_clean(const struct fixture *f)
{
    struct stat blank = look(f, SPARE, JOURNAL_BLANK);

    static const mode_t modes[] = {S_IFDIR | 0700, S_IFIFO | 0600, S_IFREG | 0600, S_IFREG | 0600};

    assert_int_equal(f->temp.spool.spares, 1);
    assert_int_equal(faccessat(f->temp.spool.done_fd, NAME, F_OK, 0), -1);
    assert_int_equal(look(f, SPARE, JOURNAL_FILE).st_ino, 0);
    assert_int_equal(look(f, SPARE, "left").st_ino, 0);
    assert_true(blank.st_ino == 0 || (blank.st_size == 0 && blank.st_mode == (S_IFREG | 0600)));
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        assert_int_equal(look(f, SPARE, parts[i]).st_mode, modes[i]);
        if (i > 0)
            assert_int_equal(look(f, SPARE, parts[i]).st_size, 0);
    }
    assert_int_equal(unlinkat(f->temp.spool.dir_fd, SPARE REQUEST_WORK, AT_REMOVEDIR), 0);
}

static bool
is_the_same(const struct fixture *f, size_t part)
{
    return look(f, SPARE, parts[part]).st_ino == f->inodes[part];
}

static void
test_what_was_not_touched_serves_again(void **state)
{
    struct fixture *f = *state;

    ino_t journal = look(f, NAME, JOURNAL_FILE).st_ino;

    end_and_recycle(f, true);
    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        assert_true(is_the_same(f, i));
    assert_int_equal(look(f, SPARE, JOURNAL_BLANK).st_ino, journal);
    expect_clean(f);
}

/* It would find the next attempt's records in it. */
static void
test_a_journal_that_is_read_is_no_blank_one(void **state)
{
    struct fixture *f = *state;
    char text[8] = "";
    int fd = openat(f->temp.spool.dir_fd, NAME "/" JOURNAL_FILE, O_RDONLY);

    assert_true(fd != -1);
    end_and_recycle(f, true);
    assert_int_equal(look(f, SPARE, JOURNAL_BLANK).st_ino, 0);
    assert_int_equal(read(fd, text, sizeof text), 6);
    close(fd);
    expect_clean(f);
}

static void
test_a_blank_one_is_not_a_programs(void **state)
{
    struct fixture *f = *state;
    int fd = openat(f->temp.spool.dir_fd, NAME "/" JOURNAL_FILE, O_RDONLY);

    put(f, NAME "/" JOURNAL_BLANK);
    end_and_recycle(f, true);
    assert_int_equal(look(f, SPARE, JOURNAL_BLANK).st_ino, 0);
    close(fd);
    expect_clean(f);
}

/* Somebody may still be in it.  A descriptor each keeps the inodes' numbers from being given again. */
static void
test_nothing_of_one_that_left_processes(void **state)
{
    struct fixture *f = *state;
    int fds[3];

    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        char path[160];

        snprintf(path, sizeof path, NAME "/%s", parts[i]);
        fds[i] = openat(f->temp.spool.dir_fd, path, O_RDONLY | O_NONBLOCK);
        assert_true(fds[i] != -1);
    }
    end_and_recycle(f, false);
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        assert_false(is_the_same(f, i));
        close(fds[i]);
    }
    expect_clean(f);
}

static void
test_files_in_the_working_directory_are_removed(void **state)
{
    struct fixture *f = *state;

    put(f, NAME "/" REQUEST_WORK "/large");
    end_and_recycle(f, true);
    expect_clean(f);
}

static void
test_a_text_with_a_second_name_is_not_used_again(void **state)
{
    struct fixture *f = *state;

    for (size_t i = 2; i < ARRAY_LEN(parts); i++) {
        char path[160];

        snprintf(path, sizeof path, NAME "/%s", parts[i]);
        assert_int_equal(linkat(f->temp.spool.dir_fd, path, f->temp.spool.dir_fd, parts[i], 0), 0);
    }
    end_and_recycle(f, true);
    for (size_t i = 2; i < ARRAY_LEN(parts); i++)
        assert_int_equal(look(f, ".", parts[i]).st_size, 6); /* whose ever it is */
    expect_clean(f);
}

static void
test_links_in_place_of_parts_are_not_followed(void **state)
{
    struct fixture *f = *state;

    put(f, "theirs");
    assert_int_equal(mkdirat(f->temp.spool.dir_fd, "place", 0700), 0);
    assert_int_equal(unlinkat(f->temp.spool.dir_fd, NAME "/" ENVIRONMENT_VARS, 0), 0);
    assert_int_equal(symlinkat("../theirs", f->temp.spool.dir_fd, NAME "/" ENVIRONMENT_VARS), 0);
    assert_int_equal(unlinkat(f->temp.spool.dir_fd, NAME "/" REQUEST_WORK, AT_REMOVEDIR), 0);
    assert_int_equal(symlinkat("../place", f->temp.spool.dir_fd, NAME "/" REQUEST_WORK), 0);
    assert_int_equal(unlinkat(f->temp.spool.dir_fd, NAME "/" REQUEST_CTL, 0), 0);
    put(f, NAME "/" REQUEST_CTL);
    end_and_recycle(f, true);
    assert_int_equal(look(f, ".", "theirs").st_size, 6);
    expect_clean(f);
}

static void
test_changed_modes_are_not_inherited(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(fchmodat(f->temp.spool.dir_fd, NAME "/" REQUEST_WORK, 0777, 0), 0);
    assert_int_equal(fchmodat(f->temp.spool.dir_fd, NAME "/" REQUEST_CTL, 0666, 0), 0);
    end_and_recycle(f, true);
    expect_clean(f);
}

static void
test_a_changed_directory_is_removed(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(fchmodat(f->temp.spool.dir_fd, NAME, 0755, 0), 0);
    end_and_recycle(f, true);
    assert_int_equal(f->temp.spool.spares, 0);
    assert_int_equal(look(f, ".", ATTEMPT_DIR_PREPARED "spare.0").st_ino, 0);
}

static void
test_there_are_enough(void **state)
{
    struct fixture *f = *state;

    f->temp.spool.spares = MOST;
    assert_int_equal(renameat(f->temp.spool.dir_fd, NAME, f->temp.spool.done_fd, NAME), 0);
    assert_int_equal(spare_recycle(&f->temp.spool, NAME), -1);
    assert_int_equal(errno, ENOSPC);
    assert_int_equal(faccessat(f->temp.spool.done_fd, NAME, F_OK, 0), 0);
}

/* A program without root's rights can make what the worker cannot remove. */
static void
test_what_could_not_be_removed_does_not_serve(void **state)
{
    struct fixture *f = *state;
    int fd;

    assert_int_equal(renameat(f->temp.spool.dir_fd, NAME, f->temp.spool.done_fd, NAME), 0);
    fd = openat(f->temp.spool.done_fd, NAME "/" REQUEST_WORK, O_RDONLY | O_DIRECTORY);
    assert_int_equal(file_create(fd, "left", 0600, "secret", 6), 0);
    close(fd);
    f->temp.spool.spares = 4; /* behind those that were made ahead */
    assert_int_equal(spare_recycle(&f->temp.spool, NAME), 0);
    assert_int_equal(f->temp.spool.spares, 4);
    assert_int_equal(faccessat(f->temp.spool.done_fd, NAME, F_OK, 0), -1);
    assert_int_equal(look(f, ".", ATTEMPT_DIR_PREPARED "spare.4").st_ino, 0);
}

/* What has the name of the next spare is a leftover. */
static void
test_a_leftover_is_not_in_the_way(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(renameat(f->temp.spool.dir_fd, NAME, f->temp.spool.done_fd, NAME), 0);
    assert_int_equal(mkdirat(f->temp.spool.dir_fd, ATTEMPT_DIR_PREPARED "spare.4", 0700), 0);
    put(f, ATTEMPT_DIR_PREPARED "spare.4/left");
    f->temp.spool.spares = 4;
    assert_int_equal(spare_recycle(&f->temp.spool, NAME), 0);
    assert_int_equal(f->temp.spool.spares, 5);
    assert_int_equal(look(f, ATTEMPT_DIR_PREPARED "spare.4", "left").st_ino, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_what_was_not_touched_serves_again),
        TEST(test_a_journal_that_is_read_is_no_blank_one),
        TEST(test_a_blank_one_is_not_a_programs),
        TEST(test_nothing_of_one_that_left_processes),
        TEST(test_files_in_the_working_directory_are_removed),
        TEST(test_a_text_with_a_second_name_is_not_used_again),
        TEST(test_links_in_place_of_parts_are_not_followed),
        TEST(test_changed_modes_are_not_inherited),
        TEST(test_a_changed_directory_is_removed),
        TEST(test_what_could_not_be_removed_does_not_serve),
        TEST(test_a_leftover_is_not_in_the_way),
        TEST(test_there_are_enough),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
