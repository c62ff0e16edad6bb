#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/config.h"
#include "common/file.h"

struct settings {
    char *host;
    int64_t port;
    int64_t big;
    bool tls;
    char **pools;
    char *password;
};

static const struct config_key table[] = {
    {"broker.host", CONFIG_STRING, offsetof(struct settings, host), 1, 255, "127.0.0.1",
     "Its name"},
    {"broker.port", CONFIG_INT, offsetof(struct settings, port), 1, 65535, "5672", "Its port"},
    {"broker.tls", CONFIG_BOOL, offsetof(struct settings, tls), 0, 0, "false", "Use TLS"},
    {"broker.password", CONFIG_STRING, offsetof(struct settings, password), 0, 99, "", "Secret"},
    {"pools", CONFIG_STRINGS, offsetof(struct settings, pools), 1, 3, "a:b", "Which pools"},
    {"big", CONFIG_INT, offsetof(struct settings, big), 0, INT64_MAX, "1", "A large number"},
};

static const struct config_key required[] = {
    {"name", CONFIG_STRING, offsetof(struct settings, host), 1, 9, NULL, "Must be there"},
    {"port", CONFIG_INT, offsetof(struct settings, port), 1, 9, NULL, "Must be there too"},
};

static char dir[] = "/tmp/test_config.XXXXXX";
static char said[8192];

static void
write_file(const char *name, mode_t mode, const char *text)
{
    int dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    assert_int_equal(file_replace(dirfd, name, mode, text, strlen(text)), 0);
    close(dirfd);
}

static char *
path_of(const char *name)
{
    static char paths[4][256]; /* several may be in use at one time */
    static unsigned next;
    char *path = paths[next++ % ARRAY_LEN(paths)];

    snprintf(path, sizeof paths[0], "%s/%s", dir, name);
    return path;
}

/* config_load() with what it writes to stderr in said[]. */
static int
load_file(const char *file, const struct config_key *keys, size_t n, struct settings *s)
{
    int saved = dup(STDERR_FILENO), faults;
    int out = open(path_of("stderr"), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ssize_t len;

    dup2(out, STDERR_FILENO);
    faults = config_load(file, keys, n, s);
    dup2(saved, STDERR_FILENO);
    len = pread(out, said, sizeof said - 1, 0);
    said[len > 0 ? len : 0] = '\0';
    close(out);
    close(saved);
    return faults;
}

static int
load(const char *text, struct settings *s)
{
    write_file("conf", 0600, text);
    return load_file(path_of("conf"), table, ARRAY_LEN(table), s);
}

static void
test_empty_file(void **state)
{
    struct settings s;

    (void)state;
    assert_int_equal(load("", &s), 0);
    assert_int_equal(s.port, 5672);
    config_free(table, ARRAY_LEN(table), &s);
}

static void
test_defaults(void **state)
{
    struct settings s;

    (void)state;
    assert_int_equal(load_file(NULL, table, ARRAY_LEN(table), &s), 0);
    assert_string_equal(s.host, "127.0.0.1");
    assert_int_equal(s.port, 5672);
    assert_false(s.tls);
    assert_string_equal(s.pools[0], "a");
    assert_string_equal(s.pools[1], "b");
    assert_null(s.pools[2]);
    config_free(table, ARRAY_LEN(table), &s);
}

static void
test_values(void **state)
{
    struct settings s;

    (void)state;
    assert_int_equal(load("# 99999999999999999999 in a comment\n"
                          "broker: { host = \"h 99999999999999999999\"; port = 80; tls = true; };\n"
                          "pools = [\"x\", \"y\"];\n",
                          &s),
                     0);
    assert_string_equal(s.host, "h 99999999999999999999");
    assert_int_equal(s.port, 80);
    assert_true(s.tls);
    assert_string_equal(s.pools[1], "y");
    config_free(table, ARRAY_LEN(table), &s);
    assert_int_equal(load("broker.port = 5", &s), 1); /* dots are not libconfig */
    config_free(table, ARRAY_LEN(table), &s);
}

/* libconfig 1.5 turns the first of these into -1294967296. */
static void
test_large_integers(void **state)
{
    static const struct {
        const char *text;
        int64_t value;
    } good[] = {{"big = 3000000000;", 3000000000},
                {"big = 3000000000L;", 3000000000},
                {"big = 3000000000LL;", 3000000000},
                {"big = 5;", 5},
                {"big = 5L;", 5},
                {"big = 0xFFFFFFFF;", 4294967295},
                {"big=+7", 7},
                {"big = 9223372036854775807", INT64_MAX}};
    struct settings s;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        assert_int_equal(load(good[i].text, &s), 0);
        assert_int_equal(s.big, good[i].value);
        config_free(table, ARRAY_LEN(table), &s);
    }
    assert_int_equal(load("\nbig = 9223372036854775808;", &s), 1);
    assert_non_null(strstr(said, "conf:2: integer beyond 64 bits"));
    config_free(table, ARRAY_LEN(table), &s);
    assert_int_equal(load("big = 1.5;", &s), 1);
    assert_non_null(strstr(said, "conf:1: big: expected an integer"));
    config_free(table, ARRAY_LEN(table), &s);
}

