/* Stops that a person or a new attempt has asked for.  Sent once from here; a lost one
 * is asked for again by the worker's next heartbeat. */
#include "dispatcher/control.h"
#include "dispatcher/outbox.h"

static const char sql[] =
    "SELECT control, task, attempt, token, cause, grace_ms FROM hler_core.stops_due()";

enum flow_status
outbox_stops(struct outbox *outbox)
{
    struct pg_result *result CLEANUP(pg_result_cleanup) = NULL;
    enum flow_status status = flow_exec(outbox->flow, sql, NULL, 0, &result);

    if (status != FLOW_OK)
        return status;
    for (size_t row = 0; row < pg_rows(result); row++)
        control_send_stop(outbox->post, result, row);
    return FLOW_OK;
}
