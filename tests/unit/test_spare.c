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
#define SPARE ATTEMPT_DIR_PREPARED "spare"
#define DEEP 300 /* what file_remove_tree() refuses */
#define TEN_DOWN "d/d/d/d/d/d/d/d/d/d/"
#define HALF_WAY TEN_DOWN TEN_DOWN TEN_DOWN TEN_DOWN TEN_DOWN "d"

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
    fd = spare_new(&f->temp.spool, NAME);
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

static int
truncate_at(const struct fixture *f, const char *path, off_t length)
{
    CLEANUP(file_cleanup_close) int fd = openat(f->temp.spool.dir_fd, path, O_WRONLY);

    return ftruncate(fd, length);
}

/* Neither file nor its content: at most its length. */
static void
expect_no_secret(const struct fixture *f, const char *dir, const char *part)
{
    CLEANUP(buf_free) struct buf text = {0};
    char path[160];

    snprintf(path, sizeof path, "%s/%s", dir, part);
    if (file_read(f->temp.spool.dir_fd, path, 8192, &text) == 0)
        for (size_t i = 0; i < text.len; i++)
            assert_int_equal(text.data[i], '\0');
}

/* Returns whether it may serve again. */
static bool
end(struct fixture *f, bool tidy)
{
    bool whole;

    whole = spare_strip(&f->temp.spool, NAME, tidy) == 1;
    expect_no_secret(f, NAME, ENVIRONMENT_VARS);
    assert_int_equal(look(f, NAME, ENVIRONMENT_SPEC).st_ino, 0);
    assert_int_equal(look(f, NAME, REQUEST_OUTPUTS).st_ino, 0);
    assert_int_equal(look(f, NAME, JOURNAL_FILE).st_size, 6); /* may be asked for again */
    assert_int_equal(look(f, NAME, ATTEMPT_DIR_OFFER).st_size, 6);
    assert_int_equal(look(f, NAME, "left").st_ino, 0);
    assert_int_equal(renameat(f->temp.spool.dir_fd, NAME, f->temp.spool.done_fd, NAME), 0);
    return whole;
}

static void
end_and_reuse(struct fixture *f)
{
    int fd;

    assert_true(end(f, true));
    fd = spare_reuse(&f->temp.spool, NAME, SPARE);
    assert_true(fd != -1);
    close(fd);
}

static void
expect_clean(const struct fixture *f)
{
    static const mode_t modes[] = {S_IFDIR | 0700, S_IFIFO | 0600, S_IFREG | 0600, S_IFREG | 0600};
    struct stat journal = look(f, SPARE, JOURNAL_FILE);

    assert_int_equal(faccessat(f->temp.spool.done_fd, NAME, F_OK, 0), -1);
    assert_true(journal.st_ino == 0 ||
                (journal.st_size == 0 && journal.st_mode == (S_IFREG | 0600)));
    assert_int_equal(look(f, SPARE, ATTEMPT_DIR_OFFER).st_size, 0);
    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        if (i < 2 || look(f, SPARE, parts[i]).st_ino != 0)
            assert_int_equal(look(f, SPARE, parts[i]).st_mode, modes[i]);
    expect_no_secret(f, SPARE, ENVIRONMENT_VARS);
    assert_int_equal(unlinkat(f->temp.spool.dir_fd, SPARE "/" REQUEST_WORK, AT_REMOVEDIR), 0);
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

    end_and_reuse(f);
    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        assert_true(is_the_same(f, i));
    assert_int_equal(look(f, SPARE, JOURNAL_FILE).st_ino, journal);
    expect_clean(f);
}

/* It would find the next attempt's records in it. */
static void
test_a_journal_that_is_read_does_not_serve(void **state)
{
    struct fixture *f = *state;
    char text[8] = "";
    int fd = openat(f->temp.spool.dir_fd, NAME "/" JOURNAL_FILE, O_RDONLY);

    assert_true(fd != -1);
    end_and_reuse(f);
    assert_int_equal(look(f, SPARE, JOURNAL_FILE).st_ino, 0);
    assert_int_equal(read(fd, text, sizeof text), 6);
    close(fd);
    expect_clean(f);
}

/* Somebody may still be in it. */
static void
test_one_that_left_processes_does_not_serve(void **state)
{
    struct fixture *f = *state;

    assert_false(end(f, false));
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(look(f, SPOOL_DONE "/" NAME, parts[i]).st_ino, 0);
}