static void
test_all_faults_at_once(void **state)
{
    struct settings s;

    (void)state;
    assert_int_equal(load("broker: {\n"
                          "  host = 5;\n"
                          "  port = 65536;\n"
                          "  prot = 1;\n"
                          "  tls = \"true\";\n"
                          "};\n"
                          "pools = [\"a\", \"b\", \"c\", \"d\"];\n"
                          "extra: { deep = 1; };\n",
                          &s),
                     6);
    assert_non_null(strstr(said, "conf:2: broker.host: expected a string"));
    assert_non_null(strstr(said, "conf:3: broker.port: 65536 is not in 1..65535"));
    assert_non_null(strstr(said, "conf:4: broker.prot: unknown setting"));
    assert_non_null(strstr(said, "conf:5: broker.tls: expected true or false"));
    assert_non_null(strstr(said, "conf:7: pools: takes at most 3 items"));
    assert_non_null(strstr(said, "conf:8: extra.deep: unknown setting"));
    config_free(table, ARRAY_LEN(table), &s);
}

static void
test_required(void **state)
{
    struct settings s;

    (void)state;
    write_file("conf", 0600, "nam = \"x\";");
    assert_int_equal(load_file(path_of("conf"), required, ARRAY_LEN(required), &s), 3);
    assert_non_null(strstr(said, "conf: name: must be set"));
    assert_non_null(strstr(said, "conf: port: must be set"));
    config_free(required, ARRAY_LEN(required), &s);
}

static void
test_refused_files(void **state)
{
    struct settings s;

    (void)state;
    assert_int_equal(load("big = 1;\nbig = 2;\n", &s), 1);
    assert_non_null(strstr(said, "conf:2: duplicate setting name"));
    assert_int_equal(load("big = ;", &s), 1);
    assert_non_null(strstr(said, "conf:1: syntax error"));
    assert_int_equal(load("\n@include \"other\"\n", &s), 1);
    assert_non_null(strstr(said, "conf:2: @include is not allowed"));
    assert_int_equal(load_file(dir, table, ARRAY_LEN(table), &s), 1);
    assert_non_null(strstr(said, "not a file"));
    assert_int_equal(load_file("/nonexistent/conf", table, ARRAY_LEN(table), &s), 1);
    assert_non_null(strstr(said, "No such file"));
    assert_int_equal(load("big = 1;", &s), 0);
    config_free(table, ARRAY_LEN(table), &s);
    assert_int_equal(chmod(path_of("conf"), 0660), 0);
    assert_int_equal(load_file(path_of("conf"), table, ARRAY_LEN(table), &s), 1);
    assert_non_null(strstr(said, "others may write this file"));
}

static void
test_secret_file(void **state)
{
    struct settings s;

    (void)state;
    write_file("secret", 0600, "hunter2\nsecond line\n");
    assert_int_equal(load("broker: { password = \"@secret\"; host = \"@secret\"; };", &s), 0);
    assert_string_equal(s.password, "hunter2");
    assert_string_equal(s.host, "@secret");
    config_free(table, ARRAY_LEN(table), &s);

    assert_int_equal(chmod(path_of("secret"), 0604), 0);
    assert_int_equal(load("broker: { password = \"@secret\"; };", &s), 1);
    assert_non_null(strstr(said, "is open to others"));
    assert_null(strstr(said, "hunter2"));
    config_free(table, ARRAY_LEN(table), &s);

    assert_int_equal(load("broker: { password = \"@missing\"; };", &s), 1);
    assert_non_null(strstr(said, "No such file"));
    config_free(table, ARRAY_LEN(table), &s);
}

/* What --print-config says can be loaded again, and shows no secret. */
static void
test_print(void **state)
{
    struct settings s, again;
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);

    (void)state;
    assert_int_equal(
        load("broker: { host = \"a\\\"b\"; password = \"pw\"; }; big = 3000000000;", &s), 0);
    config_print(out, table, ARRAY_LEN(table), &s);
    fclose(out);
    assert_null(strstr(text, "\"pw\""));
    assert_non_null(strstr(text, "# Its port"));
    assert_int_equal(load(text, &again), 0);
    assert_string_equal(again.host, "a\"b");
    assert_int_equal(again.big, 3000000000);
    assert_string_equal(again.pools[1], "b");
    config_free(table, ARRAY_LEN(table), &s);
    config_free(table, ARRAY_LEN(table), &again);
    free(text);
}

static int
setup(void **state)
{
    (void)state;
    return mkdtemp(dir) == NULL ? -1 : 0;
}

static int
teardown(void **state)
{
    (void)state;
    return file_remove_tree(AT_FDCWD, dir);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),       cmocka_unit_test(test_values),
        cmocka_unit_test(test_large_integers), cmocka_unit_test(test_all_faults_at_once),
        cmocka_unit_test(test_required),       cmocka_unit_test(test_refused_files),
        cmocka_unit_test(test_empty_file),     cmocka_unit_test(test_secret_file),
        cmocka_unit_test(test_print),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
