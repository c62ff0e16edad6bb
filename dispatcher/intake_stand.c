/* Claims that workers make ahead: noted in the tables, where the outbox finds them. */
#include "common/buf.h"
#include "dispatcher/columns.h"
#include "dispatcher/intake.h"

static const char sql[] =
    "SELECT hler_core.stand($1::text[], $2::uuid[], $3::uuid[], $4::bigint[], $5::int[])";

enum { USERS, INSTANCES, SESSIONS, CLAIMS, FREE, COLUMNS };

enum flow_status
intake_stand(void *ctx, struct item **items, size_t n)
{
    struct intake *in = ctx;
    struct column columns[COLUMNS];
    enum flow_status status;

    columns_open(columns, COLUMNS);
    for (size_t i = 0; i < n; i++) {
        columns_text(&columns[USERS], items[i]->user);
        columns_text(&columns[INSTANCES], items[i]->claim->instance);
        columns_text(&columns[SESSIONS], items[i]->claim->session);
        columns_int(&columns[CLAIMS], items[i]->claim->number);
        columns_int(&columns[FREE], items[i]->claim->free);
    }
    status = columns_exec(in->flow, sql, columns, COLUMNS, NULL);
    for (size_t i = 0; status == FLOW_OK && i < n; i++)
        items[i]->work = WORK_DONE;
    return status;
}
