#ifndef DISPATCHER_INTAKE_H
#define DISPATCHER_INTAKE_H

#include "dispatcher/batch.h"
#include "dispatcher/floods.h"
#include "dispatcher/flow.h"
#include "dispatcher/post.h"

/* The intake flow: claims and states, in batches: one transaction a kind, then the
 * answers, then the ack. */
extern const struct flow_kind intake_kind;

struct intake {
    struct flow *flow;
    struct mq *consumer;
    char *consumer_name;
    struct post *post;
    struct batch batch;
    struct floods floods;
    size_t questions; /* of workers that flood, in the batch: they cost no transaction */
    struct loop_timer *retry, *gather;
    bool urgent;           /* the batch holds more than signs of life */
    int64_t busy_until_ns; /* the last batch was large: until then the next is gathered */
    bool moved;            /* something may have become ready, or room in a pool's window */
};

/* What each message is, and whether it says what it may (intake_sort.c). */
void intake_sort(struct item *item);

/* The kinds of work; each a batch_fn with the struct intake as context. */
enum flow_status intake_claims(void *intake, struct item **items, size_t n);
enum flow_status intake_stand(void *intake, struct item **items, size_t n);
enum flow_status intake_floods(void *intake, struct item **items, size_t n);
enum flow_status intake_states(void *intake, struct item **items, size_t n);
enum flow_status intake_life(void *intake, struct item **items, size_t n);
enum flow_status intake_gone(void *intake, struct item **items, size_t n);

#endif
