/* All descendants of this process.  A process group is not a tree: what called setsid() or
 * forked twice has left the group, but as subreaper we inherit whatever loses its parent, so
 * the tree below us stays complete.  One walk kills what it sees; what was forked meanwhile is
 * found by the next, until there is no child left. */
#include "worker/runner/runner.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define TREE_MAX 4096 /* of one walk; the next one takes the others */
#define CHUNK 4096

struct tree {
    unsigned n;
    pid_t pid[TREE_MAX];
};

static void
add(struct tree *t, pid_t pid)
{
    if (t->n < TREE_MAX)
        t->pid[t->n++] = pid;
}

/* "12 34 56 ": decimal numbers, each followed by a space. */
static void
add_list(struct tree *t, int fd)
{
    char text[CHUNK];
    pid_t pid = 0;
    ssize_t n;

    while ((n = read(fd, text, sizeof text)) > 0) {
        for (ssize_t i = 0; i < n; i++) {
            if (text[i] >= '0' && text[i] <= '9') {
                pid = pid * 10 + (text[i] - '0');
            } else {
                if (pid > 0)
                    add(t, pid);
                pid = 0;
            }
        }
    }
}

static void
add_children_of_thread(struct tree *t, pid_t pid, pid_t thread)
{
    char path[64];
    int fd;

    (void)snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)pid, (int)thread);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd == -1)
        return; /* it ended while we looked: its children are ours now */
    add_list(t, fd);
    (void)close(fd);
}

/* getdents64() as the kernel gives it; opendir() would allocate. */
struct entry {
    uint64_t ino;
    int64_t off;
    unsigned short reclen;
    unsigned char type;
    char name[];
};

static void
add_children(struct tree *t, pid_t pid)
{
    _Alignas(struct entry) char list[CHUNK];
    char path[64];
    ssize_t n;
    int fd;

    (void)snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd == -1)
        return;
    while ((n = getdents64(fd, list, sizeof list)) > 0) {
        for (ssize_t at = 0; at < n;) {
            const struct entry *e = (const void *)(list + at);
            long thread = strtol(e->name, NULL, 10);

            if (thread > 0)
                add_children_of_thread(t, pid, (pid_t)thread);
            at += e->reclen;
        }
    }
    (void)close(fd);
}

uint32_t
run_tree_kill(void)
{
    static struct tree t;

    t.n = 0;
    add_children(&t, getpid());
    for (unsigned i = 0; i < t.n; i++) {
        /* First its children, then it: afterwards the list is gone. */
        add_children(&t, t.pid[i]);
        /* What may not be killed stays and is counted as left behind in the end. */
        (void)kill(t.pid[i], SIGKILL);
    }
    return t.n;
}
