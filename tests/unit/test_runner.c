/* The runner's pure parts, and the bridge's end of the spawner against the real program. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/file.h"
#include "worker/runner/journal.h"
#include "worker/runner/run_emit.h"
#include "worker/runner/run_output.h"
#include "worker/runner/runner.h"
#include "worker/runner/spawner_client.h"

#define UUID "018f3b1e-0000-7000-8000-000000000001"
#define WAIT_MS 15000
#define POLL_MS 5

static void
assert_cut(const char *text, size_t expected)
{
    assert_int_equal(run_output_cut((const unsigned char *)text, strlen(text)), expected);
}

static void
output_is_cut_well(void **state)
{
    (void)state;
    assert_cut("one\ntwo\nthr", 8);
    assert_cut("one\n", 4);
    assert_cut("no newline", 10);
    assert_cut("half \xe2\x82", 5);
    assert_cut("\xe2\x82", 2); /* nothing else there: it goes as it is */
    assert_cut("bad \xff", 5);
    assert_cut("one\n\xe2\x82", 4);
}

static const char *
parse(const char *line, const char *target, struct run_emit_request *q, bool *framed)
{
    return run_emit_parse(line, strlen(line), target, q, framed);
}

static void
good_lines(void **state)
{
    struct run_emit_request q;
    bool framed;

    (void)state;
    assert_null(parse("RESULT " UUID " site_url append secret 65536", "", &q, &framed));
    assert_true(framed && q.result && q.append && q.secret);
    assert_string_equal(q.uuid, UUID);
    assert_string_equal(q.field, "site_url");
    assert_int_equal(q.length, 65536);
    assert_null(parse("RESULT - a set plain 0", UUID, &q, &framed));
    assert_true(framed && q.result && !q.append && !q.secret);
    assert_string_equal(q.uuid, UUID);
    assert_null(parse("PROGRESS 12", "", &q, &framed));
    assert_true(framed && !q.result);
    assert_int_equal(q.length, 12);
}

static void
refused_but_framed(void **state)
{
    static const char *const lines[] = {
        "RESULT - a set plain 5",
        "RESULT x a set plain 5",
        "RESULT " UUID " A set plain 5",
        "RESULT " UUID "  set plain 5",
        "RESULT " UUID " a put plain 5",
        "RESULT " UUID " a set open 5",
        "RESULT " UUID " 1 set plain 5",
        "RESULT " UUID " a- set plain 5",
        "RESULT " UUID " a set plain 65537",
        "PROGRESS 65537",
    };
    struct run_emit_request q;
    bool framed;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        assert_non_null(parse(lines[i], "", &q, &framed));
        assert_true(framed);
    }
}

static void
refused_without_framing(void **state)
{
    static const char *const lines[] = {
        "",
        "RESULT",
        "result " UUID " a set plain 5",
        "RESULT " UUID " a set plain",
        "RESULT " UUID " a set plain ",
        "RESULT " UUID " a set plain 5 ",
        "RESULT " UUID " a set plain -5",
        "RESULT " UUID " a set plain 0x5",
        "RESULT " UUID " a set plain 18446744073709551617",
        "PROGRESS",
        "PROGRESS  5",
    };
    struct run_emit_request q;
    bool framed;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        assert_non_null(parse(lines[i], UUID, &q, &framed));
        assert_false(framed);
    }
}

static void
longest_field(void **state)
{
    char name[RUN_EMIT_FIELD_MAX + 2];

    (void)state;
    memset(name, 'a', sizeof name);
    assert_true(run_emit_field_valid(name, RUN_EMIT_FIELD_MAX));
    assert_false(run_emit_field_valid(name, RUN_EMIT_FIELD_MAX + 1));
    assert_false(run_emit_field_valid(name, 0));
}

static void
assert_last_line(const char *text, const char *expected)
{
    size_t len = strlen(text);
    const char *line = run_message_last_line(text, &len);

    assert_int_equal(len, strlen(expected));
    assert_memory_equal(line, expected, len);
}

