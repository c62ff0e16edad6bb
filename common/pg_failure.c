/* What went wrong with PostgreSQL, and what that means for the caller. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/mem.h"
#include "common/pg_internal.h"

#define SQLSTATE_CLASS 2

void
pg_failure_clear(struct pg *pg)
{
    free(pg->failure.detail);
    free(pg->failure.hint);
    memset(&pg->failure, 0, sizeof pg->failure);
}

/* libpq's messages are several lines; the first says it. */
static void
first_line(char *out, size_t size, const char *text)
{
    snprintf(out, size, "%.*s", (int)strcspn(text, "\n"), text);
}

void
pg_failure_text(struct pg *pg, const char *sqlstate, const char *message)
{
    pg_failure_clear(pg);
    snprintf(pg->failure.sqlstate, sizeof pg->failure.sqlstate, "%s", sqlstate);
    first_line(pg->failure.message, sizeof pg->failure.message, message);
}

static bool
is_one_of(const char *sqlstate, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strncmp(sqlstate, list[i], strlen(list[i])) == 0)
            return true;
    return false;
}

enum pg_status
pg_failure_from(struct pg *pg, const PGresult *r)
{
    /* The server goes away, is a stand-by, or has no room for us (traps 3.4). */
    static const char *const down[] = {"08", "57P01", "57P02", "57P03", "25006", "53"};
    static const char *const again[] = {"40001", "40P01", "55P03", "57014"};
    const char *sqlstate = PQresultErrorField(r, PG_DIAG_SQLSTATE);
    const char *message = PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY);

    if (sqlstate == NULL) { /* libpq's own: the connection is gone */
        pg_failure_text(pg, "08006", PQresultErrorMessage(r));
        return pg_failure_down(pg);
    }
    pg_failure_text(pg, sqlstate, message != NULL ? message : "no message");
    pg->failure.detail = mem_dup(PQresultErrorField(r, PG_DIAG_MESSAGE_DETAIL));
    pg->failure.hint = mem_dup(PQresultErrorField(r, PG_DIAG_MESSAGE_HINT));
    if (is_one_of(sqlstate, down, ARRAY_LEN(down)))
        return pg_failure_down(pg);
    return is_one_of(sqlstate, again, ARRAY_LEN(again)) ? PG_RETRY : PG_ERROR;
}

/* What to do next, for the failures that an operator can mend. */
static const char *
remedy(const struct pg_failure *f)
{
    static const struct {
        const char *text, *remedy;
    } known[] = {
        {"password authentication failed", ": check the password in the dsn setting"},
        {"no password supplied", ": put the password into the dsn setting"},
        {"does not exist", ": create it, or correct the dsn setting"},
        {"no pg_hba.conf entry", ": the server does not admit this host and user"},
        {"Connection refused", ": is the server running there?"},
    };

    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (strstr(f->message, known[i].text) != NULL)
            return known[i].remedy;
    return "";
}

void
pg_failure_disconnect(struct pg *pg)
{
    while (pg->statements != NULL) {
        struct pg_statement *s = pg->statements;

        pg->statements = s->next;
        free(s->sql);
        free(s);
    }
    PQfinish(pg->conn);
    pg->conn = NULL;
}

enum pg_status
pg_failure_down(struct pg *pg)
{
    pg_failure_disconnect(pg);
    if (strcmp(pg->logged, pg->failure.message) != 0)
        log_warn("database=%s: down: %s%s", pg->application_name, pg->failure.message,
                 remedy(&pg->failure));
    memcpy(pg->logged, pg->failure.message, sizeof pg->logged);
    return PG_DOWN;
}
