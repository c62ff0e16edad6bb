/* What the intake takes a delivery for, beyond what the decoders check: to whom it will
 * answer, and what may come through which queue. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "dispatcher/intake.h"
#include "proto/event_data.h"
#include "proto/names.h"

#define TASK "01890a5d-ac96-774b-bcce-b302099a8057"
#define TOKEN "0123456789abcdef"
#define SESSION "8f14e45f-ceea-4c1e-9f3a-2b7b1a2c3d4e"
#define OWN "hler.control.w1." SESSION

/* Sort one delivery; returns what it was taken for, and why when it is dead. */
static enum work
sorted(const char *queue, const struct mq_delivery *delivery, enum fault_reason *reason)
{
    struct batch batch = {0};
    struct item *item = batch_add(&batch, queue, delivery);
    enum work work;

    intake_sort(item);
    work = item->work;
    *reason = item->fault.reason;
    batch_free(&batch);
    return work;
}

static void
test_claims(void **state)
{
    const struct {
        const char *user, *reply_to;
        enum work work;
        enum fault_reason reason;
    } cases[] = {
        {"w1", OWN, WORK_CLAIM, 0},
        {NULL, OWN, WORK_DEAD, FAULT_NO_USER},
        {"w1", NULL, WORK_DEAD, FAULT_BAD_KEY},
        {"w1", "hler.state", WORK_DEAD, FAULT_BAD_KEY},
        {"w1", "hler.control.w2." SESSION, WORK_DEAD, FAULT_BAD_KEY},
        {"w", OWN, WORK_DEAD, FAULT_BAD_KEY},
        {"w1", "hler.control.w1." TASK, WORK_DEAD, FAULT_BAD_KEY}, /* of another session */
        {"w1", OWN ".x", WORK_DEAD, FAULT_BAD_KEY},
    };
    struct claim claim = {
        .session = SESSION, .instance = TASK, .number = 1, .n = 1, .attempts = {{TASK, 1, TOKEN}}};
    struct buf body = {0};

    (void)state;
    claim_encode(&claim, &body);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct mq_delivery delivery = {.routing_key = NAMES_CLAIM_KEY,
                                             .user_id = cases[i].user,
                                             .reply_to = cases[i].reply_to,
                                             .body = body.data,
                                             .len = body.len};
        enum fault_reason reason = 0;

        assert_int_equal(sorted(NAMES_CLAIMS, &delivery, &reason), cases[i].work);
        if (cases[i].work == WORK_DEAD)
            assert_int_equal(reason, cases[i].reason);
    }
    buf_free(&body);
}

static void
test_floods(void **state)
{
    const struct {
        const char *user, *reply_to, *body;
        enum work work;
        enum fault_reason reason;
    } cases[] = {
        {"w1", OWN, "{\"v\":1}", WORK_FLOOD, 0},
        {NULL, OWN, "{\"v\":1}", WORK_DEAD, FAULT_NO_USER},
        {"w1", NULL, "{\"v\":1}", WORK_DEAD, FAULT_BAD_KEY},
        {"w1", "hler.control.w2." SESSION, "{\"v\":1}", WORK_DEAD, FAULT_BAD_KEY},
        {"w1", OWN, "{\"v\":2}", WORK_DEAD, FAULT_BAD_VERSION},
        {"w1", OWN, "", WORK_DEAD, FAULT_BAD_JSON},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct mq_delivery delivery = {.routing_key = NAMES_CLAIM_KEY,
                                             .type = NAMES_TYPE_FLOOD,
                                             .user_id = cases[i].user,
                                             .reply_to = cases[i].reply_to,
                                             .body = cases[i].body,
                                             .len = strlen(cases[i].body)};
        enum fault_reason reason = 0;

        assert_int_equal(sorted(NAMES_CLAIMS, &delivery, &reason), cases[i].work);
        if (cases[i].work == WORK_DEAD)
            assert_int_equal(reason, cases[i].reason);
    }
}

