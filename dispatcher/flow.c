/* What all flows share: thread, loop, end, and how they meet a database that is away. */
#include "dispatcher/flow.h"

#include <string.h>
#include <sys/random.h>

#include "common/log.h"
#include "common/loop.h"
#include "common/mem.h"
#include "common/thread.h"
#include "proto/limits.h"

#define CONFLICT_TRIES 5
#define BACKOFF_FIRST_MS 100
#define BACKOFF_MOST_MS 10000
#define BACKOFF_DOUBLINGS 7
#define CALL_TIMEOUT_MS 10000
#define CONFIRM_TIMEOUT_MS 60000
#define WINDOW_BYTES (4u * 1024u * 1024u)

static void
on_stop(void *ctx)
{
    struct flow *flow = ctx;

    flow->kind->stop(flow->self);
}

static void
on_nudge(void *ctx)
{
    struct flow *flow = ctx;

    flow->kind->nudged(flow->self);
}

static void
run(void *ctx)
{
    struct flow *flow = ctx;

    flow->self = flow->kind->open(flow);
    loop_run(flow->loop);
    flow->kind->close(flow->self);
    loop_wake(flow->home, flow->ended, flow);
}

void
flow_start(struct flow *flow)
{
    flow->name = mem_printf("hler-dispatcher %s %s", flow->settings->id, flow->kind->name);
    flow->loop = loop_new();
    flow->pg = pg_new(flow->settings->dsn, flow->name, (int)flow->settings->pg_timeout_ms);
    pg_keep_memory(flow->pg);
    flow->thread = thread_start(run, flow, flow->kind->name);
}

void
flow_stop(struct flow *flow)
{
    loop_wake(flow->loop, on_stop, flow);
}

void
flow_join(struct flow *flow)
{
    thread_join(flow->thread);
}

void
flow_free(struct flow *flow)
{
    pg_free(flow->pg);
    loop_free(flow->loop);
    mem_cleanup(&flow->name);
}

void
flow_nudge(const struct flow *flow)
{
    if (flow->nudges != NULL)
        loop_wake(flow->nudges->loop, on_nudge, flow->nudges);
}

/* True when the rows are to blame.  Everything else (a function that is missing, a
 * right that was not given, a full disk) would blame every message in turn: those
 * wait until a person has mended it. */
static bool
data_fault(const char *sqlstate)
{
    static const char *const classes[] = {"21", "22", "23", "54", "HL", "P0"};

    for (size_t i = 0; i < ARRAY_LEN(classes); i++)
        if (strncmp(sqlstate, classes[i], 2) == 0)
            return true;
    return false;
}

/* One line until the same statement works again. */
static void
note_ill(struct flow *flow, const char *sql)
{
    const struct pg_failure *failure = pg_error(flow->pg);

    if (strcmp(flow->ill, failure->sqlstate) == 0)
        return;
    flow->ill_sql = sql;
    memcpy(flow->ill, failure->sqlstate, sizeof flow->ill);
    log_err("flow=%s sqlstate=%s: the database refuses, waiting until it is mended: %s",
            flow->kind->name, failure->sqlstate, failure->message);
}

static void
note_well(struct flow *flow, const char *sql)
{
    if (flow->ill[0] == '\0' || flow->ill_sql != sql)
        return;
    flow->ill[0] = '\0';
    log_info("flow=%s: the database answers again", flow->kind->name);
}

enum flow_status
flow_exec(struct flow *flow, const char *sql, const struct pg_param *params, size_t n,
          struct pg_result **result)
{
    enum pg_status status = PG_RETRY;
    bool was_up = pg_is_up(flow->pg);

    for (int i = 0; i < CONFLICT_TRIES && status == PG_RETRY; i++)
        status = pg_exec(flow->pg, sql, params, n, result);
    if (!was_up && pg_is_up(flow->pg))
        loop_wake(flow->home, flow->connected, flow);
    switch (status) {
    case PG_OK:
        note_well(flow, sql);
        return FLOW_OK;
    case PG_DOWN:
    case PG_RETRY:
        return FLOW_LATER;
    case PG_ERROR:
        break;
    }
    if (data_fault(pg_error(flow->pg)->sqlstate))
        return FLOW_POISON;
    note_ill(flow, sql);
    return FLOW_LATER;
}

int
flow_send(struct flow *flow, const char *sql, const struct pg_param *params, size_t n)
{
    return pg_is_up(flow->pg) && pg_send(flow->pg, sql, params, n) == PG_OK ? 0 : -1;
}

int
flow_answer(struct flow *flow, const char *sql)
{
    if (pg_answer(flow->pg, NULL) != PG_OK)
        return -1;
    note_well(flow, sql);
    return 0;
}

const char *
flow_why(const struct flow *flow)
{
    return pg_error(flow->pg)->message;
}

int64_t
flow_backoff_ms(struct flow *flow)
{
    int64_t most = BACKOFF_FIRST_MS;
    uint32_t random = 0;

    if (flow->tries < BACKOFF_DOUBLINGS)
        most <<= flow->tries++;
    else
        most = BACKOFF_MOST_MS;
    if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
        return most; /* without jitter, then */
    return most / 2 + (int64_t)(random % (uint32_t)(most / 2));
}

void
flow_well(struct flow *flow)
{
    flow->tries = 0;
}

static const char *
or_null(const char *text)
{
    return text[0] != '\0' ? text : NULL;
}

struct mq_config
flow_mq_config(const struct flow *flow, const char *suffix, char **name)
{
    const struct preferences *s = flow->settings;

    *name = mem_printf("hler-dispatcher %s %s %s", s->id, flow->kind->name, suffix);
    return (struct mq_config){
        .host = s->host,
        .port = (int)s->port,
        .vhost = s->vhost,
        .user = s->user,
        .password = s->password,
        .ca_file = or_null(s->ca_file),
        .cert_file = or_null(s->cert_file),
        .key_file = or_null(s->key_file),
        .name = *name,
        .heartbeat_s = (int)s->heartbeat_s,
        .call_timeout_ms = CALL_TIMEOUT_MS,
        .confirm_timeout_ms = CONFIRM_TIMEOUT_MS,
        .window_bytes = WINDOW_BYTES,
        .max_body_bytes = LIMIT_MESSAGE_BYTES,
    };
}
