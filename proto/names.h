#ifndef PROTO_NAMES_H
#define PROTO_NAMES_H

#include <stdbool.h>

#include "proto/event.h"
#include "proto/limits.h"

/* Exchanges, queues and routing keys (protocol section 2). */

#define NAMES_TASKS "hler.tasks"   /* exchange; queue hler.tasks.<pool> */
#define NAMES_CLAIMS "hler.claims" /* exchange and queue */
#define NAMES_CLAIM_KEY "claim"
#define NAMES_RESULTS "hler.results" /* exchange */
#define NAMES_STATE "hler.state"     /* queue */
#define NAMES_LIFE "hler.life"       /* queue */
#define NAMES_OUTPUT "hler.output"   /* queue */
#define NAMES_DEAD "hler.dead"       /* queue */
#define NAMES_DISPATCHER "dispatcher"

#define NAMES_TYPE_OFFER "hler.offer.v1"
#define NAMES_TYPE_CLAIM "hler.claim.v1"
#define NAMES_TYPE_FLOOD "hler.flood.v1"
#define NAMES_TYPE_ANSWER "hler.answer.v1"
#define NAMES_TYPE_CONTROL "hler.control.v1"
#define NAMES_JSON "application/json"

#define NAMES_SIZE (LIMIT_ROUTING_KEY_BYTES + 1)

char *names_task_queue(const char *pool, char out[NAMES_SIZE]);
char *names_control_queue(const char *worker, const char *session, char out[NAMES_SIZE]);

/* reply_to is "hler.control.<user>.<session>" for exactly this user. */
bool names_control_owned(const char *reply_to, const char *user);

/* "<user>.<class>.<type>.<requester>.<operation>.<task>"; NULL words become "-". */
struct names_words {
    const char *user, *requester, *operation, *task;
};
char *names_routing_key(enum event_kind kind, const struct names_words *words,
                        char out[NAMES_SIZE]);

#endif
