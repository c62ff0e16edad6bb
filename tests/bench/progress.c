/* Structured events as the Ansible callback sends them: each is one PROGRESS request on HLER_SOCKET, and the next one is
 * sent when the runner has answered.  HLER_INPUT_COUNT events of 1 KB.  In C, so that the runner is measured and not Python. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { EVENT_BYTES = 1024, HEAD_MAX = 32 };

static int
connect_runner(void)
{
    const char *path = getenv("HLER_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd == -1 || path == NULL || strlen(path) >= sizeof address.sun_path)
        return -1;
    strcpy(address.sun_path, path);
    return connect(fd, (struct sockaddr *)&address, sizeof address) == 0 ? fd : -1;
}

/* One event as JSON of exactly EVENT_BYTES: the members that the callback tells of a host's task. */
static void
write_event(char *out, int number)
{
    int n =
        snprintf(out, EVENT_BYTES,
                 "{\"kind\":\"ansible\",\"event\":\"runner_ok\",\"host\":\"host-%06d\",\"task\":"
                 "\"Install the site\","
                 "\"action\":\"ansible.builtin.command\",\"changed\":true,\"rc\":0,\"stdout\":\"",
                 number);

    memset(out + n, 'o', (size_t)(EVENT_BYTES - n - 2));
    out[EVENT_BYTES - 2] = '"';
    out[EVENT_BYTES - 1] = '}';
}

static bool
answered_ok(int fd)
{
    char answer[256];
    size_t have = 0;

    while (have == 0 || answer[have - 1] != '\n') {
        ssize_t n = have < sizeof answer ? read(fd, answer + have, sizeof answer - have) : -1;

        if (n <= 0)
            return false;
        have += (size_t)n;
    }
    return have == 3 && memcmp(answer, "OK\n", 3) == 0;
}

int
main(void)
{
    char request[HEAD_MAX + EVENT_BYTES + 1];
    const char *text = getenv("HLER_INPUT_COUNT");
    int count = text == NULL ? 0 : (int)strtol(text, NULL, 10), fd = connect_runner();
    size_t head = (size_t)snprintf(request, HEAD_MAX, "PROGRESS %d\n", EVENT_BYTES);
    size_t len = head + EVENT_BYTES;

    for (int i = 0; fd != -1 && i < count; i++) {
        write_event(request + head, i);
        if (write(fd, request, len) != (ssize_t)len || !answered_ok(fd))
            return 1;
    }
    return fd == -1 ? 1 : 0;
}
