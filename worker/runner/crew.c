#include "worker/runner/crew.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "common/file.h"
#include "common/log.h"
#include "worker/runner/request.h"
#include "worker/runner/run_listener.h"

enum { FD_JOURNAL, FD_DIR, FD_CONTROL, FDS };

/* Room for the descriptors that go with a message. */
union passed {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(FDS * sizeof(int))];
};

/* What a bell says: who waits.  With the process, since one that died may have rung before, and its seat have been taken. */
struct word {
    int seat;
    pid_t pid;
};

/* By what a send to it said. */
static bool
peer_is_gone(void)
{
    return errno == EPIPE || errno == ECONNRESET || errno == ECONNREFUSED || errno == ENOTCONN;
}

static int
open_pair(int *spawners, int *runners)
{
    /* A request of full size must fit at once; without the privilege for more, what is given is enough. */
    const int size = 2 * (int)REQUEST_MAX;
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == -1)
        return -1;
    (void)setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    *spawners = pair[0];
    *runners = pair[1];
    return 0;
}

int
crew_open(struct crew *c, int sockets)
{
    *c = (struct crew){.sockets = sockets};
    for (unsigned i = 0; i < CREW_SEATS; i++)
        c->seat[i].fd = -1;
    return open_pair(&c->bell, &c->runners_bell);
}

void
crew_leave(struct crew *c)
{
    (void)close(c->bell);
    for (unsigned i = 0; i < CREW_SEATS; i++)
        file_cleanup_close(&c->seat[i].fd);
}

/* Whoever has it is gone, or goes.  The end is told even where a process that was just forked has a copy of this end. */
static void
free_seat(struct crew *c, unsigned seat)
{
    (void)shutdown(c->seat[seat].fd, SHUT_RDWR);
    (void)close(c->seat[seat].fd);
    c->seat[seat].fd = -1;
    for (unsigned i = 0; i < c->n_idle; i++)
        if (c->idle[i] == seat) {
            c->n_idle--;
            memmove(&c->idle[i], &c->idle[i + 1], (c->n_idle - i) * sizeof c->idle[0]);
        }
}

/* It has died, or may do so before it puts away its socket itself. */
static void
bury(struct crew *c, unsigned seat)
{
    free_seat(c, seat);
    run_listener_forget(c->sockets, c->seat[seat].pid);
}

static void
forget_the_dead(struct crew *c)
{
    struct pollfd look[CREW_SEATS];

    for (unsigned i = 0; i < CREW_SEATS; i++)
        look[i] = (struct pollfd){.fd = c->seat[i].fd};
    if (poll(look, CREW_SEATS, 0) <= 0)
        return;
    for (unsigned i = 0; i < CREW_SEATS; i++)
        if (look[i].revents != 0)
            bury(c, i);
}

void
crew_hear(struct crew *c)
{
    struct word word;

    while (recv(c->bell, &word, sizeof word, MSG_DONTWAIT) == (ssize_t)sizeof word) {
        unsigned seat = (unsigned)word.seat;

        if (seat >= CREW_SEATS || c->seat[seat].fd == -1 || c->seat[seat].pid != word.pid)
            continue;
        if (c->n_idle == CREW_IDLE)
            bury(c, seat);
        else
            c->idle[c->n_idle++] = seat;
    }
}

static int
find_free(const struct crew *c)
{
    for (int i = 0; i < CREW_SEATS; i++)
        if (c->seat[i].fd == -1)
            return i;
    return -1;
}

struct crew_place
crew_reserve(struct crew *c)
{
    struct crew_place place = {.seat = find_free(c), .fd = -1, .bell = c->runners_bell};

    if (place.seat == -1) {
        forget_the_dead(c);
        place.seat = find_free(c);
    }
    if (place.seat != -1 && open_pair(&c->seat[place.seat].fd, &place.fd) == -1)
        place.seat = -1;
    if (place.seat != -1)
        c->seat[place.seat].pid = 0;
    return place;
}

void
crew_seated(struct crew *c, struct crew_place *place, pid_t pid)
{
    if (place->seat == -1)
        return;
    (void)close(place->fd);
    if (pid == -1)
        free_seat(c, (unsigned)place->seat);
    else
        c->seat[place->seat].pid = pid;
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
    while (c->n_idle > 0) {
        unsigned seat = c->idle[c->n_idle - 1];

        if (send_attempt(c->seat[seat].fd, a)) {
            c->n_idle--;
            return true;
        }
        if (!peer_is_gone())
            return false; /* that is no fault of the runner's */
        bury(c, seat);
    }
    return false;
}

void
crew_dismiss(struct crew *c)
{
    crew_hear(c);
    while (c->n_idle > 0)
        bury(c, c->idle[c->n_idle - 1]);
    forget_the_dead(c);
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
crew_wait(const struct crew_place *place, struct crew_attempt *a)
{
    const struct word word = {.seat = place->seat, .pid = getpid()};
    ssize_t n;

    if (place->seat == -1)
        return false;
    /* A spawner that does not listen needs no more who wait; one that is gone, none. */
    if (send(place->bell, &word, sizeof word, MSG_DONTWAIT | MSG_NOSIGNAL) == -1) {
        if (!peer_is_gone())
            log_warn("an idle runner ends: %m");
        return false;
    }
    do
        n = receive_attempt(place->fd, a);
    while (n == -1 && errno == EINTR);
    if (n == -1 && errno != ECONNRESET)
        log_err("an attempt was handed over badly: %m");
    return n > 0;
}
