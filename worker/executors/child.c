#include "worker/executors/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/file.h"
#include "common/mem.h"

#define LINE_MAX_BYTES (4u * 1024u * 1024u)
#define READ_BYTES 65536u
#define EXEC_FAILED 127
#define SIGNAL_BASE 128 /* as shells say it */

/* Signals are a property of the process, so this is, too. */
static int signals = -1;
static bool stopped;

struct stream {
    int fd; /* -1 = closed or not ours */
    child_line *line;
    void *ctx;
    struct buf text;
};

int
child_init(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    if (sigprocmask(SIG_BLOCK, &set, NULL) == -1)
        return -1;
    signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return signals == -1 ? -1 : 0;
}

/* Take what has arrived; true when this is the first stop. */
static bool
take_stop(void)
{
    struct signalfd_siginfo info;
    bool first = false;

    while (read(signals, &info, sizeof info) == (ssize_t)sizeof info) {
        first = first || !stopped;
        stopped = true;
    }
    return first;
}

bool
child_stopped(void)
{
    take_stop();
    return stopped;
}

/* In the child, between fork and exec.  dup2 clears close-on-exec. */
static _Noreturn void
become(const struct child *child, pid_t parent, int out, int err)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    sigset_t none;

    /* INT, so that Terraform still writes its state when we are killed */
    prctl(PR_SET_PDEATHSIG, SIGINT);
    if (getppid() != parent)
        _exit(EXEC_FAILED);
    setpgid(0, 0);
    for (int sig = 1; sig < NSIG; sig++)
        signal(sig, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (null == -1 || dup2(null, STDIN_FILENO) == -1 ||
        (out != -1 && dup2(out, STDOUT_FILENO) == -1) ||
        (err != -1 && dup2(err, STDERR_FILENO) == -1))
        _exit(EXEC_FAILED);
    close_range(STDERR_FILENO + 1, ~0u, 0);
    execve(child->argv[0], child->argv, child->envp);
    _exit(EXEC_FAILED);
}

static void
flush_lines(struct stream *s, bool end)
{
    char *start = s->text.data;
    size_t left = s->text.len;

    while (left > 0) {
        char *newline = memchr(start, '\n', left);
        size_t len = newline == NULL ? left : (size_t)(newline - start);

        if (newline == NULL && !end && left < LINE_MAX_BYTES)
            break;
        if (newline != NULL)
            *newline = '\0';
        s->line(s->ctx, start, len);
        start += len + (newline != NULL);
        left -= len + (newline != NULL);
    }
    if (left > 0)
        memmove(s->text.data, start, left);
    s->text.len = left;
}

/* Read what is there.  Closes at the end of file. */
static void
read_stream(struct stream *s)
{
    char data[READ_BYTES];
    ssize_t n;

    while (s->fd != -1) {
        n = read(s->fd, data, sizeof data);
        if (n > 0) {
            buf_add(&s->text, data, (size_t)n);
            flush_lines(s, false);
        } else if (n == -1 && (errno == EAGAIN || errno == EINTR)) {
            return;
        } else {
            flush_lines(s, true);
            close(s->fd);
            s->fd = -1;
        }
    }
}

/* Until the tool has ended: EOF of its output is not its end, a daemon may hold the pipe. */
static int
watch(const struct child *child, pid_t pid, int pidfd, struct stream streams[2])
{
    struct pollfd fds[] = {{.fd = signals, .events = POLLIN},
                           {.fd = pidfd, .events = POLLIN},
                           {.events = POLLIN},
                           {.events = POLLIN}};
    int status;

    do {
        fds[2].fd = streams[0].fd;
        fds[3].fd = streams[1].fd;
        if (poll(fds, ARRAY_LEN(fds), -1) == -1 && errno != EINTR)
            return -1;
        if (take_stop())
            kill(child->stop_group ? -pid : pid, SIGINT);
        read_stream(&streams[0]);
        read_stream(&streams[1]);
    } while ((fds[1].revents & POLLIN) == 0);
    for (int i = 0; i < 2; i++) {
        read_stream(&streams[i]);
        if (streams[i].fd != -1)
            flush_lines(&streams[i], true);
    }
    while (waitpid(pid, &status, 0) == -1)
        if (errno != EINTR)
            return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : SIGNAL_BASE + WTERMSIG(status);
}

/* A pipe whose reading end does not block; pair stays {-1, -1} when no line function wants it. */
static int
make_pipe(int pair[2], const struct stream *s)
{
    if (s->line == NULL)
        return 0;
    if (pipe2(pair, O_CLOEXEC) == -1)
        return -1;
    return fcntl(pair[0], F_SETFL, O_NONBLOCK);
}

int
child_run(const struct child *child)
{
    struct stream streams[2] = {{.fd = -1, .line = child->out_line, .ctx = child->ctx},
                                {.fd = -1, .line = child->err_line, .ctx = child->ctx}};
    int out[2] = {-1, -1}, err[2] = {-1, -1}, code = -1;
    pid_t pid = -1, self = getpid();

    if (make_pipe(out, &streams[0]) == 0 && make_pipe(err, &streams[1]) == 0)
        pid = fork();
    if (pid == 0)
        become(child, self, out[1], err[1]);
    streams[0].fd = file_take(&out[0]);
    streams[1].fd = file_take(&err[0]);
    file_cleanup_close(&out[1]);
    file_cleanup_close(&err[1]);
    if (pid > 0) {
        CLEANUP(file_cleanup_close) int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);

        setpgid(pid, pid); /* here as well: a stop may come before the child has done it */
        code = pidfd == -1 ? -1 : watch(child, pid, pidfd, streams);
    }
    for (int i = 0; i < 2; i++) {
        file_cleanup_close(&streams[i].fd);
        buf_free(&streams[i].text);
    }
    return code;
}

char *
child_find(const char *name)
{
    const char *path = getenv("PATH");

    for (const char *dir = path; dir != NULL && *dir != '\0';) {
        size_t len = strcspn(dir, ":");
        char *file = mem_printf("%.*s/%s", (int)len, dir, name);
        struct stat st;

        if (dir[0] == '/' && stat(file, &st) == 0 && S_ISREG(st.st_mode) && access(file, X_OK) == 0)
            return file;
        mem_cleanup(&file);
        dir += len + (dir[len] == ':');
    }
    return NULL;
}
