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

/* Of no other process: what a dead one left under this name is replaced. */
static const char *
idle_name(void)
{
    static char name[NAME_SIZE];

    if (name[0] == '\0')
        (void)snprintf(name, sizeof name, "%d", (int)getpid());
    return name;
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

    listener.idle = false;
    listener.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (listener.fd == -1)
        return -1;
    /* The umask makes it 0700; whoever gets past that is asked for its uid. */
    if (bind(listener.fd, (const struct sockaddr *)&address, sizeof address) == -1)
        return -1;
    return listen(listener.fd, BACKLOG) == -1 || lstat(REQUEST_SOCKET, &listener.made) == -1 ? -1
                                                                                             : 0;
}

int
run_listener_open(int idle_dir)
{
    if (listener.idle &&
        renameat2(idle_dir, idle_name(), AT_FDCWD, REQUEST_SOCKET, RENAME_NOREPLACE) == 0) {
        listener.idle = false;
        return listener.fd;
    }
    drop();
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
run_listener_close(int idle_dir)
{
    int fd;

    if (listener.fd == -1 || listener.idle)
        return;
    listener.idle = idle_dir != -1 && is_as_made() &&
                    renameat(AT_FDCWD, REQUEST_SOCKET, idle_dir, idle_name()) == 0;
    if (listener.idle) {
        while ((fd = accept4(listener.fd, NULL, NULL, SOCK_CLOEXEC)) != -1)
            (void)close(fd);
        return;
    }
    drop();
    if (unlink(REQUEST_SOCKET) == -1 && errno != ENOENT)
        log_warn("remove " REQUEST_SOCKET ": %m");
}

void
run_listener_leave(int idle_dir)
{
    if (listener.idle && unlinkat(idle_dir, idle_name(), 0) == -1 && errno != ENOENT)
        log_warn("remove an idle " REQUEST_SOCKET ": %m");
    listener.idle = false;
    drop();
}
