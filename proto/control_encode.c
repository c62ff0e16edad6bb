/* Control messages as a dispatcher writes them. */
#include <inttypes.h>

#include "common/log.h"
#include "proto/control.h"

static void
add_name(struct buf *out, const struct attempt_name *name)
{
    buf_printf(out, ",\"task\":\"%s\",\"attempt\":%d,\"token\":\"%s\"", name->task,
               (int)name->attempt, name->token);
}

void
control_encode(const struct control *control, struct buf *out)
{
    switch (control->kind) {
    case CONTROL_BEAT:
        buf_printf(out,
                   "{\"v\":1,\"kind\":\"beat\",\"session\":\"%s\",\"number\":%" PRId64
                   ",\"lost_after_ms\":%" PRId64 "}",
                   control->session, control->number, control->lost_after_ms);
        return;
    case CONTROL_STOP:
        buf_puts(out, "{\"v\":1,\"kind\":\"stop\"");
        add_name(out, &control->name);
        buf_printf(out, ",\"cause\":\"%s\",\"grace_ms\":%" PRId64 "}",
                   control_cause_name(control->cause), control->grace_ms);
        return;
    case CONTROL_REPORT:
        buf_puts(out, "{\"v\":1,\"kind\":\"report\"");
        add_name(out, &control->name);
        buf_puts(out, "}");
        return;
    case CONTROL_DRAIN:
        buf_puts(out, "{\"v\":1,\"kind\":\"drain\"}");
        return;
    case CONTROL_RESUME:
        buf_puts(out, "{\"v\":1,\"kind\":\"resume\"}");
        return;
    case CONTROL_PACE:
        buf_puts(out, "{\"v\":1,\"kind\":\"pace\"}");
        return;
    case CONTROL_UNKNOWN:
        break;
    }
    log_panic("control message of kind %d cannot be written", (int)control->kind);
}
