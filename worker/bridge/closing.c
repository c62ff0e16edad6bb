/* Attempts that will not run here.  Their last event is confirmed before the offer is
 * acknowledged and the directory removed. */
#include "common/log.h"
#include "proto/event_data.h"
#include "worker/bridge/bridge.h"

void
closing_refuse(struct bridge *b, struct attempt *a, const char *cause, const char *message)
{
    CLEANUP(buf_free) struct buf data = {0};

    log_info("attempt=%s refused cause=%s: %s", a->text, cause, message);
    attempt_set(&b->attempts, a, AT_CLOSING);
    orders_never_start(b, &a->name);
    event_data_refused(&data, cause, message);
    notices_attempt(b, a, EVENT_REFUSED, &data, NOTICE_THEN_CLOSE);
}

void
closing_decline(struct bridge *b, struct attempt *a, const char *message)
{
    CLEANUP(buf_free) struct buf data = {0};

    log_info("attempt=%s declined: %s", a->text, message);
    attempt_set(&b->attempts, a, AT_CLOSING);
    orders_never_start(b, &a->name);
    event_data_declined(&data, message);
    notices_attempt(b, a, EVENT_DECLINED, &data, NOTICE_THEN_CLOSE);
    consumer_adjust(b);
}

void
closing_drop(struct bridge *b, struct attempt *a)
{
    consumer_ack(b, a);
    if (attempt_dir_remove(&b->spool, a) == -1)
        b->leftover = true;
    notices_forget_attempt(b, a);
    sender_close(b, a);
    attempt_free(&b->attempts, a);
    consumer_adjust(b);
}
