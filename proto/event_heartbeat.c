/* The `data` of worker.started and worker.heartbeat. */
#include <inttypes.h>
#include <string.h>

#include "common/json.h"
#include "proto/event_data.h"

static void
add_held(struct buf *out, const struct event_held_attempt *held)
{
    buf_printf(out, "{\"task\":\"%s\",\"attempt\":%d,\"token\":\"%s\",\"state\":\"%s\"}",
               held->name.task, (int)held->name.attempt, held->name.token, held->state);
}

void
event_data_heartbeat(struct buf *out, const struct event_heartbeat *h)
{
    buf_printf(out,
               "{\"session\":\"%s\",\"number\":%" PRId64 ",\"version\":\"" HLER_VERSION
               "\",\"protocol\":1,",
               h->session, h->number);
    buf_printf(out, "\"instance\":\"%s\",\"boot_id\":\"%s\",\"pool\":\"%s\",", h->instance,
               h->boot_id, h->pool);
    buf_printf(out, "\"slots\":%" PRId64 ",\"free\":%" PRId64 ",\"draining\":%s,", h->slots,
               h->free_slots, h->draining ? "true" : "false");
    if (h->claim > 0)
        buf_printf(out, "\"claim\":%" PRId64 ",", h->claim);
    buf_printf(out, "\"spool_bytes\":%" PRId64 ",\"oldest_unsent_ms\":%" PRId64 ",\"note\":",
               h->spool_bytes, h->oldest_unsent_ms);
    json_quote(out, h->note, strlen(h->note));
    buf_printf(out, ",\"executors\":%s,\"control\":\"%s\",\"held\":[", h->executors, h->control);
    for (size_t i = 0; i < h->n_held; i++) {
        if (i > 0)
            buf_puts(out, ",");
        add_held(out, &h->held[i]);
    }
    buf_puts(out, "]}");
}
