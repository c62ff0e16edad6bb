#include "common/mq_guard.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/thread.h"

/* The thread lives while there is a guard.  It looks at each one every tick; entering and
 * leaving a call cost one atomic store each. */

#define TICKS_PER_LIMIT 2
#define TICK_MAX_MS 10000
#define TICK_MIN_MS 20

struct mq_guard {
    int64_t limit_ns;
    _Atomic int64_t since_ns; /* start of the running call; 0 = none */
    atomic_bool fired;
    int fd; /* under lock */
    struct mq_guard *next;
};

static pthread_mutex_t life = PTHREAD_MUTEX_INITIALIZER; /* starting and ending the thread */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* everything below, and guard->fd */
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct mq_guard *guards;
static pthread_t watcher; /* under life */

static void
look_at(struct mq_guard *guard, int64_t now_ns)
{
    int64_t since_ns = atomic_load(&guard->since_ns);

    if (since_ns == 0 || guard->fd == -1 || now_ns - since_ns <= guard->limit_ns)
        return;
    if (atomic_exchange(&guard->fired, true))
        return;
    /* ENOTCONN: the peer was faster; the call ends all the same */
    if (shutdown(guard->fd, SHUT_RDWR) == -1 && errno != ENOTCONN)
        log_warn("mq: watchdog cannot shut down a socket: %m");
}

static int64_t
tick_ns(void)
{
    int64_t tick = TICK_MAX_MS * CLOCK_MS_NS;

    for (const struct mq_guard *guard = guards; guard != NULL; guard = guard->next)
        if (guard->limit_ns / TICKS_PER_LIMIT < tick)
            tick = guard->limit_ns / TICKS_PER_LIMIT;
    return tick < TICK_MIN_MS * CLOCK_MS_NS ? TICK_MIN_MS * CLOCK_MS_NS : tick;
}

static void
watch(void *ctx)
{
    (void)ctx;
    pthread_mutex_lock(&lock);
    while (guards != NULL) {
        const int64_t second_ns = 1000 * CLOCK_MS_NS;
        int64_t until_ns = clock_mono_ns() + tick_ns();
        struct timespec until = {.tv_sec = until_ns / second_ns, .tv_nsec = until_ns % second_ns};

        pthread_cond_clockwait(&changed, &lock, CLOCK_MONOTONIC, &until);
        for (struct mq_guard *guard = guards; guard != NULL; guard = guard->next)
            look_at(guard, clock_mono_ns());
    }
    pthread_mutex_unlock(&lock);
}

struct mq_guard *
mq_guard_new(int64_t limit_ms)
{
    struct mq_guard *guard = mem_alloc(sizeof *guard);
    bool first;

    guard->limit_ns = limit_ms * CLOCK_MS_NS;
    guard->fd = -1;
    pthread_mutex_lock(&life);
    pthread_mutex_lock(&lock);
    first = guards == NULL;
    guard->next = guards;
    guards = guard;
    pthread_cond_signal(&changed); /* the tick may be shorter now */
    pthread_mutex_unlock(&lock);
    if (first)
        watcher = thread_start(watch, NULL, "mq-watchdog");
    pthread_mutex_unlock(&life);
    return guard;
}

void
mq_guard_free(struct mq_guard *guard)
{
    bool last;

    if (guard == NULL)
        return;
    pthread_mutex_lock(&life);
    pthread_mutex_lock(&lock);
    for (struct mq_guard **p = &guards; *p != NULL; p = &(*p)->next)
        if (*p == guard) {
            *p = guard->next;
            break;
        }
    last = guards == NULL;
    pthread_cond_signal(&changed);
    pthread_mutex_unlock(&lock);
    if (last)
        thread_join(watcher);
    pthread_mutex_unlock(&life);
    free(guard);
}

void
mq_guard_watch(struct mq_guard *guard, int fd)
{
    pthread_mutex_lock(&lock);
    guard->fd = fd;
    atomic_store(&guard->fired, false);
    pthread_mutex_unlock(&lock);
}

void
mq_guard_enter(struct mq_guard *guard)
{
    atomic_store(&guard->since_ns, clock_mono_ns());
}

void
mq_guard_leave(struct mq_guard *guard)
{
    atomic_store(&guard->since_ns, 0);
}

bool
mq_guard_fired(const struct mq_guard *guard)
{
    return atomic_load(&guard->fired);
}
