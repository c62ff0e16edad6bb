/* Attempts whose runner went without an end.  First what it left running is ended, then
 * it is written down in the directory (file "lost"), then told. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <time.h>
#include <unistd.h>

#include "common/file.h"
#include "common/log.h"
#include "proto/event_data.h"
#include "worker/bridge/bridge.h"
#include "worker/runner/cgroup.h"

#define OTHER_BOOT "other_boot"
#define LOST_BYTES 256
#define ENVIRON_BYTES (4u * 1024u * 1024u)
#define ROUNDS 50
#define ROUND_NS 10000000L
#define DECIMAL 10
#define PATH_SIZE (IDENT_NAME_SIZE + 16)

static const struct {
    const char *cause, *message;
} causes[] = {
    {"runner_died", "its runner ended without telling how the program ended"},
    {OTHER_BOOT, "the machine was restarted while it ran"},
    {"moved_spool", "its spool was copied or moved to another place"},
};

/* Does the process carry the attempt's name in its environment (HLER_VARS and others)? */
static bool
carries(const char *pid, const char *mark)
{
    CLEANUP(buf_free) struct buf environment = {0};
    char path[64];

    snprintf(path, sizeof path, "/proc/%.32s/environ", pid);
    if (file_read(AT_FDCWD, path, ENVIRON_BYTES, &environment) == -1 || environment.len == 0)
        return false;
    return memmem(environment.data, environment.len, mark, strlen(mark)) != NULL;
}

/* Kill it if it carries the mark.  The descriptor comes first: a number could have passed to
 * another process between the look and the signal. */
static bool
kill_if_marked(const char *pid, const char *mark)
{
    long number = strtol(pid, NULL, DECIMAL);
    CLEANUP(file_cleanup_close) int fd = pidfd_open((pid_t)number, 0);

    if (fd == -1 || number == getpid() || !carries(pid, mark))
        return false;
    if (pidfd_send_signal(fd, SIGKILL, NULL, 0) == -1 && errno != ESRCH)
        log_warn("attempt=%s pid=%s: cannot be ended: %m", mark, pid);
    return true;
}

/* Kill all that carry the mark; returns how many there were. */
static uint32_t
kill_marked(const char *mark)
{
    DIR *proc = opendir("/proc");
    struct dirent *d;
    uint32_t found = 0;

    if (proc == NULL) {
        log_warn("/proc: %m");
        return 0;
    }
    while ((d = readdir(proc)) != NULL)
        if (isdigit((unsigned char)d->d_name[0]) && kill_if_marked(d->d_name, mark))
            found++;
    (void)closedir(proc);
    return found;
}

/* What is in its control group, and what carries its mark: the program may run without a group.
 * Returns how many there were, one for the whole group. */
static uint32_t
kill_all(const struct bridge *b, const char *name)
{
    uint32_t in_group = cgroup_kill(b->groups.fd, name) ? 1 : 0;

    return kill_marked(name) + in_group;
}

/* Until none is left, half a second at most.  Returns how many are. */
static uint32_t
end_left_over(const struct bridge *b, const char *name)
{
    struct timespec pause = {0, ROUND_NS};
    uint32_t left = kill_all(b, name);

    for (int i = 0; left > 0 && i < ROUNDS; i++) {
        (void)nanosleep(&pause, NULL);
        left = kill_all(b, name);
    }
    cgroup_remove(b->groups.fd, name);
    return left;
}

static void
write_down(struct bridge *b, const struct attempt *a)
{
    char path[PATH_SIZE], text[LOST_BYTES];
    int n = snprintf(text, sizeof text, "%s %u\n", a->lost_cause, a->left_behind);

    snprintf(path, sizeof path, "%s/" ATTEMPT_DIR_LOST, a->text);
    if (file_replace(b->spool.dir_fd, path, 0600, text, (size_t)n) == -1)
        log_warn("attempt=%s file=" ATTEMPT_DIR_LOST ": %m", a->text);
}

static const char *
known_cause(const char *word)
{
    for (size_t i = 0; i < ARRAY_LEN(causes); i++)
        if (strcmp(causes[i].cause, word) == 0)
            return causes[i].cause;
    return NULL;
}

static const char *
message_of(const char *cause)
{
    size_t i = 0;

    while (strcmp(causes[i].cause, cause) != 0)
        i++;
    return causes[i].message;
}

void
lost_found(struct bridge *b, struct attempt *a, const char *cause)
{
    a->lost_cause = known_cause(cause);
    a->left_behind = end_left_over(b, a->text);
    log_warn("attempt=%s lost cause=%s left_behind=%u", a->text, cause, a->left_behind);
    write_down(b, a);
    attempt_set(&b->attempts, a, AT_LOST);
    consumer_ack(b, a);
    consumer_adjust(b);
    sender_wake(b, a);
}

bool
lost_recall(struct bridge *b, struct attempt *a)
{
    CLEANUP(buf_free) struct buf text = {0};
    char path[PATH_SIZE], word[32];
    unsigned left;

    snprintf(path, sizeof path, "%s/" ATTEMPT_DIR_LOST, a->text);
    if (file_read(a->in_done ? b->spool.done_fd : b->spool.dir_fd, path, LOST_BYTES, &text) == -1 ||
        text.len == 0 || sscanf(text.data, "%31s %u", word, &left) != 2)
        return false;
    a->lost_cause = known_cause(word);
    a->left_behind = left;
    return a->lost_cause != NULL;
}

void
lost_tell_stranger(struct bridge *b, const struct attempt_name *name)
{
    CLEANUP(buf_free) struct buf data = {0};
    char text[IDENT_NAME_SIZE];
    uint32_t left = end_left_over(b, ident_name_text(name, text));

    log_err("attempt=%s lost cause=" OTHER_BOOT ": what it was is not readable any more", text);
    event_data_lost(&data, OTHER_BOOT, message_of(OTHER_BOOT), left);
    notices_stranger(b, name, EVENT_LOST, &data);
}

void
lost_tell(struct bridge *b, struct attempt *a)
{
    CLEANUP(buf_free) struct buf data = {0};

    a->end_told = true;
    event_data_lost(&data, a->lost_cause, message_of(a->lost_cause), a->left_behind);
    notices_attempt(b, a, EVENT_LOST, &data, NOTICE_THEN_DONE);
}
