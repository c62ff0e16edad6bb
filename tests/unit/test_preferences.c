/* The dispatcher's settings: the example holds every key with its default, and all
 * faults are told at once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "dispatcher/preferences.h"

#define EXAMPLE "deploy/examples/dispatcher.conf"

static char *
printed(const struct preferences *settings)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    preferences_print(out, settings);
    fclose(out);
    return text;
}

static void
test_example_is_the_default(void **state)
{
    struct preferences defaults, example;
    char *expected, *got;

    (void)state;
    assert_int_equal(preferences_load(NULL, &defaults), 0);
    assert_int_equal(preferences_load(EXAMPLE, &example), 0);
    expected = printed(&defaults);
    got = printed(&example);
    assert_string_equal(got, expected);
    assert_string_equal(example.dsn, defaults.dsn); /* printed as *** */
    free(expected);
    free(got);
    preferences_free(&defaults);
    preferences_free(&example);
}

/* Each key of the print, "name = ", also stands in the example. */
static void
test_example_is_complete(void **state)
{
    char example[8192] = "", *all, *line, *rest;
    FILE *file = fopen(EXAMPLE, "r");
    struct preferences defaults;
    size_t n = 0;

    (void)state;
    assert_non_null(file);
    assert_true(fread(example, 1, sizeof example - 1, file) > 0);
    fclose(file);
    assert_int_equal(preferences_load(NULL, &defaults), 0);
    rest = all = printed(&defaults);
    while ((line = strsep(&rest, "\n")) != NULL) {
        char key[64];

        if (sscanf(line, " %32[a-z_] = ", key) != 1 || strstr(line, " = ") == NULL)
            continue;
        strcat(key, " = ");
        assert_non_null(strstr(example, key));
        n++;
    }
    assert_true(n >= 17);
    free(all);
    preferences_free(&defaults);
}

static int
load_text(const char *text, struct preferences *settings)
{
    char path[] = "/tmp/hler-preferences-XXXXXX";
    int fd = mkstemp(path), faults;

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    faults = preferences_load(path, settings);
    unlink(path);
    return faults;
}

static int
faults_of(const char *text)
{
    struct preferences settings;
    int faults = load_text(text, &settings);

    preferences_free(&settings);
    return faults;
}

static int64_t
tick_of(const char *text)
{
    struct preferences settings;
    int64_t tick_ms;

    assert_int_equal(load_text(text, &settings), 0);
    tick_ms = settings.tick_ms;
    preferences_free(&settings);
    return tick_ms;
}

static void
test_silence_is_measured_finely_enough(void **state)
{
    (void)state;
    assert_int_equal(tick_of("leases: { };"), 3000);
    assert_int_equal(tick_of("leases: { lost_after_ms = 6000; };"), 1500);
    assert_int_equal(tick_of("leases: { lost_after_ms = 6000; tick_ms = 200; };"), 200);
}

static void
test_faults(void **state)
{
    (void)state;
    assert_int_equal(faults_of("dispatcher: { id = \"d-2\"; };"), 0);
    assert_int_equal(faults_of("dispatcher: { id = \"D 2\"; };"), 1);
    assert_int_equal(faults_of("log: { level = \"loud\"; };"), 1);
    assert_int_equal(faults_of("broker: { cert_file = \"/x\"; };"), 1);
    assert_int_equal(faults_of("leases: { lost_after_ms = 499; tick_ms = 49; };"), 2);
    assert_int_equal(faults_of("leases: { lost_after_ms = \"500\"; };"), 1);
    assert_int_equal(faults_of("dispatcher: { id = \"X\"; no = 1; }; log: { level = \"y\"; };"), 3);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_example_is_the_default),
        cmocka_unit_test(test_example_is_complete),
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_silence_is_measured_finely_enough),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
