#ifndef DISPATCHER_REDRIVE_H
#define DISPATCHER_REDRIVE_H

#include "common/loop.h"
#include "dispatcher/flow.h"

/* Reads messages again that were set aside, when an operator has asked for it (`hler dead
 * redrive`): by a timer of its own in the flow's loop, with the flow's connection.  The outcome is
 * noted in the tables.  claim(ctx) is called before: the connection must be free then. */

struct redrive;

struct redrive *redrive_new(struct flow *flow, loop_fn *claim, void *ctx);
void redrive_free(struct redrive *redrive); /* NULL is legal */

#endif
