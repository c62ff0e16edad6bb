#include "worker/bridge/acks.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

#define FIRST_SIZE 16

struct acks_delivery {
    uint64_t tag;
    bool done;
};

void
acks_add(struct acks *acks, uint64_t tag)
{
    if (acks->n > 0 && tag <= acks->all[acks->n - 1].tag)
        return; /* not from a broker that keeps to AMQP */
    if (acks->n == acks->size) {
        acks->size = acks->size > 0 ? 2 * acks->size : FIRST_SIZE;
        acks->all = mem_resize(acks->all, acks->size * sizeof *acks->all);
    }
    acks->all[acks->n++] = (struct acks_delivery){.tag = tag};
}

static int
by_tag(const void *a, const void *b)
{
    const struct acks_delivery *x = a, *y = b;

    return (x->tag > y->tag) - (x->tag < y->tag);
}

static struct acks_delivery *
find(const struct acks *acks, uint64_t tag)
{
    const struct acks_delivery key = {.tag = tag};

    return acks->n > 0 ? bsearch(&key, acks->all, acks->n, sizeof key, by_tag) : NULL;
}

static void
take_out(struct acks *acks, size_t first, size_t n)
{
    for (size_t i = first; i < first + n; i++)
        acks->n_done -= acks->all[i].done;
    acks->n -= n;
    memmove(&acks->all[first], &acks->all[first + n], (acks->n - first) * sizeof *acks->all);
}

bool
acks_done(struct acks *acks, uint64_t tag)
{
    struct acks_delivery *d = find(acks, tag);

    if (d == NULL || d->done)
        return false;
    d->done = true;
    acks->n_done++;
    return true;
}

void
acks_forget(struct acks *acks, uint64_t tag)
{
    const struct acks_delivery *d = find(acks, tag);

    if (d != NULL)
        take_out(acks, (size_t)(d - acks->all), 1);
}

bool
acks_next(struct acks *acks, uint64_t *tag, bool *multiple)
{
    size_t first = 0, n = 0;

    if (acks->n_done == 0)
        return false;
    while (n < acks->n && acks->all[n].done)
        n++;
    *multiple = n > 1;
    if (n == 0) { /* an older one is not done: only one by one */
        while (!acks->all[first].done)
            first++;
        n = 1;
    }
    *tag = acks->all[first + n - 1].tag;
    take_out(acks, first, n);
    return true;
}

void
acks_clear(struct acks *acks)
{
    free(acks->all);
    *acks = (struct acks){0};
}