static void
last_line_is_found(void **state)
{
    (void)state;
    assert_last_line("", "");
    assert_last_line("\n \r\n\t", "");
    assert_last_line("one", "one");
    assert_last_line("one\n  two words \r\n\n", "two words");
}

static void
text_is_made_clean(void **state)
{
    char text[] = "a\xff\nb\x1b\xc3\xa4\x7f\xe2\x82";

    (void)state;
    run_message_clean(text, sizeof text - 1);
    assert_string_equal(text, "a? b \xc3\xa4 ??");
}

/* --- the spawner's client --- */

static char program[] = "/bin/true";

struct spool {
    char path[64];
    struct spawner *spawner;
};

static const char *
runner_program(void)
{
    static char path[4096];
    const char *build = getenv("HLER_BUILD");

    (void)snprintf(path, sizeof path, "%s/bin/hler-runner", build == NULL ? "build" : build);
    return path;
}

static int
spool_set_up(void **state)
{
    struct spool *s = calloc(1, sizeof *s);

    assert_non_null(s);
    (void)strcpy(s->path, "/tmp/hler-test-runner-XXXXXX");
    assert_non_null(mkdtemp(s->path));
    s->spawner = spawner_start(runner_program(), s->path, NULL);
    assert_non_null(s->spawner);
    *state = s;
    return 0;
}

static int
spool_tear_down(void **state)
{
    struct spool *s = *state;

    spawner_free(s->spawner);
    assert_int_equal(file_remove_tree(AT_FDCWD, s->path), 0);
    free(s);
    return 0;
}

static struct request
request_of(const char *dir, char **argv)
{
    static char *none[] = {NULL};

    return (struct request){.dir = dir,
                            .cwd = "/",
                            .argv = argv,
                            .envp = none,
                            .output_bytes = JOURNAL_OUTPUT_MAX,
                            .stop_signal = SIGTERM};
}

static void
make_attempt(const struct spool *s, const char *dir)
{
    char path[128];

    (void)snprintf(path, sizeof path, "%s/%s", s->path, dir);
    assert_int_equal(mkdir(path, 0700), 0);
}

static void
await_answer(struct spawner *spawner, struct request_answer *answer)
{
    struct pollfd p = {.fd = spawner_fd(spawner), .events = POLLIN};

    assert_int_equal(poll(&p, 1, WAIT_MS), 1);
    assert_int_equal(spawner_receive(spawner, answer), 0);
}

/* Until the runner has let go of its journal. */
static void
await_end(const struct spool *s, const char *dir)
{
    CLEANUP(file_cleanup_close) int fd = -1;
    char path[128];

    (void)snprintf(path, sizeof path, "%s/%s/" JOURNAL_FILE, s->path, dir);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_int_not_equal(fd, -1);
    for (int waited = 0; journal_is_held(fd); waited += POLL_MS) {
        assert_true(waited < WAIT_MS);
        (void)poll(NULL, 0, POLL_MS);
    }
}

static void
client_starts_a_runner(void **state)
{
    struct spool *s = *state;
    char *argv[] = {program, NULL};
    struct request r = request_of("first", argv);
    struct request_answer answer;

    assert_int_equal(spawner_receive(s->spawner, &answer), -1);
    assert_int_equal(errno, EAGAIN);
    make_attempt(s, "first");
    assert_int_equal(spawner_send(s->spawner, &r), 0);
    await_answer(s->spawner, &answer);
    assert_string_equal(answer.dir, "first");
    assert_int_equal(answer.error, 0);
    assert_int_equal(spawner_send(s->spawner, &r), 0);
    await_answer(s->spawner, &answer);
    assert_int_equal(answer.error, EEXIST);
    await_end(s, "first");
}

