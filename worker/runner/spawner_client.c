/* The bridge's end of the spawner. */
#include "worker/runner/spawner_client.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/file.h"
#include "common/mem.h"
#include "worker/runner/spawner.h"

#define SEND_BUFFER (4 * (int)REQUEST_MAX)

struct spawner {
    int fd;
    pid_t pid;
    char packed[REQUEST_MAX];
};

static void
cleanup_actions(posix_spawn_file_actions_t *actions)
{
    (void)posix_spawn_file_actions_destroy(actions);
}

static void
cleanup_attributes(posix_spawnattr_t *attributes)
{
    (void)posix_spawnattr_destroy(attributes);
}

/* posix_spawn() and not fork(): the bridge has threads.  Signals start from default, since
 * what a loop blocks or ignores would survive the exec. */
static int
launch(const char *program, const char *spool, const char *groups, int fd, pid_t *pid)
{
    const char *const argv[] = {program, "--spawn", spool, groups, NULL};
    CLEANUP(cleanup_actions) posix_spawn_file_actions_t actions;
    CLEANUP(cleanup_attributes) posix_spawnattr_t attributes;
    sigset_t none, all;

    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawnattr_init(&attributes);
    (void)sigemptyset(&none);
    (void)sigfillset(&all);
    (void)posix_spawnattr_setsigmask(&attributes, &none);
    (void)posix_spawnattr_setsigdefault(&attributes, &all);
    (void)posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    errno = posix_spawn_file_actions_adddup2(&actions, fd, SPAWNER_SOCKET);
    if (errno == 0)
        errno = posix_spawn(pid, program, &actions, &attributes, (char *const *)(uintptr_t)argv,
                            environ);
    return errno == 0 ? 0 : -1;
}

struct spawner *
spawner_start(const char *program, const char *spool, const char *groups)
{
    CLEANUP(file_cleanup_close) int ours = -1;
    CLEANUP(file_cleanup_close) int theirs = -1;
    const int size = SEND_BUFFER;
    struct spawner *s;
    pid_t pid = -1;
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == -1)
        return NULL;
    ours = pair[0];
    theirs = pair[1];
    /* More than one request may wait; without the privilege for this one is enough. */
    (void)setsockopt(ours, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    if (launch(program, spool, groups, theirs, &pid) == -1)
        return NULL;
    s = mem_alloc(sizeof *s);
    s->fd = file_take(&ours);
    s->pid = pid;
    return s;
}

int
spawner_fd(const struct spawner *s)
{
    return s->fd;
}

int
spawner_send(struct spawner *s, const struct request *request)
{
    size_t len = request_pack(request, s->packed);

    if (len == 0)
        return -1;
    if (send(s->fd, s->packed, len, MSG_DONTWAIT | MSG_NOSIGNAL) != -1)
        return 0;
    if (errno == ECONNRESET)
        errno = EPIPE;
    return -1;
}

int
spawner_receive(struct spawner *s, struct request_answer *answer)
{
    ssize_t n = recv(s->fd, answer, sizeof *answer, MSG_DONTWAIT);

    if (n == (ssize_t)sizeof *answer)
        return 0;
    if (n >= 0 || errno == ECONNRESET)
        errno = EPIPE;
    return -1;
}

void
spawner_free(struct spawner *s)
{
    if (s == NULL)
        return;
    (void)close(s->fd);
    while (waitpid(s->pid, NULL, 0) == -1 && errno == EINTR)
        continue;
    free(s);
}
