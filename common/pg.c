/* One connection: connecting, running statements, listening.  Waiting is pg_wait.c,
 * verdicts are pg_failure.c, rows pg_result.c, array literals pg_array.c. */
#include "common/pg.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/pg_internal.h"

#define KEEP_MEMORY_SQL "SELECT pg_catalog.length(pg_catalog.repeat('x', 4 * 1024 * 1024))"

struct pg *
pg_new(const char *dsn, const char *application_name, int timeout_ms)
{
    struct pg *pg = mem_alloc(sizeof *pg);

    pg->dsn = mem_dup(dsn);
    pg->application_name = application_name;
    pg->timeout_ms = timeout_ms;
    return pg;
}

void
pg_free(struct pg *pg)
{
    if (pg == NULL)
        return;
    pg_failure_disconnect(pg);
    pg_failure_clear(pg);
    free(pg->channel);
    explicit_bzero(pg->dsn, strlen(pg->dsn)); /* it may hold a password */
    free(pg->dsn);
    free(pg);
}

void
pg_keep_memory(struct pg *pg)
{
    pg->keep_memory = true;
}

static int64_t
deadline(const struct pg *pg)
{
    return clock_mono_ns() + pg->timeout_ms * CLOCK_MS_NS;
}

/* Warnings are worth a line; notices ("relation exists, skipping") are not. */
static void
take_notice(void *ctx, const PGresult *notice)
{
    const struct pg *pg = ctx;
    const char *severity = PQresultErrorField(notice, PG_DIAG_SEVERITY_NONLOCALIZED);
    const char *text = PQresultErrorField(notice, PG_DIAG_MESSAGE_PRIMARY);

    if (severity == NULL || text == NULL)
        return;
    if (strcmp(severity, "WARNING") == 0)
        log_warn("database=%s: %s", pg->application_name, text);
    else
        log_debug("database=%s: %s", pg->application_name, text);
}

static void
must_be_free(const struct pg *pg)
{
    if (pg->answer_until_ns != 0)
        log_panic("pg: an answer was not taken");
}

/* One command outside the statement cache; NULL after filling the failure. */
static PGresult *
command(struct pg *pg, const char *sql)
{
    must_be_free(pg);
    if (PQsendQuery(pg->conn, sql) == 0) {
        pg_failure_text(pg, "08006", PQerrorMessage(pg->conn));
        return NULL;
    }
    return pg_wait_result(pg, deadline(pg));
}

static bool
succeeded(const PGresult *r)
{
    ExecStatusType s = PQresultStatus(r);

    return s == PGRES_COMMAND_OK || s == PGRES_TUPLES_OK;
}

/* A command whose answer says nothing but that it worked. */
static enum pg_status
do_command(struct pg *pg, const char *sql)
{
    PGresult *r = command(pg, sql);
    enum pg_status status = PG_OK;

    if (r == NULL)
        status = PG_DOWN;
    else if (!succeeded(r))
        status = pg_failure_from(pg, r);
    PQclear(r);
    return status == PG_DOWN ? pg_failure_down(pg) : status;
}

/* After each connect hints may have been missed: LISTEN, then say so (traps 3.3). */
static enum pg_status
listen_again(struct pg *pg)
{
    CLEANUP(mem_cleanup) char *sql = NULL;
    char *quoted;
    enum pg_status status;

    if (pg->channel == NULL)
        return PG_OK;
    quoted = PQescapeIdentifier(pg->conn, pg->channel, strlen(pg->channel));
    if (quoted == NULL)
        log_panic("pg: channel name %s", pg->channel);
    sql = mem_printf("LISTEN %s", quoted);
    PQfreemem(quoted);
    status = do_command(pg, sql);
    if (status == PG_OK)
        pg->notified = true;
    return status;
}

static enum pg_status
begin_session(struct pg *pg)
{
    enum pg_status status = pg->keep_memory ? do_command(pg, KEEP_MEMORY_SQL) : PG_OK;

    if (pg->on_note != NULL)
        pg->on_note(pg->note_ctx, NULL);
    return status == PG_OK ? listen_again(pg) : status;
}

