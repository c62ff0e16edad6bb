/* The one process that has runners: small, single-threaded, without AMQP or JSON, so that a
 * runner is a fork of it and needs no exec, or one that has served before (crew.h).  What makes an attempt
 * startable is that its journal is begun once: a request that comes twice starts nothing twice. */
#include "worker/runner/spawner.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/file.h"
#include "common/log.h"
#include "worker/runner/crew.h"
#include "worker/runner/journal.h"
#include "worker/runner/request.h"
#include "worker/runner/run_listener.h"
#include "worker/runner/run_nothing.h"
#include "worker/runner/run_proc.h"
#include "worker/runner/runner.h"

#define SPAWNER_NAME "hler-spawner"
#define SPAWNER_UMASK 077
#define SOCKETS_DIR "sockets" /* below the spool: of idle runners */
#define SOCKETS_TRIES 3
#define LOCK_WAIT_MS 10000
#define FILE_MODE 0600
#define DIR_MODE 0700
#define QUIET_S 10 /* without a request: no runner waits for one any more */

struct spawner_state {
    int spool_fd, lock_fd;
    int groups_fd;  /* -1 = no control groups */
    int sockets_fd; /* -1 = sockets do not serve again */
    int oom_score;  /* as it was given to us: what programs get */
    bool speechless;
    struct crew crew;
    struct run_nothing nothing; /* what waits to be synced together */
};

static char datagram[REQUEST_MAX + 1];
static char *slots[REQUEST_STRINGS];

static int
open_lock(int spool_fd)
{
    CLEANUP(file_cleanup_close)
    int fd = openat(spool_fd, SPAWNER_LOCK, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, FILE_MODE);

    return fd != -1 && file_lock(fd, LOCK_WAIT_MS) == 0 ? file_take(&fd) : -1;
}

/* A new one: what was in the old one is of runners that wait no more, as their spawner is gone.  Those that still work may put
 * theirs into it meanwhile.  Without it a start is slower, and no more than that. */
static void
open_sockets(struct spawner_state *s)
{
    const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

    for (int i = 0; i < SOCKETS_TRIES; i++)
        if (file_remove_tree(s->spool_fd, SOCKETS_DIR) == 0)
            break;
    if (mkdirat(s->spool_fd, SOCKETS_DIR, DIR_MODE) == 0 || errno == EEXIST)
        s->sockets_fd = openat(s->spool_fd, SOCKETS_DIR, flags);
    if (s->sockets_fd == -1)
        log_warn("spool directory " SOCKETS_DIR ": %m");
}

/* The journal, locked and begun.  EEXIST = this attempt was started before.  Returns its descriptor, which the writer has too. */
static int
make_journal(int dir_fd, struct journal_writer *w)
{
    const int flags = O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC;
    CLEANUP(file_cleanup_close) int fd = openat(dir_fd, JOURNAL_FILE, flags, FILE_MODE);

    if (fd != -1 && flock(fd, LOCK_EX | LOCK_NB) == 0 && journal_begin(w, fd) == 0)
        return file_take(&fd);
    if (errno == EWOULDBLOCK)
        errno = EEXIST;
    return -1;
}

/* Mostly it is there already.  Opened for writing too: a FIFO with no writer left would be
 * readable for ever.  Open here: once the request is answered a stop can be sent. */
static int
make_control(int dir_fd)
{
    const int flags = O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW;
    CLEANUP(file_cleanup_close) int fd = openat(dir_fd, REQUEST_CTL, flags);
    struct stat st;

    if (fd == -1 && errno == ENOENT && mkfifoat(dir_fd, REQUEST_CTL, FILE_MODE) == 0)
        fd = openat(dir_fd, REQUEST_CTL, flags);
    if (fd == -1 || fstat(fd, &st) == -1)
        return -1;
    if (!S_ISFIFO(st.st_mode)) {
        errno = EEXIST;
        return -1;
    }
    return file_take(&fd);
}

/* Returns the errno that it was called with. */
static int
unmake(int dir_fd)
{
    static const char *const names[] = {REQUEST_CTL, JOURNAL_FILE};
    int cause = errno;

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (unlinkat(dir_fd, names[i], 0) == -1 && errno != ENOENT)
            log_warn("remove %s: %m", names[i]);
    return cause;
}

