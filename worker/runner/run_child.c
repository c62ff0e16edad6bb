/* Start and end of the program.  The child of vfork() gets itself ready, writes the start record
 * and execs, while the runner stands still.  So a runner that dies anywhere here leaves either
 * nothing that ran or a journal that says "started"; and what the child finds, it leaves in the
 * runner's own memory.  A fork() would copy that memory: a third of what a start costs. */
#include "worker/runner/runner.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/file.h"
#include "common/log.h"
#include "worker/runner/cgroup.h"
#include "worker/runner/run_proc.h"

#define CHILD_UMASK 022
#define CHILD_EXIT 127

struct pipes {
    int out[2], err[2];
};

/* --- in the child, which shares the runner's memory but not its descriptors and signals: only
 * calls that are safe after fork, no allocation --- */

_Noreturn static void
fail(struct runner *r, enum child_stage stage)
{
    r->child.failure = (struct child_failure){(int32_t)stage, errno};
    _exit(CHILD_EXIT);
}

/* Handlers do not survive exec, and nothing is ignored: the spawner saw to that once for all. */
static void
unblock_signals(void)
{
    sigset_t none;

    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* What the runner has open is closed by exec; the journal is needed until then. */
static int
arrange_descriptors(const struct pipes *p)
{
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

    if (null == -1 || dup2(null, STDIN_FILENO) == -1 || dup2(p->out[1], STDOUT_FILENO) == -1 ||
        dup2(p->err[1], STDERR_FILENO) == -1)
        return -1;
    return close_range(STDERR_FILENO + 1, ~0u, CLOSE_RANGE_CLOEXEC);
}

/* PDEATHSIG is the last net for a killed runner; it reaches this process only, and not if the
 * runner died before it was set. */
static int
tie_to_runner(pid_t runner)
{
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) == -1)
        return -1;
    if (getppid() != runner)
        _exit(CHILD_EXIT);
    return 0;
}

static int
journal_start(struct runner *r, pid_t pid)
{
    char text[16];
    int n = snprintf(text, sizeof text, "%d", (int)pid);

    return journal_append(&r->journal, JOURNAL_START, text, (size_t)n);
}

/* Too late: by now the task may be somebody else's.  The end will say so. */
_Noreturn static void
give_up(struct runner *r)
{
    r->stop.requested = true;
    r->stop.cause = END_LEASE;
    _exit(CHILD_EXIT);
}

_Noreturn static void
child_main(struct runner *r, const struct pipes *p, pid_t runner)
{
    static const struct rlimit no_core = {0, 0};
    const struct request *q = r->request;

    (void)setsid();
    unblock_signals();
    if (tie_to_runner(runner) == -1)
        fail(r, CHILD_SETUP);
    if (journal_start(r, getpid()) == -1) {
        r->journal_error = errno;
        _exit(CHILD_EXIT);
    }
    if (cgroup_enter(r->groups, q->dir) == -1 || arrange_descriptors(p) == -1 ||
        setrlimit(RLIMIT_CORE, &no_core) == -1)
        fail(r, CHILD_SETUP);
    if (runner_oom_is_spared())
        (void)run_proc_oom_score(r->child.oom_score);
    (void)umask(CHILD_UMASK);
    if (chdir(q->cwd == NULL ? REQUEST_WORK : q->cwd) == -1)
        fail(r, CHILD_CHDIR);
    if (run_control_lease_is_over(r))
        give_up(r);
    (void)execve(q->argv[0], q->argv, q->envp);
    fail(r, CHILD_EXEC);
}

/* --- in the runner --- */

static int
open_pipes(struct pipes *p)
{
    return pipe2(p->out, O_CLOEXEC) == -1 || pipe2(p->err, O_CLOEXEC) == -1 ||
                   fcntl(p->out[0], F_SETFL, O_NONBLOCK) == -1 ||
                   fcntl(p->err[0], F_SETFL, O_NONBLOCK) == -1
               ? -1
               : 0;
}

static int
watch_output(struct runner *r, const struct pipes *p)
{
    r->output.stream[0].fd = p->out[0];
    r->output.stream[1].fd = p->err[0];
    return runner_watch(r, p->out[0], SOURCE_STDOUT) == -1 ||
                   runner_watch(r, p->err[0], SOURCE_STDERR) == -1
               ? -1
               : 0;
}

/* Returns once the child has execed or is gone.  POSIX allows a child of vfork() nothing but
 * exec; Linux says what it is (vfork(2)): a process of its own in this memory, on this stack,
 * which does not return from here. */
static pid_t
start_child(struct runner *r, const struct pipes *p)
{
    pid_t runner = getpid();
    pid_t pid = vfork(); // NOLINT(clang-analyzer-security.insecureAPI.vfork)

    if (pid == 0)
        child_main(r, p, runner); // NOLINT(clang-analyzer-unix.Vfork)
    return pid;
}

int
run_child_start(struct runner *r)
{
    struct pipes p = {{-1, -1}, {-1, -1}};

    if (open_pipes(&p) == 0 && watch_output(r, &p) == 0)
        r->child.pid = start_child(r, &p);
    if (r->child.pid <= 0)
        r->child.failure = (struct child_failure){CHILD_SETUP, errno};
    file_cleanup_close(&p.out[1]);
    file_cleanup_close(&p.err[1]);
    if (r->child.pid <= 0)
        return -1;
    r->child.gone = false;
    if (r->journal_error == 0)
        return 0;
    errno = r->journal_error;
    log_err("attempt=%s journal: %m", r->request->dir);
    return -1;
}

static void
note_status(struct runner *r, const siginfo_t *info)
{
    struct runner_child *c = &r->child;

    c->gone = true;
    if (c->failure.stage != 0)
        return; /* that was our own code: the program never ran */
    if (info->si_code == CLD_EXITED)
        c->exit_code = info->si_status;
    else
        c->signal = info->si_status;
}

bool
run_child_reap(struct runner *r)
{
    siginfo_t info = {0};

    while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | __WALL) == 0) {
        if (info.si_pid == 0)
            return true;
        if (info.si_pid == r->child.pid && !r->child.gone)
            note_status(r, &info);
        info = (siginfo_t){0};
    }
    return errno != ECHILD;
}

void
run_child_signal(struct runner *r, int signo, bool group)
{
    struct runner_child *c = &r->child;

    if (c->gone)
        return;
    /* Not reaped yet, so its number is still its own.  Before its setsid() there is no group. */
    if (group && kill(-c->pid, signo) == 0)
        return;
    if (kill(c->pid, signo) == -1 && errno != ESRCH)
        log_warn("signal=%d pid=%d: %m", signo, (int)c->pid);
}

bool
run_child_group_lives(const struct runner *r)
{
    if (!r->child.gone)
        return true;
    return r->child.pid > 0 && (kill(-r->child.pid, 0) == 0 || errno != ESRCH);
}
