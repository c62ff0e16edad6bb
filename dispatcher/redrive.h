#ifndef DISPATCHER_REDRIVE_H
#define DISPATCHER_REDRIVE_H

#include "dispatcher/flow.h"

/* Reads messages again that were set aside, when an operator has asked for it (`hler dead
 * redrive`): by a timer of its own in the flow's loop, with the flow's connection.  The
 * outcome is noted in the tables. */

struct redrive;

struct redrive *redrive_new(struct flow *flow);
void redrive_free(struct redrive *redrive); /* NULL is legal */

#endif
