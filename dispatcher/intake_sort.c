/* What a delivery is, checked before anything is done with it. */
#include <string.h>

#include "common/json.h"
#include "common/mem.h"
#include "dispatcher/intake.h"
#include "proto/names.h"

/* An answer may only go to a queue of the one who asked (protocol section 4). */
static bool
control_matches(const char *queue, const char *user, const char *session)
{
    char expected[NAMES_SIZE];

    return queue != NULL && names_control_owned(queue, user) &&
           strcmp(names_control_queue(user, session, expected), queue) == 0;
}

static int
sort_claim(struct item *item, struct fault *fault)
{
    if (item->user == NULL)
        return fault_set(fault, FAULT_NO_USER, "the message does not name its sender");
    item->claim = mem_alloc(sizeof *item->claim);
    if (claim_decode(item->body, item->len, item->claim, fault) == -1)
        return -1;
    if (!control_matches(item->reply_to, item->user, item->claim->session))
        return fault_set(fault, FAULT_BAD_KEY, "reply_to: expected hler.control.<user>.<session>");
    item->work = item->claim->n > 0 ? WORK_CLAIM : WORK_STAND;
    return 0;
}

static int
sort_flood(struct item *item, struct fault *fault)
{
    CLEANUP(json_cleanup) struct json_object *root = fault_open(item->body, item->len, fault);

    if (root == NULL || fault_check_version(root, fault) == -1)
        return -1;
    if (item->user == NULL)
        return fault_set(fault, FAULT_NO_USER, "the message does not name its sender");
    if (item->reply_to == NULL || !names_control_owned(item->reply_to, item->user))
        return fault_set(fault, FAULT_BAD_KEY, "reply_to: expected hler.control.<user>.<session>");
    item->work = WORK_FLOOD;
    return 0;
}

static int
sort_beat(struct item *item, struct fault *fault)
{
    const char *control = NULL, *session = NULL;
    struct json_error err = {""};

    if (json_get_string(item->event.data, "control", false, NAMES_SIZE, &control, &err) == -1 ||
        json_get_string(item->event.data, "session", false, NAMES_SIZE, &session, &err) == -1)
        return fault_set(fault, FAULT_BAD_SCHEMA, "data.%s", err.text);
    if (!control_matches(control, item->user, session))
        return fault_set(fault, FAULT_BAD_KEY, "control: expected hler.control.<user>.<session>");
    item->work = WORK_LIFE;
    return 0;
}

static int
sort_event(struct item *item, struct fault *fault)
{
    const struct event_delivery delivery = {item->user, item->routing_key, item->body, item->len};

    if (event_decode(&delivery, &item->event, fault) == -1)
        return -1;
    switch (item->event.kind) {
    case EVENT_STARTED:
    case EVENT_RESULT:
    case EVENT_FINISHED:
    case EVENT_REFUSED:
    case EVENT_DECLINED:
    case EVENT_HELD:
    case EVENT_LOST:
        item->work = WORK_STATE;
        return 0;
    case EVENT_WORKER_STARTED:
    case EVENT_WORKER_HEARTBEAT:
        return sort_beat(item, fault);
    case EVENT_WORKER_DRAINING:
    case EVENT_WORKER_STOPPED:
        item->work = WORK_GONE;
        return 0;
    case EVENT_WORKER_REJECTED:
        item->work = WORK_REJECTED;
        return 0;
    case EVENT_TICK:
        if (strcmp(item->user, NAMES_DISPATCHER) != 0)
            return fault_set(fault, FAULT_FOREIGN, "only a dispatcher ticks");
        item->work = WORK_LIFE;
        return 0;
    case EVENT_OUTPUT:
    case EVENT_PROGRESS:
    case EVENT_KINDS:
        break;
    }
    return fault_set(fault, FAULT_BAD_KEY, "output came through the queue of states");
}

void
intake_sort(struct item *item)
{
    struct fault fault = {0};
    int rc;

    if (strcmp(item->queue, NAMES_CLAIMS) != 0)
        rc = sort_event(item, &fault);
    else if (item->type != NULL && strcmp(item->type, NAMES_TYPE_FLOOD) == 0)
        rc = sort_flood(item, &fault);
    else
        rc = sort_claim(item, &fault);
    if (rc == -1)
        item_dead(item, &fault);
}
