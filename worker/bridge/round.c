/* Two lists: streams that are new, and the others. */
#include "worker/bridge/round.h"

#include <stddef.h>

#include "common/log.h"

static enum round_part
part_of(const struct stream *s)
{
    return s->spoken ? ROUND_OLD : ROUND_NEW;
}

void
round_add(struct round *round, struct stream *s)
{
    enum round_part part = part_of(s);

    if (s->queued)
        return;
    s->queued = true;
    s->next_queued = NULL;
    if (round->last[part] != NULL)
        round->last[part]->next_queued = s;
    else
        round->first[part] = s;
    round->last[part] = s;
}

struct stream *
round_take(struct round *round)
{
    struct stream *s = round->first[round_has_new(round) ? ROUND_NEW : ROUND_OLD];

    if (s != NULL)
        round_remove(round, s);
    return s;
}

void
round_remove(struct round *round, struct stream *s)
{
    enum round_part part = part_of(s);
    struct stream **p = &round->first[part], *before = NULL;

    if (!s->queued)
        return;
    for (; *p != NULL && *p != s; p = &(*p)->next_queued)
        before = *p;
    if (*p == NULL)
        log_panic("round: a stream is not where it belongs");
    *p = s->next_queued;
    if (round->last[part] == s)
        round->last[part] = before;
    s->queued = false;
}

bool
round_is_empty(const struct round *round)
{
    return round->first[ROUND_NEW] == NULL && round->first[ROUND_OLD] == NULL;
}

bool
round_has_new(const struct round *round)
{
    return round->first[ROUND_NEW] != NULL;
}
