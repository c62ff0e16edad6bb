/* The parts of the executors that decide: specifications, unsafe marks, verdicts. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/json.h"
#include "worker/executors/ansible_spec.h"
#include "worker/executors/ansible_verdict.h"
#include "worker/executors/job.h"
#include "worker/executors/roots.h"
#include "worker/executors/spec.h"
#include "worker/executors/terraform_stream.h"
#include "worker/executors/unsafe.h"
#include "worker/executors/words.h"

static struct json_object *
parse(const char *text)
{
    struct json_error err;
    struct json_object *object = json_parse(text, strlen(text), &err);

    if (object == NULL)
        fail_msg("%s: %s", text, err.text);
    return object;
}

static void
expect_faults(const char *spec, unsigned count, const char *faults)
{
    CLEANUP(json_cleanup) struct json_object *object = parse(spec);
    CLEANUP(buf_free) struct buf text = {0};
    struct ansible_spec out;

    assert_int_equal(ansible_spec_read(object, &out, &text), count);
    if (faults == NULL)
        assert_int_equal(text.len, 0);
    else
        assert_string_equal(text.data, faults);
}

static void
test_ansible_spec(void **state)
{
    (void)state;
    expect_faults("{\"playbook\":\"a/b.yml\",\"inventory\":\"hosts\"}", 0, NULL);
    expect_faults("{\"playbook\":\"a.yml\",\"inventory\":[\"web-1.test\",\"10.0.0.1\"],\"limit\":"
                  "\"web*:!db[0:2]\",\"tags\":[\"a\"],\"forks\":500,\"verbosity\":3,\"check\":true,"
                  "\"python\":\"/usr/bin/python3\"}",
                  0, NULL);
    expect_faults("{}", 2, "playbook: missing; inventory: missing");
    expect_faults("{\"playbook\":\"../a\",\"inventory\":[]}", 2,
                  "playbook: ../a is not a path below a root; inventory: no host");
    expect_faults("{\"playbook\":\"a\",\"inventory\":7,\"x\":1}", 2,
                  "x: unknown member; inventory: expected a path below a root or a list of host "
                  "names");
    expect_faults("{\"playbook\":\"a\",\"inventory\":\"h\",\"limit\":\"@/etc/passwd\"}", 1,
                  "limit: @/etc/passwd is not a host pattern");
    expect_faults("{\"playbook\":\"a\",\"inventory\":\"h\",\"limit\":\"-x\"}", 1,
                  "limit: -x is not a host pattern");
    expect_faults("{\"playbook\":\"a\",\"inventory\":[\"h ansible_connection=local\"]}", 1,
                  "inventory[0]: not a host name");
}

static void
test_paths(void **state)
{
    static const char *const good[] = {"a", "a/b", "a..b/c", "..a", "a/.b", "./a"};
    static const char *const bad[] = {"", "/a", "..", "../a", "a/..", "a/../b", "a\nb"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        if (!spec_is_path(good[i]))
            fail_msg("%s", good[i]);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        if (spec_is_path(bad[i]))
            fail_msg("%s", bad[i]);
}

static void
test_fields(void **state)
{
    char longest[65];

    (void)state;
    memset(longest, 'a', sizeof longest);
    longest[63] = '\0';
    assert_true(job_field_valid(longest));
    longest[63] = 'a';
    longest[64] = '\0';
    assert_false(job_field_valid(longest));
    assert_true(job_field_valid("a_1"));
    assert_false(job_field_valid(""));
    assert_false(job_field_valid("_a"));
    assert_false(job_field_valid("A"));
    assert_false(job_field_valid("1a"));
    assert_false(job_field_valid("a-b"));
}

static void
test_unsafe(void **state)
{
    CLEANUP(json_cleanup)
    struct json_object *value =
        parse("{\"a\":\"{{ 1 }}\",\"b\":[\"x\",1,null,true,2.5],\"c\":{\"d\":\"/\"},\"n\":null}");
    CLEANUP(json_cleanup) struct json_object *marked = NULL;
    struct json_error err;
    size_t len;

    (void)state;
    marked = unsafe_mark(value, &err);
    assert_non_null(marked);
    assert_string_equal(json_text(marked, &len),
                        "{\"a\":{\"__ansible_unsafe\":\"{{ 1 }}\"},\"b\":[{\"__ansible_unsafe\":"
                        "\"x\"},1,null,true,2.5],\"c\":{\"d\":{\"__ansible_unsafe\":\"/\"}},"
                        "\"n\":null}");
}

static void
test_unsafe_keys(void **state)
{
    static const char *const bad[] = {
        "{\"{{ x }}\":1}", "{\"a\":{\"b{%x\":1}}", "{\"a\":[{\"x{#\":1}]}",
        "{\"a\":{\"__ansible_vault\":\"x\"}}", "{\"a\":{\"__ansible_unsafe\":\"x\"}}"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        CLEANUP(json_cleanup) struct json_object *value = parse(bad[i]);
        struct json_error err = {""};

        assert_null(unsafe_mark(value, &err));
        assert_non_null(strstr(err.text, "would not take it as data"));
    }
}

static void
test_verdict(void **state)
{
    const struct ansible_report none = {0};
    const struct ansible_report begun = {.started = true};
    const struct ansible_report fine = {.started = true, .stats = true, .ok = 3};
    const struct ansible_report empty = {.started = true, .stats = true};
    const struct ansible_report broken = {.started = true, .stats = true, .ok = 1, .failures = 1};
    const struct ansible_report away = {.started = true, .stats = true, .ok = 1, .unreachable = 1};
    const struct ansible_report both = {.stats = true, .failures = 1, .unreachable = 1};

    (void)state;
    assert_int_equal(ansible_judge(0, &fine), ANSIBLE_DONE);
    assert_int_equal(ansible_judge(0, &empty), ANSIBLE_NO_HOSTS);
    assert_int_equal(ansible_judge(0, &begun), ANSIBLE_NO_HOSTS);
    assert_int_equal(ansible_judge(0, &none), ANSIBLE_UNSEEN);
    assert_int_equal(ansible_judge(0, &broken), ANSIBLE_FAILED);
    assert_int_equal(ansible_judge(2, &broken), ANSIBLE_FAILED);
    assert_int_equal(ansible_judge(2, &fine), ANSIBLE_FAILED); /* a role that is not there */
    assert_int_equal(ansible_judge(4, &away), ANSIBLE_UNREACHABLE);
    assert_int_equal(ansible_judge(4, &both), ANSIBLE_FAILED);
    assert_int_equal(ansible_judge(4, &none), ANSIBLE_BROKEN);
    assert_int_equal(ansible_judge(4, &begun), ANSIBLE_FAILED);
    assert_int_equal(ansible_judge(5, &none), ANSIBLE_BROKEN);
    assert_int_equal(ansible_judge(1, &none), ANSIBLE_FAILED);
    assert_int_equal(ansible_judge(99, &begun), ANSIBLE_INTERRUPTED);
    assert_int_equal(ansible_judge(137, &fine), ANSIBLE_FAILED);
}

