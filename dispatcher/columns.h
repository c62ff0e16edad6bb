#ifndef DISPATCHER_COLUMNS_H
#define DISPATCHER_COLUMNS_H

#include <stddef.h>

#include "common/buf.h"
#include "common/pg.h"
#include "dispatcher/flow.h"

/* Rows as one array parameter a column, for functions that unnest() them: one
 * statement for a whole batch.  Open, add to each column, execute. */

#define COLUMNS_MAX 12

struct column {
    struct buf array;
    bool binary;
};

void columns_open(struct column *columns, size_t n);
/* This one will have long items: columns_item() is for it, and nothing else. */
void columns_open_items(struct column *column, enum pg_item type);

void columns_text(struct column *column, const char *text); /* NULL = SQL NULL */
void columns_int(struct column *column, int64_t number);
void columns_item(struct column *column, const void *item, size_t len); /* NULL = SQL NULL */

/* flow_exec() with these parameters; they are freed in any case. */
enum flow_status columns_exec(struct flow *flow, const char *sql, struct column *columns, size_t n,
                              struct pg_result **result) MUST_CHECK;
/* flow_send() with them; freed as well. */
int columns_send(struct flow *flow, const char *sql, struct column *columns, size_t n) MUST_CHECK;

#endif
