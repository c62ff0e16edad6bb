#ifndef COMMON_PG_INTERNAL_H
#define COMMON_PG_INTERNAL_H

/* What the pg_*.c files share; nobody else includes it. */

#include <libpq-fe.h>
#include <stdint.h>

#include "common/pg.h"

struct pg_statement {
    char *sql;
    char name[16];
    struct pg_statement *next;
};

struct pg {
    char *dsn;
    const char *application_name;
    int timeout_ms;
    PGconn *conn;     /* NULL while down */
    char logged[512]; /* the reason of being down that was logged; "" = up, or nothing yet */
    bool notified;
    pg_note_fn *on_note; /* NULL = nobody wants any */
    void *note_ctx;
    bool keep_memory;
    char *channel;                   /* listened to; NULL = none */
    struct pg_statement *statements; /* prepared on this connection */
    unsigned statement_count;
    int64_t answer_until_ns; /* of the statement that was sent; 0 = none is */
    struct pg_failure failure;
};

struct pg_result {
    PGresult *rows;
};

/* pg_wait.c: everything that waits, each with an absolute deadline (CLOCK_MONOTONIC ns). */
int pg_wait_connect(struct pg *pg, int64_t deadline_ns); /* 0 or -1 (failure filled) */
int pg_wait_flush(struct pg *pg, int64_t deadline_ns);   /* 0 or -1 */
/* The last result of the command in progress (an error result wins); NULL = lost or late. */
PGresult *pg_wait_result(struct pg *pg, int64_t deadline_ns);

/* pg_failure.c */
void pg_failure_clear(struct pg *pg);
void pg_failure_text(struct pg *pg, const char *sqlstate, const char *message);
enum pg_status pg_failure_from(struct pg *pg, const PGresult *r); /* classified by SQLSTATE */
void pg_failure_disconnect(struct pg *pg);                        /* without a word */
/* Drop the connection; one log line unless it says what the last one said. */
enum pg_status pg_failure_down(struct pg *pg);

#endif