static void
test_report(void **state)
{
    CLEANUP(json_cleanup)
    struct json_object *object =
        parse("{\"started\":true,\"stats\":{\"a\":{\"ok\":2,\"failures\":0,\"unreachable\":0},"
              "\"b\":{\"ok\":1,\"failures\":1,\"unreachable\":0}},"
              "\"failures\":{\"a\":{\"task\":\"rescued\",\"msg\":\"x\"},"
              "\"b\":{\"task\":\"T\",\"msg\":\"M\"}},\"outputs\":{}}");
    struct ansible_report report;

    (void)state;
    ansible_report_read(object, &report);
    assert_true(report.started && report.stats);
    assert_int_equal(report.ok, 3);
    assert_int_equal(report.failures, 1);
    assert_string_equal(report.host, "b");
    assert_string_equal(report.task, "T");
    assert_string_equal(report.message, "M");
    ansible_report_read(NULL, &report);
    assert_false(report.started || report.stats);
}

static void
test_absurd_counts(void **state)
{
    CLEANUP(json_cleanup)
    struct json_object *object = parse("{\"stats\":{\"a\":{\"ok\":\"9223372036854775807\"},"
                                       "\"b\":{\"ok\":\"9223372036854775807\",\"failures\":-1}}}");
    struct ansible_report report;

    (void)state;
    ansible_report_read(object, &report);
    assert_true(report.ok > 0);
    assert_int_equal(report.failures, 0);
}

