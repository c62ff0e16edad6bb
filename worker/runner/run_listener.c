#include "worker/runner/run_listener.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/file.h"
#include "common/log.h"
#include "worker/runner/request.h"

#define BACKLOG 64
#define NAME_SIZE 16

static struct {
    int fd;           /* -1 = none */
    bool idle;        /* its name is in the other directory */
    struct stat made; /* as it was made */
} listener = {.fd = -1};

static char *
idle_name(pid_t pid, char out[static NAME_SIZE])
{
    (void)snprintf(out, NAME_SIZE, "%d", (int)pid);
    return out;
}

static void
drop(void)
{
    file_cleanup_close(&listener.fd);
    listener.fd = -1;
}

static int
make(void)
{
    const struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = REQUEST_SOCKET};

    listener.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (listener.fd == -1)
        return -1;
    /* The umask makes it 0700; whoever gets past that is asked for its uid. */
    if (bind(listener.fd, (const struct sockaddr *)&address, sizeof address) == -1)
        return -1;
    return listen(listener.fd, BACKLOG) == -1 || lstat(REQUEST_SOCKET, &listener.made) == -1 ? -1
                                                                                             : 0;
}

/* Send away who has not been accepted.  Returns whether nobody is left. */
static bool
clear_backlog(void)
{
    int fd;

    while ((fd = accept4(listener.fd, NULL, NULL, SOCK_CLOEXEC)) != -1 || errno == ECONNABORTED)
        if (fd != -1)
            (void)close(fd);
    return errno == EAGAIN;
}

/* Whoever was still on the way to it when the last attempt ended has come by now, since none of that attempt's processes is left. */
static bool
take_idle(int idle_dir)
{
    char name[NAME_SIZE];

    return clear_backlog() && renameat2(idle_dir, idle_name(getpid(), name), AT_FDCWD,
                                        REQUEST_SOCKET, RENAME_NOREPLACE) == 0;
}

int
run_listener_open(int idle_dir)
{
    if (listener.idle && take_idle(idle_dir)) {
        listener.idle = false;
        return listener.fd;
    }
    run_listener_leave(idle_dir);
    if (make() == 0)
        return listener.fd;
    drop();
    return -1;
}

/* The program has had the directory to itself, and may have changed, linked or replaced what is in it. */
static bool
is_as_made(void)
{
    const struct stat *made = &listener.made;
    struct stat now;

    return lstat(REQUEST_SOCKET, &now) == 0 && now.st_dev == made->st_dev &&
           now.st_ino == made->st_ino && now.st_mode == made->st_mode &&
           now.st_uid == made->st_uid && now.st_gid == made->st_gid && now.st_nlink == 1;
}

void
run_listener_close(int idle_dir, const char *attempt)
{
    char name[NAME_SIZE];

    if (listener.fd == -1 || listener.idle)
        return;
    listener.idle = idle_dir != -1 && is_as_made() &&
                    renameat(AT_FDCWD, REQUEST_SOCKET, idle_dir, idle_name(getpid(), name)) == 0;
    if (listener.idle) {
        (void)clear_backlog();
        return;
    }
    drop();
    if (unlink(REQUEST_SOCKET) == -1 && errno != ENOENT)
        log_warn("attempt=%s remove " REQUEST_SOCKET ": %m", attempt);
}

void
run_listener_leave(int idle_dir)
{
    if (listener.idle)
        run_listener_forget(idle_dir, getpid());
    listener.idle = false;
    drop();
}

void
run_listener_forget(int idle_dir, pid_t pid)
{
    char name[NAME_SIZE];

    if (idle_dir != -1 && unlinkat(idle_dir, idle_name(pid, name), 0) == -1 && errno != ENOENT)
        log_warn("remove the socket of an idle runner: %m");
}
