#ifndef COMMON_PG_H
#define COMMON_PG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/attr.h"

/* PostgreSQL: the only module that knows libpq.  One struct pg is one connection,
 * used by one thread.  Calls wait for their answer, never longer than their deadline
 * (asynchronous API underneath: traps 3.4), and reconnect by themselves on the
 * next call after a loss.  One log line per change of state. */

struct pg;

struct pg_result; /* rows of one answer */

enum pg_status {
    PG_OK = 0,
    PG_DOWN,  /* not connected, lost, or timed out: nothing is known; try again later */
    PG_RETRY, /* 40001, 40P01, 55P03, 57014: this transaction, again */
    PG_ERROR  /* the statement is wrong for the data: see pg_error() */
};

/* dsn: libpq connection string.  Does not connect yet. */
struct pg *pg_new(const char *dsn, const char *application_name, int timeout_ms);
void pg_free(struct pg *pg);

enum pg_status pg_connect(struct pg *pg); /* PG_OK when already connected */
bool pg_is_up(const struct pg *pg);

/* Each later connection begins with this: the server's process keeps the memory of a transaction,
 * up to 8 MB, for the next.  For connections that carry batches.  The server's malloc gives what
 * is above 128 kB back after each and gets it anew page by page, which was half of the processor
 * time of a batch of output; a freed block raises that limit to twice its size (mallopt(3),
 * M_MMAP_THRESHOLD).  Under another malloc it does nothing. */
void pg_keep_memory(struct pg *pg);

int pg_socket(const struct pg *pg); /* -1 when down */

/* Text parameter; len < 0 = NUL-terminated; value NULL = SQL NULL; binary = bytea
 * bytes, or pg_items. */
struct pg_param {
    const char *value;
    int64_t len;
    bool binary;
};

/* Run one statement (prepared once per connection under its text) in a transaction of
 * its own.  *result (may be NULL pointer) gets the rows; pg_result_free() it. */
enum pg_status pg_exec(struct pg *pg, const char *sql, const struct pg_param *params, size_t n,
                       struct pg_result **result) MUST_CHECK;

/* pg_exec() in two halves, for who has something else to do meanwhile.  After PG_OK of pg_send()
 * the next call must be pg_answer(): it waits for the answer, no longer than the deadline that
 * began with the sending.  The socket is readable when something of it is there. */
enum pg_status pg_send(struct pg *pg, const char *sql, const struct pg_param *params,
                       size_t n) MUST_CHECK;
enum pg_status pg_answer(struct pg *pg, struct pg_result **result) MUST_CHECK;

/* A script of several statements without parameters (migrations). */
enum pg_status pg_script(struct pg *pg, const char *sql) MUST_CHECK;

/* About the last failure on this connection. */
struct pg_failure {
    char sqlstate[6];
    char message[512];
    char *detail; /* NULL or the DETAIL line; valid until the next call */
    char *hint;
};
const struct pg_failure *pg_error(const struct pg *pg);

size_t pg_rows(const struct pg_result *result);
/* Text of a column by name; NULL for SQL NULL.  Panics for a column that is not there. */
const char *pg_get(const struct pg_result *result, size_t row, const char *column);
size_t pg_len(const struct pg_result *result, size_t row, const char *column);
int64_t pg_get_int(const struct pg_result *result, size_t row, const char *column); /* NULL = 0 */
bool pg_get_bool(const struct pg_result *result, size_t row, const char *column);
void pg_result_free(struct pg_result *result);
void pg_result_cleanup(struct pg_result **result);

/* PostgreSQL array literals for unnest() parameters, built into a buf: "{" then
 * items then "}".  Item NULL = SQL NULL. */
struct buf;
void pg_array_open(struct buf *b);
void pg_array_text(struct buf *b, const char *item, size_t len);
void pg_array_int(struct buf *b, int64_t item);
void pg_array_close(struct buf *b);

/* The same in binary, for long items: nothing is escaped here and looked for there.  A parameter
 * with .binary. */
enum pg_item { PG_BYTEA = 17, PG_TEXT = 25 }; /* their numbers in pg_type */
void pg_items_open(struct buf *b, enum pg_item type);
void pg_items_add(struct buf *b, const void *item, size_t len); /* NULL = SQL NULL */

/* LISTEN: after each (re)connect the channel is listened to again and then
 * pg_notified() is true once, since hints may have been lost. */
void pg_listen(struct pg *pg, const char *channel);
/* Take in what has arrived without waiting; true when there was any notification of that channel. */
bool pg_notified(struct pg *pg);

/* What comes through other channels, to which a statement has listened, is for fn, from pg_notified().  NULL: a new
 * connection, which listens to none of them; from whatever call has connected, so fn makes none on it. */
typedef void pg_note_fn(void *ctx, const char *payload);
void pg_on_note(struct pg *pg, pg_note_fn *fn, void *ctx);

#endif
