/* One request to the runner's socket. */
#include "worker/emit/send.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/file.h"

#define ANSWER_WAIT_S 60 /* a journal on a slow disk is synced first */
#define ANSWER_MAX 256

int
emit_complain(enum emit_exit code, const char *what)
{
    (void)fprintf(stderr, "hler-emit: %s\n", what);
    return (int)code;
}

/* Connect below the socket's directory: a path may be longer than sun_path. */
static int
connect_below(int dir_fd, const char *name)
{
    CLEANUP(file_cleanup_close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const struct timeval wait = {.tv_sec = ANSWER_WAIT_S};
    int n =
        snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/%s", dir_fd, name);

    if (fd == -1)
        return -1;
    if (n < 0 || (size_t)n >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait) == -1 ||
        connect(fd, (struct sockaddr *)&address, sizeof address) == -1)
        return -1;
    return file_take(&fd);
}

static int
connect_path(const char *path)
{
    CLEANUP(buf_free) struct buf dir = {0};
    CLEANUP(file_cleanup_close) int dir_fd = -1;
    const char *slash = strrchr(path, '/');

    if (slash == NULL)
        buf_puts(&dir, ".");
    else
        buf_add(&dir, path, (size_t)(slash - path) + 1);
    dir_fd = open(dir.data, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return dir_fd == -1 ? -1 : connect_below(dir_fd, slash == NULL ? path : slash + 1);
}

static int
send_all(int fd, const struct buf *request)
{
    for (size_t done = 0; done < request->len;) {
        ssize_t n = send(fd, request->data + done, request->len - done, MSG_NOSIGNAL);

        if (n == -1 && errno != EINTR)
            return -1;
        if (n > 0)
            done += (size_t)n;
    }
    return 0;
}

/* Read one line, without its newline. */
static int
read_answer(int fd, char answer[ANSWER_MAX])
{
    size_t len = 0;

    while (len < ANSWER_MAX) {
        ssize_t n = recv(fd, answer + len, ANSWER_MAX - len, 0);
        char *newline;

        if (n == -1 && errno == EINTR)
            continue;
        if (n <= 0)
            return -1;
        newline = memchr(answer + len, '\n', (size_t)n);
        if (newline != NULL) {
            *newline = '\0';
            return 0;
        }
        len += (size_t)n;
    }
    return -1;
}

int
emit_send(const struct buf *request)
{
    const char *path = getenv("HLER_SOCKET");
    CLEANUP(file_cleanup_close) int fd = -1;
    char answer[ANSWER_MAX];

    if (path == NULL || path[0] == '\0')
        return emit_complain(EMIT_NO_RUNNER, "HLER_SOCKET is not set: not started by a worker");
    fd = connect_path(path);
    if (fd == -1) {
        (void)fprintf(stderr, "hler-emit: %s: %s\n", path, strerror(errno));
        return EMIT_NO_RUNNER;
    }
    /* A runner that refuses early may close before it has read all: its answer counts. */
    if (send_all(fd, request) == -1 && errno != EPIPE && errno != ECONNRESET)
        return emit_complain(EMIT_NO_RUNNER, "the runner does not take it");
    if (read_answer(fd, answer) == -1)
        return emit_complain(EMIT_NO_RUNNER, "the runner did not answer");
    if (strcmp(answer, "OK") == 0)
        return EMIT_OK;
    return emit_complain(EMIT_REFUSED, strncmp(answer, "ERR ", 4) == 0 ? answer + 4 : answer);
}