enum pg_status
pg_connect(struct pg *pg)
{
    /* Later ones win: the dsn may choose all but our name and encoding. */
    const char *keywords[] = {"connect_timeout",  "keepalives_idle",  "keepalives_interval",
                              "keepalives_count", "tcp_user_timeout", "dbname",
                              "application_name", "client_encoding",  NULL};
    const char *values[] = {"10",   "30", "10", "3", "30000", pg->dsn, pg->application_name,
                            "UTF8", NULL};

    if (pg->conn != NULL)
        return PG_OK;
    pg->conn = PQconnectStartParams(keywords, values, 1);
    if (pg->conn == NULL)
        log_panic("pg: out of memory");
    if (PQstatus(pg->conn) == CONNECTION_BAD) {
        pg_failure_text(pg, "08001", PQerrorMessage(pg->conn));
        return pg_failure_down(pg);
    }
    if (pg_wait_connect(pg, deadline(pg)) == -1 || PQsetnonblocking(pg->conn, 1) == -1)
        return pg_failure_down(pg);
    PQsetNoticeReceiver(pg->conn, take_notice, pg);
    if (begin_session(pg) != PG_OK)
        return pg->conn == NULL ? PG_DOWN : pg_failure_down(pg);
    pg->logged[0] = '\0';
    log_info("database=%s: up", pg->application_name);
    return PG_OK;
}

bool
pg_is_up(const struct pg *pg)
{
    return pg->conn != NULL;
}

int
pg_socket(const struct pg *pg)
{
    return pg->conn != NULL ? PQsocket(pg->conn) : -1;
}

/* Take the answer to what was just sent; *out (not NULL) only on success. */
static enum pg_status
take_answer(struct pg *pg, int64_t until_ns, PGresult **out)
{
    PGresult *r = pg_wait_result(pg, until_ns);
    enum pg_status s;

    if (r == NULL)
        return pg_failure_down(pg);
    if (succeeded(r)) {
        *out = r;
        return PG_OK;
    }
    s = pg_failure_from(pg, r);
    PQclear(r);
    return s;
}

/* The statement prepared under this text, preparing it when this connection has not. */
static enum pg_status
prepare(struct pg *pg, const char *sql, size_t n, const char **name)
{
    struct pg_statement *s = pg->statements;
    PGresult *r = NULL;
    enum pg_status status;

    while (s != NULL && strcmp(s->sql, sql) != 0)
        s = s->next;
    if (s != NULL) {
        *name = s->name;
        return PG_OK;
    }
    s = mem_alloc(sizeof *s);
    snprintf(s->name, sizeof s->name, "s%u", pg->statement_count++);
    if (PQsendPrepare(pg->conn, s->name, sql, (int)n, NULL) == 0) {
        free(s);
        pg_failure_text(pg, "08006", PQerrorMessage(pg->conn));
        return pg_failure_down(pg);
    }
    status = take_answer(pg, deadline(pg), &r);
    PQclear(r);
    if (status != PG_OK) {
        free(s);
        return status;
    }
    s->sql = mem_dup(sql);
    s->next = pg->statements;
    pg->statements = s;
    *name = s->name;
    return PG_OK;
}

static int
send_prepared(struct pg *pg, const char *name, const struct pg_param *params, size_t n)
{
    CLEANUP(mem_cleanup) const char **values = mem_alloc((n + 1) * sizeof *values);
    CLEANUP(mem_cleanup) int *lengths = mem_alloc((n + 1) * sizeof *lengths);
    CLEANUP(mem_cleanup) int *formats = mem_alloc((n + 1) * sizeof *formats);

    for (size_t i = 0; i < n; i++) {
        values[i] = params[i].value;
        lengths[i] = params[i].binary ? (int)params[i].len : 0;
        formats[i] = params[i].binary ? 1 : 0;
    }
    return PQsendQueryPrepared(pg->conn, name, (int)n, values, lengths, formats, 0);
}

/* libpq takes text up to its NUL, whatever its length is said to be: say so instead of
 * storing less than was meant. */
