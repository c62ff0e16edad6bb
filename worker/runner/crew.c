#include "worker/runner/crew.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "common/file.h"
#include "common/log.h"

enum { FD_JOURNAL, FD_DIR, FD_CONTROL, FDS };

/* Room for the descriptors that go with a message. */
union passed {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(FDS * sizeof(int))];
};

static void
leave_seat(int *fd)
{
    file_cleanup_close(fd);
    *fd = -1;
}

void
crew_init(struct crew *c)
{
    for (unsigned i = 0; i < CREW_MOST; i++)
        c->fd[i] = -1;
}

void
crew_leave(struct crew *c)
{
    for (unsigned i = 0; i < CREW_MOST; i++)
        leave_seat(&c->fd[i]);
}

int
crew_seat(struct crew *c)
{
    int pair[2];

    for (unsigned i = 0; i < CREW_MOST; i++) {
        if (c->fd[i] != -1)
            continue;
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == -1)
            return -1;
        c->fd[i] = pair[0];
        return pair[1];
    }
    return -1;
}

/* Does the runner of this seat wait?  Told once: it is to be given something then, or its seat taken. */
static bool
waits(int *fd)
{
    char word;
    ssize_t n = *fd == -1 ? -1 : recv(*fd, &word, sizeof word, MSG_DONTWAIT);

    if (n == 1)
        return true;
    if (*fd != -1 && (n == 0 || (errno != EAGAIN && errno != EINTR)))
        leave_seat(fd); /* it is gone */
    return false;
}

static bool
send_attempt(int fd, const struct crew_attempt *a)
{
    const int fds[FDS] = {
        [FD_JOURNAL] = a->journal.fd, [FD_DIR] = a->dir_fd, [FD_CONTROL] = a->control_fd};
    struct journal_writer journal = a->journal;
    union passed passed = {.header = {.cmsg_level = SOL_SOCKET,
                                      .cmsg_type = SCM_RIGHTS,
                                      .cmsg_len = CMSG_LEN(sizeof fds)}};
    struct iovec parts[] = {{&journal, sizeof journal}, {a->request, a->len}};
    const struct msghdr message = {.msg_iov = parts,
                                   .msg_iovlen = ARRAY_LEN(parts),
                                   .msg_control = &passed,
                                   .msg_controllen = sizeof passed};

    memcpy(CMSG_DATA(&passed.header), fds, sizeof fds);
    return sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) != -1;
}

bool
crew_hand_over(struct crew *c, const struct crew_attempt *a)
{
    for (unsigned i = 0; i < CREW_MOST; i++) {
        if (!waits(&c->fd[i]))
            continue;
        if (send_attempt(c->fd[i], a))
            return true;
        leave_seat(&c->fd[i]); /* it ends, if it has not yet */
    }
    return false;
}

void
crew_dismiss(struct crew *c)
{
    for (unsigned i = 0; i < CREW_MOST; i++)
        if (waits(&c->fd[i]))
            leave_seat(&c->fd[i]);
}

/* Returns what recvmsg() does; a message without all that belongs to it is none. */
static ssize_t
receive_attempt(int fd, struct crew_attempt *a)
{
    union passed passed;
    struct iovec parts[] = {{&a->journal, sizeof a->journal}, {a->request, a->len}};
    struct msghdr message = {.msg_iov = parts,
                             .msg_iovlen = ARRAY_LEN(parts),
                             .msg_control = &passed,
                             .msg_controllen = sizeof passed};
    ssize_t n = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
    int fds[FDS];

    if (n <= 0)
        return n;
    if (n < (ssize_t)sizeof a->journal || (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0 ||
        message.msg_controllen < CMSG_LEN(sizeof fds) ||
        passed.header.cmsg_len != CMSG_LEN(sizeof fds)) {
        errno = EBADMSG;
        return -1;
    }
    memcpy(fds, CMSG_DATA(&passed.header), sizeof fds);
    a->len = (size_t)n - sizeof a->journal;
    a->journal.fd = fds[FD_JOURNAL];
    a->dir_fd = fds[FD_DIR];
    a->control_fd = fds[FD_CONTROL];
    return n;
}

bool
crew_wait(int fd, struct crew_attempt *a)
{
    static const char word = '+'; /* any */
    ssize_t n;

    if (send(fd, &word, sizeof word, MSG_NOSIGNAL) == -1)
        return false; /* the spawner is gone */
    do
        n = receive_attempt(fd, a);
    while (n == -1 && errno == EINTR);
    if (n == -1 && errno != ECONNRESET)
        log_err("an attempt was handed over badly: %m");
    return n > 0;
}