static void
feed(struct terraform_stream *s, const char *line)
{
    char text[1024];

    assert_true(strlen(line) < sizeof text);
    strcpy(text, line);
    terraform_stream_line(s, text, strlen(text));
}

static void
test_stream(void **state)
{
    CLEANUP(terraform_stream_free) struct terraform_stream s = {.report = -1};
    size_t len;

    (void)state;
    feed(&s,
         "{\"type\":\"outputs\",\"outputs\":{\"a\":{\"sensitive\":false,\"action\":\"create\"}}}");
    feed(&s, "{\"type\":\"outputs\",\"outputs\":{\"a\":{\"sensitive\":false,\"value\":1}}}");
    assert_string_equal(json_text(s.outputs, &len), "{\"a\":{\"sensitive\":false,\"value\":1}}");
    feed(&s,
         "{\"type\":\"diagnostic\",\"diagnostic\":{\"severity\":\"warning\",\"summary\":\"W\"}}");
    assert_int_equal(s.error.len, 0);
    feed(&s, "{\"type\":\"diagnostic\",\"diagnostic\":{\"severity\":\"error\",\"summary\":"
             "\"Error acquiring the state lock\",\"detail\":\"by x\"}}");
    feed(&s, "{\"type\":\"diagnostic\",\"diagnostic\":{\"severity\":\"error\",\"summary\":\"2\"}}");
    assert_string_equal(s.error.data, "Error acquiring the state lock: by x");
    assert_true(s.locked);
    feed(&s, "{\"type\":\"apply_start\"}"); /* members that are not there */
    feed(&s, "{\"type\":7}");
    feed(&s, "not JSON");
}

static void
test_stream_text(void **state)
{
    CLEANUP(terraform_stream_free) struct terraform_stream s = {.report = -1};

    (void)state;
    feed(&s, "\u2502 Warning: nothing");
    feed(&s, "\u2502 Error: Unsupported block type");
    assert_string_equal(s.error.data, "Unsupported block type");
}

static void
test_words(void **state)
{
    CLEANUP(words_free) struct words w = {0};

    (void)state;
    words_add(&w, "%s=%d", "a", 1);
    words_add(&w, "b");
    assert_int_equal(w.count, 2);
    assert_string_equal(w.list[0], "a=1");
    assert_string_equal(w.list[1], "b");
    assert_null(w.list[2]);
}

static void
test_roots(void **state)
{
    (void)state;
    assert_null(roots_file("/nonexistent-1:/nonexistent-2", "a"));
    assert_string_equal(roots_why(errno), "not found in any of this worker's worker.roots");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ansible_spec), cmocka_unit_test(test_paths),
        cmocka_unit_test(test_fields),       cmocka_unit_test(test_unsafe),
        cmocka_unit_test(test_unsafe_keys),  cmocka_unit_test(test_verdict),
        cmocka_unit_test(test_report),       cmocka_unit_test(test_stream),
        cmocka_unit_test(test_stream_text),  cmocka_unit_test(test_words),
        cmocka_unit_test(test_roots),        cmocka_unit_test(test_absurd_counts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
