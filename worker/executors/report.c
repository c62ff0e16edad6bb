#include "worker/executors/report.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/file.h"
#include "common/mem.h"

#define ANSWER_TIMEOUT_S 60 /* journalling waits for a disk, never for the network */

/* Fill address with a path to the same socket that fits: through the directory's descriptor. */
static int
short_path(const char *path, int *folder, struct sockaddr_un *address)
{
    CLEANUP(mem_cleanup) char *dir = mem_dup(path);
    char *slash = strrchr(dir, '/');
    const char *last = slash == NULL ? path : path + (slash - dir) + 1;
    int n;

    if (slash != NULL)
        slash[slash == dir ? 1 : 0] = '\0';
    *folder = open(slash == NULL ? "." : dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (*folder == -1)
        return -1;
    n = snprintf(address->sun_path, sizeof address->sun_path, "/proc/self/fd/%d/%s", *folder, last);
    if (n < 0 || (size_t)n >= sizeof address->sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    return 0;
}

int
report_open(const char *path)
{
    CLEANUP(file_cleanup_close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CLEANUP(file_cleanup_close) int folder = -1;
    const struct timeval timeout = {.tv_sec = ANSWER_TIMEOUT_S};
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    if (fd == -1 || short_path(path, &folder, &address) == -1 ||
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout) == -1 ||
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout) == -1 ||
        connect(fd, (const struct sockaddr *)&address, sizeof address) == -1)
        return -1;
    return file_take(&fd);
}

/* Read one line, without its newline.  0, or -1 with errno. */
static int
read_answer(int fd, char line[REPORT_WHY_SIZE])
{
    size_t len = 0;

    while (len < REPORT_WHY_SIZE - 1) {
        ssize_t n = recv(fd, line + len, 1, 0);

        if (n == -1 && errno == EINTR)
            continue;
        if (n == 0)
            errno = EPIPE;
        if (n <= 0)
            return -1;
        if (line[len] == '\n') {
            line[len] = '\0';
            return 0;
        }
        len++;
    }
    errno = EPROTO;
    return -1;
}

static int
send_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

        if (n == -1 && errno == EINTR)
            continue;
        if (n == -1)
            return -1;
        data += n;
        len -= (size_t)n;
    }
    return 0;
}

static int
request(int fd, struct buf *head, const char *json, size_t len, char why[REPORT_WHY_SIZE])
{
    static const char err[] = "ERR ";

    if (fd == -1)
        return 0;
    buf_add(head, json, len);
    if (send_all(fd, head->data, head->len) == -1 || read_answer(fd, why) == -1) {
        snprintf(why, REPORT_WHY_SIZE, "cannot reach the runner: %s", strerror(errno));
        return -1;
    }
    if (strcmp(why, "OK") == 0)
        return 0;
    if (strncmp(why, err, sizeof err - 1) == 0)
        memmove(why, why + sizeof err - 1, strlen(why) - sizeof err + 2);
    return -1;
}

int
report_result(int fd, const struct report_result *result, const char *json, size_t len,
              char why[REPORT_WHY_SIZE])
{
    CLEANUP(buf_free) struct buf text = {0};

    buf_printf(&text, "RESULT %s %s set %s %zu\n", result->uuid, result->field,
               result->secret ? "secret" : "plain", len);
    return request(fd, &text, json, len, why);
}

int
report_progress(int fd, const char *json, size_t len, char why[REPORT_WHY_SIZE])
{
    CLEANUP(buf_free) struct buf text = {0};

    buf_printf(&text, "PROGRESS %zu\n", len);
    return request(fd, &text, json, len, why);
}
