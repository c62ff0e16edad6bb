/* What the dispatcher says: answers to claims, and control messages (protocol section 5). */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/file.h"
#include "common/log.h"
#include "common/mem.h"
#include "proto/event_data.h"
#include "worker/bridge/bridge.h"
#include "worker/runner/request.h"

#define STOPS_REMEMBERED 256

struct stop_memory {
    struct attempt_name name;
    enum control_cause cause;
    int64_t grace_ms;
};

void
orders_init(struct bridge *b)
{
    b->orders.stops = mem_alloc(STOPS_REMEMBERED * sizeof *b->orders.stops);
}

void
orders_free(struct bridge *b)
{
    free(b->orders.stops);
}

void
orders_recall_stop(const struct bridge *b, struct attempt *a)
{
    if (done_is_marked(&b->spool, a->text)) {
        a->stop_wanted = true;
        a->stop_cause = CONTROL_SUPERSEDED;
    }
    for (size_t i = 0; i < STOPS_REMEMBERED; i++) {
        const struct stop_memory *m = &b->orders.stops[i];

        if (!ident_name_equal(&m->name, &a->name))
            continue;
        a->stop_wanted = true;
        a->stop_cause = m->cause;
        a->stop_grace_ms = m->grace_ms;
    }
}

void
orders_tell_runner(struct bridge *b, const struct attempt *a, const char *line)
{
    CLEANUP(file_cleanup_close) int fd = -1;
    char path[IDENT_NAME_SIZE + sizeof REQUEST_CTL + 1];

    snprintf(path, sizeof path, "%s/" REQUEST_CTL, a->text);
    fd = openat(b->spool.dir_fd, path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd == -1 && (errno == ENXIO || errno == ENOENT))
        return; /* no runner: it is ending, which its journal tells */
    if (fd == -1 || write(fd, line, strlen(line)) == -1)
        log_warn("attempt=%s file=" REQUEST_CTL ": %m", a->text);
}

void
orders_stop_runner(struct bridge *b, struct attempt *a)
{
    char line[64];

    log_info("attempt=%s stop cause=%s grace_ms=%" PRId64, a->text,
             control_cause_name(a->stop_cause), a->stop_grace_ms);
    snprintf(line, sizeof line, "stop %s %" PRId64 "\n", control_cause_name(a->stop_cause),
             a->stop_grace_ms);
    orders_tell_runner(b, a, line);
}

static void
remember(struct bridge *b, const struct attempt_name *name, enum control_cause cause,
         int64_t grace_ms)
{
    struct stop_memory *m = &b->orders.stops[b->orders.next++ % STOPS_REMEMBERED];

    m->name = *name;
    m->cause = cause;
    m->grace_ms = grace_ms;
}

void
orders_never_start(struct bridge *b, const struct attempt_name *name)
{
    char text[IDENT_NAME_SIZE];

    remember(b, name, CONTROL_SUPERSEDED, 0);
    done_mark(&b->done, &b->spool, ident_name_text(name, text));
}

static void
stop(struct bridge *b, const struct control *c)
{
    struct attempt *a = attempt_find(&b->attempts, &c->name);

    if (a == NULL) {
        remember(b, &c->name, c->cause, c->grace_ms);
        return;
    }
    a->stop_wanted = true;
    a->stop_cause = c->cause;
    a->stop_grace_ms = c->grace_ms;
    if (a->state == AT_RUNNING)
        orders_stop_runner(b, a);
}

static void
report(struct bridge *b, const struct control *c)
{
    CLEANUP(buf_free) struct buf data = {0};
    struct attempt *a = attempt_find(&b->attempts, &c->name);

    if (a == NULL)
        a = adopt_done(b, &c->name);
    if (a == NULL && adopt_is_unread(b, &c->name))
        return; /* "I do not have it" would let it run a second time; it is asked for again */
    if (a == NULL) {
        orders_never_start(b, &c->name);
        event_data_declined(&data, "this worker does not have it");
        notices_stranger(b, &c->name, EVENT_DECLINED, &data);
        return;
    }
    switch (a->state) {
    case AT_WAITING:
    case AT_CLAIMED:
    case AT_STARTING:
        event_data_held(&data);
        notices_attempt(b, a, EVENT_HELD, &data, NOTICE_THEN_NOTHING);
        break;
    case AT_RUNNING:
    case AT_SENDING:
    case AT_LOST:
        sender_resend(b, a);
        break;
    case AT_CLOSING:
    case AT_STATES:
        break; /* its last word is on its way */
    }
}

static void
obey(struct bridge *b, const struct control *c)
{
    switch (c->kind) {
    case CONTROL_BEAT:
        heartbeat_answered(b, c);
        break;
    case CONTROL_STOP:
        stop(b, c);
        break;
    case CONTROL_REPORT:
        report(b, c);
        break;
    case CONTROL_DRAIN:
        drain_start(b);
        break;
    case CONTROL_RESUME:
        drain_resume(b);
        break;
    case CONTROL_PACE:
        pace_share(&b->links[STREAM_BULK].pace, clock_mono_ns());
        break;
    case CONTROL_UNKNOWN:
        log_warn("control kind=%s: not known, ignored", c->kind_text);
        break;
    }
}

void
orders_delivery(struct bridge *b, const struct mq_delivery *d)
{
    struct fault fault;
    int rc;

    if (d->user_id == NULL || strcmp(d->user_id, b->settings.dispatcher_user) != 0) {
        log_warn("control: sender is %s and not %s; ignored",
                 d->user_id != NULL ? d->user_id : "not named", b->settings.dispatcher_user);
        return;
    }
    if (d->type != NULL && strcmp(d->type, NAMES_TYPE_OFFER) == 0) {
        standing_delivery(b, d);
        return;
    }
    if (d->type != NULL && strcmp(d->type, NAMES_TYPE_ANSWER) == 0) {
        struct answer answer;

        rc = answer_decode(d->body, d->len, &answer, &fault);
        if (rc == 0)
            claims_answer(b, &answer);
    } else {
        struct control control;

        rc = control_decode(d->body, d->len, &control, &fault);
        if (rc == 0)
            obey(b, &control);
    }
    if (rc == -1)
        log_warn("control type=%s reason=%s: %s", d->type != NULL ? d->type : "",
                 fault_reason_name(fault.reason), fault.text);
}
