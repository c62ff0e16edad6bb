/* The command line of `hler`: options by table, commands by name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "dispatcher/cli/args.h"
#include "dispatcher/cli/commands.h"
#include "dispatcher/cli/opref.h"

static const struct opt options[] = {
    {"target", OPT_TEXT, "UUID", "a text", 0, 0, false},
    {"limit", OPT_INT, "N", "a number", 1, 100, false},
    {"label", OPT_TEXT, "K=V", "many", 0, 0, true},
    {"wait", OPT_FLAG, NULL, "a flag", 0, 0, false},
};

static int
parse(struct args *args, struct buf *error, const char *const *words)
{
    static char *argv[16];
    int argc = 0;

    for (; words[argc] != NULL; argc++)
        memcpy(&argv[argc], &words[argc], sizeof argv[argc]);
    *args = (struct args){.tables = {{options, ARRAY_LEN(options)}, {NULL, 0}}};
    return args_parse(args, argc, argv, error);
}

#define PARSE(args, error, ...) parse(args, error, (const char *const[]){__VA_ARGS__, NULL})

static void
test_mixed(void **state)
{
    struct args args;
    struct buf error = {0};

    (void)state;
    assert_int_equal(PARSE(&args, &error, "one", "--limit=7", "two", "--target", "t", "--wait",
                           "--label", "a=1", "--label=b=2", "--", "--limit"),
                     0);
    assert_int_equal(args.n_words, 3);
    assert_string_equal(args.words[1], "two");
    assert_string_equal(args.words[2], "--limit");
    assert_int_equal(args_int(&args, "limit", 1), 7);
    assert_string_equal(args_text(&args, "target"), "t");
    assert_true(args_flag(&args, "wait"));
    assert_string_equal(args_nth(&args, "label", 1), "b=2");
    assert_null(args_nth(&args, "label", 2));
    args_free(&args);
    buf_free(&error);
}

static void
test_not_given(void **state)
{
    struct args args;
    struct buf error = {0};

    (void)state;
    assert_int_equal(PARSE(&args, &error, "-"), 0);
    assert_string_equal(args.words[0], "-");
    args_free(&args);
    assert_int_equal(PARSE(&args, &error, "set", "-5"), 0);
    assert_string_equal(args.words[1], "-5");
    assert_int_equal(args_int(&args, "limit", 20), 20);
    assert_null(args_text(&args, "target"));
    assert_false(args_flag(&args, "wait"));
    args_free(&args);
}

/* Each is refused, and the text names the option. */
static void
assert_refused(const char *const *words, const char *part)
{
    struct args args;
    struct buf error = {0};

    assert_int_equal(parse(&args, &error, words), -1);
    assert_non_null(error.data);
    if (strstr(error.data, part) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", error.data, part);
    args_free(&args);
    buf_free(&error);
}

static void
test_refused(void **state)
{
    (void)state;
    assert_refused((const char *const[]){"--nothing", NULL}, "--nothing");
    assert_refused((const char *const[]){"-w", NULL}, "two dashes");
    assert_refused((const char *const[]){"--target", NULL}, "--target needs a value");
    assert_refused((const char *const[]){"--wait=1", NULL}, "--wait takes no value");
    assert_refused((const char *const[]){"--limit", "0", NULL}, "from 1 to 100");
    assert_refused((const char *const[]){"--limit", "7x", NULL}, "7x");
    assert_refused((const char *const[]){"--limit", "", NULL}, "--limit");
    assert_refused((const char *const[]){"--limit=99999999999999999999", NULL}, "--limit");
    assert_refused((const char *const[]){"--limit=1", "--limit=2", NULL}, "given twice");
    assert_refused((const char *const[]){"--lim", "1", NULL}, "--lim");
}

static void
test_commands(void **state)
{
    size_t used;

    (void)state;
    assert_ptr_equal(commands_find((const char *const[]){"list"}, 1, &used), &command_list);
    assert_int_equal(used, 1);
    assert_ptr_equal(commands_find((const char *const[]){"catalog", "list"}, 2, &used),
                     &command_catalog_list);
    assert_int_equal(used, 2);
    assert_null(commands_find((const char *const[]){"catalog"}, 1, &used));
    assert_null(commands_find((const char *const[]){"listener", "steal"}, 2, &used));
    assert_null(commands_find((const char *const[]){"lis"}, 1, &used));
    for (size_t i = 0; commands[i] != NULL; i++) {
        assert_non_null(commands[i]->run);
        assert_non_null(strstr(commands[i]->help, "hler "));
        assert_true(commands[i]->max_words >= commands[i]->min_words);
    }
}

static void
test_opref_range(void **state)
{
    char low[UUID_TEXT_SIZE], high[UUID_TEXT_SIZE];

    (void)state;
    assert_int_equal(opref_range("0190F2a4", low, high), 0);
    assert_string_equal(low, "0190f2a4-0000-0000-0000-000000000000");
    assert_string_equal(high, "0190f2a4-ffff-ffff-ffff-ffffffffffff");
    assert_int_equal(opref_range("0190f2a4-5c1e-7", low, high), 0);
    assert_string_equal(low, "0190f2a4-5c1e-7000-0000-000000000000");
    assert_string_equal(high, "0190f2a4-5c1e-7fff-ffff-ffffffffffff");
    assert_int_equal(opref_range("0190f2a4-5c1e-7d3b-9c7e-2f6b1a0d4e5f", low, high), 0);
    assert_string_equal(low, high);
    assert_int_equal(opref_range("0190f2a", low, high), -1);
    assert_int_equal(opref_range("0190f2a45", low, high), -1);
    assert_int_equal(opref_range("0190-2a4", low, high), -1);
    assert_int_equal(opref_range("0190f2a4-5c1e-7d3b-9c7e-2f6b1a0d4e5f0", low, high), -1);
    assert_int_equal(opref_range("lastlast", low, high), -1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mixed),       cmocka_unit_test(test_not_given),
        cmocka_unit_test(test_refused),     cmocka_unit_test(test_commands),
        cmocka_unit_test(test_opref_range),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