static bool
has_nul(const struct pg_param *params, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!params[i].binary && params[i].value != NULL && params[i].len >= 0 &&
            memchr(params[i].value, '\0', (size_t)params[i].len) != NULL)
            return true;
    return false;
}

enum pg_status
pg_send(struct pg *pg, const char *sql, const struct pg_param *params, size_t n)
{
    const char *name = NULL;
    enum pg_status status;

    must_be_free(pg);
    status = pg_connect(pg);
    if (status == PG_OK)
        status = prepare(pg, sql, n, &name);
    if (status != PG_OK)
        return status;
    if (has_nul(params, n)) {
        pg_failure_text(pg, "22021", "a text parameter holds a NUL");
        return PG_ERROR;
    }
    if (send_prepared(pg, name, params, n) == 0) {
        pg_failure_text(pg, "08006", PQerrorMessage(pg->conn));
        return pg_failure_down(pg);
    }
    pg->answer_until_ns = deadline(pg);
    if (pg_wait_flush(pg, pg->answer_until_ns) == 0)
        return PG_OK;
    pg->answer_until_ns = 0;
    return pg_failure_down(pg);
}

enum pg_status
pg_answer(struct pg *pg, struct pg_result **result)
{
    PGresult *r = NULL;
    enum pg_status status = take_answer(pg, pg->answer_until_ns, &r);

    pg->answer_until_ns = 0;
    if (result != NULL)
        *result = NULL;
    if (status == PG_OK && result != NULL) {
        *result = mem_alloc(sizeof **result);
        (*result)->rows = r;
        return PG_OK;
    }
    PQclear(r);
    return status;
}

enum pg_status
pg_exec(struct pg *pg, const char *sql, const struct pg_param *params, size_t n,
        struct pg_result **result)
{
    enum pg_status status = pg_send(pg, sql, params, n);

    if (status == PG_OK)
        return pg_answer(pg, result);
    if (result != NULL)
        *result = NULL;
    return status;
}

enum pg_status
pg_script(struct pg *pg, const char *sql)
{
    PGresult *r = NULL;
    enum pg_status status;

    must_be_free(pg);
    status = pg_connect(pg);
    if (status != PG_OK)
        return status;
    if (PQsendQuery(pg->conn, sql) == 0) {
        pg_failure_text(pg, "08006", PQerrorMessage(pg->conn));
        return pg_failure_down(pg);
    }
    status = take_answer(pg, deadline(pg), &r);
    /* COMMIT of a failed transaction "succeeds" with the tag ROLLBACK (traps 3.4). */
    if (status == PG_OK && strcmp(PQcmdStatus(r), "ROLLBACK") == 0) {
        pg_failure_text(pg, "25P02", "the transaction was rolled back");
        status = PG_ERROR;
    }
    PQclear(r);
    return status;
}

const struct pg_failure *
pg_error(const struct pg *pg)
{
    return &pg->failure;
}

void
pg_listen(struct pg *pg, const char *channel)
{
    free(pg->channel);
    pg->channel = mem_dup(channel);
    if (pg->conn != NULL && listen_again(pg) != PG_OK && pg->conn != NULL)
        (void)pg_failure_down(pg);
}

void
pg_on_note(struct pg *pg, pg_note_fn *fn, void *ctx)
{
    pg->on_note = fn;
    pg->note_ctx = ctx;
}

bool
pg_notified(struct pg *pg)
{
    PGnotify *n;
    bool any;

    if (pg->conn != NULL && PQconsumeInput(pg->conn) == 0) {
        pg_failure_text(pg, "08006", PQerrorMessage(pg->conn));
        (void)pg_failure_down(pg);
    }
    while (pg->conn != NULL && (n = PQnotifies(pg->conn)) != NULL) {
        if (pg->on_note != NULL && (pg->channel == NULL || strcmp(n->relname, pg->channel) != 0))
            pg->on_note(pg->note_ctx, n->extra);
        else
            pg->notified = true;
        PQfreemem(n);
    }
    any = pg->notified;
    pg->notified = false;
    return any;
}