/* A worker event of this kind with this data, from the queue of states. */
static enum work
sort_event(enum event_kind kind, const char *user, const char *data, enum fault_reason *reason)
{
    const struct names_words words = {.user = user};
    struct buf body = {0};
    char key[NAMES_SIZE];
    struct mq_delivery delivery = {.user_id = user};
    enum work work;

    event_open_worker(&body, kind, user, SESSION, 1);
    buf_puts(&body, data);
    event_close(&body);
    delivery.routing_key = names_routing_key(kind, &words, key);
    delivery.body = body.data;
    delivery.len = body.len;
    work = sorted(NAMES_STATE, &delivery, reason);
    buf_free(&body);
    return work;
}

static void
heartbeat(struct buf *out, const char *control)
{
    const struct event_heartbeat h = {.session = SESSION,
                                      .instance = TASK,
                                      .boot_id = "b",
                                      .pool = "default",
                                      .note = "",
                                      .control = control,
                                      .executors = "{}",
                                      .number = 1};

    event_data_heartbeat(out, &h);
}

static void
test_worker_events(void **state)
{
    struct buf own = {0}, other = {0};
    enum fault_reason reason = 0;

    (void)state;
    heartbeat(&own, OWN);
    heartbeat(&other, "hler.control.w2." SESSION);
    assert_int_equal(sort_event(EVENT_WORKER_HEARTBEAT, "w1", own.data, &reason), WORK_LIFE);
    assert_int_equal(sort_event(EVENT_WORKER_STARTED, "w1", own.data, &reason), WORK_LIFE);
    assert_int_equal(sort_event(EVENT_WORKER_HEARTBEAT, "w1", other.data, &reason), WORK_DEAD);
    assert_int_equal(reason, FAULT_BAD_KEY);
    assert_int_equal(
        sort_event(EVENT_WORKER_STOPPED, "w1", "{\"session\":\"" SESSION "\"}", &reason),
        WORK_GONE);
    assert_int_equal(sort_event(EVENT_WORKER_REJECTED, "w1",
                                "{\"reason\":\"x\",\"base64\":\"\",\"size\":0}", &reason),
                     WORK_REJECTED);
    buf_free(&own);
    buf_free(&other);
}

static void
test_ticks(void **state)
{
    static const char data[] = "{\"id\":\"d\",\"number\":1,\"sent_at\":\"x\"}";
    enum fault_reason reason = 0;

    (void)state;
    assert_int_equal(sort_event(EVENT_TICK, NAMES_DISPATCHER, data, &reason), WORK_LIFE);
    assert_int_equal(sort_event(EVENT_TICK, "w1", data, &reason), WORK_DEAD);
    assert_int_equal(reason, FAULT_FOREIGN);
}

static void
test_output_in_the_wrong_queue(void **state)
{
    const struct event_about about = {
        .worker = "w1", .operation = TASK, .requester = "bob", .name = {TASK, 1, TOKEN}};
    const struct names_words words = {"w1", "bob", TASK, TASK};
    struct buf body = {0};
    char key[NAMES_SIZE];
    struct mq_delivery delivery = {.user_id = "w1"};
    enum fault_reason reason = 0;

    (void)state;
    event_open_attempt(&body, EVENT_OUTPUT, &about, 2, 0);
    event_data_output(&body, "stdout", "x", 1);
    event_close(&body);
    delivery.routing_key = names_routing_key(EVENT_OUTPUT, &words, key);
    delivery.body = body.data;
    delivery.len = body.len;
    assert_int_equal(sorted(NAMES_STATE, &delivery, &reason), WORK_DEAD);
    assert_int_equal(reason, FAULT_BAD_KEY);
    buf_free(&body);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_claims),
        cmocka_unit_test(test_floods),
        cmocka_unit_test(test_worker_events),
        cmocka_unit_test(test_ticks),
        cmocka_unit_test(test_output_in_the_wrong_queue),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