/* One attempt, and those that follow.  The environment of one is not left in the memory that the next one's runner has. */
_Noreturn static void
become_runner(struct spawner_state *s, const struct crew_attempt *first,
              const struct crew_place *place)
{
    const int sockets = place->seat == -1 ? -1 : s->sockets_fd;
    struct crew_attempt a = *first;
    struct request q;
    bool again;

    (void)close(s->spool_fd);
    (void)close(s->lock_fd);
    (void)close(SPAWNER_SOCKET);
    crew_leave(&s->crew);
    do {
        if (request_unpack(a.request, a.len, &q, slots, ARRAY_LEN(slots)) == -1)
            log_panic("a request is not what the spawner has read: %m");
        again = runner_run(&(struct runner_start){.request = &q,
                                                  .journal = a.journal,
                                                  .dir_fd = a.dir_fd,
                                                  .control_fd = a.control_fd,
                                                  .groups = s->groups_fd,
                                                  .sockets = sockets,
                                                  .oom_score = s->oom_score});
        explicit_bzero(a.request, a.len);
        a.len = REQUEST_MAX;
    } while (again && crew_wait(place, &a));
    run_listener_leave(sockets);
    _exit(EXIT_SUCCESS);
}

static int
fork_runner(struct spawner_state *s, const struct crew_attempt *a)
{
    struct crew_place place = crew_reserve(&s->crew);
    pid_t pid = fork();
    int cause = errno;

    if (pid == 0)
        become_runner(s, a, &place);
    crew_seated(&s->crew, &place, pid);
    errno = cause;
    return pid == -1 ? -1 : 0;
}

