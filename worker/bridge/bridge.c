/* Wiring: the modules in the order in which they need each other, and what is looked at
 * every second. */
#include "worker/bridge/bridge.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sysexits.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/file.h"
#include "common/log.h"
#include "common/mem.h"
#include "worker/runner/cgroup.h"
#include "worker/runner/spawner.h"

#define TICK_MS 1000
#define SPAWNER_WAIT_MS 30000
#define FILES_PER_ATTEMPT 2
#define FILES_PER_SLOT (2 * FILES_PER_ATTEMPT)
#define FILES_BESIDE 256

/* Another worker's spawner may still serve what that worker asked: until it is gone the
 * spool may change under our eyes. */
static int
wait_for_spawner(const struct spool *spool)
{
    CLEANUP(file_cleanup_close)
    int fd = openat(spool->dir_fd, SPAWNER_LOCK, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    if (fd == -1)
        return log_errno(errno, "spool=%s file=" SPAWNER_LOCK ": %m", spool->path);
    if (file_lock(fd, SPAWNER_WAIT_MS) == -1)
        return log_errno(errno, "spool=%s: a former spawner does not end: %m", spool->path);
    return 0;
}

/* A journal and its watch for each slot, and as many again being sent.  Programs inherit the limit, and some close all that it
 * allows for: so it is made no higher. */
static rlim_t
raise_files(int64_t slots)
{
    struct rlimit limit;
    rlim_t want = (rlim_t)(slots * FILES_PER_SLOT + FILES_BESIDE), had;

    if (getrlimit(RLIMIT_NOFILE, &limit) == -1)
        return want;
    if (limit.rlim_cur >= want)
        return limit.rlim_cur;
    had = limit.rlim_cur;
    limit.rlim_cur = want < limit.rlim_max ? want : limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) == 0)
        return limit.rlim_cur;
    log_warn("limit of open files: %m");
    return had;
}

/* How many attempts may be here: each has its open files and its place in the heartbeat. */
static size_t
attempts_max(rlim_t files)
{
    rlim_t most = files > FILES_BESIDE ? (files - FILES_BESIDE) / FILES_PER_ATTEMPT : 0;

    if (most > HEARTBEAT_HELD_MAX)
        return HEARTBEAT_HELD_MAX;
    return most > 0 ? (size_t)most : 1;
}

struct mq_config
bridge_mq_config(const struct bridge *b, const char *part)
{
    const struct settings *s = &b->settings;
    struct mq_config config = {.host = s->host,
                               .port = (int)s->port,
                               .vhost = s->vhost,
                               .user = s->user,
                               .password = s->password,
                               .name = part,
                               .heartbeat_s = (int)s->broker_heartbeat_s};

    config.ca_file = s->ca_file[0] != '\0' ? s->ca_file : NULL;
    config.cert_file = s->cert_file[0] != '\0' ? s->cert_file : NULL;
    config.key_file = s->key_file[0] != '\0' ? s->key_file : NULL;
    return config;
}

/* One line and one note when the spool fills up, and when it has room again. */
static void
look_at_room(struct bridge *b)
{
    bool full =
        !spool_has_room(&b->spool) || b->done.bytes + sender_bytes(b) > b->settings.spool_max_bytes;

    if (full == b->full)
        return;
    b->full = full;
    if (full)
        log_warn("spool=%s: no room; nothing new is taken", b->spool.path);
    else
        log_info("spool=%s: has room again", b->spool.path);
}

static void
set_note(struct bridge *b)
{
    if (b->full)
        snprintf(b->note, sizeof b->note, "spool full: nothing new is taken");
    else if (clock_mono_ns() >= b->paused_until_ns)
        b->note[0] = '\0';
}

/* What is confirmed makes room for new work.  As many directories as may be kept are enough for those that run, too, unless
 * that would leave less than half of them to be asked for. */
static void
limit_done(struct bridge *b)
{
    const struct settings *s = &b->settings;
    int64_t running = s->slots < s->done_max / 2 ? s->slots : s->done_max / 2;
    const struct done_limits limits = {.keep_s = s->keep_s,
                                       .count = s->done_max,
                                       .enough = s->done_max - running,
                                       .bytes = s->spool_max_bytes - sender_bytes(b),
                                       .mark_ms = s->claim_wait_ms};

    done_limit(&b->done, &limits);
}

