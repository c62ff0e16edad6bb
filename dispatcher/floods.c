/* Floods of output, as workers ask for them: a few places, the longest silent one is given up. */
#include "dispatcher/floods.h"

#include <stdio.h>
#include <string.h>

#include "common/clock.h"

/* A worker asks twenty times a second, and another dispatcher may get most of it. */
#define REMEMBERED_NS (500 * CLOCK_MS_NS)

/* Its place, or the one to be given to it. */
static struct flooder *
place_of(struct floods *floods, const char *queue)
{
    struct flooder *oldest = &floods->known[0];

    for (size_t i = 0; i < FLOODS_MAX; i++) {
        struct flooder *f = &floods->known[i];

        if (strcmp(f->queue, queue) == 0)
            return f;
        if (f->asked_ns < oldest->asked_ns)
            oldest = f;
    }
    return oldest;
}

bool
floods_asked(struct floods *floods, const char *queue, uint64_t starts, int64_t now_ns)
{
    struct flooder *f = place_of(floods, queue);
    bool news =
        strcmp(f->queue, queue) == 0 && now_ns - f->asked_ns < REMEMBERED_NS && f->starts != starts;

    snprintf(f->queue, sizeof f->queue, "%s", queue);
    f->starts = starts;
    f->asked_ns = now_ns;
    return news;
}
