/* Events as a dispatcher reads them, against proto/vectors/event_read.json, and what
 * the worker's side writes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "common/uuid.h"
#include "proto/base64.h"
#include "proto/event.h"
#include "proto/event_data.h"
#include "proto/names.h"
#include "tests/unit/vectors.h"

#define VECTORS "proto/vectors/event_read.json"
#define TASK "01890a5d-ac96-774b-bcce-b302099a8057"
#define OPERATION "01890a5d-ac96-774b-bcce-b302099a8058"
#define TOKEN "0123456789abcdef"
#define SESSION "8f14e45f-ceea-4c1e-9f3a-2b7b1a2c3d4e"

static unsigned wrong;

static int
decode(const struct vector *v, struct event *out, struct fault *fault)
{
    const struct event_delivery delivery = {v->user, v->routing_key, v->body, v->len};

    return event_decode(&delivery, out, fault);
}

static void
check(const struct vector *v)
{
    struct fault fault = {0};
    struct event event;
    int rc = decode(v, &event, &fault);

    if (v->reason == NULL && rc == 0) {
        event_free(&event);
        return;
    }
    if (rc == 0)
        event_free(&event);
    else if (v->reason != NULL && strcmp(fault_reason_name(fault.reason), v->reason) == 0 &&
             fault.text[0] != '\0')
        return;
    print_error("%s: expected %s, got %s (%s)\n", v->name, v->reason != NULL ? v->reason : "good",
                rc == 0 ? "good" : fault_reason_name(fault.reason), fault.text);
    wrong++;
}

static void
test_vectors(void **state)
{
    (void)state;
    wrong = 0;
    assert_true(vectors_each(VECTORS, check) > 100);
    assert_int_equal(wrong, 0);
}

static const struct event_result result = {
    .entity = TASK, .field = "site_url", .append = true, .value = "[1]", .value_len = 3};
static const struct event_finished finished = {
    .state = "failed", .cause = "exit", .message = "", .exit_code = 1, .outputs = "{}"};
static const struct event_rejected rejected = {.reason = "bad_json", .body = "{", .size = 1};
static const struct event_held_attempt held = {{TASK, 1, TOKEN}, "claimed"};
static const struct event_heartbeat heartbeat = {.session = SESSION,
                                                 .instance = SESSION,
                                                 .boot_id = SESSION,
                                                 .pool = "default",
                                                 .note = "",
                                                 .control = "hler.control.w1." SESSION,
                                                 .executors = "{}",
                                                 .slots = 1,
                                                 .held = &held,
                                                 .n_held = 1};

/* One of each kind, as the writer makes it. */
static void
write_data(struct buf *out, enum event_kind kind)
{
    switch (kind) {
    case EVENT_STARTED:
        event_data_started(out, "w1", SESSION, 1);
        return;
    case EVENT_OUTPUT:
        event_data_output(out, "stdout", "a\0b\xff", 4);
        return;
    case EVENT_PROGRESS:
        buf_puts(out, "{\"kind\":\"host\"}");
        return;
    case EVENT_RESULT:
        event_data_result(out, &result);
        return;
    case EVENT_FINISHED:
        event_data_finished(out, &finished);
        return;
    case EVENT_REFUSED:
        event_data_refused(out, "version", "");
        return;
    case EVENT_DECLINED:
        event_data_declined(out, "");
        return;
    case EVENT_HELD:
        event_data_held(out);
        return;
    case EVENT_LOST:
        event_data_lost(out, "other_boot", "", 1);
        return;
    case EVENT_WORKER_STARTED:
    case EVENT_WORKER_HEARTBEAT:
        event_data_heartbeat(out, &heartbeat);
        return;
    case EVENT_WORKER_DRAINING:
    case EVENT_WORKER_STOPPED:
        event_data_session(out, SESSION);
        return;
    case EVENT_WORKER_REJECTED:
        event_data_rejected(out, &rejected);
        return;
    case EVENT_TICK:
        buf_puts(out, "{\"id\":\"d\",\"number\":1,\"sent_at\":\"now\"}");
        return;
    case EVENT_KINDS:
        break;
    }
    fail();
}

static void
read_back(enum event_kind kind)
{
    const struct event_about about = {.worker = "w1",
                                      .operation = OPERATION,
                                      .requester = "hler_frontend",
                                      .name = {TASK, 2, TOKEN}};
    bool attempt = strcmp(event_class(kind), "attempt") == 0;
    const char *user = kind == EVENT_TICK ? NAMES_DISPATCHER : "w1";
    const struct names_words words = {.user = user,
                                      .requester = attempt ? "hler_frontend" : NULL,
                                      .operation = attempt ? OPERATION : NULL,
                                      .task = attempt ? TASK : NULL};
    struct buf body = {0};
    struct fault fault = {0};
    struct event event;
    char key[NAMES_SIZE];
    struct event_delivery delivery = {.user = user};

    if (attempt)
        event_open_attempt(&body, kind, &about, 7, 0);
    else
        event_open_worker(&body, kind, user, SESSION, 7);
    write_data(&body, kind);
    event_close(&body);
    delivery.routing_key = names_routing_key(kind, &words, key);
    delivery.body = body.data;
    delivery.len = body.len;
    if (event_decode(&delivery, &event, &fault) == -1)
        fail_msg("%s: %s: %s", event_type(kind), fault.text, body.data);
    assert_int_equal(event.kind, kind);
    assert_string_equal(event.worker, user);
    if (attempt) {
        assert_true(ident_name_equal(&event.name, &about.name));
        assert_string_equal(event.operation, OPERATION);
        assert_int_equal(event.seq, event_numbered(kind) ? 7 : 0);
    }
    event_free(&event);
    buf_free(&body);
}

