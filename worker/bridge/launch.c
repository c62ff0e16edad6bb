/* From a grant to a runner: the request to the spawner, and its answer.  Everything the
 * spool needs to go on after a restart lies in the attempt's directory before the spawner
 * is asked. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "worker/bridge/bridge.h"
#include "worker/bridge/environment.h"
#include "worker/bridge/program.h"
#include "worker/runner/request.h"
#include "worker/runner/spawner_client.h"

#define RESTART_MS 1000
#define PAUSE_MS 5000 /* after a start that failed for want of something */
#define LISTEN_MS 100

/* Take nothing new for a while: what could not start would come back at once. */
static void
pause_starts(struct bridge *b, const char *why)
{
    snprintf(b->note, sizeof b->note, "cannot start: %s", why);
    b->paused_until_ns = clock_mono_ns() + PAUSE_MS * CLOCK_MS_NS;
}

/* For how long a flood is to wait after its first words: where others begin, until they have said theirs.  Of fifty that
 * began at once the last was heard after 160 ms where each waited for 40, and after 66 like this. */
static int64_t
listen_ms(const struct bridge *b)
{
    return pace_is_on(&b->links[STREAM_BULK].pace, clock_mono_ns()) ? LISTEN_MS : 0;
}

/* Ask the spawner.  0; -1 with errno of spawner_send(), or EINVAL with *refusal. */
static int
ask(struct bridge *b, struct attempt *a, struct program_refusal *refusal)
{
    CLEANUP(program_free) struct program program = {0};
    CLEANUP(strings_free) struct strings env = {0};
    CLEANUP(mem_cleanup) char *dir = mem_printf("%s/%s", b->spool.path, a->text);
    const struct offer *o = &a->offer;
    struct request request = {.dir = a->text};

    if (program_make(&b->settings, &b->executors, o, &program, refusal) == -1) {
        errno = EINVAL;
        return -1;
    }
    if (program.argv.n > 0)
        environment_make(&b->settings, o, dir, &env);
    for (size_t i = 0; i < program.env.n; i++) {
        char *equals = strchr(program.env.items[i], '=');

        *equals = '\0';
        strings_set(&env, program.env.items[i], equals + 1);
    }
    request.cwd = program.cwd;
    request.argv = program.argv.items;
    request.envp = env.items;
    request.deadline_ms = o->deadline_ms;
    request.idle_ms = o->idle_ms;
    request.grace_ms =
        o->grace_ms > program.executor->grace_ms ? o->grace_ms : program.executor->grace_ms;
    request.lease_ms = o->repeatable ? o->lease_ms : 0;
    request.lease_from_ns = a->claimed_ns;
    request.listen_ms = listen_ms(b);
    request.output_bytes = (uint64_t)o->output_bytes;
    request.stop_signal = program.executor->stop_signal;
    request.stop_group = program.executor->stop_group;
    return spawner_send(b->launch.spawner, &request);
}

/* errno says why. */
static void
cannot_start(struct bridge *b, struct attempt *a, const char *what)
{
    char why[160];

    snprintf(why, sizeof why, "%s: %s", what, strerror(errno));
    pause_starts(b, why);
    closing_decline(b, a, why);
}

/* Ask, or note that it must be asked later. */
static void
try_ask(struct bridge *b, struct attempt *a)
{
    struct program_refusal refusal = {"", ""};

    if (b->launch.spawner == NULL)
        return;
    if (ask(b, a, &refusal) == 0) {
        a->asked = true;
        return;
    }
    if (errno == EAGAIN || errno == EPIPE)
        return; /* after the next answer, or from the next spawner */
    if (errno == EINVAL)
        closing_refuse(b, a, refusal.cause, refusal.message);
    else if (errno == E2BIG)
        closing_refuse(b, a, "spec_invalid", "arguments and environment are too long");
    else
        cannot_start(b, a, "no runner can be asked for");
}

void
launch_make_ahead(struct bridge *b)
{
    if (attempt_dir_make_ahead(&b->spool, &b->done) == -1)
        log_debug("spool=%s: no directory can be made ahead: %m", b->spool.path);
}

void
launch_start(struct bridge *b, struct attempt *a)
{
    attempt_set(&b->attempts, a, AT_STARTING);
    if (attempt_dir_take(&b->spool, &b->done, a) == -1) {
        cannot_start(b, a, "its directory cannot be made");
        return;
    }
    try_ask(b, a);
}

static void
ask_waiting(struct bridge *b)
{
    struct attempt *next;

    for (struct attempt *a = b->attempts.first; a != NULL; a = next) {
        next = a->next;
        if (a->state == AT_STARTING && !a->asked)
            try_ask(b, a);
    }
}

static void
started(struct bridge *b, const struct request_answer *answer)
{
    struct attempt_name name;
    struct attempt *a;

    a = ident_name_parse(answer->dir, &name) == 0 ? attempt_find(&b->attempts, &name) : NULL;
    if (a == NULL || a->state != AT_STARTING) {
        log_warn("spawner: answer for %s, which was not asked for", answer->dir);
        return;
    }
    if (answer->error == 0) {
        adopt_started(b, a);
        return;
    }
    errno = answer->error;
    cannot_start(b, a, "no runner could be started");
}

static void restart_soon(struct bridge *b);

static void
on_answer(void *ctx, uint32_t events)
{
    struct bridge *b = ctx;
    struct request_answer answer;

    (void)events;
    while (spawner_receive(b->launch.spawner, &answer) == 0)
        started(b, &answer);
    if (errno != EAGAIN)
        restart_soon(b);
    else
        ask_waiting(b);
}

static int
start_spawner(struct bridge *b)
{
    b->launch.spawner = spawner_start(b->settings.runner, b->spool.path, b->groups.path);
    if (b->launch.spawner == NULL)
        return log_errno(errno, "runner=%s: cannot be started: %m", b->settings.runner);
    b->launch.source = loop_add(b->loop, spawner_fd(b->launch.spawner), EPOLLIN, on_answer, b);
    return 0;
}

/* The spawner died.  What it was asked and did not answer is looked up in the spool, once
 * it is certain that it does nothing more. */
static void
on_restart(void *ctx)
{
    struct bridge *b = ctx;
    struct attempt *next;

    if (start_spawner(b) == -1) {
        loop_timer_set(b->launch.restart, RESTART_MS);
        return;
    }
    for (struct attempt *a = b->attempts.first; a != NULL; a = next) {
        next = a->next;
        if (a->state == AT_STARTING && a->asked)
            adopt_started(b, a);
    }
    ask_waiting(b);
}

static void
restart_soon(struct bridge *b)
{
    log_warn("spawner: it is gone; starting another");
    loop_remove(b->launch.source);
    spawner_free(b->launch.spawner);
    b->launch.source = NULL;
    b->launch.spawner = NULL;
    loop_timer_set(b->launch.restart, RESTART_MS);
}

int
launch_init(struct bridge *b)
{
    b->launch.restart = loop_timer_new(b->loop, on_restart, b);
    return start_spawner(b);
}

void
launch_free(struct bridge *b)
{
    loop_remove(b->launch.source);
    loop_timer_free(b->launch.restart);
    spawner_free(b->launch.spawner);
}
