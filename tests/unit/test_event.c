/* Journal records become events that the dispatcher's side reads; the same record gives
 * the same bytes each time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/json.h"
#include "proto/event.h"
#include "proto/names.h"
#include "worker/bridge/record.h"

#define TASK "01890a5d-ac96-774b-bcce-b302099a8057"
#define TOKEN "0123456789abcdef"
#define SEQ 5

static const struct event_about about = {.worker = "w-1",
                                         .operation = TASK,
                                         .requester = "hler_frontend",
                                         .traceparent = "00-\"quoted\"-01",
                                         .name = {TASK, 2, TOKEN}};

/* Encode, twice, and read back as a dispatcher would. */
static void
round_trip(enum journal_kind kind, const void *payload, size_t len, struct event *out)
{
    struct journal_record r = {
        .head = {.len = (uint32_t)len, .seq = SEQ, .kind = (uint16_t)kind, .wall_us = 1}};
    struct names_words words = {about.worker, about.requester, about.operation, about.name.task};
    struct record_context context = {.about = &about, .instance = TASK};
    struct buf one = {0}, two = {0};
    char key[NAMES_SIZE];
    struct event_delivery delivery;
    struct fault fault = {0};

    r.payload = payload;
    context.kind = record_kind(&r);
    record_encode(&r, &context, &one);
    record_encode(&r, &context, &two);
    assert_int_equal(one.len, two.len);
    assert_memory_equal(one.data, two.data, one.len);
    delivery =
        (struct event_delivery){.user = "w-1",
                                .routing_key = names_routing_key(record_kind(&r), &words, key),
                                .body = one.data,
                                .len = one.len};
    if (event_decode(&delivery, out, &fault) == -1)
        fail_msg("%s: %s\n%s", fault_reason_name(fault.reason), fault.text, one.data);
    assert_int_equal(out->kind, record_kind(&r));
    assert_int_equal(out->seq, SEQ);
    buf_free(&one);
    buf_free(&two);
}

static const char *
text_of(const struct event *e, const char *key)
{
    struct json_object *value = NULL;

    return json_object_object_get_ex(e->data, key, &value) ? json_object_get_string(value) : NULL;
}

static void
test_output(void **state)
{
    struct event e;

    (void)state;
    round_trip(JOURNAL_STDOUT, "a\"\n\x01", 4, &e);
    assert_int_equal(e.kind, EVENT_OUTPUT);
    assert_string_equal(text_of(&e, "stream"), "stdout");
    assert_string_equal(text_of(&e, "text"), "a\"\n\x01");
    assert_null(text_of(&e, "base64"));
    event_free(&e);
    round_trip(JOURNAL_STDERR, "a\0b\xff", 4, &e);
    assert_string_equal(text_of(&e, "stream"), "stderr");
    assert_string_equal(text_of(&e, "text"), "a\xef\xbf\xbd"
                                             "b\xef\xbf\xbd");
    assert_string_equal(text_of(&e, "base64"), "YQBi/w==");
    event_free(&e);
}

static void
test_largest_output_fits_a_message(void **state)
{
    static char bytes[JOURNAL_OUTPUT_MAX];
    struct event e;

    (void)state;
    memset(bytes, 1, sizeof bytes); /* six bytes of JSON each */
    round_trip(JOURNAL_STDOUT, bytes, sizeof bytes, &e);
    event_free(&e);
    memset(bytes, 0xff, sizeof bytes);
    bytes[0] = 1;
    round_trip(JOURNAL_STDOUT, bytes, sizeof bytes, &e);
    event_free(&e);
}

static void
test_result(void **state)
{
    static const char good[] = TASK " site_url append secret\n{\"x\":[1]}";
    static const char bad[] = TASK " site_url append secret\n{";
    struct event e;

    (void)state;
    round_trip(JOURNAL_RESULT, good, sizeof good - 1, &e);
    assert_int_equal(e.kind, EVENT_RESULT);
    assert_string_equal(text_of(&e, "entity"), TASK);
    assert_string_equal(text_of(&e, "field"), "site_url");
    assert_string_equal(text_of(&e, "mode"), "append");
    assert_string_equal(text_of(&e, "secret"), "true");
    event_free(&e);
    /* It keeps its number, or the tables would wait for it. */
    round_trip(JOURNAL_RESULT, bad, sizeof bad - 1, &e);
    assert_int_equal(e.kind, EVENT_OUTPUT);
    event_free(&e);
}

