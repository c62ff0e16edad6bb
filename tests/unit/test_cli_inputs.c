/* Inputs from the command line, faults of the database, catalogue files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "dispatcher/cli/catalog_cfg.h"
#include "dispatcher/cli/faults.h"
#include "dispatcher/cli/inputs.h"
#include "dispatcher/cli/value.h"

static const char definition_text[] =
    "{\"fields\":[{\"name\":\"title\",\"type\":\"string\"},{\"name\":\"site\",\"type\":\"uuid\"},"
    "{\"name\":\"pages\",\"type\":\"integer\"},{\"name\":\"ratio\",\"type\":\"number\"},"
    "{\"name\":\"draft\",\"type\":\"boolean\"},{\"name\":\"theme\",\"type\":\"object\"},"
    "{\"name\":\"tags\",\"type\":\"array\"}]}";

static char *
write_temporary(const char *content, size_t len)
{
    static char name[64];

    strcpy(name, "/tmp/test_cli_inputs.XXXXXX");
    int fd = mkstemp(name);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, content, len), len);
    assert_int_equal(close(fd), 0);
    return name;
}

/* The inputs made of words as text; faults must be as many as said. */
static void
assert_inputs(const char *const *words, size_t n, const char *expected)
{
    struct json_error err;
    struct buf errors = {0};
    struct json_object *definition = json_parse(definition_text, strlen(definition_text), &err);
    struct json_object *inputs = json_object_new_object();

    assert_non_null(definition);
    assert_int_equal(inputs_add(inputs, words, n, definition, &errors), 0);
    assert_string_equal(json_text(inputs, NULL), expected);
    json_object_put(inputs);
    json_object_put(definition);
    buf_free(&errors);
}

