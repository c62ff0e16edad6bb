/* What a worker reads (offers, answers, control), against proto/vectors; and the grammar of
 * names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "proto/claim.h"
#include "proto/control.h"
#include "proto/names.h"
#include "proto/offer.h"
#include "tests/unit/vectors.h"

#define TASK "01890a5d-ac96-774b-bcce-b302099a8057"
#define TOKEN "0123456789abcdef"
#define NAME TASK ".7." TOKEN

static unsigned wrong;

static void
judge(const struct vector *v, int rc, const struct fault *fault)
{
    if (v->reason == NULL ? rc == 0
                          : rc == -1 && strcmp(fault_reason_name(fault->reason), v->reason) == 0)
        return;
    print_error("%s: expected %s, got %s (%s)\n", v->name, v->reason != NULL ? v->reason : "good",
                rc == 0 ? "good" : fault_reason_name(fault->reason), fault->text);
    wrong++;
}

static void
check_offer(const struct vector *v)
{
    struct fault fault = {0};
    struct offer offer;
    int rc = offer_decode(v->body, v->len, &offer, &fault);

    judge(v, rc, &fault);
    offer_free(&offer);
}

static void
check_answer(const struct vector *v)
{
    struct fault fault = {0};
    struct answer answer;

    judge(v, answer_decode(v->body, v->len, &answer, &fault), &fault);
}

static void
check_control(const struct vector *v)
{
    struct fault fault = {0};
    struct control control;

    judge(v, control_decode(v->body, v->len, &control, &fault), &fault);
}

static void
test_offer_vectors(void **state)
{
    (void)state;
    wrong = 0;
    assert_true(vectors_each("proto/vectors/offer_read.json", check_offer) > 60);
    assert_int_equal(wrong, 0);
}

static void
test_answer_vectors(void **state)
{
    (void)state;
    wrong = 0;
    assert_true(vectors_each("proto/vectors/answer_read.json", check_answer) > 30);
    assert_int_equal(wrong, 0);
}

static void
test_control_vectors(void **state)
{
    (void)state;
    wrong = 0;
    assert_true(vectors_each("proto/vectors/control_read.json", check_control) > 30);
    assert_int_equal(wrong, 0);
}

static void
test_offer_members(void **state)
{
    static const char body[] =
        "{\"v\":1,\"operation\":\"" TASK "\",\"type\":\"a.b\",\"requester\":\"me\",\"task\":\"" TASK
        "\",\"name\":\"n\",\"key\":\"n[1]\",\"attempt\":7,\"token\":\"" TOKEN
        "\",\"try\":2,\"executor\":\"command\",\"spec\":{\"x\":1},\"inputs\":{},\"outputs\":{},"
        "\"deadline_ms\":1,\"idle_ms\":2,\"grace_ms\":3,\"output_bytes\":4,\"repeatable\":true,"
        "\"lease_ms\":5}";
    struct fault fault = {0};
    char text[IDENT_NAME_SIZE];
    struct offer o;

    (void)state;
    assert_int_equal(offer_decode(body, sizeof body - 1, &o, &fault), 0);
    assert_string_equal(ident_name_text(&o.name, text), NAME);
    assert_string_equal(o.key, "n[1]");
    assert_null(o.target);
    assert_null(o.traceparent);
    assert_int_equal(o.try_number, 2);
    assert_true(o.repeatable);
    assert_int_equal(o.deadline_ms, 1);
    assert_int_equal(o.idle_ms, 2);
    assert_int_equal(o.grace_ms, 3);
    assert_int_equal(o.output_bytes, 4);
    assert_int_equal(o.lease_ms, 5);
    offer_free(&o);
}

static void
test_unknown_kind_is_no_fault(void **state)
{
    static const char body[] = "{\"v\":1,\"kind\":\"resize\"}";
    struct fault fault = {0};
    struct control control;

    (void)state;
    assert_int_equal(control_decode(body, sizeof body - 1, &control, &fault), 0);
    assert_int_equal(control.kind, CONTROL_UNKNOWN);
    assert_string_equal(control.kind_text, "resize");
}

static void
test_attempt_names(void **state)
{
    static const char *const bad[] = {"",
                                      TASK,
                                      TASK ".." TOKEN,
                                      TASK ".0." TOKEN,
                                      TASK ".+1." TOKEN,
                                      TASK ".01." TOKEN,
                                      TASK ".-1." TOKEN,
                                      TASK ".2147483648." TOKEN,
                                      NAME "0",
                                      NAME ".1",
                                      "x" NAME,
                                      TASK ".7.0123456789ABCDEF",
                                      TASK "/7." TOKEN};
    struct attempt_name name;

    (void)state;
    assert_int_equal(ident_name_parse(NAME, &name), 0);
    assert_int_equal(name.attempt, 7);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        if (ident_name_parse(bad[i], &name) == 0)
            fail_msg("taken for a name: %s", bad[i]);
}

static void
test_control_queue_owner(void **state)
{
    char queue[NAMES_SIZE];

    (void)state;
    names_control_queue("w-1", TASK, queue);
    assert_true(names_control_owned(queue, "w-1"));
    assert_false(names_control_owned(queue, "w"));
    assert_false(names_control_owned(queue, "w-2"));
    assert_false(names_control_owned("hler.control.w-1.", "w-1"));
    assert_false(names_control_owned("hler.state", "w-1"));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_offer_vectors),
        cmocka_unit_test(test_answer_vectors),
        cmocka_unit_test(test_control_vectors),
        cmocka_unit_test(test_offer_members),
        cmocka_unit_test(test_unknown_kind_is_no_fault),
        cmocka_unit_test(test_attempt_names),
        cmocka_unit_test(test_control_queue_owner),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
