#ifndef DISPATCHER_FLOW_H
#define DISPATCHER_FLOW_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/mq.h"
#include "common/pg.h"
#include "dispatcher/preferences.h"

/* A flow is one loop in one thread with its own connections (design section 7).
 * Flows share nothing but counters and may nudge each other. */

struct loop;
struct flow;

/* What all flows count; read by anybody at any time. */
struct counters {
    atomic_uint_fast64_t offered, granted, refused, states, outputs, dead;
};

struct flow_kind {
    const char *name; /* "outbox" */
    /* In the flow's thread: make connections and timers.  Returns the flow's own object. */
    void *(*open)(struct flow *flow);
    /* In the flow's thread: another flow has made work for this one.  May be NULL. */
    void (*nudged)(void *self);
    /* In the flow's thread, once: finish what is in hand, then loop_stop(). */
    void (*stop)(void *self);
    void (*close)(void *self);
};

struct flow {
    const struct flow_kind *kind;
    const struct preferences *settings;
    struct counters *counters;
    struct flow *nudges;           /* whom this flow wakes; NULL = nobody */
    struct loop *home;             /* main's: told what follows */
    void (*connected)(void *flow); /* to the database, anew */
    void (*ended)(void *flow);
    void *program; /* main's */
    struct loop *loop;
    struct pg *pg;
    char *name; /* of its connection to the database */
    void *self;
    pthread_t thread;
    char ill[6];         /* SQLSTATE of the standing fault that was logged; "" = well */
    const char *ill_sql; /* the statement that has it */
    unsigned tries;      /* failures in a row: for the back-off */
};

/* Start the thread.  *flow has the members up to program set; the rest is filled here. */
void flow_start(struct flow *flow);

void flow_stop(struct flow *flow); /* ask for the end; any thread */

/* Join the ended threads and free what the flows had; after all have ended, since they
 * nudge each other until then. */
void flow_join(struct flow *flow);
void flow_free(struct flow *flow);

/* Wake the flow that this one nudges.  Cheap, merged. */
void flow_nudge(const struct flow *flow);

/* What became of a statement. */
enum flow_status {
    FLOW_OK,
    FLOW_LATER, /* database away, or ill in a way that no data explains: keep all, try later */
    FLOW_POISON /* these rows cannot be recorded: flow_why() */
};

/* pg_exec() with the retry policy of all flows: conflicts are tried again here a
 * few times; a fault of the data is told from one of the system, which is logged
 * once until it changes. */
enum flow_status flow_exec(struct flow *flow, const char *sql, const struct pg_param *params,
                           size_t n, struct pg_result **result) MUST_CHECK;

/* Its two halves, tried once, on a connection that is up: flow_send(), something else,
 * flow_answer() when the connection's socket is readable.  0; or -1, and then flow_exec() of the
 * same statement is to say what is wrong. */
int flow_send(struct flow *flow, const char *sql, const struct pg_param *params,
              size_t n) MUST_CHECK;
int flow_answer(struct flow *flow, const char *sql) MUST_CHECK;

const char *flow_why(const struct flow *flow); /* one line about the last failure */

/* Milliseconds until the next try: grows with each call, jittered; flow_well() ends it. */
int64_t flow_backoff_ms(struct flow *flow);
void flow_well(struct flow *flow);

/* Settings of one connection to the broker.  suffix: "publish", "consume"; *name is
 * allocated (caller frees after mq_free()). */
struct mq_config flow_mq_config(const struct flow *flow, const char *suffix, char **name);

#endif
