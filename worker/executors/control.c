#include "worker/executors/control.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/file.h"
#include "common/mem.h"
#include "worker/executors/child.h"
#include "worker/executors/words.h"

#define ROOT "/tmp"
/* Only names that mkdtemp makes are swept: nobody else's begin with hler-ssh- and have this
 * length. */
#define PREFIX "hler-ssh-"
#define TEMPLATE PREFIX "XXXXXX"
#define LOCK_WAIT_MS 1000

static int
open_dir(const char *path)
{
    return open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* Remove what nobody holds.  A socket's master is gone: the runner ends all that descends from an
 * executor when that has ended. */
static void
sweep(void)
{
    DIR *d = opendir(ROOT);
    struct dirent *entry;

    while (d != NULL && (entry = readdir(d)) != NULL) {
        CLEANUP(file_cleanup_close) int fd = -1;
        CLEANUP(mem_cleanup) char *path = NULL;
        struct stat st;

        if (strncmp(entry->d_name, PREFIX, sizeof PREFIX - 1) != 0 ||
            strlen(entry->d_name) != sizeof TEMPLATE - 1)
            continue;
        path = mem_printf(ROOT "/%s", entry->d_name);
        fd = open_dir(path);
        if (fd == -1 || fstat(fd, &st) == -1 || st.st_uid != geteuid() || file_lock(fd, 0) == -1)
            continue;
        if (file_remove_tree(AT_FDCWD, path) == -1)
            fprintf(stderr, "%s: %s\n", path, strerror(errno));
    }
    if (d != NULL)
        closedir(d);
}

/* 1: made and locked.  0: another executor's sweep took it before it was locked. */
static int
make_locked(struct control *c)
{
    CLEANUP(mem_cleanup) char *dir = mem_dup(ROOT "/" TEMPLATE);
    CLEANUP(file_cleanup_close) int fd = -1;
    struct stat st;

    if (mkdtemp(dir) == NULL)
        return -1;
    fd = open_dir(dir);
    if (fd == -1)
        return errno == ENOENT ? 0 : -1;
    if (file_lock(fd, LOCK_WAIT_MS) == -1 || fstat(fd, &st) == -1) {
        (void)rmdir(dir); /* else the next run's sweep */
        return -1;
    }
    if (st.st_nlink == 0)
        return 0;
    c->dir = dir;
    dir = NULL;
    c->lock_fd = file_take(&fd);
    return 1;
}

int
control_make(struct control *c)
{
    int made;

    sweep();
    do
        made = make_locked(c);
    while (made == 0);
    return made == 1 ? 0 : -1;
}

/* A master lives for a minute after its last use, in a session of its own. */
static void
end_master(const char *ssh, const char *socket)
{
    CLEANUP(words_free) struct words argv = {0};
    CLEANUP(words_free) struct words envp = {0};
    struct child child = {0};

    words_inherit(&envp, "PATH");
    words_add(&argv, "%s", ssh);
    words_add(&argv, "-q");
    words_add(&argv, "-oControlPath=%s", socket);
    words_add(&argv, "-Oexit");
    words_add(&argv, "none");
    child.argv = argv.list;
    child.envp = envp.list;
    if (child_run(&child) == -1)
        fprintf(stderr, "%s: %s\n", ssh, strerror(errno));
}

void
control_free(struct control *c)
{
    CLEANUP(mem_cleanup) char *ssh = child_find("ssh");
    DIR *d;
    struct dirent *entry;

    if (c->dir == NULL)
        return;
    d = opendir(c->dir);
    while (ssh != NULL && d != NULL && (entry = readdir(d)) != NULL)
        if (entry->d_type == DT_SOCK) {
            CLEANUP(mem_cleanup) char *socket = mem_printf("%s/%s", c->dir, entry->d_name);

            end_master(ssh, socket);
        }
    if (d != NULL)
        closedir(d);
    if (file_remove_tree(AT_FDCWD, c->dir) == -1)
        fprintf(stderr, "%s: %s\n", c->dir, strerror(errno));
    close(c->lock_fd);
    mem_cleanup(&c->dir);
}
