#include "common/loop.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/loop_timers.h"
#include "common/mem.h"

/* epoll in one thread.  Sources that a handler removes are marked and freed after the
 * round, because the kernel's list of this round may still name them. */

#define ROUND_EVENTS 64
#define SIGNALS 65 /* numbers 1..64 */

struct loop_source {
    struct loop *loop;
    int fd;
    bool removed;
    loop_fd_fn *fn;
    void *ctx;
    struct loop_source *next; /* in the graveyard */
};

struct call {
    loop_fn *fn;
    void *ctx;
    struct call *next;
};

struct loop {
    int epoll_fd;
    bool stopped;
    struct loop_timers timers;
    struct loop_source *graveyard;

    int signal_fd; /* -1 until loop_signal() */
    struct loop_source *signal_source;
    sigset_t signals;
    struct call on_signal[SIGNALS];

    int wake_fd;
    struct loop_source *wake_source;
    pthread_mutex_t wake_lock; /* protects calls */
    struct call *calls;        /* oldest first */
};

static void
wake_arrived(void *ctx, uint32_t events)
{
    struct loop *loop = ctx;
    struct call *calls;
    uint64_t count;

    (void)events;
    if (read(loop->wake_fd, &count, sizeof count) == -1 && errno != EAGAIN)
        log_panic("loop: eventfd: %m");
    pthread_mutex_lock(&loop->wake_lock);
    calls = loop->calls;
    loop->calls = NULL;
    pthread_mutex_unlock(&loop->wake_lock);
    while (calls != NULL) {
        struct call *call = calls;

        calls = call->next;
        call->fn(call->ctx);
        free(call);
    }
}

struct loop *
loop_new(void)
{
    struct loop *loop = mem_alloc(sizeof *loop);

    loop->signal_fd = -1;
    sigemptyset(&loop->signals);
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (loop->epoll_fd == -1 || loop->wake_fd == -1)
        log_panic("loop: %m");
    if (pthread_mutex_init(&loop->wake_lock, NULL) != 0)
        log_panic("loop: no mutex");
    loop->wake_source = loop_add(loop, loop->wake_fd, EPOLLIN, wake_arrived, loop);
    return loop;
}

static void
bury(struct loop *loop)
{
    while (loop->graveyard != NULL) {
        struct loop_source *source = loop->graveyard;

        loop->graveyard = source->next;
        free(source);
    }
}

void
loop_free(struct loop *loop)
{
    if (loop == NULL)
        return;
    loop_remove(loop->wake_source);
    loop_remove(loop->signal_source);
    bury(loop);
    while (loop->calls != NULL) {
        struct call *call = loop->calls;

        loop->calls = call->next;
        free(call);
    }
    loop_timers_free(&loop->timers);
    pthread_mutex_destroy(&loop->wake_lock);
    if (loop->signal_fd != -1)
        close(loop->signal_fd);
    close(loop->wake_fd);
    close(loop->epoll_fd);
    free(loop);
}

struct loop_source *
loop_add(struct loop *loop, int fd, uint32_t events, loop_fd_fn *fn, void *ctx)
{
    struct loop_source *source = mem_alloc(sizeof *source);
    struct epoll_event event = {.events = events, .data.ptr = source};

    *source = (struct loop_source){.loop = loop, .fd = fd, .fn = fn, .ctx = ctx};
    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) == -1)
        log_panic("loop: add fd=%d: %m", fd);
    return source;
}

void
loop_modify(struct loop_source *source, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = source};

    if (epoll_ctl(source->loop->epoll_fd, EPOLL_CTL_MOD, source->fd, &event) == -1)
        log_panic("loop: modify fd=%d: %m", source->fd);
}

void
loop_remove(struct loop_source *source)
{
    if (source == NULL)
        return;
    if (source->removed)
        log_panic("loop: fd=%d removed twice", source->fd);
    /* A descriptor that was closed before has left the set by itself. */
    if (epoll_ctl(source->loop->epoll_fd, EPOLL_CTL_DEL, source->fd, NULL) == -1 &&
        errno != EBADF && errno != ENOENT)
        log_panic("loop: remove fd=%d: %m", source->fd);
    source->removed = true;
    source->next = source->loop->graveyard;
    source->loop->graveyard = source;
}

