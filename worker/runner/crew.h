#ifndef WORKER_CREW_H
#define WORKER_CREW_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "common/attr.h"
#include "worker/runner/journal.h"

/* Runners that serve one attempt after the other.  Fork, the copies of pages after it, and exit of a runner are
 * a quarter of what spawner and runners take for an attempt; so a few of them, once theirs is over and nothing of it is left, wait
 * for the next.  Each has a seat, which is a SOCK_SEQPACKET pair between it and the spawner, and rings one bell, which is another pair
 * for all, when it begins to wait.  Whoever is sent an attempt has its journal, with the lock on it, from that moment:
 * should the runner die before it reads, the lock goes with the message. */

#define CREW_SEATS 256 /* who works has one, too; without one a runner serves once */
#define CREW_IDLE 32   /* of them may wait */

struct crew {
    int bell, runners_bell; /* the spawner's end, and that of all runners */
    int sockets;            /* where idle sockets lie (run_listener.h), or -1 */
    struct {
        int fd;    /* the spawner's end; -1 = free */
        pid_t pid; /* 0 = being forked */
    } seat[CREW_SEATS];
    unsigned n_idle;
    unsigned
        idle[CREW_IDLE]; /* seats; the last began to wait last, and is the first to work again */
};

/* A runner's own. */
struct crew_place {
    int seat; /* -1 = none */
    int fd, bell;
};

/* What is handed over: the datagram of the request, and the descriptors that are the runner's from then on. */
struct crew_attempt {
    void *request;
    size_t len;
    struct journal_writer journal;
    int dir_fd, control_fd;
};

/* --- in the spawner --- */

/* All seats free.  sockets stays the caller's.  -1 with errno. */
int crew_open(struct crew *c, int sockets) MUST_CHECK;

/* Learn who has begun to wait; of more than may, the last go. */
void crew_hear(struct crew *c);

/* Give the attempt to a runner that is known to wait.  Returns false when none does, or it cannot be sent.  The caller's descriptors stay
 * its own. */
bool crew_hand_over(struct crew *c, const struct crew_attempt *a);

/* Before a fork: a place for the runner to come.  Its fd is the caller's until then. */
struct crew_place crew_reserve(struct crew *c);

/* After it: pid has that place, or -1: nobody has. */
void crew_seated(struct crew *c, struct crew_place *place, pid_t pid);

/* Let all go that wait, and forget who is gone. */
void crew_dismiss(struct crew *c);

/* --- in a runner --- */

/* Close what the fork has copied of the spawner's. */
void crew_leave(struct crew *c);

/* Say that this runner waits, and wait.  a->request has room for a->len bytes; on return both tell of the attempt.  Returns
 * false when there is none to come. */
bool crew_wait(const struct crew_place *place, struct crew_attempt *a) MUST_CHECK;

#endif
