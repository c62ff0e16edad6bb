#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/file.h"
#include "common/mem.h"

static char dir[] = "/tmp/test_file.XXXXXX";
static int dir_fd = -1;

static void
assert_content(const char *name, const char *content)
{
    CLEANUP(buf_free) struct buf b = {0};

    assert_int_equal(file_read(dir_fd, name, 1000, &b), 0);
    assert_string_equal(b.data, content);
}

static void
test_create_and_read(void **state)
{
    CLEANUP(buf_free) struct buf b = {0};
    struct stat st;

    (void)state;
    assert_int_equal(file_create(dir_fd, "new", 0600, "12345", 5), 0);
    assert_int_equal(fstatat(dir_fd, "new", &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(file_create(dir_fd, "new", 0600, "x", 1), -1);
    assert_int_equal(errno, EEXIST);
    assert_int_equal(file_read(dir_fd, "new", 4, &b), -1);
    assert_int_equal(errno, EFBIG);
    buf_clear(&b);
    assert_int_equal(file_read(dir_fd, "new", 5, &b), 0);
    assert_string_equal(b.data, "12345");
    assert_int_equal(file_read(dir_fd, "none", 5, &b), -1);
    assert_int_equal(errno, ENOENT);
    buf_free(&b);
    assert_int_equal(file_create(dir_fd, "empty", 0600, "", 0), 0);
    assert_int_equal(file_read(dir_fd, "empty", 0, &b), 0);
    assert_string_equal(b.data, "");
}

static void
test_replace(void **state)
{
    struct stat st;

    (void)state;
    assert_int_equal(file_replace(dir_fd, "state", 0640, "old", 3), 0);
    assert_content("state", "old");
    assert_int_equal(file_replace(dir_fd, "state", 0600, "new", 3), 0);
    assert_content("state", "new");
    assert_int_equal(fstatat(dir_fd, "state", &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(mkdirat(dir_fd, "isdir", 0700), 0);
    assert_int_equal(file_replace(dir_fd, "isdir", 0600, "x", 1), -1); /* fails at the rename */
    assert_int_equal(file_replace(dir_fd, "no/such", 0600, "x", 1), -1);
    assert_int_equal(file_replace(dir_fd, "isdir/f", 0600, "y", 1), 0);
    assert_content("isdir/f", "y");
}

/* No temporary file stays behind, whatever happened: all names are those above. */
static void
test_nothing_left(void **state)
{
    DIR *open_dir = opendir(dir);
    const struct dirent *entry;

    (void)state;
    assert_non_null(open_dir);
    while ((entry = readdir(open_dir)) != NULL)
        assert_null(strstr(entry->d_name, ".tmp"));
    closedir(open_dir);
}

static void
test_trees(void **state)
{
    CLEANUP(mem_cleanup) char *deep = mem_printf("%s/tree/a/b/c", dir);
    CLEANUP(mem_cleanup) char *below = mem_printf("%s/new/x", dir);
    struct stat st;

    (void)state;
    assert_int_equal(file_mkdirs(deep), 0);
    assert_int_equal(file_mkdirs(deep), 0);
    assert_int_equal(stat(deep, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    assert_int_equal(file_mkdirs(below), -1); /* "new" is a file */
    assert_int_equal(errno, ENOTDIR);

    assert_int_equal(file_create(dir_fd, "tree/a/f", 0600, "x", 1), 0);
    assert_int_equal(symlinkat("../../isdir", dir_fd, "tree/a/link"), 0);
    assert_int_equal(file_remove_tree(dir_fd, "tree"), 0);
    assert_int_equal(fstatat(dir_fd, "tree", &st, 0), -1);
    assert_content("isdir/f", "y"); /* behind the link */
    assert_int_equal(file_remove_tree(dir_fd, "tree"), 0);
    assert_int_equal(file_remove_tree(dir_fd, "empty"), 0);
}

static int
open_beneath(const char *relative)
{
    CLEANUP(mem_cleanup) char *root = mem_printf("%s/root", dir);
    CLEANUP(mem_cleanup) char *real = NULL;
    int fd = file_open_beneath(root, relative, &real);

    if (fd != -1)
        assert_non_null(real);
    return fd;
}

static void
assert_opens(const char *relative)
{
    int fd = open_beneath(relative);

    if (fd == -1)
        fail_msg("%s: %s", relative, strerror(errno));
    close(fd);
}

static void
assert_refuses(const char *relative, int err)
{
    errno = 0;
    assert_int_equal(open_beneath(relative), -1);
    assert_int_equal(errno, err);
}

static void
test_beneath(void **state)
{
    CLEANUP(mem_cleanup) char *root = mem_printf("%s/root/sub/deep", dir);
    CLEANUP(mem_cleanup) char *real = NULL;
    CLEANUP(mem_cleanup) char *expected = mem_printf("%s/root/sub/play.yml", dir);
    int fd;

    (void)state;
    assert_int_equal(file_mkdirs(root), 0);
    assert_int_equal(file_create(dir_fd, "root/sub/play.yml", 0600, "p", 1), 0);
    assert_int_equal(file_create(dir_fd, "root/sub/deep/f", 0600, "p", 1), 0);
    assert_int_equal(file_create(dir_fd, "outside", 0600, "o", 1), 0);
    assert_int_equal(symlinkat("play.yml", dir_fd, "root/sub/alias"), 0);
    assert_int_equal(symlinkat("../../outside", dir_fd, "root/sub/escape"), 0);
    assert_int_equal(symlinkat("/etc/passwd", dir_fd, "root/sub/absolute"), 0);
    assert_int_equal(symlinkat("/proc/self/root/etc/passwd", dir_fd, "root/magic"), 0);
    assert_int_equal(mkfifoat(dir_fd, "root/fifo", 0600), 0);

    root[strlen(root) - strlen("/sub/deep")] = '\0';
    fd = file_open_beneath(root, "sub/alias", &real);
    assert_true(fd >= 0);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    assert_string_equal(real, expected);
    close(fd);

    assert_opens("sub/deep/f");
    assert_opens("sub/deep/../play.yml");
    assert_refuses("sub/escape", EXDEV);
    assert_refuses("sub/absolute", EXDEV);
    assert_refuses("magic", EXDEV);
    assert_refuses("../outside", EXDEV);
    assert_refuses("sub/../../outside", EXDEV);
    assert_refuses("/etc/passwd", EXDEV);
    assert_refuses("sub", EPERM);
    assert_refuses("fifo", EPERM); /* and without waiting for a writer */
    assert_refuses("none", ENOENT);
    assert_refuses("", ENOENT);
}

static void
test_beneath_permissions(void **state)
{
    (void)state;
    assert_opens("sub/deep/f");
    fchmodat(dir_fd, "root/sub/deep/f", 0620, 0);
    assert_refuses("sub/deep/f", EPERM);
    fchmodat(dir_fd, "root/sub/deep/f", 0644, 0);
    assert_opens("sub/deep/f");
    fchmodat(dir_fd, "root/sub", 0777, 0); /* not the parent: further up */
    assert_refuses("sub/deep/f", EPERM);
    fchmodat(dir_fd, "root/sub", 01777, 0); /* a sticky bit does not help */
    assert_refuses("sub/deep/f", EPERM);
    fchmodat(dir_fd, "root/sub", 0755, 0);
    fchmodat(dir_fd, "root", 0775, 0);
    assert_refuses("sub/deep/f", EPERM);
    fchmodat(dir_fd, "root", 0755, 0);
    assert_opens("sub/deep/f");
    if (geteuid() == 0) {
        assert_int_equal(fchownat(dir_fd, "root/sub/deep", 12345, 0, 0), 0);
        assert_refuses("sub/deep/f", EPERM);
    }
}

static void
test_lock(void **state)
{
    int one, other;

    (void)state;
    one = openat(dir_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    other = openat(dir_fd, "lock", O_RDWR | O_CLOEXEC);
    assert_int_equal(file_lock(one, 0), 0);
    assert_int_equal(file_lock(other, 30), -1);
    assert_int_equal(errno, EWOULDBLOCK);
    close(one);
    assert_int_equal(file_lock(other, 0), 0);
    close(other);
    assert_int_equal(file_lock(other, 0), -1);
    assert_int_equal(errno, EBADF);
}

static int
setup(void **state)
{
    (void)state;
    if (mkdtemp(dir) == NULL)
        return -1;
    dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return dir_fd == -1 ? -1 : 0;
}

static int
teardown(void **state)
{
    (void)state;
    close(dir_fd);
    return file_remove_tree(AT_FDCWD, dir);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_create_and_read),
        cmocka_unit_test(test_replace),
        cmocka_unit_test(test_nothing_left),
        cmocka_unit_test(test_trees),
        cmocka_unit_test(test_beneath),
        cmocka_unit_test(test_beneath_permissions),
        cmocka_unit_test(test_lock),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