struct loop_timer *
loop_timer_new(struct loop *loop, loop_fn *fn, void *ctx)
{
    return loop_timers_new(&loop->timers, fn, ctx);
}

void
loop_block_signals(void)
{
    static const int wanted[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGCHLD};
    sigset_t set;

    sigemptyset(&set);
    for (size_t i = 0; i < ARRAY_LEN(wanted); i++)
        sigaddset(&set, wanted[i]);
    if (pthread_sigmask(SIG_BLOCK, &set, NULL) != 0)
        log_panic("loop: cannot block signals");
    /* A write tells the one by EPIPE; the other is for leases (fcntl(2)), which nobody here keeps. */
    if (signal(SIGPIPE, SIG_IGN) == SIG_ERR || signal(SIGIO, SIG_IGN) == SIG_ERR)
        log_panic("loop: SIGPIPE, SIGIO: %m");
}

static void
signal_arrived(void *ctx, uint32_t events)
{
    struct loop *loop = ctx;
    struct signalfd_siginfo info;

    (void)events;
    while (read(loop->signal_fd, &info, sizeof info) == (ssize_t)sizeof info) {
        const struct call *call = &loop->on_signal[info.ssi_signo % SIGNALS];

        if (call->fn != NULL)
            call->fn(call->ctx);
    }
}

void
loop_signal(struct loop *loop, int signo, loop_fn *fn, void *ctx)
{
    struct call *call = signo >= 1 && signo < SIGNALS ? &loop->on_signal[signo] : NULL;

    if (call == NULL)
        log_panic("loop: signal %d", signo);
    *call = (struct call){.fn = fn, .ctx = ctx};
    sigaddset(&loop->signals, signo);
    loop->signal_fd = signalfd(loop->signal_fd, &loop->signals, SFD_CLOEXEC | SFD_NONBLOCK);
    if (loop->signal_fd == -1)
        log_panic("loop: signalfd: %m");
    if (loop->signal_source == NULL)
        loop->signal_source = loop_add(loop, loop->signal_fd, EPOLLIN, signal_arrived, loop);
}

void
loop_wake(struct loop *loop, loop_fn *fn, void *ctx)
{
    const uint64_t one = 1;
    struct call **end;

    pthread_mutex_lock(&loop->wake_lock);
    for (end = &loop->calls; *end != NULL; end = &(*end)->next)
        if ((*end)->fn == fn && (*end)->ctx == ctx)
            break;
    if (*end == NULL) {
        *end = mem_alloc(sizeof **end);
        (*end)->fn = fn;
        (*end)->ctx = ctx;
    }
    pthread_mutex_unlock(&loop->wake_lock);
    /* EAGAIN = the counter is full, so the loop wakes anyway */
    if (write(loop->wake_fd, &one, sizeof one) == -1 && errno != EAGAIN)
        log_panic("loop: eventfd: %m");
}

/* Milliseconds until the next timer, rounded up; -1 = none is armed. */
static int
sleep_ms(const struct loop *loop)
{
    int64_t deadline_ns, ms;

    if (!loop_timers_next(&loop->timers, &deadline_ns))
        return -1;
    ms = (deadline_ns - clock_mono_ns() + CLOCK_MS_NS - 1) / CLOCK_MS_NS;
    return ms < 0 ? 0 : ms > INT_MAX ? INT_MAX : (int)ms;
}

void
loop_run(struct loop *loop)
{
    struct epoll_event events[ROUND_EVENTS];

    loop->stopped = false;
    while (!loop->stopped) {
        int n = epoll_wait(loop->epoll_fd, events, ROUND_EVENTS, sleep_ms(loop));

        if (n == -1 && errno != EINTR)
            log_panic("loop: epoll_wait: %m");
        for (int i = 0; i < n; i++) {
            struct loop_source *source = events[i].data.ptr;

            if (!source->removed)
                source->fn(source->ctx, events[i].events);
        }
        loop_timers_run(&loop->timers, clock_mono_ns());
        bury(loop);
    }
}

void
loop_stop(struct loop *loop)
{
    loop->stopped = true;
}
