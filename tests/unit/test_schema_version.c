/* The number in proto/schema_version.h is that of the newest migration. */
#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/schema_version.h"

static void
test_newest(void **state)
{
    glob_t files;
    long newest = 0;

    (void)state;
    assert_int_equal(glob("proto/sql/[0-9]*.sql", 0, NULL, &files), 0);
    for (size_t i = 0; i < files.gl_pathc; i++) {
        long number = strtol(strrchr(files.gl_pathv[i], '/') + 1, NULL, 10);

        assert_int_equal(number, (long)i + 1); /* forward only, none left out */
        newest = number;
    }
    globfree(&files);
    assert_int_equal(SCHEMA_VERSION, newest);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_newest)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
