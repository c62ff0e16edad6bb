/* Outgoing messages: a queue in front of the publish window. */
#include "dispatcher/post.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/queue.h>

#include "common/log.h"
#include "common/mem.h"
#include "dispatcher/pack.h"

#define WAITING_MAX 10000 /* of those that are not kept */

struct parcel {
    TAILQ_ENTRY(parcel) link;  /* in waiting or sent */
    struct mq_message message; /* its strings are below */
    struct parcel_label label;
    char *strings; /* one allocation for all strings and the body */
};

TAILQ_HEAD(parcels, parcel);

struct post {
    struct mq *mq;
    char *name; /* of the connection */
    const struct post_owner *owner;
    void *ctx;
    struct parcels waiting, sent;
    size_t n_waiting, n_sent;
};

static void
parcel_free(struct parcel *parcel)
{
    mem_cleanup(&parcel->strings);
    mem_cleanup(&parcel);
}

static void
free_all(struct parcels *list)
{
    struct parcel *parcel;

    while ((parcel = TAILQ_FIRST(list)) != NULL) {
        TAILQ_REMOVE(list, parcel, link);
        parcel_free(parcel);
    }
}

void
post_free(struct post *post)
{
    if (post == NULL)
        return;
    mq_free(post->mq);
    free_all(&post->waiting);
    free_all(&post->sent);
    mem_cleanup(&post->name);
    mem_cleanup(&post);
}

bool
post_is_up(const struct post *post)
{
    return mq_is_up(post->mq);
}

int64_t
post_depth(struct post *post, const char *queue)
{
    return mq_depth(post->mq, queue);
}

static struct parcel *
parcel_new(const struct mq_message *m, const struct parcel_label *label)
{
    struct parcel *parcel = mem_alloc(sizeof *parcel);
    char *at;

    parcel->strings =
        mem_alloc(pack_size(m->exchange) + pack_size(m->routing_key) + pack_size(m->content_type) +
                  pack_size(m->type) + pack_size(m->message_id) + pack_size(m->reply_to) +
                  pack_size(m->correlation_id) + pack_size(label->name) + m->len + 1);
    at = parcel->strings;
    parcel->message = *m;
    parcel->message.exchange = pack_string(&at, m->exchange);
    parcel->message.routing_key = pack_string(&at, m->routing_key);
    parcel->message.content_type = pack_string(&at, m->content_type);
    parcel->message.type = pack_string(&at, m->type);
    parcel->message.message_id = pack_string(&at, m->message_id);
    parcel->message.reply_to = pack_string(&at, m->reply_to);
    parcel->message.correlation_id = pack_string(&at, m->correlation_id);
    parcel->label = *label;
    parcel->label.name = pack_string(&at, label->name);
    memcpy(at, m->body, m->len);
    parcel->message.body = at;
    return parcel;
}

/* It has left the lists: tell the owner and forget it. */
static void
finish(struct post *post, struct parcel *parcel, enum mq_outcome outcome)
{
    if (post->owner->settled != NULL)
        post->owner->settled(post->ctx, &parcel->label, outcome);
    parcel_free(parcel);
}

/* Hand the first waiting parcel to the connection; false when that must wait. */
static bool
send_first(struct post *post)
{
    struct parcel *parcel = TAILQ_FIRST(&post->waiting);
    int rc;

    if (parcel == NULL)
        return false;
    /* In its list first: the outcome of a publish may come before the call returns. */
    TAILQ_REMOVE(&post->waiting, parcel, link);
    TAILQ_INSERT_TAIL(&post->sent, parcel, link);
    post->n_waiting--;
    post->n_sent++;
    rc = mq_publish(post->mq, &parcel->message, (uint64_t)(uintptr_t)parcel);
    if (rc == 0)
        return true;
    TAILQ_REMOVE(&post->sent, parcel, link);
    post->n_sent--;
    if (errno == EMSGSIZE) {
        log_err("message_id=%s: cannot be published: headers too long",
                parcel->message.message_id != NULL ? parcel->message.message_id : "");
        finish(post, parcel, MQ_NACKED);
        return true;
    }
    if (errno == ENOTCONN && !parcel->label.keep) {
        finish(post, parcel, MQ_UNKNOWN);
        return false;
    }
    TAILQ_INSERT_HEAD(&post->waiting, parcel, link);
    post->n_waiting++;
    return false;
}

void
post_flush(struct post *post)
{
    while (mq_is_up(post->mq) && send_first(post))
        ;
}

void
post_send(struct post *post, const struct mq_message *message, const struct parcel_label *label)
{
    struct parcel *parcel;

    if (!label->keep && (!mq_is_up(post->mq) || post->n_waiting >= WAITING_MAX)) {
        log_debug("routing_key=%s: dropped, the broker is away or slow", message->routing_key);
        return;
    }
    parcel = parcel_new(message, label);
    TAILQ_INSERT_TAIL(&post->waiting, parcel, link);
    post->n_waiting++;
    post_flush(post);
}

size_t
post_count(const struct post *post)
{
    return post->n_waiting + post->n_sent;
}

static int
on_up(struct mq *mq, void *ctx)
{
    const struct post *post = ctx;

    if (mq_use_confirms(mq) == -1)
        return -1;
    return post->owner->up != NULL ? post->owner->up(mq, post->ctx) : 0;
}

static void
on_down(struct mq *mq, void *ctx)
{
    struct post *post = ctx;
    struct parcel *parcel = TAILQ_FIRST(&post->waiting), *next;

    (void)mq;
    for (; parcel != NULL; parcel = next) {
        next = TAILQ_NEXT(parcel, link);
        if (parcel->label.keep)
            continue;
        TAILQ_REMOVE(&post->waiting, parcel, link);
        post->n_waiting--;
        finish(post, parcel, MQ_UNKNOWN);
    }
    if (post->owner->down != NULL)
        post->owner->down(post->ctx);
}

static void
on_settled(struct mq *mq, uint64_t cookie, enum mq_outcome outcome, void *ctx)
{
    struct parcel *parcel = (struct parcel *)(uintptr_t)cookie;
    struct post *post = ctx;

    (void)mq;
    TAILQ_REMOVE(&post->sent, parcel, link);
    post->n_sent--;
    if (outcome != MQ_UNKNOWN || !parcel->label.keep) {
        finish(post, parcel, outcome);
        return;
    }
    TAILQ_INSERT_TAIL(&post->waiting, parcel, link);
    post->n_waiting++;
}

static void
on_writable(struct mq *mq, void *ctx)
{
    (void)mq;
    post_flush(ctx);
}

struct post *
post_new(const struct flow *flow, const struct post_owner *owner, void *ctx)
{
    static const struct mq_handlers handlers = {
        .up = on_up, .down = on_down, .settled = on_settled, .writable = on_writable};
    struct post *post = mem_alloc(sizeof *post);
    struct mq_config config = flow_mq_config(flow, "publish", &post->name);

    config.window_messages = owner->window_messages;
    post->owner = owner;
    post->ctx = ctx;
    TAILQ_INIT(&post->waiting);
    TAILQ_INIT(&post->sent);
    post->mq = mq_new(flow->loop, &config, &handlers, post);
    return post;
}

void
post_start(struct post *post)
{
    mq_start(post->mq);
}
