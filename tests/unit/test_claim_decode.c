/* Claims as a dispatcher reads them, against proto/vectors/claim_read.json; answers and
 * control messages as it writes them, read back by the worker's side. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "proto/claim.h"
#include "proto/control.h"
#include "tests/unit/vectors.h"

#define VECTORS "proto/vectors/claim_read.json"
#define TASK "01890a5d-ac96-774b-bcce-b302099a8057"
#define TOKEN "0123456789abcdef"
#define SESSION "8f14e45f-ceea-4c1e-9f3a-2b7b1a2c3d4e"

static unsigned wrong;

static void
check(const struct vector *v)
{
    struct fault fault = {0};
    struct claim claim;
    int rc = claim_decode(v->body, v->len, &claim, &fault);

    if (v->reason == NULL ? rc == 0
                          : rc == -1 && strcmp(fault_reason_name(fault.reason), v->reason) == 0)
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
    assert_true(vectors_each(VECTORS, check) > 30);
    assert_int_equal(wrong, 0);
}

static void
test_claim_there_and_back(void **state)
{
    struct claim claim = {.session = SESSION, .instance = TASK, .number = 3, .n = LIMIT_CLAIMS};
    struct buf body = {0};
    struct fault fault = {0};
    struct claim back;

    (void)state;
    for (size_t i = 0; i < claim.n; i++)
        claim.attempts[i] = (struct attempt_name){TASK, (int32_t)i + 1, TOKEN};
    claim_encode(&claim, &body);
    assert_int_equal(claim_decode(body.data, body.len, &back, &fault), 0);
    assert_string_equal(back.session, SESSION);
    assert_string_equal(back.instance, TASK);
    assert_int_equal(back.number, 3);
    assert_int_equal(back.n, LIMIT_CLAIMS);
    for (size_t i = 0; i < claim.n; i++)
        assert_true(ident_name_equal(&back.attempts[i], &claim.attempts[i]));
    buf_free(&body);
}

static void
test_answer_there_and_back(void **state)
{
    struct answer answer = {.session = SESSION, .claim = 9, .n = VERDICTS};
    struct buf body = {0};
    struct fault fault = {0};
    struct answer back;

    (void)state;
    for (int i = 0; i < VERDICTS; i++)
        answer.items[i] = (struct answer_item){{TASK, i + 1, TOKEN}, (enum verdict)i};
    answer_encode(&answer, &body);
    assert_int_equal(answer_decode(body.data, body.len, &back, &fault), 0);
    assert_string_equal(back.session, SESSION);
    assert_int_equal(back.claim, 9);
    assert_int_equal(back.n, VERDICTS);
    for (size_t i = 0; i < back.n; i++) {
        assert_true(ident_name_equal(&back.items[i].name, &answer.items[i].name));
        assert_int_equal(back.items[i].verdict, answer.items[i].verdict);
    }
    buf_free(&body);
}

static void
control_there_and_back(const struct control *control)
{
    struct buf body = {0};
    struct fault fault = {0};
    struct control back;

    control_encode(control, &body);
    if (control_decode(body.data, body.len, &back, &fault) == -1)
        fail_msg("%s: %s", body.data, fault.text);
    assert_int_equal(back.kind, control->kind);
    assert_string_equal(back.session, control->session);
    assert_int_equal(back.number, control->number);
    assert_int_equal(back.lost_after_ms, control->lost_after_ms);
    assert_true(ident_name_equal(&back.name, &control->name));
    assert_int_equal(back.cause, control->cause);
    assert_int_equal(back.grace_ms, control->grace_ms);
    buf_free(&body);
}

static void
test_control_there_and_back(void **state)
{
    const struct control messages[] = {
        {.kind = CONTROL_BEAT, .session = SESSION, .number = 5, .lost_after_ms = 60000},
        {.kind = CONTROL_STOP,
         .name = {TASK, 1, TOKEN},
         .cause = CONTROL_SUPERSEDED,
         .grace_ms = 10000},
        {.kind = CONTROL_REPORT, .name = {TASK, 1, TOKEN}},
        {.kind = CONTROL_DRAIN},
        {.kind = CONTROL_RESUME},
        {.kind = CONTROL_PACE},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(messages); i++)
        control_there_and_back(&messages[i]);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_claim_there_and_back),
        cmocka_unit_test(test_answer_there_and_back),
        cmocka_unit_test(test_control_there_and_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
