/* The question of a worker whose output floods: do tasks start elsewhere?  (Protocol section 4.) */
#include "worker/bridge/bridge.h"

#include "common/log.h"

#define BODY "{\"v\":1}"

void
flood_ask(struct bridge *b)
{
    const struct flight flight = {.kind = FLIGHT_HINT};
    const struct mq_message m = {.exchange = NAMES_CLAIMS,
                                 .routing_key = NAMES_CLAIM_KEY,
                                 .content_type = NAMES_JSON,
                                 .type = NAMES_TYPE_FLOOD,
                                 .reply_to = b->consumer.control_queue,
                                 .body = BODY,
                                 .len = sizeof BODY - 1};

    if (!mq_is_up(b->consumer.mq) || link_publish(&b->links[STREAM_STATE], &m, &flight) == -1)
        log_debug("flood: not the time to ask");
}
