/* The question of a worker whose output floods: do tasks start elsewhere?  (Protocol section 4.) */
#include "common/log.h"
#include "common/loop.h"
#include "worker/bridge/bridge.h"

#define BODY "{\"v\":1}"

void
flood_ask(struct bridge *b)
{
    struct link *l = &b->links[STREAM_STATE];
    const struct flight flight = {.kind = FLIGHT_HINT};
    const struct mq_message m = {.exchange = NAMES_CLAIMS,
                                 .routing_key = NAMES_CLAIM_KEY,
                                 .content_type = NAMES_JSON,
                                 .type = NAMES_TYPE_FLOOD,
                                 .reply_to = b->consumer.control_queue,
                                 .body = BODY,
                                 .len = sizeof BODY - 1};

    /* While states have no answer from the broker, questions would take the rest of the window. */
    if (!mq_is_up(b->consumer.mq) || l->open_bytes > 0 || loop_timer_armed(l->retry) ||
        link_publish(l, &m, &flight) == -1)
        log_debug("flood: not the time to ask");
}