static void
test_what_is_written_is_read(void **state)
{
    (void)state;
    for (int kind = 0; kind < EVENT_KINDS; kind++)
        read_back((enum event_kind)kind);
}

static void
test_numbers_keep_their_text(void **state)
{
    static const char body[] =
        "{\"specversion\":\"1.0\",\"id\":\"" TASK ".1." TOKEN ".2\",\"source\":\"/hler/worker/w1\","
        "\"type\":\"aegir.hler.attempt.result.v1\",\"subject\":\"" TASK "\","
        "\"time\":\"2026-01-02T03:04:05.678901Z\",\"operation\":\"" OPERATION "\",\"attempt\":1,"
        "\"seq\":2,\"data\":{\"entity\":\"" TASK "\",\"field\":\"f\",\"mode\":\"set\","
        "\"secret\":false,\"value\":[0.10,1e3,9007199254740992,\"a/b\"]}}";
    const struct event_delivery delivery = {"w1", "w1.attempt.result.bob." OPERATION "." TASK, body,
                                            sizeof body - 1};
    struct fault fault = {0};
    struct event event;
    size_t len;

    (void)state;
    assert_int_equal(event_decode(&delivery, &event, &fault), 0);
    assert_non_null(strstr(json_text(event.data, &len), "[0.10,1e3,9007199254740992,\"a/b\"]"));
    event_free(&event);
}

#define PROGRESS(type, data)                                                                       \
    "{\"specversion\":\"1.0\",\"id\":\"" TASK ".1." TOKEN ".2\",\"source\":\"/hler/worker/w1\","   \
    "\"type\":" type ",\"subject\":\"" TASK "\",\"time\":\"2026-01-02T03:04:05.678901Z\","         \
    "\"operation\":\"" OPERATION "\",\"attempt\":1," data ",\"seq\":2}"
#define PROGRESS_TYPE "\"aegir.hler.attempt.progress.v1\""

static void
progress(const char *body, const char *data)
{
    const struct event_delivery delivery = {"w1", "w1.attempt.progress.bob." OPERATION "." TASK,
                                            body, strlen(body)};
    struct jsonskip_piece found;
    struct fault fault = {0};
    struct event event;
    bool thin;

    if (data == NULL) {
        assert_int_equal(event_decode(&delivery, &event, &fault), -1);
        assert_int_equal(fault.reason, FAULT_BAD_SCHEMA);
        assert_non_null(strstr(fault.text, "data.kind"));
        return;
    }
    assert_int_equal(event_decode(&delivery, &event, &fault), 0);
    assert_int_equal(event.kind, EVENT_PROGRESS);
    assert_int_equal(event.seq, 2); /* it stands behind the data */
    assert_string_equal(event_member(&event, "kind"), "a");
    found = event_whole_data(&event);
    assert_int_equal(found.len, strlen(data));
    assert_memory_equal(found.text, data, found.len);
    thin = event.whole_data.text != NULL;
    event_slim(&event);
    assert_int_equal(event.root == NULL && event.data == NULL && event.id == NULL, thin);
    assert_int_equal(event.worker == NULL && event.operation == NULL, thin);
    assert_string_equal(event.name.task, TASK);
    assert_int_equal(event.seq, 2);
    assert_string_equal(event.time, "2026-01-02T03:04:05.678901Z");
    found = event_whole_data(&event);
    assert_int_equal(found.len, strlen(data));
    assert_memory_equal(found.text, data, found.len);
    event_free(&event);
}

/* As it came where that can be told; json-c's text of it where a key or the type is written in another way. */
static void
test_progress_keeps_its_text(void **state)
{
    (void)state;
    progress(PROGRESS(PROGRESS_TYPE,
                      "\"data\": {\"x\": {\"kind\": 1, \"data\": \"}\\\"\"}, \"kind\": \"a\" }"),
             "{\"x\": {\"kind\": 1, \"data\": \"}\\\"\"}, \"kind\": \"a\" }");
    progress(PROGRESS(PROGRESS_TYPE, "\"d\\u0061ta\" : { \"kind\" : \"a\" }"), "{\"kind\":\"a\"}");
    progress(PROGRESS(PROGRESS_TYPE, "\"data\": { \"k\\u0069nd\" : \"a\" }"), "{\"kind\":\"a\"}");
    progress(PROGRESS("\"aegir.hler.attempt.pro\\u0067ress.v1\"", "\"data\": { \"kind\" : \"a\" }"),
             "{\"kind\":\"a\"}");
    progress(PROGRESS(PROGRESS_TYPE, "\"data\":{\"x\":{\"kind\":\"a\"}}"), NULL);
    progress(PROGRESS(PROGRESS_TYPE, "\"data\":{\"kind\":{\"kind\":\"a\"}}"), NULL);
}

static void
test_base64(void **state)
{
    struct buf out = {0};

    (void)state;
    assert_int_equal(base64_decode("", 0, &out), 0);
    assert_int_equal(out.len, 0);
    assert_int_equal(base64_decode("AP+AfwE=", 8, &out), 0);
    assert_int_equal(out.len, 5);
    assert_memory_equal(out.data, "\x00\xff\x80\x7f\x01", 5);
    assert_int_equal(base64_decode("AA=A", 4, &out), -1);
    assert_int_equal(base64_decode("=AAA", 4, &out), -1);
    assert_int_equal(base64_decode("AA==AAAA", 8, &out), -1);
    assert_int_equal(base64_decode("A-_A", 4, &out), -1);
    buf_free(&out);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_what_is_written_is_read),
        cmocka_unit_test(test_numbers_keep_their_text),
        cmocka_unit_test(test_progress_keeps_its_text),
        cmocka_unit_test(test_base64),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
