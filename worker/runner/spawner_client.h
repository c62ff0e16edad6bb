#ifndef WORKER_SPAWNER_CLIENT_H
#define WORKER_SPAWNER_CLIENT_H

#include "common/attr.h"
#include "worker/runner/request.h"

/* The bridge's end of the spawner.  All calls from one thread; none blocks but spawner_free(). */

struct spawner;

/* Start `program --spawn spool [groups]` (program: path of hler-runner; groups: directory of the worker's
 * control group, or NULL).  NULL with errno.  It takes the
 * spool's lock once a former spawner is gone, up to 10 s later; requests wait meanwhile. */
struct spawner *spawner_start(const char *program, const char *spool, const char *groups);

/* For the loop: readable when an answer is there or the spawner is gone. */
int spawner_fd(const struct spawner *s);

/* Ask for a runner.  -1 with errno: EAGAIN = no room now, try again after the next answer;
 * E2BIG = never; EPIPE = the spawner is gone. */
int spawner_send(struct spawner *s, const struct request *request) MUST_CHECK;

/* The next answer; they come in the order of the requests.  -1 with errno: EAGAIN = none yet,
 * EPIPE = the spawner is gone: what was not answered may have been started or not, the spool
 * tells. */
int spawner_receive(struct spawner *s, struct request_answer *answer) MUST_CHECK;

/* Close the connection and wait until the spawner has served what is queued and gone.  Its
 * runners go on.  NULL is legal. */
void spawner_free(struct spawner *s);

#endif
