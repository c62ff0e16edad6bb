/* Which journals have something new, by inotify. */
#include <errno.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/file.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/mem.h"
#include "worker/bridge/bridge.h"

#define EVENT_BUFFER 4096
/* A talkative job writes ten thousand times a second: what follows closely is looked at together, which spares this
 * process its wake-ups and the broker its messages.  The first is never kept waiting. */
#define GATHER_MS 1

void
watch_add(struct bridge *b, struct attempt *a)
{
    CLEANUP(mem_cleanup)
    char *path = mem_printf("%s/%s/" JOURNAL_FILE, b->spool.path, a->text);
    int wd = inotify_add_watch(b->watches.fd, path, IN_MODIFY | IN_CLOSE_WRITE);

    if (wd == -1) {
        log_warn("attempt=%s: cannot be watched, looking every second: %m", a->text);
        return;
    }
    a->watch = wd;
    a->next_watched = b->watches.buckets[wd % WATCH_BUCKETS];
    b->watches.buckets[wd % WATCH_BUCKETS] = a;
}

/* Watch descriptors are never used twice, so they are hashed and no index. */
static struct attempt *
by_watch(const struct bridge *b, int wd)
{
    struct attempt *a = wd >= 0 ? b->watches.buckets[wd % WATCH_BUCKETS] : NULL;

    while (a != NULL && a->watch != wd)
        a = a->next_watched;
    return a;
}

void
watch_remove(struct bridge *b, struct attempt *a)
{
    struct attempt **p;

    if (a->watch == -1)
        return;
    (void)inotify_rm_watch(b->watches.fd, a->watch);
    p = &b->watches.buckets[a->watch % WATCH_BUCKETS];
    while (*p != a)
        p = &(*p)->next_watched;
    *p = a->next_watched;
    a->watch = -1;
}

static void
on_inotify(void *ctx, uint32_t events)
{
    struct bridge *b = ctx;
    char buffer[EVENT_BUFFER] __attribute__((aligned(__alignof__(struct inotify_event))));
    ssize_t n;

    (void)events;
    while ((n = read(b->watches.fd, buffer, sizeof buffer)) > 0) {
        for (ssize_t at = 0; at < n;) {
            const struct inotify_event *e = (const void *)(buffer + at);
            struct attempt *a = by_watch(b, e->wd);

            if (a != NULL && (e->mask & IN_CLOSE_WRITE))
                sender_look(b, a);
            else if (a != NULL)
                sender_wake(b, a);
            at += (ssize_t)(sizeof *e + e->len);
        }
    }
    if (clock_mono_ns() - b->watches.looked_ns < 2 * GATHER_MS * CLOCK_MS_NS) {
        loop_modify(b->watches.source, 0);
        loop_timer_set(b->watches.gather, GATHER_MS);
    }
    b->watches.looked_ns = clock_mono_ns();
}

static void
on_gathered(void *ctx)
{
    loop_modify(((struct bridge *)ctx)->watches.source, EPOLLIN);
}

int
watch_init(struct bridge *b)
{
    b->watches.fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (b->watches.fd == -1)
        return log_errno(errno, "inotify: %m");
    b->watches.source = loop_add(b->loop, b->watches.fd, EPOLLIN, on_inotify, b);
    b->watches.gather = loop_timer_new(b->loop, on_gathered, b);
    return 0;
}

void
watch_free(struct bridge *b)
{
    loop_remove(b->watches.source);
    loop_timer_free(b->watches.gather);
    file_cleanup_close(&b->watches.fd);
}