static void
assert_fault(const char *word, const char *part)
{
    struct json_error err;
    struct buf errors = {0};
    struct json_object *definition = json_parse(definition_text, strlen(definition_text), &err);
    struct json_object *inputs = json_object_new_object();

    assert_int_equal(inputs_add(inputs, &word, 1, definition, &errors), 1);
    if (strstr(errors.data, part) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", errors.data, part);
    assert_string_equal(json_text(inputs, NULL), "{}");
    json_object_put(inputs);
    json_object_put(definition);
    buf_free(&errors);
}

static void
test_typed(void **state)
{
    const char *const words[] = {"title=12",   "pages=12",           "ratio=0.1",
                                 "draft=true", "theme={\"dark\":1}", "tags=[1,\"x\"]",
                                 "other=1",    "more:=[2]",          "title=a=b"};

    (void)state;
    assert_inputs(words, ARRAY_LEN(words),
                  "{\"title\":\"a=b\",\"pages\":12,\"ratio\":0.1,\"draft\":true,"
                  "\"theme\":{\"dark\":1},\"tags\":[1,\"x\"],\"other\":\"1\",\"more\":[2]}");
}

static void
test_file(void **state)
{
    char word[128];
    char *name = write_temporary("[3,\n4]", strlen("[3,\n4]"));
    const char *words[] = {word, "title=@@x"};

    (void)state;
    snprintf(word, sizeof word, "tags=@%s", name);
    assert_inputs(words, ARRAY_LEN(words), "{\"tags\":[3,4],\"title\":\"@x\"}");
    assert_int_equal(unlink(name), 0);

    name = write_temporary("a\0b", 3);
    snprintf(word, sizeof word, "title=@%s", name);
    assert_fault(word, "title: is not UTF-8 text without NUL");
    assert_int_equal(unlink(name), 0);
    assert_fault(word, "title: cannot read");
}

static void
test_faults(void **state)
{
    (void)state;
    assert_fault("pages=many", "pages: expected an integer, got: many");
    assert_fault("draft=yes", "draft: expected a boolean");
    assert_fault("pages=1,\"x\":2", "pages: ");
    assert_fault("title:=null", "title: null");
    assert_fault("title:=", "title: ");
    assert_fault("title", "title: expected field=value");
    assert_fault("=x", "=x: expected field=value");
    assert_fault("title=\xff", "title: is not UTF-8");
}

/* What a function writes to a stream of ours. */
static char *
written(FILE *stream, void (*fn)(void))
{
    FILE *file = tmpfile();
    int keep = dup(fileno(stream));
    static char text[1024];

    fflush(stream);
    dup2(fileno(file), fileno(stream));
    fn();
    fflush(stream);
    dup2(keep, fileno(stream));
    close(keep);
    rewind(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    return text;
}

#define TWO_FAULTS                                                                                 \
    "[{\"field\":\"title\",\"rule\":\"required\",\"message\":\"is missing\"},"                     \
    "{\"field\":\"pages\",\"rule\":\"min\",\"message\":\"below 1\"}]"

static void
print_text(void)
{
    assert_int_equal(faults_print(TWO_FAULTS, false), 0);
}

static void
print_json(void)
{
    assert_int_equal(faults_print(TWO_FAULTS, true), 0);
}

static void
print_none(void)
{
    assert_int_equal(faults_print("Key (id) is there", false), -1);
    assert_int_equal(faults_print("[]", true), -1);
    assert_int_equal(faults_print("[1]", false), -1);
}

static void
print_lines(void)
{
    faults_print_lines("title: too: long\nodd\n", true);
}

static void
test_faults_print(void **state)
{
    (void)state;
    assert_string_equal(written(stderr, print_text),
                        "hler: title: is missing\nhler: pages: below 1\n");
    assert_string_equal(written(stdout, print_json), "{\"faults\":" TWO_FAULTS "}\n");
    assert_string_equal(written(stderr, print_none), "");
    assert_string_equal(
        written(stdout, print_lines),
        "{\"faults\":[{\"field\":\"title\",\"rule\":\"form\",\"message\":\"too: long\"},"
        "{\"field\":\"odd\",\"rule\":\"form\",\"message\":\"refused\"}]}\n");
}

static const char cfg_text[] =
    "# comment\n"
    "types = (\n"
    "  { name = \"a.b\"; version = 1;\n"
    "    fields = ( { name = \"n\"; type = \"integer\"; enum = [ 1, 2 ]; } );\n"
    "    tasks = (\n"
    "      { name = \"t\"; spec = { argv = [ \"/bin/true\" ]; empty = (); };\n"
    "        output_bytes = 3000000000; repeatable = true; } ); },\n"
    "  { name = \"c\"; version = 2; }\n"
    ");\n";

static void
test_catalog(void **state)
{
    char *name = write_temporary(cfg_text, strlen(cfg_text));
    struct buf errors = {0};
    struct catalog_cfg *cfg = catalog_cfg_read(name, &errors);

    (void)state;
    assert_int_equal(unlink(name), 0);
    assert_non_null(cfg);
    assert_int_equal(catalog_cfg_count(cfg), 2);
    struct json_object *first = catalog_cfg_definition(cfg, 0);
    assert_string_equal(
        json_text(first, NULL),
        "{\"name\":\"a.b\",\"version\":1,\"fields\":[{\"name\":\"n\",\"type\":\"integer\","
        "\"enum\":[1,2]}],\"tasks\":[{\"name\":\"t\",\"spec\":{\"argv\":[\"/bin/true\"],"
        "\"empty\":[]},\"output_bytes\":3000000000,\"repeatable\":true}]}");
    json_object_put(first);
    assert_int_equal(catalog_cfg_line(cfg, 0, "tasks[0].output_bytes"), 7);
    assert_int_equal(catalog_cfg_line(cfg, 0, "fields[0].enum"), 4);
    assert_int_equal(catalog_cfg_line(cfg, 0, "tasks[0].pool"), 6);
    assert_int_equal(catalog_cfg_line(cfg, 1, ""), 8);
    assert_int_equal(catalog_cfg_line(cfg, 1, "tasks"), 8);
    catalog_cfg_free(cfg);
    buf_free(&errors);
}

static void
assert_cfg_refused(const char *text, const char *part)
{
    struct buf errors = {0};
    char *name = write_temporary(text, strlen(text));

    assert_null(catalog_cfg_read(name, &errors));
    if (strstr(errors.data, part) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", errors.data, part);
    buf_free(&errors);
    assert_int_equal(unlink(name), 0);
}

static void
test_catalog_refused(void **state)
{
    (void)state;
    assert_cfg_refused("types = (\n  { name = ; }\n);", ":2: syntax error");
    assert_cfg_refused("types = ();\nextra = 1;\n", ":2: extra: is not known");
    assert_cfg_refused("", ":1: types is missing");
    assert_cfg_refused("\ntypes = { };\n", ":2: types must be a list");
    assert_cfg_refused("types = (\n 7 );\n", ":2: types[0]: must be a group");
    assert_cfg_refused("\n@include \"x\"\n", ":2: ");
    assert_cfg_refused("types = ( { version = 99999999999999999999; } );", ":1: integer");
    assert_cfg_refused("\xff", "not UTF-8");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_typed),   cmocka_unit_test(test_file),
        cmocka_unit_test(test_faults),  cmocka_unit_test(test_faults_print),
        cmocka_unit_test(test_catalog), cmocka_unit_test(test_catalog_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
