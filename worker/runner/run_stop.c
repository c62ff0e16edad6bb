/* Stopping an attempt: its signal, its grace, then SIGKILL for every descendant until none is
 * left or SWEEP_MS have passed.  The grace belongs to the whole process group, not only to
 * its leader: a shell dies at once, while the terraform it started may still be unlocking
 * its state. */
#include "worker/runner/runner.h"

#include "common/clock.h"
#include "common/log.h"
#include "worker/runner/cgroup.h"

#define POLL_MS 10
#define SWEEP_MS 2000

static void
finish(struct runner *r, uint32_t left_behind)
{
    r->stop.left_behind = left_behind;
    if (left_behind > 0)
        log_err("attempt=%s left_behind=%u", r->request->dir, left_behind);
    r->phase = RUNNER_ENDING;
    runner_timer_stop(r, TIMER_SWEEP);
    runner_timer_set(r, TIMER_END, 0);
}

static void
sweep(struct runner *r)
{
    uint32_t found = run_tree_kill();
    bool lives = cgroup_kill(r->groups, r->request->dir);

    if (!run_child_reap(r) && !lives)
        finish(r, 0);
    else if (r->timer_ns[TIMER_SWEEP] == 0) /* time is up */
        finish(r, found > 0 ? found : 1);
    else
        runner_timer_set(r, TIMER_POLL, POLL_MS);
}

static void
start_sweep(struct runner *r)
{
    r->phase = RUNNER_SWEEPING;
    runner_timer_stop(r, TIMER_GRACE);
    runner_timer_set(r, TIMER_SWEEP, SWEEP_MS);
    sweep(r);
}

void
run_stop_step(struct runner *r)
{
    bool any = run_child_reap(r);

    if (r->phase == RUNNER_SWEEPING) {
        sweep(r);
    } else if (r->phase == RUNNER_STOPPING) {
        if (!any || r->timer_ns[TIMER_GRACE] == 0 || !run_child_group_lives(r))
            start_sweep(r);
        else if (r->child.gone)
            runner_timer_set(r, TIMER_POLL, POLL_MS);
    }
}

static void
shorten_grace(struct runner *r, int64_t grace_ms)
{
    int64_t end = clock_mono_ns() + grace_ms * CLOCK_MS_NS;

    if (r->phase == RUNNER_STOPPING && end < r->timer_ns[TIMER_GRACE])
        r->timer_ns[TIMER_GRACE] = end;
}

void
run_stop(struct runner *r, enum journal_cause cause, int64_t grace_ms)
{
    (void)run_child_reap(r);
    if (r->stop.requested) {
        shorten_grace(r, grace_ms);
        return;
    }
    if (r->phase != RUNNER_RUNNING || r->child.gone)
        return; /* it has ended by itself: nothing to stop, and that end counts */
    log_info("attempt=%s stop=%s grace_ms=%lld", r->request->dir, journal_cause_name(cause),
             (long long)grace_ms);
    r->stop.requested = true;
    r->stop.cause = cause;
    r->phase = RUNNER_STOPPING;
    runner_timer_stop(r, TIMER_DEADLINE);
    runner_timer_stop(r, TIMER_IDLE);
    runner_timer_set(r, TIMER_GRACE, grace_ms);
    run_child_signal(r, r->request->stop_signal, r->request->stop_group);
}
