/* The loop of one attempt's runner. */
#include "worker/runner/runner.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/file.h"
#include "common/log.h"
#include "worker/runner/run_proc.h"

#define RUNNER_NAME "hler-runner"
#define RUNNER_IDLE_NAME "hler-idle"
#define RUNNER_UMASK 077
#define OOM_SCORE (-900) /* the program goes first, then its runner can tell of it */
#define EVENTS 16
#define DRAIN_MS 1000

static struct runner runner;

/* What a process has once, for all attempts that it serves. */
static struct {
    bool ready;
    bool oom_spared;
    int epoll, signals, lease;
} process = {.epoll = -1, .signals = -1, .lease = -1};

bool
runner_oom_is_spared(void)
{
    return process.oom_spared;
}

int
runner_journal(struct runner *r, enum journal_kind kind, const void *payload, size_t len)
{
    if (r->journal_error != 0)
        return -1;
    if (journal_append(&r->journal, kind, payload, len) == 0)
        return 0;
    r->journal_error = errno;
    log_err("attempt=%s journal: %m", r->request->dir);
    run_stop(r, END_JOURNAL_FULL, r->request->grace_ms);
    return -1;
}

void
runner_timer_set(struct runner *r, enum runner_timer timer, int64_t delay_ms)
{
    r->timer_ns[timer] = clock_mono_ns() + delay_ms * CLOCK_MS_NS;
}

void
runner_timer_stop(struct runner *r, enum runner_timer timer)
{
    r->timer_ns[timer] = 0;
}

int
runner_watch(struct runner *r, int fd, uint32_t source)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = source};

    return epoll_ctl(r->epoll, EPOLL_CTL_ADD, fd, &event);
}

void
runner_unwatch(struct runner *r, int fd)
{
    (void)epoll_ctl(r->epoll, EPOLL_CTL_DEL, fd, NULL); /* it fails for what is not watched */
}

int
runner_watch_set(struct runner *r, int fd, uint32_t source, bool on)
{
    struct epoll_event event = {.events = on ? EPOLLIN : 0, .data.u32 = source};

    return epoll_ctl(r->epoll, EPOLL_CTL_MOD, fd, &event);
}

/* A runner ends when its program does, so what is meant to end a whole machine's processes
 * is left to the program.  Blocked and not ignored: a stop that reaches the child between
 * fork and exec then waits until its signals are back to default.  A blocked SIGXFSZ or
 * SIGPIPE is an error of the call alone. */
static int
block_signals(void)
{
    static const int blocked[] = {SIGHUP,  SIGINT,  SIGQUIT, SIGTERM, SIGPIPE,
                                  SIGXFSZ, SIGUSR1, SIGUSR2, SIGTSTP, SIGCHLD};
    sigset_t mask;

    (void)sigemptyset(&mask);
    for (size_t i = 0; i < ARRAY_LEN(blocked); i++)
        (void)sigaddset(&mask, blocked[i]);
    return sigprocmask(SIG_SETMASK, &mask, NULL) == -1 || signal(SIGCHLD, SIG_DFL) == SIG_ERR ? -1
                                                                                              : 0;
}

static int
open_process(struct runner *r)
{
    sigset_t mask;

    (void)sigemptyset(&mask);
    (void)sigaddset(&mask, SIGCHLD);
    process.epoll = epoll_create1(EPOLL_CLOEXEC);
    process.signals = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
    process.lease = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    if (process.epoll == -1 || process.signals == -1 || process.lease == -1)
        return -1;
    r->epoll = process.epoll;
    return runner_watch(r, process.signals, SOURCE_SIGNAL) == -1 ||
                   runner_watch(r, process.lease, SOURCE_LEASE) == -1
               ? -1
               : 0;
}

static int
set_up_process(struct runner *r)
{
    (void)setsid(); /* never a group leader: the spawner has just forked it */
    (void)umask(RUNNER_UMASK);
    process.oom_spared = run_proc_oom_score(OOM_SCORE) == 0;
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) == -1 || block_signals() == -1 || open_process(r) == -1)
        return -1;
    process.ready = true;
    return 0;
}

