#ifndef DISPATCHER_OUTBOX_H
#define DISPATCHER_OUTBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "common/buf.h"
#include "dispatcher/flow.h"
#include "dispatcher/post.h"
#include "dispatcher/seal.h"

/* The outbox flow: everything that the tables want published: offers, stops and
 * verdicts.  Never more is taken from the tables than the publish window carries
 * (but for grants, which come), and no transaction is open while something is published. */
extern const struct flow_kind outbox_kind;

struct loop_source;
struct loop_timer;

/* A pool whose offers do not arrive: one log line per change, not per offer. */
struct ill_pool {
    SLIST_ENTRY(ill_pool) link;
    char *name;
    bool told; /* else it is only suspected: the next offer to it will show */
};
SLIST_HEAD(ill_pools, ill_pool);

struct outbox {
    struct flow *flow;
    struct post *post;
    struct loop_timer *pump, *check; /* next round of offers; next look for silent queues */
    struct loop_source *hints;       /* the database's socket, for LISTEN */
    int hints_fd;
    int64_t pump_ns;              /* when the next round is due; 0 = not planned */
    int64_t pumped_ns, chores_ns; /* when these ran last */
    bool chores_put_off;
    struct seal seal;  /* of what the database tells of grants */
    bool hears_grants; /* it tells this dispatcher */
    bool ending;       /* no further rounds */
    struct ill_pools ill;
    struct buf verdicts_done; /* array of ids, open while verdicts are under way */
    size_t n_verdicts;        /* under way */
    bool verdicts_known;      /* else an earlier process may have left some behind */
};

/* Labels of parcels; control.c, which serves the intake as well, gives none. */
enum outbox_parcel { OUTBOX_CONTROL, OUTBOX_OFFER, OUTBOX_GRANT, OUTBOX_VERDICT };

/* How many more messages may be taken from the tables. */
size_t outbox_room(const struct outbox *outbox);

/* Take what is due and publish it. */
enum outbox_found {
    OUTBOX_NONE,
    OUTBOX_SOME,
    OUTBOX_FULL /* as much as could be taken: look again soon */
};
enum flow_status outbox_offer(struct outbox *outbox, enum outbox_found *found) MUST_CHECK;

/* Offers that nobody has claimed for a while: publish them again where the queue is
 * empty, which shows that the broker has lost them. */
enum flow_status outbox_reoffer(struct outbox *outbox) MUST_CHECK;

/* Publish rows as those of offer_due(); returns how many. */
size_t outbox_send_offers(struct outbox *outbox, const struct pg_result *result);

/* To the worker that has claimed ahead.  It is published once and not kept over a lost connection: the worker is asked
 * for it instead. */
struct grant {
    const char *control, *answers, *id, *message;
    size_t len; /* of the message */
};
void outbox_send_grant(struct outbox *outbox, const struct grant *grant);

/* Publish what the database says of a grant; a pg_note_fn, with the outbox as context. */
void outbox_grant_note(void *outbox, const char *note);
/* Have the database tell this dispatcher of grants, or not.  0; or -1: it does as before, and the next call tries again. */
int outbox_hear_grants(struct outbox *outbox, bool wanted) MUST_CHECK;

/* The outcome of one grant: where no queue has had it, the tables may take it back. */
void outbox_grant_settled(struct outbox *outbox, const char *id, enum mq_outcome outcome);

/* The outcome of one offer: whether its pool has a queue that takes it. */
void outbox_pool_settled(struct outbox *outbox, const char *pool, enum mq_outcome outcome);
void outbox_pool_suspect(struct outbox *outbox, const char *pool);
bool outbox_pool_is_ill(struct outbox *outbox, const char *pool);
void outbox_pools_free(struct outbox *outbox);

enum flow_status outbox_stops(struct outbox *outbox) MUST_CHECK;

/* Verdict events: the next ones are taken when all of the last are settled and marked. */
enum flow_status outbox_verdicts(struct outbox *outbox) MUST_CHECK;
enum flow_status outbox_verdicts_mark(struct outbox *outbox) MUST_CHECK; /* what is confirmed */
void outbox_verdict_settled(struct outbox *outbox, const char *id, enum mq_outcome outcome);

#endif