/* The next attempt would take the reason for its own. */
static void
test_one_that_is_lost_does_not_serve(void **state)
{
    struct fixture *f = *state;

    put(f, NAME "/" ATTEMPT_DIR_LOST);
    assert_false(end(f, true));
    assert_int_equal(look(f, SPOOL_DONE "/" NAME, ATTEMPT_DIR_LOST).st_size, 6);
}

static void
test_files_in_the_working_directory_are_removed(void **state)
{
    struct fixture *f = *state;

    put(f, NAME "/" REQUEST_WORK "/large");
    end_and_reuse(f);
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
    end_and_reuse(f);
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
    end_and_reuse(f);
    assert_int_equal(look(f, ".", "theirs").st_size, 6);
    expect_clean(f);
}

static void
test_changed_modes_are_not_inherited(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(fchmodat(f->temp.spool.dir_fd, NAME "/" REQUEST_WORK, 0777, 0), 0);
    assert_int_equal(fchmodat(f->temp.spool.dir_fd, NAME "/" REQUEST_CTL, 0666, 0), 0);
    end_and_reuse(f);
    expect_clean(f);
}

static void
test_a_changed_directory_does_not_serve(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(fchmodat(f->temp.spool.dir_fd, NAME, 0755, 0), 0);
    assert_false(end(f, true));
}

/* What is written over it is about as long, and no block of the disk is given up. */
static void
test_a_text_keeps_its_length(void **state)
{
    struct fixture *f = *state;
    CLEANUP(buf_free) struct buf text = {0};

    end_and_reuse(f);
    assert_int_equal(look(f, SPARE, ENVIRONMENT_VARS).st_size, 6);
    assert_int_equal(file_fill(f->temp.spool.dir_fd, SPARE "/" ENVIRONMENT_VARS, 0600, "short", 5),
                     0);
    assert_int_equal(file_read(f->temp.spool.dir_fd, SPARE "/" ENVIRONMENT_VARS, 100, &text), 0);
    assert_int_equal(text.len, 5);
    assert_memory_equal(text.data, "short", 5);
}

static void
test_a_long_text_is_given_up(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(truncate_at(f, NAME "/" ENVIRONMENT_VARS, 1 << 20), 0);
    end_and_reuse(f);
    assert_int_equal(look(f, SPARE, ENVIRONMENT_VARS).st_size, 0);
}

/* A program without root's rights can make what the worker cannot remove. */
static void
test_what_could_not_be_removed_does_not_serve(void **state)
{
    struct fixture *f = *state;
    int top, fd;

    assert_int_equal(mkdirat(f->temp.spool.dir_fd, NAME "/deep", 0700), 0);
    top = fd = openat(f->temp.spool.dir_fd, NAME "/deep", O_RDONLY | O_DIRECTORY);
    for (int i = 0; i < DEEP; i++) {
        int below;

        assert_int_equal(mkdirat(fd, "d", 0700), 0);
        below = openat(fd, "d", O_RDONLY | O_DIRECTORY);
        if (fd != top)
            close(fd);
        fd = below;
    }
    assert_false(end(f, true));
    assert_int_equal(renameat(top, HALF_WAY, top, "half"), 0); /* for tear_down() */
    close(fd);
    close(top);
}

/* Of a try that was cut off. */
static void
test_a_leftover_is_not_in_the_way(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(mkdirat(f->temp.spool.dir_fd, SPARE, 0700), 0);
    put(f, SPARE "/left");
    end_and_reuse(f);
    assert_int_equal(look(f, SPARE, "left").st_ino, 0);
    expect_clean(f);
}

static void
test_what_is_not_there_cannot_serve(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(spare_reuse(&f->temp.spool, NAME, SPARE), -1);
    assert_int_equal(faccessat(f->temp.spool.dir_fd, SPARE, F_OK, 0), -1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_what_was_not_touched_serves_again),
        TEST(test_a_journal_that_is_read_does_not_serve),
        TEST(test_one_that_left_processes_does_not_serve),
        TEST(test_one_that_is_lost_does_not_serve),
        TEST(test_files_in_the_working_directory_are_removed),
        TEST(test_a_text_with_a_second_name_is_not_used_again),
        TEST(test_links_in_place_of_parts_are_not_followed),
        TEST(test_changed_modes_are_not_inherited),
        TEST(test_a_changed_directory_does_not_serve),
        TEST(test_a_text_keeps_its_length),
        TEST(test_a_long_text_is_given_up),
        TEST(test_what_could_not_be_removed_does_not_serve),
        TEST(test_a_leftover_is_not_in_the_way),
        TEST(test_what_is_not_there_cannot_serve),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