/* The journal of a new attempt, as another start has left it, or a directory that serves again.  Returns its descriptor. */
static int
make_journal(const struct spool *s, const char *dir, const char *text)
{
    char path[128];
    int fd;

    make_attempt(s, dir);
    (void)snprintf(path, sizeof path, "%s/%s/" JOURNAL_FILE, s->path, dir);
    fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_int_not_equal(fd, -1);
    assert_int_equal(file_write_all(fd, text, strlen(text)), 0);
    return fd;
}

static void
expect_start(struct spool *s, const char *dir, int error)
{
    char *argv[] = {program, NULL};
    struct request r = request_of(dir, argv);
    struct request_answer answer;

    assert_int_equal(spawner_send(s->spawner, &r), 0);
    await_answer(s->spawner, &answer);
    assert_int_equal(answer.error, error);
}

static void
client_starts_what_was_not_begun(void **state)
{
    struct spool *s = *state;
    CLEANUP(file_cleanup_close) int begun = make_journal(s, "begun", JOURNAL_MAGIC);
    CLEANUP(file_cleanup_close) int taken = make_journal(s, "taken", "");
    struct stat st;

    (void)close(make_journal(s, "empty", ""));
    assert_int_equal(flock(taken, LOCK_EX), 0);
    expect_start(s, "begun", EEXIST);
    expect_start(s, "taken", EEXIST);
    assert_int_equal(fstat(begun, &st), 0);
    assert_int_equal(st.st_size, strlen(JOURNAL_MAGIC));
    assert_int_equal(fstat(taken, &st), 0);
    assert_int_equal(st.st_size, 0);
    expect_start(s, "empty", 0);
    await_end(s, "empty");
}

static void
client_is_told_when_full(void **state)
{
    struct spool *s = *state;
    static char filler[REQUEST_MAX / 2];
    char *argv[] = {program, filler, NULL};
    struct request r = request_of("missing", argv);
    unsigned sent = 0;

    memset(filler, 'x', sizeof filler - 1);
    while (spawner_send(s->spawner, &r) == 0)
        assert_true(++sent < 100000);
    assert_int_equal(errno, EAGAIN);
    assert_true(sent > 0);
    for (unsigned i = 0; i < sent; i++) {
        struct request_answer answer;

        await_answer(s->spawner, &answer);
        assert_int_equal(answer.error, ENOENT);
    }
    assert_int_equal(spawner_send(s->spawner, &r), 0);
}

static void
client_is_told_when_the_spawner_is_gone(void **state)
{
    char *argv[] = {program, NULL};
    struct request r = request_of("missing", argv);
    struct spawner *spawner = spawner_start(runner_program(), "/nowhere/spool", NULL);
    struct request_answer answer;
    struct pollfd p;

    (void)state;
    assert_non_null(spawner);
    p = (struct pollfd){.fd = spawner_fd(spawner), .events = POLLIN};
    assert_int_equal(poll(&p, 1, WAIT_MS), 1);
    assert_int_equal(spawner_receive(spawner, &answer), -1);
    assert_int_equal(errno, EPIPE);
    assert_int_equal(spawner_send(spawner, &r), -1);
    assert_int_equal(errno, EPIPE);
    spawner_free(spawner);
    spawner_free(NULL);
    assert_null(spawner_start("/nowhere/hler-runner", "/tmp", NULL));
    assert_int_equal(errno, ENOENT);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(output_is_cut_well),
        cmocka_unit_test(good_lines),
        cmocka_unit_test(refused_but_framed),
        cmocka_unit_test(refused_without_framing),
        cmocka_unit_test(longest_field),
        cmocka_unit_test(last_line_is_found),
        cmocka_unit_test(text_is_made_clean),
        cmocka_unit_test_setup_teardown(client_starts_a_runner, spool_set_up, spool_tear_down),
        cmocka_unit_test_setup_teardown(client_starts_what_was_not_begun, spool_set_up,
                                        spool_tear_down),
        cmocka_unit_test_setup_teardown(client_is_told_when_full, spool_set_up, spool_tear_down),
        cmocka_unit_test(client_is_told_when_the_spawner_is_gone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
