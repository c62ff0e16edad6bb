/* Start and end of the program.  Order of a start: fork, the child gets itself ready and
 * waits at a barrier; the start record is written; the barrier opens; the child execs.  So a
 * runner that dies anywhere here leaves either nothing that ran or a journal that says
 * "started".  A failed exec comes back through a pipe that exec closes, which tells
 * "could not start" from a program that exits 127. */
#include "worker/runner/runner.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/file.h"
#include "common/log.h"
#include "worker/runner/run_proc.h"

#define CHILD_UMASK 022
#define CHILD_EXIT 127
#define FAILURE_FD 3 /* of the child, right behind the standard ones */

struct pipes {
    int out[2], err[2], exec[2], barrier[2];
};

/* --- in the child: only calls that are safe after fork, no allocation --- */

_Noreturn static void
fail(int fd, enum child_stage stage)
{
    struct child_failure failure = {(int32_t)stage, errno};
    ssize_t n = write(fd, &failure, sizeof failure);

    _exit(n == (ssize_t)sizeof failure ? CHILD_EXIT : EXIT_FAILURE);
}

static void
reset_signals(void)
{
    sigset_t none;

    for (int signo = 1; signo < NSIG; signo++)
        (void)signal(signo, SIG_DFL); /* KILL, STOP and the libc's own refuse, rightly */
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

static int
arrange_descriptors(const struct pipes *p)
{
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

    if (null == -1 || dup2(null, STDIN_FILENO) == -1 || dup2(p->out[1], STDOUT_FILENO) == -1 ||
        dup2(p->err[1], STDERR_FILENO) == -1)
        return -1;
    if (p->exec[1] != FAILURE_FD && dup3(p->exec[1], FAILURE_FD, O_CLOEXEC) == -1)
        return -1;
    return close_range(FAILURE_FD + 1, ~0u, 0);
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
wait_at_barrier(int fd)
{
    char go;

    return read(fd, &go, 1) == 1 ? 0 : -1;
}

_Noreturn static void
child_main(const struct request *q, const struct pipes *p, pid_t runner, int oom_score)
{
    static const struct rlimit no_core = {0, 0};

    (void)setsid();
    reset_signals();
    /* Nobody listens any more when the barrier is shut instead of opened. */
    if (tie_to_runner(runner) == -1 || wait_at_barrier(p->barrier[0]) == -1)
        _exit(CHILD_EXIT);
    if (arrange_descriptors(p) == -1)
        fail(p->exec[1], CHILD_SETUP);
    (void)run_proc_oom_score(oom_score);
    (void)umask(CHILD_UMASK);
    if (setrlimit(RLIMIT_CORE, &no_core) == -1)
        fail(FAILURE_FD, CHILD_SETUP);
    if (chdir(q->cwd == NULL ? REQUEST_WORK : q->cwd) == -1)
        fail(FAILURE_FD, CHILD_CHDIR);
    (void)execve(q->argv[0], q->argv, q->envp);
    fail(FAILURE_FD, CHILD_EXEC);
}

/* --- in the runner --- */

static int
open_pipes(struct pipes *p)
{
    return pipe2(p->out, O_CLOEXEC) == -1 || pipe2(p->err, O_CLOEXEC) == -1 ||
                   pipe2(p->exec, O_CLOEXEC) == -1 || pipe2(p->barrier, O_CLOEXEC) == -1 ||
                   fcntl(p->out[0], F_SETFL, O_NONBLOCK) == -1 ||
                   fcntl(p->err[0], F_SETFL, O_NONBLOCK) == -1 ||
                   fcntl(p->exec[0], F_SETFL, O_NONBLOCK) == -1
               ? -1
               : 0;
}

static int
journal_start(struct runner *r, pid_t pid)
{
    char text[16];
    int n = snprintf(text, sizeof text, "%d", (int)pid);

    return runner_journal(r, JOURNAL_START, text, (size_t)n);
}

static int
watch_output(struct runner *r, const struct pipes *p)
{
    r->output.stream[0].fd = p->out[0];
    r->output.stream[1].fd = p->err[0];
    r->child.exec_fd = p->exec[0];
    return runner_watch(r, p->out[0], SOURCE_STDOUT) == -1 ||
                   runner_watch(r, p->err[0], SOURCE_STDERR) == -1
               ? -1
               : 0;
}

static int
fork_child(struct runner *r, struct pipes *p, int oom_score)
{
    pid_t runner = getpid();
    pid_t pid = fork();

    if (pid == -1)
        return -1;
    if (pid == 0)
        child_main(r->request, p, runner, oom_score);
    (void)close(p->out[1]);
    (void)close(p->err[1]);
    (void)close(p->exec[1]);
    (void)close(p->barrier[0]);
    r->child.pid = pid;
    r->child.gone = false;
    r->child.pidfd = pidfd_open(pid, 0);
    return r->child.pidfd == -1 ? -1 : 0;
}

int
run_child_start(struct runner *r, int oom_score)
{
    struct pipes p;
    int started;

    if (open_pipes(&p) == -1 || watch_output(r, &p) == -1 || fork_child(r, &p, oom_score) == -1) {
        int cause = errno;

        r->child.failure = (struct child_failure){CHILD_SETUP, cause};
        (void)journal_start(r, 0); /* its failure is kept in journal_error */
        if (r->child.pid > 0)
            (void)kill(r->child.pid, SIGKILL);
        return -1;
    }
    started = journal_start(r, r->child.pid);
    if (started == 0 && file_write_all(p.barrier[1], "", 1) == -1)
        log_warn("pid=%d died before its start: %m", (int)r->child.pid);
    (void)close(p.barrier[1]);
    return started;
}

static void
note_status(struct runner *r, const siginfo_t *info)
{
    struct runner_child *c = &r->child;

    c->gone = true;
    if (read(c->exec_fd, &c->failure, sizeof c->failure) == (ssize_t)sizeof c->failure)
        return; /* that was our own code: the program never ran */
    c->failure.stage = 0;
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
    if (pidfd_send_signal(c->pidfd, signo, NULL, 0) == -1 && errno != ESRCH)
        log_warn("signal=%d pid=%d: %m", signo, (int)c->pid);
}

bool
run_child_group_lives(const struct runner *r)
{
    if (!r->child.gone)
        return true;
    return r->child.pid > 0 && (kill(-r->child.pid, 0) == 0 || errno != ESRCH);
}