/* An end record with these outputs. */
static void
end_with(struct journal_end end, const char *outputs, struct event *e)
{
    static const char message[] = "line one\nline two";
    struct buf payload = {0};

    end.message_len = sizeof message - 1;
    end.outputs_len = (uint32_t)strlen(outputs);
    buf_add(&payload, &end, sizeof end);
    buf_puts(&payload, message);
    buf_puts(&payload, outputs);
    round_trip(JOURNAL_END, payload.data, payload.len, e);
    buf_free(&payload);
}

static void
test_ends(void **state)
{
    static const struct {
        enum journal_cause cause;
        const char *outputs, *state, *cause_text, *message, *retryable;
    } cases[] = {
        {END_DONE, "a=1\n", "succeeded", "done", "line one line two", "false"},
        {END_DONE, "A=1\n", "failed", "outputs_invalid",
         "HLER_OUTPUTS line 1: the name must match [a-z][a-z0-9_]{0,62}", "false"},
        {END_EXIT, "broken", "failed", "exit", "line one line two", "false"},
        {END_EXIT, "{\"cause\":\"no_hosts\",\"message\":\"none\"}", "failed", "no_hosts", "none",
         "false"},
        {END_TRY_LATER, "", "failed", "try_later", "line one line two", "true"},
        {END_TRY_LATER, "{\"cause\":\"unreachable\"}", "failed", "unreachable", "line one line two",
         "true"},
        {END_SIGNAL, "{\"cause\":\"unreachable\"}", "failed", "signal", "line one line two",
         "false"},
        {END_DEADLINE, "", "timed_out", "deadline", "line one line two", "false"},
        {END_IDLE, "", "timed_out", "idle", "line one line two", "false"},
        {END_CANCELLED, "", "cancelled", "cancelled", "line one line two", "false"},
        {END_SUPERSEDED, "", "cancelled", "superseded", "line one line two", "false"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct journal_end end = {.cause = cases[i].cause, .exit_code = -1, .results = 3};
        struct event e;

        end_with(end, cases[i].outputs, &e);
        assert_int_equal(e.kind, EVENT_FINISHED);
        assert_string_equal(text_of(&e, "state"), cases[i].state);
        assert_string_equal(text_of(&e, "cause"), cases[i].cause_text);
        assert_string_equal(text_of(&e, "message"), cases[i].message);
        assert_string_equal(text_of(&e, "retryable"), cases[i].retryable);
        assert_string_equal(text_of(&e, "results"), "3");
        assert_null(text_of(&e, "exit_code"));
        event_free(&e);
    }
}

static void
test_a_broken_end_is_still_an_end(void **state)
{
    struct event e;

    (void)state;
    round_trip(JOURNAL_END, "x", 1, &e);
    assert_int_equal(e.kind, EVENT_FINISHED);
    assert_string_equal(text_of(&e, "state"), "failed");
    event_free(&e);
}

static void
test_declined_of_a_stranger(void **state)
{
    struct event_about stranger = {.worker = "w-1", .name = {TASK, 2, TOKEN}};
    struct names_words words = {"w-1", NULL, NULL, TASK};
    struct buf body = {0};
    char key[NAMES_SIZE];
    struct fault fault = {0};
    struct event_delivery delivery = {.user = "w-1"};
    struct event e;

    (void)state;
    event_open_attempt(&body, EVENT_DECLINED, &stranger, 0, 0);
    buf_puts(&body, "{\"message\":\"never had it\"}");
    event_close(&body);
    delivery.routing_key = names_routing_key(EVENT_DECLINED, &words, key);
    delivery.body = body.data;
    delivery.len = body.len;
    assert_string_equal(key, "w-1.attempt.declined.-.-." TASK);
    if (event_decode(&delivery, &e, &fault) == -1)
        fail_msg("%s", fault.text);
    assert_null(e.operation);
    event_free(&e);
    buf_free(&body);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_output),
        cmocka_unit_test(test_largest_output_fits_a_message),
        cmocka_unit_test(test_result),
        cmocka_unit_test(test_ends),
        cmocka_unit_test(test_a_broken_end_is_still_an_end),
        cmocka_unit_test(test_declined_of_a_stranger),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
