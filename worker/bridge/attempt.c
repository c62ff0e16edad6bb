/* Attempts: the list, the index by name, and the one setter of their state. */
#include "worker/bridge/attempt.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/mem.h"

static const struct {
    const char *name;
    unsigned next; /* set of BIT(state) that may follow */
} states[] = {
    [AT_WAITING] = {"waiting", BIT(AT_CLAIMED) | BIT(AT_CLOSING)},
    /* Back to waiting: the claim went unanswered, or with its connection. */
    [AT_CLAIMED] = {"claimed", BIT(AT_WAITING) | BIT(AT_STARTING) | BIT(AT_CLOSING)},
    [AT_STARTING] = {"starting", BIT(AT_RUNNING) | BIT(AT_CLOSING)},
    [AT_RUNNING] = {"running", BIT(AT_SENDING) | BIT(AT_LOST)},
    [AT_SENDING] = {"sending", 0},
    [AT_LOST] = {"lost", 0},
    [AT_CLOSING] = {"closing", 0},
};
static_assert(ARRAY_LEN(states) == AT_STATES, "a row each");

#define FNV_BASIS 14695981039346656037u
#define FNV_PRIME 1099511628211u

static size_t
bucket_of(const char *token)
{
    uint64_t hash = FNV_BASIS;

    for (; *token != '\0'; token++)
        hash = (hash ^ (unsigned char)*token) * FNV_PRIME;
    return (size_t)(hash % ATTEMPT_BUCKETS);
}

static void
link_in(struct attempts *all, struct attempt *a)
{
    struct attempt **bucket = &all->buckets[bucket_of(a->name.token)];

    a->next_in_bucket = *bucket;
    *bucket = a;
    a->prev = all->last;
    if (all->last != NULL)
        all->last->next = a;
    else
        all->first = a;
    all->last = a;
}

static void
link_out(struct attempts *all, struct attempt *a)
{
    struct attempt **p = &all->buckets[bucket_of(a->name.token)];

    while (*p != a)
        p = &(*p)->next_in_bucket;
    *p = a->next_in_bucket;
    if (a->prev != NULL)
        a->prev->next = a->next;
    else
        all->first = a->next;
    if (a->next != NULL)
        a->next->prev = a->prev;
    else
        all->last = a->prev;
}

struct attempt *
attempt_new(struct attempts *all, struct offer *offer, enum attempt_state state)
{
    struct attempt *a = mem_alloc(sizeof *a);

    a->name = offer->name;
    ident_name_text(&a->name, a->text);
    a->operation = mem_dup(offer->operation);
    a->requester = mem_dup(offer->requester);
    a->traceparent = mem_dup(offer->traceparent);
    a->repeatable = offer->repeatable;
    a->offer = *offer;
    memset(offer, 0, sizeof *offer);
    a->state = state;
    a->journal_fd = a->watch = -1;
    all->count[state]++;
    link_in(all, a);
    return a;
}

void
attempt_drop_offer(struct attempt *a)
{
    offer_free(&a->offer);
    free(a->body);
    a->body = NULL;
    a->body_len = 0;
}

void
attempt_free(struct attempts *all, struct attempt *a)
{
    link_out(all, a);
    all->count[a->state]--;
    attempt_drop_offer(a);
    free(a->operation);
    free(a->requester);
    free(a->traceparent);
    free(a);
}

struct attempt *
attempt_find(const struct attempts *all, const struct attempt_name *name)
{
    struct attempt *a = all->buckets[bucket_of(name->token)];

    while (a != NULL && !ident_name_equal(&a->name, name))
        a = a->next_in_bucket;
    return a;
}

void
attempt_set(struct attempts *all, struct attempt *a, enum attempt_state state)
{
    if (!(states[a->state].next & BIT(state)))
        log_panic("attempt=%s: %s -> %s is not an arrow", a->text, states[a->state].name,
                  states[state].name);
    all->count[a->state]--;
    all->count[state]++;
    a->state = state;
    log_debug("attempt=%s state=%s", a->text, states[state].name);
}

size_t
attempts_busy(const struct attempts *all)
{
    return all->count[AT_WAITING] + all->count[AT_CLAIMED] + all->count[AT_STARTING] +
           all->count[AT_RUNNING] + all->count[AT_CLOSING];
}

size_t
attempts_count(const struct attempts *all)
{
    size_t n = 0;

    for (int state = 0; state < AT_STATES; state++)
        n += all->count[state];
    return n;
}

bool
attempts_is_only(const struct attempts *all, const struct attempt *a)
{
    return all->first == a && all->last == a;
}

struct event_about
attempt_about(const struct attempt *a, const char *worker)
{
    struct event_about about = {.worker = worker,
                                .operation = a->operation,
                                .requester = a->requester,
                                .traceparent = a->traceparent,
                                .name = a->name};

    return about;
}
