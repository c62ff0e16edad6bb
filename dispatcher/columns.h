#ifndef DISPATCHER_COLUMNS_H
#define DISPATCHER_COLUMNS_H

#include <stddef.h>

#include "common/buf.h"
#include "dispatcher/flow.h"

/* Rows as one array parameter a column, for functions that unnest() them: one
 * statement for a whole batch.  Open, fill with pg_array_*(), execute. */

#define COLUMNS_MAX 12

void columns_open(struct buf *columns, size_t n);
void columns_text(struct buf *column, const char *text); /* NULL = SQL NULL */

/* flow_exec() with these parameters; they are freed in any case. */
enum flow_status columns_exec(struct flow *flow, const char *sql, struct buf *columns, size_t n,
                              struct pg_result **result) MUST_CHECK;

#endif
