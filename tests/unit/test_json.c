#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/json.h"

static struct json_error err;

static struct json_object *
parse(const char *text)
{
    err.text[0] = '\0';
    return json_parse(text, strlen(text), &err);
}

static void
test_parse(void **state)
{
    (void)state;
    assert_null(parse("[1]"));
    assert_string_equal(err.text, "expected an object");
    assert_null(parse("{\"a\":1,\"a\":2}"));
    assert_string_equal(err.text, "not JSON: duplicate key at byte 7");
    assert_null(parse(""));
}

/* What jsonscan lets through, json-c must take: the deepest text with a scalar inside. */
static void
test_parse_depth(void **state)
{
    CLEANUP(json_cleanup) struct json_object *o = parse(" {\"a\":[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]}");

    (void)state;
    assert_non_null(o);
    assert_null(parse("{\"a\":[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]}"));
}

static void
test_strings(void **state)
{
    CLEANUP(json_cleanup) struct json_object *o = parse("{\"s\":\"h\\u00e9\",\"n\":null,\"i\":5}");
    const char *s = "unset";

    (void)state;
    assert_int_equal(json_get_string(o, "s", false, 3, &s, &err), 0);
    assert_string_equal(s, "h\xc3\xa9");
    assert_int_equal(json_get_string(o, "s", false, 2, &s, &err), -1);
    assert_string_equal(err.text, "s: longer than 2 bytes");
    assert_int_equal(json_get_string(o, "i", true, 9, &s, &err), -1);
    assert_string_equal(err.text, "i: expected a string");
    assert_int_equal(json_get_string(o, "n", false, 9, &s, &err), -1);
    assert_string_equal(err.text, "n: missing");
    assert_int_equal(json_get_string(o, "n", true, 9, &s, &err), 0);
    assert_null(s);
    assert_int_equal(json_get_string(o, "none", true, 9, &s, &err), 0);
    assert_null(s);
}

static void
test_integers(void **state)
{
    CLEANUP(json_cleanup)
    struct json_object *o = parse("{\"i\":99999999999,\"d\":1.0,\"s\":\"12\",\"neg\":-1}");
    int64_t i = 7;

    (void)state;
    assert_int_equal(json_get_int(o, "i", false, 0, INT64_MAX, &i, &err), 0);
    assert_int_equal(i, 99999999999);
    assert_int_equal(json_get_int(o, "i", false, 0, INT32_MAX, &i, &err), -1);
    assert_string_equal(err.text, "i: must be 0 to 2147483647");
    assert_int_equal(json_get_int(o, "neg", false, 0, 9, &i, &err), -1);
    assert_int_equal(json_get_int(o, "d", false, 0, 9, &i, &err), -1);
    assert_string_equal(err.text, "d: expected an integer");
    assert_int_equal(json_get_int(o, "s", false, 0, 99, &i, &err), -1);
    i = 7;
    assert_int_equal(json_get_int(o, "none", true, 0, 9, &i, &err), 0);
    assert_int_equal(i, 7);
}

static void
test_other_types(void **state)
{
    CLEANUP(json_cleanup)
    struct json_object *o = parse("{\"t\":true,\"f\":\"false\",\"o\":{},\"a\":[1,2],"
                                  "\"u\":\"0190c0de-0000-7000-8000-00000000abcd\","
                                  "\"U\":\"0190C0DE-0000-7000-8000-00000000ABCD\"}");
    struct json_object *value;
    const char *uuid;
    bool b = false;

    (void)state;
    assert_int_equal(json_get_bool(o, "t", false, &b, &err), 0);
    assert_true(b);
    assert_int_equal(json_get_bool(o, "f", false, &b, &err), -1); /* json-c alone says true */
    assert_int_equal(json_get_object(o, "o", false, &value, &err), 0);
    assert_non_null(value);
    assert_int_equal(json_get_object(o, "a", false, &value, &err), -1);
    assert_string_equal(err.text, "a: expected an object");
    assert_int_equal(json_get_object(o, "none", true, &value, &err), 0);
    assert_null(value);
    assert_int_equal(json_get_array(o, "a", false, 2, &value, &err), 0);
    assert_int_equal(json_get_array(o, "a", false, 1, &value, &err), -1);
    assert_string_equal(err.text, "a: more than 1 items");
    assert_int_equal(json_get_uuid(o, "u", false, &uuid, &err), 0);
    assert_string_equal(uuid, "0190c0de-0000-7000-8000-00000000abcd");
    assert_int_equal(json_get_uuid(o, "U", false, &uuid, &err), -1);
    assert_int_equal(json_get_uuid(o, "none", true, &uuid, &err), 0);
    assert_null(uuid);
}

static void
test_writing(void **state)
{
    CLEANUP(json_cleanup) struct json_object *o = json_object_new_object();
    CLEANUP(buf_free) struct buf b = {0};
    const char *text;
    size_t len;

    (void)state;
    json_set_string(o, "s", "a/b\"\xc3\xa9");
    json_set_string(o, "n", NULL);
    json_set_int(o, "i", -9007199254740992);
    json_set_bool(o, "t", true);
    text = json_text(o, &len);
    assert_string_equal(
        text, "{\"s\":\"a/b\\\"\xc3\xa9\",\"n\":null,\"i\":-9007199254740992,\"t\":true}");
    assert_int_equal(len, strlen(text));

    json_quote(&b, "q\"\\\n\x01/\xc3\xa9", 8);
    assert_string_equal(b.data, "\"q\\\"\\\\\\n\\u0001/\xc3\xa9\"");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),   cmocka_unit_test(test_parse_depth),
        cmocka_unit_test(test_strings), cmocka_unit_test(test_integers),
        cmocka_unit_test(test_writing), cmocka_unit_test(test_other_types),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
