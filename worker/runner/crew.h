#ifndef WORKER_CREW_H
#define WORKER_CREW_H

#include <stdbool.h>
#include <stddef.h>

#include "common/attr.h"
#include "worker/runner/journal.h"

/* Runners that serve one attempt after the other.  Fork, the copies of pages after it, and exit of a runner are
 * a quarter of its share of an operation; so a few of them, once their attempt is over and nothing of it is left, wait for
 * the next.  Each has a seat: a SOCK_SEQPACKET pair between it and the spawner.  What lies in the spawner's end says
 * that the runner waits; the end of file, that it is gone.  Whoever gets an attempt has its journal, with
 * the lock on it, from the moment it is sent: should the runner die before it reads, the lock goes with the message. */

#define CREW_MOST 32

struct crew {
    int fd[CREW_MOST]; /* the spawner's ends; -1 = free */
};

/* What is handed over: the datagram of the request, and the descriptors that are the runner's from then on. */
struct crew_attempt {
    void *request;
    size_t len;
    struct journal_writer journal;
    int dir_fd, control_fd;
};

/* --- in the spawner --- */

void crew_init(struct crew *c);

/* Give the attempt to a runner that waits.  Returns false when none does.  The caller's descriptors stay its own. */
bool crew_hand_over(struct crew *c, const struct crew_attempt *a);

/* A seat for a runner that is forked now.  Returns the runner's end, which is the caller's, or -1: it will serve
 * once.  A seat whose runner's end is closed is free again. */
int crew_seat(struct crew *c);

/* Let all go that wait. */
void crew_dismiss(struct crew *c);

/* --- in a runner --- */

/* Close what the fork has copied of the spawner's. */
void crew_leave(struct crew *c);

/* Say that this runner waits, and wait.  a->request has room for a->len bytes; on return both tell of the attempt.  Returns
 * false when there is none to come. */
bool crew_wait(int fd, struct crew_attempt *a) MUST_CHECK;

#endif
