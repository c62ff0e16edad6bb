/* Counts the calls of one program that are places to die, and lets one of them fail or be its last.
 *
 *   tracer [--db PORT] [--amqp PORT] [--call NAME --at N --kind KIND [--ever]] ROLE AS {PID | COMMAND...}
 *
 * ROLE is whose calls count, AS what the process is that it attaches to or starts; with a spawner come the runners that it has.  KIND is kill (instead of the call), after
 * (when it has returned), short (it moves half), or an errno as a number (nothing is done).  Says on stdout, a line each,
 * "ready PID" when it counts, "hit PID PATH" for each process that it hits, with where it stands or the journal that it has, and, when it is told to end by SIGTERM or all are
 * gone, "count NAME N".  What it traced lives on without it.  x86-64 only. */
#include "tracer.h"

#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/ptrace.h>

#define TRACEES_MAX 512
#define EVENT_SHIFT 16
#define SYSCALL_STOP (SIGTRAP | 0x80)

enum kind { KIND_COUNT, KIND_KILL, KIND_AFTER, KIND_SHORT, KIND_ERROR };

struct tracee {
    pid_t tid; /* 0 = free */
    enum tracer_role role;
    bool known;   /* its parent has told of it */
    bool stopped; /* waits for its parent to tell of it */
    bool hit;     /* something is to be done when its call returns */
    struct tracer_short undo;
};

static struct tracee tracees[TRACEES_MAX];
static enum tracer_role victim;
static enum kind kind;
static int error_code;
static unsigned long at;
static const char *wanted = "";
static bool ever;
static bool begun = true; /* what it starts begins with its exec */
static volatile sig_atomic_t ending;

_Noreturn static void
give_up(const char *what)
{
    fprintf(stderr, "tracer: %s: %s\n", what, strerror(errno));
    exit(EXIT_FAILURE);
}

static struct tracee *
find(pid_t tid)
{
    for (size_t i = 0; i < TRACEES_MAX; i++)
        if (tracees[i].tid == tid)
            return &tracees[i];
    return NULL;
}

/* The tracee of that id, a new one if there is none. */
static struct tracee *
meet(pid_t tid)
{
    struct tracee *t = find(tid);

    if (t == NULL) {
        t = find(0);
        if (t == NULL)
            give_up("too many processes");
        *t = (struct tracee){.tid = tid};
    }
    return t;
}

/* --- what is injected --- */

static void
say_hit(pid_t tid)
{
    static char last[TRACER_PATH_MAX];
    static pid_t last_tid;
    char place[TRACER_PATH_MAX];

    tracer_place(tid, place);
    if (tid == last_tid && strcmp(place, last) == 0)
        return;
    last_tid = tid;
    memcpy(last, place, sizeof last);
    printf("hit %d %s\n", tracer_role_group(tid), place);
}

static void
skip_call(pid_t tid, struct user_regs_struct *regs)
{
    regs->orig_rax = (unsigned long long)-1;
    (void)ptrace(PTRACE_SETREGS, tid, 0, regs);
}

static void
inject(struct tracee *t, uint64_t nr, struct user_regs_struct *regs)
{
    if (kind == KIND_SHORT && !tracer_call_shorten(t->tid, nr, regs, &t->undo))
        return;
    t->hit = true;
    if (kind != KIND_AFTER) /* which has what the call gives it */
        say_hit(t->tid);
    if (kind == KIND_KILL || kind == KIND_ERROR)
        skip_call(t->tid, regs);
    if (kind == KIND_KILL)
        (void)kill(tracer_role_group(t->tid), SIGKILL);
}

static void
enter(struct tracee *t)
{
    struct user_regs_struct regs;
    char name[TRACER_NAME_MAX];
    unsigned long n;

    if (ptrace(PTRACE_GETREGS, t->tid, 0, &regs) == -1 ||
        !tracer_call_name(t->tid, regs.orig_rax, &regs, name))
        return;
    n = tracer_call_count(name);
    if (kind != KIND_COUNT && !ending && strcmp(name, wanted) == 0 && (n == at || (ever && n > at)))
        inject(t, regs.orig_rax, &regs);
}