static void
on_tick(void *ctx)
{
    struct bridge *b = ctx;

    claims_tick(b);
    offers_tick(b);
    offers_give_back(b);
    done_move_late(&b->done, &b->spool);
    adopt_sweep(b);
    limit_done(b);
    launch_make_ahead(b); /* of what is over, before it is removed */
    done_expire(&b->done, &b->spool);
    look_at_room(b);
    set_note(b);
    consumer_adjust(b);
    loop_timer_set(b->tick, TICK_MS);
}

static void
on_stop(void *ctx)
{
    drain_stop(ctx);
}

static void
on_ignored(void *ctx)
{
    (void)ctx;
}

static int
open_modules(struct bridge *b)
{
    b->loop = loop_new();
    loop_signal(b->loop, SIGTERM, on_stop, b);
    loop_signal(b->loop, SIGINT, on_stop, b);
    loop_signal(b->loop, SIGHUP, on_ignored, b);
    b->tick = loop_timer_new(b->loop, on_tick, b);
    loop_timer_set(b->tick, TICK_MS);
    link_init(&b->links[STREAM_STATE], b, STREAM_STATE);
    link_init(&b->links[STREAM_BULK], b, STREAM_BULK);
    consumer_init(b);
    standing_init(b);
    orders_init(b);
    heartbeat_init(b);
    drain_init(b);
    if (sender_init(b) == -1 || adopt_all(b) == -1 || launch_init(b) == -1)
        return -1;
    return 0;
}

/* Empty groups are those of attempts that ended while a daemon of theirs still lived. */
static int
open_groups(struct bridge *b)
{
    const char *above = b->settings.cgroup;

    b->groups.fd = -1;
    if (above[0] == '\0')
        return 0;
    b->groups.fd = cgroup_open(above, b->settings.user);
    if (b->groups.fd == -1)
        return log_errno(errno, "worker.cgroup=%s: no control group (v2) can be made there: %m",
                         above);
    b->groups.path = mem_printf("%s/%s", above, b->settings.user);
    cgroup_sweep(b->groups.fd);
    return 0;
}

int
bridge_open(struct bridge *b)
{
    int rc;

    if (open_groups(b) == -1)
        return EX_CONFIG;
    b->attempts_max = attempts_max(raise_files(b->settings.slots));
    rc = spool_open(&b->spool, b->settings.spool);
    if (rc != 0)
        return rc == SPOOL_IN_USE ? SPOOL_IN_USE : EX_OSERR;
    if (wait_for_spawner(&b->spool) == -1 || done_scan(&b->done, &b->spool) == -1)
        return EX_OSERR;
    limit_done(b);
    executors_discover(&b->executors, b->settings.executor_dir);
    if (open_modules(b) == -1)
        return EX_OSERR;
    log_info("worker=%s pool=%s slots=%lld spool=%s instance=%s", b->settings.user,
             b->settings.pool, (long long)b->settings.slots, b->spool.path, b->spool.instance);
    return 0;
}

void
bridge_run(struct bridge *b)
{
    mq_start(b->links[STREAM_STATE].mq);
    mq_start(b->links[STREAM_BULK].mq);
    mq_start(b->consumer.mq);
    loop_run(b->loop);
    sender_flush_offsets(b);
}

void
bridge_close(struct bridge *b)
{
    struct attempt *next;

    for (struct attempt *a = b->attempts.first; a != NULL; a = next) {
        next = a->next;
        sender_close(b, a);
        attempt_free(&b->attempts, a);
    }
    if (b->loop != NULL) {
        launch_free(b);
        consumer_free(b);
        link_free(&b->links[STREAM_STATE]);
        link_free(&b->links[STREAM_BULK]);
        notices_free(b);
        sender_free(b);
        heartbeat_free(b);
        drain_free(b);
        standing_free(b);
        orders_free(b);
        loop_timer_free(b->tick);
        loop_free(b->loop);
    }
    file_cleanup_close(&b->groups.fd);
    mem_cleanup(&b->groups.path);
    executors_free(&b->executors);
    done_free(&b->done);
    spool_close(&b->spool);
}