static int
set_up(struct runner *r, const struct runner_start *start)
{
    /* In this order, for who looks at processes (tests/faults): what is called a runner is in its
     * attempt's directory, and what leads a session under the spawner's name is the spawner. */
    if (fchdir(start->dir_fd) == -1 || close(start->dir_fd) == -1 ||
        prctl(PR_SET_NAME, RUNNER_NAME) == -1)
        return -1;
    if (!process.ready && set_up_process(r) == -1)
        return -1;
    r->epoll = process.epoll;
    r->signals = process.signals;
    r->lease = process.lease;
    if (runner_watch(r, r->control.fd, SOURCE_CONTROL) == -1)
        return -1;
    return run_emit_open(r);
}

static void
end_soon(struct runner *r)
{
    r->phase = RUNNER_ENDING;
    runner_timer_stop(r, TIMER_DRAIN);
    runner_timer_set(r, TIMER_END, 0);
}

static void
on_children(struct runner *r)
{
    struct signalfd_siginfo info;

    while (read(r->signals, &info, sizeof info) == (ssize_t)sizeof info)
        continue; /* it only says that there is something to reap */
    (void)run_child_reap(r);
    if (r->phase == RUNNER_RUNNING && r->child.gone) {
        r->phase = RUNNER_DRAINING;
        run_output_drain(r);
        runner_timer_set(r, TIMER_DRAIN, DRAIN_MS);
    } else {
        run_stop_step(r);
    }
}

static void
on_lease(struct runner *r)
{
    uint64_t times;

    /* The tables wait one more lease before they offer the task again: the tree must be
     * gone by then, however patient the executor would like us to be. */
    int64_t grace_ms = r->request->grace_ms, most_ms = r->request->lease_ms / 2;

    if (read(r->lease, &times, sizeof times) == (ssize_t)sizeof times)
        run_stop(r, END_LEASE, grace_ms < most_ms ? grace_ms : most_ms);
}

static void
on_deadline(struct runner *r)
{
    run_stop(r, END_DEADLINE, r->request->grace_ms);
}

static void
on_idle(struct runner *r)
{
    /* It may wait at its pipe: during a pause nobody listens, and a runner that stood still may look
     * at its timers first. */
    bool spoke = run_output_read(r, 0);

    if (!run_output_read(r, 1) && !spoke)
        run_stop(r, END_IDLE, r->request->grace_ms);
}

static void (*const timer_calls[TIMERS])(struct runner *) = {
    [TIMER_DEADLINE] = on_deadline,  [TIMER_IDLE] = on_idle,
    [TIMER_FLUSH] = run_output_tick, [TIMER_GRACE] = run_stop_step,
    [TIMER_POLL] = run_stop_step,    [TIMER_SWEEP] = run_stop_step,
    [TIMER_DRAIN] = end_soon,        [TIMER_PAUSE] = run_output_resume,
    [TIMER_END] = run_end,
};

static void
run_timers(struct runner *r)
{
    for (unsigned i = 0; i < TIMERS; i++) {
        if (r->timer_ns[i] != 0 && r->timer_ns[i] <= clock_mono_ns()) {
            r->timer_ns[i] = 0;
            timer_calls[i](r);
        }
    }
}

/* For epoll_wait(): ms until the next timer, rounded up; -1 = none. */
static int
next_timer_ms(const struct runner *r)
{
    int64_t next = 0, wait;

    for (unsigned i = 0; i < TIMERS; i++)
        if (r->timer_ns[i] != 0 && (next == 0 || r->timer_ns[i] < next))
            next = r->timer_ns[i];
    if (next == 0)
        return -1;
    wait = (next - clock_mono_ns() + CLOCK_MS_NS - 1) / CLOCK_MS_NS;
    return wait < 0 ? 0 : wait > INT_MAX ? INT_MAX : (int)wait;
}