static void
leave(struct tracee *t)
{
    struct user_regs_struct regs;

    if (!t->hit)
        return;
    t->hit = false;
    if (kind == KIND_AFTER) {
        say_hit(t->tid);
        (void)kill(tracer_role_group(t->tid), SIGKILL);
    } else if (kind == KIND_SHORT)
        tracer_call_restore(t->tid, &t->undo);
    else if (kind == KIND_ERROR && ptrace(PTRACE_GETREGS, t->tid, 0, &regs) == 0) {
        regs.rax = (unsigned long long)-error_code;
        (void)ptrace(PTRACE_SETREGS, t->tid, 0, &regs);
    }
}

static void
at_call(struct tracee *t)
{
    struct ptrace_syscall_info info;

    if (t->role != victim || !begun ||
        ptrace(PTRACE_GET_SYSCALL_INFO, t->tid, sizeof info, &info) <= 0)
        return;
    if (info.op == PTRACE_SYSCALL_INFO_ENTRY)
        enter(t);
    else
        leave(t);
}

/* --- who is who --- */

/* A role that comes after the victim's is of no interest. */
static void
go_on(struct tracee *t, int signo)
{
    bool of_interest = t->role != ROLE_NONE &&
                       (t->role == victim || (t->role < victim && t->role != ROLE_DISPATCHER));

    t->stopped = false;
    if (!of_interest) {
        (void)ptrace(PTRACE_DETACH, t->tid, 0, signo);
        t->tid = 0;
    } else {
        (void)ptrace(t->role == victim ? PTRACE_SYSCALL : PTRACE_CONT, t->tid, 0, signo);
    }
}

static void
born(const struct tracee *parent, int event)
{
    unsigned long tid = 0;
    struct tracee *t;

    if (ptrace(PTRACE_GETEVENTMSG, parent->tid, 0, &tid) == -1)
        return;
    t = meet((pid_t)tid);
    t->role = tracer_role_of_child(parent->role, event == PTRACE_EVENT_CLONE);
    t->known = true;
    if (t->stopped)
        go_on(t, 0);
}

/* --- the loop --- */

static void
stop(struct tracee *t, int status)
{
    int signo = WSTOPSIG(status), event = status >> EVENT_SHIFT;

    if (!t->known) { /* it was quicker than the news of it */
        t->stopped = true;
        return;
    }
    if (signo == SYSCALL_STOP) {
        at_call(t);
        go_on(t, 0);
    } else if (event == PTRACE_EVENT_STOP && signo != SIGTRAP) {
        (void)ptrace(PTRACE_LISTEN, t->tid, 0, 0); /* stopped by a signal: let it be */
    } else {
        begun |= event == PTRACE_EVENT_EXEC;
        if (event == PTRACE_EVENT_EXEC)
            t->role = tracer_role_execed(t->tid, t->role);
        else if (event == PTRACE_EVENT_FORK || event == PTRACE_EVENT_VFORK ||
                 event == PTRACE_EVENT_CLONE)
            born(t, event);
        go_on(t, event == 0 ? signo : 0);
    }
}

static bool
any_pending(void)
{
    for (size_t i = 0; i < TRACEES_MAX; i++)
        if (tracees[i].tid != 0 && tracees[i].hit && kind != KIND_KILL && kind != KIND_AFTER)
            return true;
    return false;
}

/* Until all are gone, or somebody wants an end and no call is half done. */
static void
watch(void)
{
    while (!ending || any_pending()) {
        int status;
        pid_t tid = waitpid(-1, &status, __WALL);

        if (tid == -1 && errno == EINTR)
            continue;
        if (tid == -1)
            return;
        if (WIFSTOPPED(status))
            stop(meet(tid), status);
        else if (find(tid) != NULL)
            find(tid)->tid = 0;
    }
}

static void
seize(pid_t tid, enum tracer_role role)
{
    struct tracee *t;
    long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC;

    if (victim > ROLE_WORKER)
        options |= PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK;
    if (ptrace(PTRACE_SEIZE, tid, 0, options) == -1)
        return; /* gone, or a thread that came by itself */
    t = meet(tid);
    t->role = role;
    t->known = true;
    (void)ptrace(PTRACE_INTERRUPT, tid, 0, 0);
}

