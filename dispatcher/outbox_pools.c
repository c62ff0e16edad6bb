/* Which pools take no offers, so that a lasting state is told once. */
#include <string.h>

#include "common/log.h"
#include "common/mem.h"
#include "dispatcher/outbox.h"

static struct ill_pool *
find(struct outbox *outbox, const char *pool)
{
    struct ill_pool *ill = SLIST_FIRST(&outbox->ill);

    while (ill != NULL && strcmp(ill->name, pool) != 0)
        ill = SLIST_NEXT(ill, link);
    return ill;
}

static struct ill_pool *
add(struct outbox *outbox, const char *pool)
{
    struct ill_pool *ill = find(outbox, pool);

    if (ill != NULL)
        return ill;
    ill = mem_alloc(sizeof *ill);
    ill->name = mem_dup(pool);
    SLIST_INSERT_HEAD(&outbox->ill, ill, link);
    return ill;
}

static void
mark_ill(struct outbox *outbox, const char *pool, const char *why)
{
    struct ill_pool *ill = add(outbox, pool);

    if (!ill->told)
        log_warn("pool=%s: %s; its tasks wait", pool, why);
    ill->told = true;
}

void
outbox_pool_suspect(struct outbox *outbox, const char *pool)
{
    add(outbox, pool);
}

static void
mark_well(struct outbox *outbox, const char *pool)
{
    struct ill_pool *ill = find(outbox, pool);

    if (ill == NULL)
        return;
    if (ill->told)
        log_info("pool=%s: offers arrive again", pool);
    SLIST_REMOVE(&outbox->ill, ill, ill_pool, link);
    mem_cleanup(&ill->name);
    mem_cleanup(&ill);
}

void
outbox_pool_settled(struct outbox *outbox, const char *pool, enum mq_outcome outcome)
{
    switch (outcome) {
    case MQ_CONFIRMED:
        mark_well(outbox, pool);
        return;
    case MQ_RETURNED:
        mark_ill(outbox, pool,
                 "the broker has no queue for it (hler.tasks.<pool>, bound to hler.tasks)");
        return;
    case MQ_NACKED:
        mark_ill(outbox, pool, "its queue refuses offers");
        return;
    case MQ_UNKNOWN: /* kept parcels go out again instead */
        return;
    }
}

void
outbox_pools_free(struct outbox *outbox)
{
    while (!SLIST_EMPTY(&outbox->ill)) {
        struct ill_pool *ill = SLIST_FIRST(&outbox->ill);

        SLIST_REMOVE_HEAD(&outbox->ill, link);
        mem_cleanup(&ill->name);
        mem_cleanup(&ill);
    }
}

bool
outbox_pool_is_ill(struct outbox *outbox, const char *pool)
{
    return find(outbox, pool) != NULL;
}
