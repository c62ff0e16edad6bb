/* Request datagrams: what is packed is unpacked, anything else is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "worker/runner/request.h"

static char packed[REQUEST_MAX + 1];
static char *slots[REQUEST_STRINGS];

static char echo[] = "/bin/echo", empty[] = "", words[] = "two words";
static char env_a[] = "A=1", env_target[] = "HLER_TARGET=";
static char *argv_sample[] = {echo, empty, words, NULL};
static char *envp_sample[] = {env_a, env_target, NULL};

static struct request
sample(void)
{
    return (struct request){.dir = "t.1.0123456789abcdef",
                            .cwd = "/srv",
                            .argv = argv_sample,
                            .envp = envp_sample,
                            .deadline_ms = 1,
                            .idle_ms = 2,
                            .grace_ms = 3,
                            .lease_ms = 4,
                            .lease_from_ns = 6,
                            .listen_ms = 7,
                            .output_bytes = UINT64_MAX,
                            .stop_signal = SIGINT,
                            .stop_group = true};
}

/* Unpack a copy that ends where the memory ends, so that a sanitizer sees one byte too many. */
static int
unpack_copy(const void *data, size_t len, struct request *r, char **copy)
{
    *copy = malloc(len == 0 ? 1 : len);
    assert_non_null(*copy);
    memcpy(*copy, data, len);
    errno = 0;
    return request_unpack(*copy, len, r, slots, REQUEST_STRINGS);
}

static void
refuse(const void *data, size_t len)
{
    struct request r;
    char *copy;

    assert_int_equal(unpack_copy(data, len, &r, &copy), -1);
    assert_int_equal(errno, EBADMSG);
    free(copy);
}

static void
round_trip(void **state)
{
    struct request in = sample(), out;
    size_t len = request_pack(&in, packed);

    (void)state;
    assert_int_not_equal(len, 0);
    assert_int_equal(request_unpack(packed, len, &out, slots, REQUEST_STRINGS), 0);
    assert_string_equal(out.dir, in.dir);
    assert_string_equal(out.cwd, in.cwd);
    for (unsigned i = 0; i < 3; i++)
        assert_string_equal(out.argv[i], argv_sample[i]);
    assert_null(out.argv[3]);
    assert_string_equal(out.envp[0], "A=1");
    assert_string_equal(out.envp[1], "HLER_TARGET=");
    assert_null(out.envp[2]);
    assert_int_equal(out.deadline_ms, 1);
    assert_int_equal(out.idle_ms, 2);
    assert_int_equal(out.grace_ms, 3);
    assert_int_equal(out.lease_ms, 4);
    assert_int_equal(out.lease_from_ns, 6);
    assert_int_equal(out.listen_ms, 7);
    assert_true(out.output_bytes == UINT64_MAX);
    assert_int_equal(out.stop_signal, SIGINT);
    assert_true(out.stop_group);
}

static void
no_cwd_and_no_environment(void **state)
{
    static char *none[] = {NULL};
    struct request in = sample(), out;
    size_t len;

    (void)state;
    in.cwd = NULL;
    in.envp = none;
    in.stop_group = false;
    len = request_pack(&in, packed);
    assert_int_equal(request_unpack(packed, len, &out, slots, REQUEST_STRINGS), 0);
    assert_null(out.cwd);
    assert_null(out.envp[0]);
    assert_false(out.stop_group);
}

static void
nothing_to_run(void **state)
{
    static char *none[] = {NULL};
    char **const nothing[] = {none, NULL};

    (void)state;
    for (size_t i = 0; i < sizeof nothing / sizeof nothing[0]; i++) {
        struct request in = sample(), out;

        in.argv = in.envp = nothing[i];
        assert_int_equal(
            request_unpack(packed, request_pack(&in, packed), &out, slots, REQUEST_STRINGS), 0);
        assert_null(out.argv[0]);
        assert_null(out.envp[0]);
    }
}

static void
cut_anywhere_is_refused(void **state)
{
    struct request in = sample();
    size_t len = request_pack(&in, packed);

    (void)state;
    for (size_t n = 0; n < len; n++)
        refuse(packed, n);
    packed[len] = '\0';
    refuse(packed, len + 1);
}

