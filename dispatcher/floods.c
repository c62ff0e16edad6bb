/* Floods of output, and the starts that they are not to hold up. */
#include "dispatcher/floods.h"

#include <stdio.h>
#include <string.h>

#include "common/clock.h"

/* A flood asks each of several dispatchers in turn, and a busy database holds one up. */
#define NEWS_NS (500 * CLOCK_MS_NS)

void
floods_started(struct floods *floods, const char *worker, int64_t now_ns)
{
    if (strcmp(floods->last.worker, worker) != 0) {
        floods->before = floods->last;
        snprintf(floods->last.worker, sizeof floods->last.worker, "%s", worker);
    }
    floods->last.at_ns = now_ns;
}

bool
floods_asked(const struct floods *floods, const char *worker, int64_t now_ns)
{
    bool own = strcmp(floods->last.worker, worker) == 0;
    int64_t at_ns = own ? floods->before.at_ns : floods->last.at_ns;

    return at_ns != 0 && now_ns - at_ns < NEWS_NS;
}