/* Returns 0 once a runner has the journal, else an errno; nothing was started then. */
static int
start_runner(struct spawner_state *s, const struct request *q, size_t len)
{
    CLEANUP(file_cleanup_close)
    int dir_fd = openat(s->spool_fd, q->dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct journal_writer journal;
    CLEANUP(file_cleanup_close)
    int journal_fd = dir_fd == -1 ? -1 : make_journal(dir_fd, &journal);
    CLEANUP(file_cleanup_close) int control_fd = -1;
    struct crew_attempt attempt;

    if (journal_fd == -1)
        return errno;
    control_fd = make_control(dir_fd);
    if (control_fd == -1)
        return unmake(dir_fd);
    attempt = (struct crew_attempt){.request = datagram,
                                    .len = len,
                                    .journal = journal,
                                    .dir_fd = dir_fd,
                                    .control_fd = control_fd};
    if (!crew_hand_over(&s->crew, &attempt) && fork_runner(s, &attempt) == -1)
        return unmake(dir_fd);
    return 0;
}

/* If the worker cannot be told it would wait for ever: the end of this process is an answer, too, and
 * sends it to the spool. */
static void
tell(struct spawner_state *s, const char *dir, int error)
{
    struct request_answer answer = {.error = error};

    memcpy(answer.dir, dir, strlen(dir));
    errno = error;
    if (error != 0)
        log_warn("attempt=%s not started: %m", dir);
    while (send(SPAWNER_SOCKET, &answer, sizeof answer, MSG_NOSIGNAL) == -1) {
        if (errno == EPIPE)
            return; /* the next one will read the spool */
        if (errno == EINTR)
            continue;
        log_err("attempt=%s answer to the worker: %m", dir);
        s->speechless = true;
        return;
    }
}

static void
on_nothing_done(void *ctx, const struct run_nothing_one *one, int error)
{
    errno = error;
    tell(ctx, one->dir, error == 0 ? 0 : unmake(one->dir_fd));
}

/* Returns 0: on_nothing_done() tells; else an errno, and the attempt was not begun. */
static int
add_nothing(struct spawner_state *s, const struct request *q)
{
    CLEANUP(file_cleanup_close)
    int dir_fd = openat(s->spool_fd, q->dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct journal_writer journal;
    CLEANUP(file_cleanup_close)
    int journal_fd = dir_fd == -1 ? -1 : make_journal(dir_fd, &journal);

    if (journal_fd == -1)
        return errno;
    if (run_nothing_add(&s->nothing, q, &journal, dir_fd) == -1)
        return unmake(dir_fd);
    (void)file_take(&dir_fd);
    (void)file_take(&journal_fd);
    if (run_nothing_is_full(&s->nothing))
        run_nothing_settle(&s->nothing, on_nothing_done, s);
    return 0;
}

static void
serve(struct spawner_state *s, size_t len)
{
    struct request q;
    int error;

    if (request_unpack(datagram, len, &q, slots, ARRAY_LEN(slots)) == -1) {
        tell(s, "", errno);
    } else if (q.argv[0] == NULL) {
        error = add_nothing(s, &q);
        if (error != 0)
            tell(s, q.dir, error);
    } else {
        run_nothing_settle(&s->nothing, on_nothing_done, s);
        tell(s, q.dir, start_runner(s, &q, len));
    }
}

static int
serve_all(struct spawner_state *s)
{
    while (!s->speechless) {
        int flags = s->nothing.n > 0 ? MSG_DONTWAIT : 0;
        ssize_t n = recv(SPAWNER_SOCKET, datagram, sizeof datagram, flags);

        if (n == 0)
            return EXIT_SUCCESS; /* the worker is gone; its runners are not */
        if (n > 0) {
            crew_hear(&s->crew);
            serve(s, (size_t)n);
            explicit_bzero(datagram, (size_t)n); /* a runner forked later has no use for it */
        } else if (errno == EAGAIN && s->nothing.n > 0) {
            run_nothing_settle(&s->nothing, on_nothing_done, s);
        } else if (errno == EAGAIN) {
            crew_dismiss(&s->crew);
        } else if (errno != EINTR && errno != ECONNRESET) {
            log_err("socket to the worker: %m");
            return EXIT_FAILURE;
        }
    }
    return EXIT_FAILURE;
}

/* What the worker was started with may ignore some, and ignored they would stay in each program. */
static void
reset_signals(void)
{
    for (int signo = 1; signo < NSIG; signo++)
        (void)signal(signo, SIG_DFL); /* KILL, STOP and the libc's own refuse, rightly */
}

static int
detach(void)
{
    struct sigaction no_zombies = {.sa_handler = SIG_DFL, .sa_flags = SA_NOCLDWAIT};
    static const struct timeval quiet = {.tv_sec = QUIET_S};
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    (void)setsid(); /* fails only for a group leader, which is just as good */
    (void)umask(SPAWNER_UMASK);
    reset_signals();
    if (null == -1 || dup2(null, STDIN_FILENO) == -1 || dup2(null, STDOUT_FILENO) == -1 ||
        close_range(SPAWNER_SOCKET + 1, ~0u, 0) == -1 ||
        fcntl(SPAWNER_SOCKET, F_SETFD, FD_CLOEXEC) == -1 ||
        setsockopt(SPAWNER_SOCKET, SOL_SOCKET, SO_RCVTIMEO, &quiet, sizeof quiet) == -1 ||
        sigaction(SIGCHLD, &no_zombies, NULL) == -1)
        return -1;
    return prctl(PR_SET_NAME, SPAWNER_NAME);
}

int
spawner_run(const char *spool, const char *groups)
{
    static struct spawner_state s = {.groups_fd = -1, .sockets_fd = -1};

    s.oom_score = run_proc_read_oom_score();
    if (detach() == -1) {
        log_err("start: %m");
        return EXIT_FAILURE;
    }
    s.spool_fd = open(spool, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (s.spool_fd == -1) {
        log_err("spool %s: %m", spool);
        return EXIT_FAILURE;
    }
    if (groups != NULL) {
        s.groups_fd = open(groups, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (s.groups_fd == -1) {
            log_err("control group %s: %m", groups);
            return EXIT_FAILURE;
        }
    }
    s.lock_fd = open_lock(s.spool_fd);
    if (s.lock_fd == -1) {
        log_err("spool %s: %s: another spawner keeps it: %m", spool, SPAWNER_LOCK);
        return SPAWNER_BUSY;
    }
    open_sockets(&s);
    if (crew_open(&s.crew, s.sockets_fd) == -1) {
        log_err("start: %m");
        return EXIT_FAILURE;
    }
    return serve_all(&s);
}
