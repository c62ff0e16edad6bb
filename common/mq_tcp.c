#include "common/mq_tcp.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "common/clock.h"
#include "common/file.h"

/* A TCP connection with a deadline. */

/* Wait until the started connect() has ended.  0 or an error number. */
static int
wait_connected(int fd, int64_t deadline_ns)
{
    struct pollfd wanted = {.fd = fd, .events = POLLOUT};
    int err = 0;
    socklen_t len = sizeof err;

    for (;;) {
        int64_t left_ms = (deadline_ns - clock_mono_ns()) / CLOCK_MS_NS;
        int n = poll(&wanted, 1, left_ms > 0 ? (int)left_ms : 0);

        if (n == 0)
            return ETIMEDOUT;
        if (n == 1)
            return getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) == -1 ? errno : err;
        if (errno != EINTR)
            return errno;
    }
}

/* Returns a descriptor, or -1 with errno. */
static int
connect_one(const struct addrinfo *address, int64_t deadline_ns)
{
    const int type = address->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC;
    CLEANUP(file_cleanup_close) int fd = socket(address->ai_family, type, address->ai_protocol);
    int err;

    if (fd == -1)
        return -1;
    if (connect(fd, address->ai_addr, address->ai_addrlen) == 0)
        return file_take(&fd);
    err = errno == EINPROGRESS ? wait_connected(fd, deadline_ns) : errno;
    if (err == 0)
        return file_take(&fd);
    errno = err;
    return -1;
}

int
mq_tcp_connect(const char *host, int port, int timeout_ms, char *why, size_t size)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    int64_t now_ns = clock_mono_ns(), end_ns = now_ns + timeout_ms * CLOCK_MS_NS;
    struct addrinfo *addresses;
    char service[16];
    int err, left = 0, fd = -1;

    snprintf(service, sizeof service, "%d", port);
    err = getaddrinfo(host, service, &hints, &addresses);
    if (err != 0) {
        snprintf(why, size, "cannot resolve %s: %s", host, gai_strerror(err));
        return -1;
    }
    for (const struct addrinfo *a = addresses; a != NULL; a = a->ai_next)
        left++;
    /* Each address may use an equal part of what is left. */
    for (const struct addrinfo *a = addresses; a != NULL && fd == -1; a = a->ai_next, left--) {
        now_ns = clock_mono_ns();
        fd = connect_one(a, now_ns + (end_ns - now_ns) / left);
        if (fd == -1)
            snprintf(why, size, "cannot connect: %s", strerror(errno));
    }
    freeaddrinfo(addresses);
    return fd;
}