/* Any single changed byte is refused or understood as something else, never read beyond. */
static void
changed_bytes_are_survived(void **state)
{
    struct request in = sample();
    size_t len = request_pack(&in, packed);

    (void)state;
    for (size_t at = 0; at < len; at++) {
        for (unsigned value = 0; value < 256; value += 5) {
            struct request out;
            char old = packed[at];
            char *copy;

            packed[at] = (char)value;
            if (unpack_copy(packed, len, &out, &copy) == 0)
                assert_int_equal(out.argv[0][0], '/');
            free(copy);
            packed[at] = old;
        }
    }
}

static void
refuse_request(const struct request *r)
{
    size_t len = request_pack(r, packed);

    assert_int_not_equal(len, 0);
    refuse(packed, len);
}

static void
bad_members_are_refused(void **state)
{
    static const char *const dirs[] = {"", ".", "..", ".x", "a/b", "/a"};
    static char *relative[] = {echo + 5, NULL};
    static char name[REQUEST_DIR_MAX + 1];
    struct request r;

    (void)state;
    for (size_t i = 0; i < sizeof dirs / sizeof dirs[0]; i++) {
        r = sample();
        r.dir = dirs[i];
        refuse_request(&r);
    }
    memset(name, 'x', REQUEST_DIR_MAX);
    r = sample(), r.dir = name, refuse_request(&r);
    r = sample(), r.cwd = "srv", refuse_request(&r);
    r = sample(), r.argv = relative, refuse_request(&r);
    r = sample(), r.deadline_ms = -1, refuse_request(&r);
    r = sample(), r.idle_ms = -1, refuse_request(&r);
    r = sample(), r.grace_ms = -1, refuse_request(&r);
    r = sample(), r.lease_ms = -1, refuse_request(&r);
    r = sample(), r.lease_ms = REQUEST_LEASE_MAX_MS + 1, refuse_request(&r);
    r = sample(), r.lease_from_ns = -1, refuse_request(&r);
    r = sample(), r.lease_from_ns = INT64_MAX, refuse_request(&r);
    r = sample(), r.listen_ms = -1, refuse_request(&r);
    r = sample(), r.listen_ms = REQUEST_LISTEN_MAX_MS + 1, refuse_request(&r);
    r = sample(), r.stop_signal = 0, refuse_request(&r);
    r = sample(), r.stop_signal = NSIG, refuse_request(&r);
}

static void
too_large_is_told(void **state)
{
    static char large[REQUEST_MAX];
    char *argv[] = {echo, large, NULL};
    static char *many[REQUEST_STRINGS + 1];
    struct request r = sample();

    (void)state;
    memset(large, 'x', sizeof large - 1);
    r.argv = argv;
    assert_int_equal(request_pack(&r, packed), 0);
    assert_int_equal(errno, E2BIG);
    for (size_t i = 0; i < REQUEST_STRINGS; i++)
        many[i] = echo;
    r.argv = many;
    assert_int_equal(request_pack(&r, packed), 0);
    assert_int_equal(errno, E2BIG);
}

static void
exactly_full_is_fine(void **state)
{
    static char filler[REQUEST_MAX];
    char *argv[] = {echo, filler, NULL};
    struct request r = sample(), out;
    size_t len;

    (void)state;
    r.argv = argv;
    len = request_pack(&r, packed);
    memset(filler, 'x', REQUEST_MAX - len);
    assert_int_equal(request_pack(&r, packed), REQUEST_MAX);
    assert_int_equal(request_unpack(packed, REQUEST_MAX, &out, slots, REQUEST_STRINGS), 0);
    filler[REQUEST_MAX - len] = 'x';
    assert_int_equal(request_pack(&r, packed), 0);
}

static void
too_few_slots_are_refused(void **state)
{
    struct request in = sample(), out;
    size_t len = request_pack(&in, packed);

    (void)state;
    assert_int_equal(request_unpack(packed, len, &out, slots, 6), -1); /* 3 + 2 + two NULLs */
    assert_int_equal(request_unpack(packed, len, &out, slots, 7), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),
        cmocka_unit_test(no_cwd_and_no_environment),
        cmocka_unit_test(nothing_to_run),
        cmocka_unit_test(cut_anywhere_is_refused),
        cmocka_unit_test(changed_bytes_are_survived),
        cmocka_unit_test(bad_members_are_refused),
        cmocka_unit_test(too_large_is_told),
        cmocka_unit_test(exactly_full_is_fine),
        cmocka_unit_test(too_few_slots_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