static void
dispatch(struct runner *r, uint32_t source)
{
    if (source >= SOURCE_EMIT) {
        run_emit_read(r, source - SOURCE_EMIT);
        return;
    }
    switch ((enum runner_source)source) {
    case SOURCE_STDOUT:
    case SOURCE_STDERR:
        (void)run_output_read(r, source - SOURCE_STDOUT);
        return;
    case SOURCE_SIGNAL:
        on_children(r);
        return;
    case SOURCE_CONTROL:
        run_control_read(r);
        return;
    case SOURCE_LEASE:
        on_lease(r);
        return;
    case SOURCE_LISTEN:
        run_emit_accept(r);
        return;
    case SOURCE_EMIT:
        return; /* taken above */
    }
}

static void
loop(struct runner *r)
{
    struct epoll_event events[EVENTS];

    while (r->phase != RUNNER_OVER) {
        int n = epoll_wait(r->epoll, events, EVENTS, next_timer_ms(r));

        if (n == -1 && errno != EINTR)
            log_panic("attempt=%s epoll_wait: %m", r->request->dir);
        for (int i = 0; i < n; i++)
            dispatch(r, events[i].data.u32);
        run_emit_settle(r);
        if (r->phase == RUNNER_DRAINING && !run_output_open(r))
            end_soon(r);
        run_timers(r);
    }
}

static void
start_program(struct runner *r)
{
    const struct request *q = r->request;

    /* Before the start, which takes its time on a slow or frozen machine. */
    if (q->deadline_ms > 0)
        runner_timer_set(r, TIMER_DEADLINE, q->deadline_ms);
    if (q->idle_ms > 0)
        runner_timer_set(r, TIMER_IDLE, q->idle_ms);
    if (q->lease_ms > 0)
        run_control_lease(r, q->lease_from_ns + q->lease_ms * CLOCK_MS_NS);
    if (run_child_start(r) == -1 && r->phase == RUNNER_RUNNING)
        end_soon(r);
}

/* Without its loop a runner can still say so in the journal. */
static void
end_without_loop(struct runner *r, int cause)
{
    static const struct timespec pause = {.tv_sec = 1};

    r->child.failure = (struct child_failure){CHILD_SETUP, cause};
    for (run_end(r); r->phase != RUNNER_OVER; run_end(r))
        (void)nanosleep(&pause, NULL);
}

/* The journal with them: its lock, which says that a runner has it, goes.  Nor does an idle runner stand in
 * the attempt's directory, and that one is called a runner (see set_up()). */
static void
tear_down(struct runner *r)
{
    static const struct itimerspec never;

    /* The spawner may still have this FIFO open, which would keep it in the set. */
    runner_unwatch(r, r->control.fd);
    if (r->request->lease_ms > 0)
        (void)timerfd_settime(r->lease, 0, &never, NULL); /* fails for no such timer only */
    (void)prctl(PR_SET_NAME, RUNNER_IDLE_NAME);
    if (chdir("/") == -1)
        log_warn("attempt=%s chdir: %m", r->request->dir);
    file_cleanup_close(&r->control.fd);
    file_cleanup_close(&r->journal.fd);
}

bool
runner_run(const struct runner_start *start)
{
    struct runner *r = &runner;
    bool again;

    *r = (struct runner){
        .request = start->request,
        .journal = start->journal,
        .started_ns = clock_mono_ns(),
        .control.fd = start->control_fd,
        .epoll = -1,
        .signals = -1,
        .lease = -1,
        .groups = start->groups,
        .sockets = start->sockets,
        .child = {.gone = true, .exit_code = -1, .oom_score = start->oom_score},
    };
    run_output_init(&r->output);
    run_emit_init(r);
    if (set_up(r, start) == -1) {
        log_err("attempt=%s cannot start: %m", r->request->dir);
        end_without_loop(r, errno);
        return false;
    }
    start_program(r);
    loop(r);
    again = r->journal_error == 0 && r->child.failure.stage != CHILD_SETUP &&
            r->stop.left_behind == 0 && !run_child_reap(r);
    tear_down(r);
    return again;
}
