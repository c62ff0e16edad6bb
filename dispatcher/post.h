#ifndef DISPATCHER_POST_H
#define DISPATCHER_POST_H

#include <stdbool.h>
#include <stddef.h>

#include "common/mq.h"

/* Messages on their way out over one publishing connection: those that wait for the
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

struct post *post_new(post_settled_fn *settled, void *ctx);
void post_free(struct post *post); /* NULL is legal; before or after the connection */

/* The connection to use; mq's handlers hand on to post_settle(), post_flush() (from
 * up and writable) and post_down(). */
void post_attach(struct post *post, struct mq *mq);

/* Copy a message and send it as soon as the window allows.  One that is not kept is
 * dropped at once while the broker is away, or when too many wait already. */
void post_send(struct post *post, const struct mq_message *message,
               const struct parcel_label *label);

void post_flush(struct post *post);
void post_settle(struct post *post, uint64_t cookie, enum mq_outcome outcome);
void post_down(struct post *post);

size_t post_count(const struct post *post); /* waiting and in the window */

#endif
