#ifndef COMMON_MQ_GUARD_H
#define COMMON_MQ_GUARD_H

#include <stdbool.h>
#include <stdint.h>

/* The watchdog of library calls.  Publishing and acknowledging with librabbitmq 0.11 can
 * block for ever (traps 1.1, 1.2); one thread of the process looks at all connections and
 * shuts down the socket of a call that lasts too long.  The blocked call then fails. */

struct mq_guard;

struct mq_guard *mq_guard_new(int64_t limit_ms);
void mq_guard_free(struct mq_guard *guard); /* NULL is legal */

/* The socket to shut down, a duplicate of the library's: the number stays ours until
 * mq_guard_watch(guard, -1), whatever the library closes.  Owner thread only. */
void mq_guard_watch(struct mq_guard *guard, int fd);

/* Around each library call.  Owner thread only. */
void mq_guard_enter(struct mq_guard *guard);
void mq_guard_leave(struct mq_guard *guard);

/* Whether it shut the present socket down. */
bool mq_guard_fired(const struct mq_guard *guard);

#endif
