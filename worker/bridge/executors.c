/* Discovery: each executable file of the directory is run with `describe`, before the loop
 * begins, with a clean environment and a time limit. */
#include "worker/bridge/executors.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/file.h"
#include "common/json.h"
#include "common/log.h"
#include "common/mem.h"
#include "proto/ident.h"
#include "proto/limits.h"

#define DESCRIBE_MS 15000
#define DESCRIBE_BYTES 16384
#define VERSION_BYTES 100
#define BUILT_IN_VERSION "1"

static void
add(struct executors *all, struct executor *e)
{
    struct executor **p = &all->first;

    while (*p != NULL)
        p = &(*p)->next;
    *p = e;
    buf_printf(&all->json, "%s\"%s\":", all->json.len > 1 ? "," : "", e->name);
    json_quote(&all->json, e->version, strlen(e->version));
}

static void
add_built_in(struct executors *all, const char *name)
{
    struct executor *e = mem_alloc(sizeof *e);

    e->name = mem_dup(name);
    e->version = mem_dup(BUILT_IN_VERSION);
    e->stop_signal = SIGTERM;
    e->stop_group = true;
    add(all, e);
}

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

/* Run `path describe` with its stdout on fd.  0, or -1 with errno. */
static int
spawn(const char *path, int fd, pid_t *pid)
{
    const char *const argv[] = {path, "describe", NULL};
    const char *const envp[] = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                                "LC_ALL=C.UTF-8", "LANG=C.UTF-8", "HOME=/nonexistent", NULL};
    CLEANUP(cleanup_actions) posix_spawn_file_actions_t actions;
    CLEANUP(cleanup_attributes) posix_spawnattr_t attributes;
    sigset_t none, all;

    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawnattr_init(&attributes);
    (void)sigemptyset(&none);
    (void)sigfillset(&all);
    (void)posix_spawnattr_setsigmask(&attributes, &none);
    (void)posix_spawnattr_setsigdefault(&attributes, &all);
    (void)posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
                                                    POSIX_SPAWN_SETPGROUP);
    errno = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (errno == 0)
        errno = posix_spawn_file_actions_adddup2(&actions, fd, STDOUT_FILENO);
    if (errno == 0)
        errno = posix_spawn(pid, path, &actions, &attributes, (char *const *)(uintptr_t)argv,
                            (char *const *)(uintptr_t)envp);
    return errno == 0 ? 0 : -1;
}

/* All that comes until end of file, within the limits.  -1 with errno. */
static int
read_all(int fd, struct buf *out)
{
    int64_t end = clock_mono_ns() + DESCRIBE_MS * CLOCK_MS_NS;
    struct pollfd p = {.fd = fd, .events = POLLIN};
    char part[1024];
    ssize_t n;

    while (out->len <= DESCRIBE_BYTES) {
        int64_t left = (end - clock_mono_ns()) / CLOCK_MS_NS;

        if (left <= 0 || poll(&p, 1, (int)left) == 0) {
            errno = ETIMEDOUT;
            return -1;
        }
        n = read(fd, part, sizeof part);
        if (n == 0)
            return 0;
        if (n > 0)
            buf_add(out, part, (size_t)n);
        else if (errno != EINTR)
            return -1;
    }
    errno = EFBIG;
    return -1;
}

/* 0 when it ran, said something and exited 0. */
static int
describe(const char *path, struct buf *out)
{
    CLEANUP(file_cleanup_close) int from = -1;
    CLEANUP(file_cleanup_close) int to = -1;
    int ends[2], status = 0, rc;
    pid_t pid = -1;

    if (pipe2(ends, O_CLOEXEC) == -1)
        return log_errno(errno, "executor=%s: %m", path);
    from = ends[0];
    to = ends[1];
    if (spawn(path, to, &pid) == -1)
        return log_errno(errno, "executor=%s: cannot be run: %m", path);
    file_cleanup_close(&to);
    to = -1;
    rc = read_all(from, out);
    if (rc == -1) {
        log_warn("executor=%s describe: %m", path);
        (void)kill(-pid, SIGKILL);
    }
    while (waitpid(pid, &status, 0) == -1 && errno == EINTR)
        continue;
    if (rc == 0 && status != 0) {
        log_info("executor=%s: not usable here (describe exited %d)", path,
                 WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status));
        return -1;
    }
    return rc;
}

