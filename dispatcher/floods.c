/* Floods of output: a few places, each kept while its worker goes on asking. */
#include "dispatcher/floods.h"

#include <stdio.h>
#include <string.h>

#include "common/clock.h"

/* A worker asks twenty times a second while its messages go out, and each of several dispatchers
 * gets a part of that; a busy database holds this one up, too. */
#define REMEMBERED_NS (3000 * CLOCK_MS_NS)

void
floods_started(struct floods *floods, const char *worker)
{
    for (size_t i = 0; i < FLOODS_MAX; i++)
        if (strcmp(floods->known[i].worker, worker) != 0)
            floods->known[i].news = true;
}

/* The worker's place, or else the one that was silent for the longest time. */
static struct flooder *
place_of(struct floods *floods, const char *worker)
{
    struct flooder *oldest = &floods->known[0];

    for (size_t i = 0; i < FLOODS_MAX; i++) {
        struct flooder *f = &floods->known[i];

        if (strcmp(f->worker, worker) == 0)
            return f;
        if (f->asked_ns < oldest->asked_ns)
            oldest = f;
    }
    return oldest;
}

bool
floods_asked(struct floods *floods, const char *worker, int64_t now_ns)
{
    struct flooder *f = place_of(floods, worker);
    bool is_live = f->worker[0] != '\0' && now_ns - f->asked_ns < REMEMBERED_NS;
    bool is_its_own = strcmp(f->worker, worker) == 0;
    bool news = is_live && is_its_own && f->news;

    if (is_live && !is_its_own)
        return false;
    snprintf(f->worker, sizeof f->worker, "%s", worker);
    f->asked_ns = now_ns;
    f->news = false;
    return news;
}
