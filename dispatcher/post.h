#ifndef DISPATCHER_POST_H
#define DISPATCHER_POST_H

#include <stdbool.h>
#include <stddef.h>

#include "common/mq.h"
#include "dispatcher/flow.h"

/* A publishing connection and the messages on their way out over it: those that wait for the
 * publish window and those in it.  A parcel that is kept survives the loss of the
 * connection and goes out again under the same message id; the others are dropped
 * (they answer something that will be asked again). */

struct post;
struct parcel;

struct parcel_label {
    int kind;         /* the owner's */
    const char *name; /* the owner's: pool, row id; copied; may be NULL */
    bool keep;
};

/* A kept parcel was confirmed, returned or nacked; or one that is not kept was lost
 * as well (MQ_UNKNOWN). */
typedef void post_settled_fn(void *ctx, const struct parcel_label *label, enum mq_outcome outcome);

/* Each member may be 0. */
struct post_owner {
    /* The connection is up, as in struct mq_handlers: -1 gives it up.  Confirms are on already.
     * What is kept goes out with the next post_flush() or post_send(). */
    int (*up)(struct mq *mq, void *ctx);
    void (*down)(void *ctx);
    post_settled_fn *settled;
    size_t window_messages; /* publishes that may be open */
};

/* owner is kept, not copied.  post_start() begins to connect. */
struct post *post_new(const struct flow *flow, const struct post_owner *owner, void *ctx);
void post_start(struct post *post);
void post_free(struct post *post); /* NULL is legal; no callback is made */

bool post_is_up(const struct post *post);
int64_t post_depth(struct post *post, const char *queue); /* mq_depth() on its connection */

/* Copy a message and send it as soon as the window allows.  One that is not kept is
 * dropped at once while the broker is away, or when too many wait already. */
void post_send(struct post *post, const struct mq_message *message,
               const struct parcel_label *label);

void post_flush(struct post *post); /* also done whenever there is room again */

size_t post_count(const struct post *post); /* waiting and in the window */

#endif