/* Make one of what it said.  NULL with *err. */
static struct executor *
understand(const struct buf *text, const char *name, struct json_error *err)
{
    CLEANUP(json_cleanup)
    struct json_object *o = json_parse(text->data != NULL ? text->data : "", text->len, err);
    const char *own = NULL, *version = NULL, *sig = "TERM", *target = "group";
    int64_t protocol = 0, grace = 0;
    struct executor *e;

    if (o == NULL || json_get_string(o, "name", false, LIMIT_ID_BYTES, &own, err) == -1 ||
        json_get_string(o, "version", false, VERSION_BYTES, &version, err) == -1 ||
        json_get_int(o, "protocol", false, 1, 1, &protocol, err) == -1 ||
        json_get_string(o, "stop_signal", true, LIMIT_ID_BYTES, &sig, err) == -1 ||
        json_get_string(o, "stop_target", true, LIMIT_ID_BYTES, &target, err) == -1 ||
        json_get_int(o, "grace_ms", true, 0, LIMIT_SPAN_MS, &grace, err) == -1)
        return NULL;
    if (strcmp(own, name) != 0 || (strcmp(sig, "TERM") != 0 && strcmp(sig, "INT") != 0) ||
        (strcmp(target, "leader") != 0 && strcmp(target, "group") != 0)) {
        snprintf(err->text, sizeof err->text, "name, stop_signal or stop_target is not as agreed");
        return NULL;
    }
    e = mem_alloc(sizeof *e);
    e->name = mem_dup(own);
    e->version = mem_dup(version);
    e->stop_signal = strcmp(sig, "INT") == 0 ? SIGINT : SIGTERM;
    e->stop_group = strcmp(target, "group") == 0;
    e->grace_ms = grace;
    return e;
}

static void
try_file(struct executors *all, const char *dir, const char *name)
{
    CLEANUP(mem_cleanup) char *path = mem_printf("%s/%s", dir, name);
    CLEANUP(buf_free) struct buf text = {0};
    struct json_error err = {""};
    struct executor *e;
    struct stat st;

    if (!ident_id_valid(name) || stat(path, &st) == -1 || !S_ISREG(st.st_mode) ||
        executors_find(all, name) != NULL)
        return;
    if (access(path, X_OK) == -1) {
        log_warn("executor=%s: cannot be executed, so there is none of this name: %m", path);
        return;
    }
    if (describe(path, &text) == -1)
        return;
    e = understand(&text, name, &err);
    if (e == NULL) {
        log_warn("executor=%s: its description is not usable: %s", path, err.text);
        return;
    }
    e->path = mem_dup(path);
    add(all, e);
    log_info("executor=%s version=%s", e->name, e->version);
}

void
executors_discover(struct executors *all, const char *dir)
{
    struct dirent **names;
    int n;

    memset(all, 0, sizeof *all);
    buf_puts(&all->json, "{");
    add_built_in(all, EXECUTORS_COMMAND);
    add_built_in(all, EXECUTORS_NONE);
    n = dir[0] != '\0' ? scandir(dir, &names, NULL, alphasort) : 0;
    if (n == -1)
        log_warn("executor_dir=%s: %m", dir);
    for (int i = 0; i < n; i++) {
        try_file(all, dir, names[i]->d_name);
        free(names[i]);
    }
    if (n > 0)
        free(names);
    buf_puts(&all->json, "}");
}

const struct executor *
executors_find(const struct executors *all, const char *name)
{
    const struct executor *e = all->first;

    while (e != NULL && strcmp(e->name, name) != 0)
        e = e->next;
    return e;
}

void
executors_free(struct executors *all)
{
    while (all->first != NULL) {
        struct executor *e = all->first;

        all->first = e->next;
        free(e->name);
        free(e->version);
        free(e->path);
        free(e);
    }
    buf_free(&all->json);
}
