/* Workers whose output floods: who hears that tasks start elsewhere keeps to its pace (protocol
 * section 4).  A hint: nothing is recorded, and what is lost is asked again. */
#include "common/clock.h"
#include "dispatcher/control.h"
#include "dispatcher/intake.h"

enum flow_status
intake_floods(void *ctx, struct item **items, size_t n)
{
    struct intake *in = ctx;

    for (size_t i = 0; i < n; i++) {
        if (floods_asked(&in->floods, items[i]->user, clock_mono_ns()))
            control_send_pace(in->post, items[i]->reply_to);
        items[i]->work = WORK_DONE;
    }
    return FLOW_OK;
}
