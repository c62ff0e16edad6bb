/* HLER_OUTPUTS: its grammar, its limits, and the causes that an executor may name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "worker/bridge/outputs.h"

static void
expect(const char *text, const char *json)
{
    struct outputs out;

    outputs_read(text, strlen(text), &out);
    assert_string_equal(out.fault, "");
    assert_string_equal(out.json.data, json);
    outputs_free(&out);
}

static void
expect_fault(const char *text, const char *part)
{
    struct outputs out;

    outputs_read(text, strlen(text), &out);
    if (strstr(out.fault, part) == NULL)
        fail_msg("%s: expected \"%s\", got \"%s\"", text, part, out.fault);
    assert_string_equal(out.json.data, "{}");
    outputs_free(&out);
}

static void
test_good(void **state)
{
    (void)state;
    expect("", "{}");
    expect("a=1", "{\"a\":\"1\"}");
    expect("a=1\nb=x=y \n", "{\"a\":\"1\",\"b\":\"x=y \"}");
    expect("a=1\na=2\n", "{\"a\":\"2\"}");
    expect("a=\n", "{\"a\":\"\"}");
    expect("{\"field\":\"a\",\"value\":{\"b\":[1,null]}}\n", "{\"a\":{\"b\":[1,null]}}");
    expect("{\"field\":\"a\",\"value\":null}", "{\"a\":null}");
    expect("{\"cause\":\"unreachable\",\"message\":\"x\"}\na=1\n", "{\"a\":\"1\"}");
}

static void
test_broken(void **state)
{
    (void)state;
    expect_fault("a=1\nNo Name=1\n", "line 2: the name must match");
    expect_fault("a=1\n\n", "line 2: expected name=value");
    expect_fault("nothing", "line 1: expected name=value");
    expect_fault("=x", "line 1: the name must match");
    expect_fault("a=\xff\n", "line 1: the value is not UTF-8");
    expect_fault("{\"field\":\"A\",\"value\":1}", "line 1: field: expected");
    expect_fault("{\"field\":\"a\"}", "line 1: value: is missing");
    expect_fault("{\"value\":1}", "line 1: ");
    expect_fault("{\"field\":\"a\",\"value\":1", "line 1: ");
    expect_fault("{\"field\":\"a\",\"value\":[[[[[[[[[[[[[[1]]]]]]]]]]]]]]}", "nested too deeply");
}

static void
test_limits(void **state)
{
    enum { MOST = 64 * 1024 };
    char *text = malloc(MOST + 2);
    struct outputs out;

    (void)state;
    memset(text, 'x', MOST + 2);
    text[0] = 'a';
    text[1] = '=';
    outputs_read(text, MOST + 1, &out);
    assert_non_null(strstr(out.fault, "more than 65536 bytes"));
    outputs_free(&out);
    outputs_read(text, MOST - 8, &out); /* {"a":""} is around it */
    assert_string_equal(out.fault, "");
    outputs_free(&out);
    memset(text + 2, '"', MOST - 10); /* each becomes two bytes of JSON */
    outputs_read(text, MOST - 8, &out);
    assert_non_null(strstr(out.fault, "as JSON"));
    outputs_free(&out);
    free(text);
}

static void
test_causes(void **state)
{
    static const struct {
        const char *text, *cause, *message;
    } cases[] = {
        {"", NULL, ""},
        {"a=1\nnonsense\n", NULL, ""},
        {"{\"cause\":\"unreachable\",\"message\":\"host x\"}", "unreachable", "host x"},
        {"{\"cause\":\"spec_invalid\"}\n", "never_retry", ""},
        {"{\"cause\":\"no_hosts\",\"message\":\"a\"}\n{\"cause\":\"not_allowed\",\"message\":"
         "\"b\"}",
         "not_allowed", "b"},
        {"{\"cause\":\"done\",\"message\":\"no\"}", NULL, ""},
        {"{\"cause\":\"unreachable\",\"message\":7}", NULL, ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct outputs_cause out;

        outputs_read_cause(cases[i].text, strlen(cases[i].text), &out);
        if (cases[i].cause == NULL) {
            assert_null(out.cause);
        } else {
            assert_string_equal(out.cause, cases[i].cause);
            assert_string_equal(out.message.data, cases[i].message);
        }
        outputs_cause_free(&out);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_good), cmocka_unit_test(test_broken),
                                       cmocka_unit_test(test_limits),
                                       cmocka_unit_test(test_causes)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
