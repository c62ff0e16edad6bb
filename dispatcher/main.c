/* hler-dispatcher: reads its settings, waits for tables that fit, runs the flows, and
 * ends them on SIGTERM. */
#include <getopt.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/config.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/resident.h"
#include "dispatcher/clock_flow.h"
#include "dispatcher/intake.h"
#include "dispatcher/outbox.h"
#include "dispatcher/output.h"
#include "dispatcher/schema.h"

#define END_WAIT_MS 4500
#define SCHEMA_RETRY_MS 1000
#define SETTLE_MS 2000
#define USAGE_EXIT 2
#define ARENAS 2 /* of malloc: few threads, little memory */
/* What a batch of output takes is kept for the next, in large blocks and small ones: to give it back and have it
 * again, page by page, took half of the flow's time.  What is larger goes back to the system. */
#define KEPT_BYTES (4 * 1024 * 1024)

enum { OUTBOX, INTAKE, OUTPUT, CLOCK, FLOWS };

struct program {
    struct preferences settings;
    struct counters counters;
    struct loop *loop;
    struct pg *pg; /* for the check at the start only */
    struct loop_timer *start, *settle, *end;
    enum schema_state schema;
    struct flow flows[FLOWS];
    size_t n_started, n_ended;
    bool ending;
};

static const char usage[] =
    "Usage: hler-dispatcher [--config FILE] [--check | --print-config]\n"
    "\n"
    "Takes operations from PostgreSQL, offers their tasks over RabbitMQ, and records\n"
    "what the workers report.\n"
    "\n"
    "  --config FILE   settings; without it, the defaults\n"
    "  --check         read the settings, say what is wrong with them, and end\n"
    "  --print-config  write every setting and what it means, and end\n"
    "  --version       write the version, and end\n"
    "\n"
    "Exit status: 0 ended on request, 2 usage, 78 wrong settings.\n";

struct options {
    const char *config;
    bool check, print;
};

/* Connecting took libraries that work does not need. */
static void
on_settled(void *ctx)
{
    (void)ctx;
    resident_release();
}

static void
on_flow_connected(void *ctx)
{
    const struct flow *flow = ctx;
    const struct program *p = flow->program;

    loop_timer_set(p->settle, SETTLE_MS);
}

static void
on_flow_ended(void *ctx)
{
    const struct flow *flow = ctx;
    struct program *p = flow->program;

    if (++p->n_ended == p->n_started)
        loop_stop(p->loop);
}

static void
start_flows(struct program *p)
{
    static const struct flow_kind *const kinds[FLOWS] = {
        [OUTBOX] = &outbox_kind,
        [INTAKE] = &intake_kind,
        [OUTPUT] = &output_kind,
        [CLOCK] = &clock_flow_kind,
    };

    for (size_t i = 0; i < FLOWS; i++) {
        struct flow *flow = &p->flows[i];

        flow->kind = kinds[i];
        flow->settings = &p->settings;
        flow->counters = &p->counters;
        flow->nudges = i == INTAKE || i == CLOCK ? &p->flows[OUTBOX] : NULL;
        flow->home = p->loop;
        flow->connected = on_flow_connected;
        flow->ended = on_flow_ended;
        flow->program = p;
        flow_start(flow);
        p->n_started++;
    }
    log_info("id=%s version=%s: running", p->settings.id, HLER_VERSION);
}

static void
on_start(void *ctx)
{
    struct program *p = ctx;

    if (schema_check(p->pg, &p->schema) != SCHEMA_FITS) {
        loop_timer_set(p->start, SCHEMA_RETRY_MS);
        return;
    }
    pg_free(p->pg);
    p->pg = NULL;
    start_flows(p);
}

/* Nothing is lost when a flow does not end in time: what is not acked comes again. */
static void
on_too_late(void *ctx)
{
    const struct program *p = ctx;

    log_warn("flows=%zu: still busy, ending without them", p->n_started - p->n_ended);
    _exit(EXIT_SUCCESS);
}

static void
on_end(void *ctx)
{
    struct program *p = ctx;

    if (p->ending)
        return;
    p->ending = true;
    log_info("id=%s: ending", p->settings.id);
    loop_timer_stop(p->start);
    if (p->n_started == 0) {
        loop_stop(p->loop);
        return;
    }
    loop_timer_set(p->end, END_WAIT_MS);
    for (size_t i = 0; i < p->n_started; i++)
        flow_stop(&p->flows[i]);
}

static void
free_flows(struct program *p)
{
    for (size_t i = 0; i < p->n_started; i++)
        flow_join(&p->flows[i]);
    for (size_t i = 0; i < p->n_started; i++)
        flow_free(&p->flows[i]);
}

static void
run(struct program *p)
{
    mallopt(M_ARENA_MAX, ARENAS);
    mallopt(M_MMAP_THRESHOLD, KEPT_BYTES);
    mallopt(M_TRIM_THRESHOLD, KEPT_BYTES);
    p->loop = loop_new();
    loop_signal(p->loop, SIGTERM, on_end, p);
    loop_signal(p->loop, SIGINT, on_end, p);
    p->pg = pg_new(p->settings.dsn, "hler-dispatcher start", (int)p->settings.pg_timeout_ms);
    p->start = loop_timer_new(p->loop, on_start, p);
    p->settle = loop_timer_new(p->loop, on_settled, p);
    p->end = loop_timer_new(p->loop, on_too_late, p);
    loop_timer_set(p->start, 0);
    loop_run(p->loop);
    free_flows(p);
    pg_free(p->pg);
    loop_timer_free(p->start);
    loop_timer_free(p->settle);
    loop_timer_free(p->end);
    loop_free(p->loop);
}

/* -1 to go on, else the exit status. */
static int
read_options(int argc, char **argv, struct options *out)
{
    static const struct option known[] = {
        {"config", required_argument, NULL, 'c'}, {"check", no_argument, NULL, 'k'},
        {"print-config", no_argument, NULL, 'p'}, {"version", no_argument, NULL, 'v'},
        {"help", no_argument, NULL, 'h'},         {NULL, 0, NULL, 0},
    };
    int c;

    while ((c = getopt_long(argc, argv, "c:h", known, NULL)) != -1) {
        switch (c) {
        case 'c':
            out->config = optarg;
            break;
        case 'k':
            out->check = true;
            break;
        case 'p':
            out->print = true;
            break;
        case 'v':
            puts("hler-dispatcher " HLER_VERSION);
            return EXIT_SUCCESS;
        case 'h':
            fputs(usage, stdout);
            return EXIT_SUCCESS;
        default:
            fputs(usage, stderr);
            return USAGE_EXIT;
        }
    }
    if (optind == argc)
        return -1;
    fprintf(stderr, "hler-dispatcher: %s: unexpected\n%s", argv[optind], usage);
    return USAGE_EXIT;
}

int
main(int argc, char **argv)
{
    struct program p = {0};
    struct options options = {0};
    int status = read_options(argc, argv, &options);

    if (status != -1)
        return status;
    loop_block_signals();
    if (preferences_load(options.config, &p.settings) > 0) {
        preferences_free(&p.settings);
        return CONFIG_EXIT;
    }
    log_open("hler-dispatcher", preferences_log_level(&p.settings));
    if (options.print)
        preferences_print(stdout, &p.settings);
    else if (!options.check)
        run(&p);
    preferences_free(&p.settings);
    return EXIT_SUCCESS;
}
