/* Offers that nobody has claimed for a while.  The broker may have lost them, or they
 * wait behind others: only an empty queue, or a claim of a later one, tells. */
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "dispatcher/outbox.h"
#include "proto/names.h"

static const char check_sql[] = "SELECT pool FROM hler_core.pools_to_check($1::int)";
static const char again_sql[] =
    "SELECT pool, task, attempt, token, message, NULL AS control, NULL AS answers"
    " FROM hler_core.reoffer_due($1::int, $2::text[], $3::int)";

#define NUMBER_SIZE 24

/* Nothing of ours can be waiting there.  A queue that is missing costs the connection
 * when asked for, so one that is known to be is not asked for. */
static bool
is_empty(struct outbox *outbox, const char *pool)
{
    char queue[NAMES_SIZE];
    int64_t depth;

    if (outbox_pool_is_ill(outbox, pool))
        return true;
    depth = post_depth(outbox->post, names_task_queue(pool, queue));
    if (depth == -1)
        outbox_pool_suspect(outbox, pool);
    return depth == 0;
}

/* Of the pools with old offers, those with an empty queue, as an array. */
static enum flow_status
find_empty(struct outbox *outbox, const struct pg_param *age, struct buf *empty, bool *any)
{
    struct pg_result *result CLEANUP(pg_result_cleanup) = NULL;
    enum flow_status status = flow_exec(outbox->flow, check_sql, age, 1, &result);

    if (status != FLOW_OK)
        return status;
    pg_array_open(empty);
    for (size_t row = 0; row < pg_rows(result) && post_is_up(outbox->post); row++) {
        const char *pool = pg_get(result, row, "pool");

        if (is_empty(outbox, pool))
            pg_array_text(empty, pool, strlen(pool));
    }
    pg_array_close(empty);
    *any = pg_rows(result) > 0;
    return FLOW_OK;
}

enum flow_status
outbox_reoffer(struct outbox *outbox)
{
    struct pg_result *result CLEANUP(pg_result_cleanup) = NULL;
    struct buf empty CLEANUP(buf_free) = {0};
    char age[NUMBER_SIZE], max[NUMBER_SIZE];
    const struct pg_param age_param = {.value = age, .len = -1};
    enum flow_status status;
    size_t room = outbox_room(outbox), n;
    bool any = false;

    snprintf(age, sizeof age, "%lld", (long long)outbox->flow->settings->offer_wait_ms);
    snprintf(max, sizeof max, "%zu", room);
    status = find_empty(outbox, &age_param, &empty, &any);
    if (status != FLOW_OK || !any || room == 0)
        return status;
    status = flow_exec(outbox->flow, again_sql,
                       (const struct pg_param[]){age_param,
                                                 {.value = empty.data, .len = (int64_t)empty.len},
                                                 {.value = max, .len = -1}},
                       3, &result);
    if (status != FLOW_OK)
        return status;
    n = outbox_send_offers(outbox, result);
    if (n > 0)
        log_debug("offers=%zu: published again", n);
    return FLOW_OK;
}
