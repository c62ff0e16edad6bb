#include "common/thread.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/log.h"
#include "common/mem.h"

/* pthread_create() with what every thread here needs. */

struct start {
    thread_fn *fn;
    void *ctx;
    char name[16];
};

static void
check(int err, const char *what)
{
    errno = err;
    if (err != 0)
        log_panic("thread: %s: %m", what);
}

static void *
run(void *arg)
{
    struct start start = *(struct start *)arg;

    free(arg);
    /* It names itself: seen from outside it may have ended already. */
    check(pthread_setname_np(pthread_self(), start.name), start.name);
    start.fn(start.ctx);
    return NULL;
}

pthread_t
thread_start(thread_fn *fn, void *ctx, const char *name)
{
    struct start *start = mem_alloc(sizeof *start);
    pthread_attr_t attr;
    sigset_t all, before;
    pthread_t thread;

    *start = (struct start){.fn = fn, .ctx = ctx};
    snprintf(start->name, sizeof start->name, "%s", name);
    check(pthread_attr_init(&attr), "attributes");
    check(pthread_attr_setstacksize(&attr, THREAD_STACK_BYTES), "stack size");
    sigfillset(&all);
    check(pthread_sigmask(SIG_SETMASK, &all, &before), "signal mask");
    check(pthread_create(&thread, &attr, run, start), name);
    check(pthread_sigmask(SIG_SETMASK, &before, NULL), "signal mask");
    pthread_attr_destroy(&attr);
    return thread;
}

void
thread_join(pthread_t thread)
{
    check(pthread_join(thread, NULL), "join");
}
