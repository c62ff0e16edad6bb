#include "common/loop_timers.h"

#include <stdlib.h>

#include "common/clock.h"
#include "common/mem.h"

#define NOT_ARMED SIZE_MAX
#define FIRST_CAP 16

struct loop_timer {
    struct loop_timers *timers;
    loop_fn *fn;
    void *ctx;
    int64_t deadline_ns;
    uint64_t order;
    size_t at; /* place in the heap, or NOT_ARMED */
};

struct loop_timer *
loop_timers_new(struct loop_timers *timers, loop_fn *fn, void *ctx)
{
    struct loop_timer *timer = mem_alloc(sizeof *timer);

    *timer = (struct loop_timer){.timers = timers, .fn = fn, .ctx = ctx, .at = NOT_ARMED};
    return timer;
}

static bool
is_before(const struct loop_timer *a, const struct loop_timer *b)
{
    return a->deadline_ns != b->deadline_ns ? a->deadline_ns < b->deadline_ns : a->order < b->order;
}

static void
put(struct loop_timers *timers, size_t at, struct loop_timer *timer)
{
    timers->heap[at] = timer;
    timer->at = at;
}

static void
sift_up(struct loop_timers *timers, struct loop_timer *timer)
{
    size_t at = timer->at;

    while (at > 0 && is_before(timer, timers->heap[(at - 1) / 2])) {
        put(timers, at, timers->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    put(timers, at, timer);
}

static void
sift_down(struct loop_timers *timers, struct loop_timer *timer)
{
    size_t at = timer->at;

    for (;;) {
        size_t child = 2 * at + 1;

        if (child >= timers->count)
            break;
        if (child + 1 < timers->count && is_before(timers->heap[child + 1], timers->heap[child]))
            child++;
        if (!is_before(timers->heap[child], timer))
            break;
        put(timers, at, timers->heap[child]);
        at = child;
    }
    put(timers, at, timer);
}

void
loop_timer_set(struct loop_timer *timer, int64_t delay_ms)
{
    struct loop_timers *timers = timer->timers;

    loop_timer_stop(timer);
    if (timers->count == timers->cap) {
        timers->cap = timers->cap > 0 ? timers->cap * 2 : FIRST_CAP;
        timers->heap = mem_resize(timers->heap, timers->cap * sizeof(struct loop_timer *));
    }
    timer->deadline_ns = clock_mono_ns() + (delay_ms > 0 ? delay_ms : 0) * CLOCK_MS_NS;
    timer->order = timers->next_order++;
    put(timers, timers->count++, timer);
    sift_up(timers, timer);
}

void
loop_timer_stop(struct loop_timer *timer)
{
    struct loop_timers *timers = timer->timers;
    struct loop_timer *last;

    if (timer->at == NOT_ARMED)
        return;
    last = timers->heap[--timers->count];
    if (last != timer) {
        put(timers, timer->at, last);
        sift_up(timers, last);
        sift_down(timers, last);
    }
    timer->at = NOT_ARMED;
}

bool
loop_timer_armed(const struct loop_timer *timer)
{
    return timer->at != NOT_ARMED;
}

void
loop_timer_free(struct loop_timer *timer)
{
    if (timer == NULL)
        return;
    loop_timer_stop(timer);
    free(timer);
}

bool
loop_timers_next(const struct loop_timers *timers, int64_t *deadline_ns)
{
    if (timers->count == 0)
        return false;
    *deadline_ns = timers->heap[0]->deadline_ns;
    return true;
}

void
loop_timers_run(struct loop_timers *timers, int64_t now_ns)
{
    while (timers->count > 0) {
        struct loop_timer *timer = timers->heap[0];

        if (timer->deadline_ns > now_ns) /* so too what a handler sets from here on */
            break;
        loop_timer_stop(timer);
        timer->fn(timer->ctx); /* may free it */
    }
}

void
loop_timers_free(struct loop_timers *timers)
{
    free(timers->heap);
}
