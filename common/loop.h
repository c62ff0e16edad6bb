#ifndef COMMON_LOOP_H
#define COMMON_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

/* One thread's event loop: epoll, timers, deferred calls, wake-ups from other threads.
 * Handlers must not block.  A handler may remove any source, its own too: what
 * was removed is not called again in that round. */

struct loop;
struct loop_source;
struct loop_timer;

typedef void loop_fd_fn(void *ctx, uint32_t events);
typedef void loop_fn(void *ctx);

struct loop *loop_new(void);
void loop_free(struct loop *loop);

/* Watch fd (not owned) for EPOLLIN and/or EPOLLOUT. */
struct loop_source *loop_add(struct loop *loop, int fd, uint32_t events, loop_fd_fn *fn, void *ctx);
void loop_modify(struct loop_source *source, uint32_t events);
void loop_remove(struct loop_source *source); /* NULL is legal */

/* A timer, disarmed at first.  Setting it again moves it. */
struct loop_timer *loop_timer_new(struct loop *loop, loop_fn *fn, void *ctx);
void loop_timer_set(struct loop_timer *timer, int64_t delay_ms); /* once, from now */
void loop_timer_stop(struct loop_timer *timer);
bool loop_timer_armed(const struct loop_timer *timer);
void loop_timer_free(struct loop_timer *timer); /* NULL is legal */

/* Call fn for SIGTERM/SIGINT/SIGHUP etc. through a signalfd.  The caller has
 * blocked the signal in all threads (loop_block_signals() in main, first thing). */
void loop_block_signals(void);
void loop_signal(struct loop *loop, int signo, loop_fn *fn, void *ctx);

/* The only function that another thread may call: run fn soon in the loop's thread.
 * Calls with the same fn and ctx that have not run yet are merged. */
void loop_wake(struct loop *loop, loop_fn *fn, void *ctx);

void loop_run(struct loop *loop);  /* until loop_stop() */
void loop_stop(struct loop *loop); /* loop's own thread only */

#endif
