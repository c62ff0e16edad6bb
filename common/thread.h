#ifndef COMMON_THREAD_H
#define COMMON_THREAD_H

#include <pthread.h>

/* Threads.  One that runs an mq needs a large stack: librabbitmq 0.11 decodes nested
 * header tables without a limit, and one message of 130 KB overflows 2 MiB (traps 1.10). */

#define THREAD_STACK_BYTES (16u * 1024u * 1024u)

typedef void thread_fn(void *ctx);

/* Run fn(ctx) in a thread of this name (at most 15 bytes) with THREAD_STACK_BYTES of
 * stack and all signals blocked.  Join it with thread_join().  Panics when there is none. */
pthread_t thread_start(thread_fn *fn, void *ctx, const char *name);

void thread_join(pthread_t thread);

#endif