/* All threads: until a look finds no new one. */
static void
attach(pid_t pid, enum tracer_role role)
{
    char path[64];
    int met = -1, now = 0;

    (void)snprintf(path, sizeof path, "/proc/%d/task", pid);
    while (met != now) {
        DIR *dir = opendir(path);
        struct dirent *e;

        if (dir == NULL)
            give_up(path);
        met = now;
        while ((e = readdir(dir)) != NULL) {
            pid_t tid = (pid_t)strtol(e->d_name, NULL, 10);

            if (tid > 0 && find(tid) == NULL) {
                seize(tid, role);
                now++;
            }
        }
        (void)closedir(dir);
    }
    printf("ready %d\n", pid);
}

/* The child waits until it is traced, so that its first call counts. */
static void
start(char **argv, enum tracer_role role)
{
    int gate[2];
    pid_t pid;

    if (pipe(gate) == -1 || (pid = fork()) == -1)
        give_up("start");
    if (pid == 0) {
        char byte;

        (void)close(gate[1]);
        (void)signal(SIGTERM, SIG_DFL);
        (void)setsid();
        (void)dup2(STDERR_FILENO, STDOUT_FILENO);
        if (read(gate[0], &byte, 1) == 0 && close(gate[0]) == 0)
            (void)execv(argv[0], argv);
        _exit(127);
    }
    begun = false;
    seize(pid, role);
    printf("ready %d\n", pid);
    (void)close(gate[1]);
    (void)close(gate[0]);
}

static void
end_soon(int signo)
{
    (void)signo;
    ending = 1;
}

static void
parse_kind(const char *name)
{
    static const char *const names[] = {
        [KIND_KILL] = "kill", [KIND_AFTER] = "after", [KIND_SHORT] = "short"};

    error_code = (int)strtol(name, NULL, 10);
    kind = KIND_ERROR;
    for (int k = KIND_KILL; k <= KIND_SHORT; k++)
        if (strcmp(name, names[k]) == 0)
            kind = (enum kind)k;
}

int
main(int argc, char **argv)
{
    static const struct option options[] = {{"db", required_argument, NULL, 'd'},
                                            {"amqp", required_argument, NULL, 'a'},
                                            {"call", required_argument, NULL, 'c'},
                                            {"at", required_argument, NULL, 'n'},
                                            {"kind", required_argument, NULL, 'k'},
                                            {"ever", no_argument, NULL, 'e'},
                                            {0}};
    struct sigaction quietly = {.sa_handler = end_soon}; /* no SA_RESTART: it ends waitpid() */
    int option, ports[2] = {0, 0};
    enum tracer_role as;

    while ((option = getopt_long(argc, argv, "+", options, NULL)) != -1) {
        if (option == 'd' || option == 'a')
            ports[option == 'a'] = (int)strtol(optarg, NULL, 10);
        else if (option == 'c')
            wanted = optarg;
        else if (option == 'n')
            at = strtoul(optarg, NULL, 10);
        else if (option == 'k')
            parse_kind(optarg);
        else if (option == 'e')
            ever = true;
        else
            return 2;
    }
    if (argc - optind < 3)
        return 2;
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    (void)sigaction(SIGTERM, &quietly, NULL);
    tracer_call_ports(ports[0], ports[1]);
    victim = tracer_role_parse(argv[optind]);
    as = tracer_role_parse(argv[optind + 1]);
    if (victim == ROLE_NONE || as == ROLE_NONE)
        return 2;
    if (argv[optind + 2][0] == '/')
        start(argv + optind + 2, as);
    else
        attach((pid_t)strtol(argv[optind + 2], NULL, 10), as);
    if (as == ROLE_SPAWNER && victim > as)
        tracer_role_runners((pid_t)strtol(argv[optind + 2], NULL, 10), seize);
    watch();
    tracer_call_print_counts();
    return 0;
}
