/* Claims: one compare-and-set for all of a batch, then an answer to each message.
 * Nothing runs without a grant (design section 2, rule 3). */
#include <string.h>

#include "common/buf.h"
#include "common/log.h"
#include "common/mem.h"
#include "dispatcher/columns.h"
#include "dispatcher/intake.h"
#include "proto/names.h"

static const char sql[] =
    "SELECT n, task, attempt, token, verdict FROM hler_core.grant_claims($1::int[], $2::text[],"
    " $3::uuid[], $4::uuid[], $5::uuid[], $6::int[], $7::text[])";

enum { N, USERS, INSTANCES, SESSIONS, TASKS, ATTEMPTS, TOKENS, COLUMNS };

static void
add_claim(struct column columns[COLUMNS], size_t n, const struct item *item)
{
    const struct claim *claim = item->claim;

    for (size_t i = 0; i < claim->n; i++) {
        const struct attempt_name *name = &claim->attempts[i];

        columns_int(&columns[N], (int64_t)n);
        columns_text(&columns[USERS], item->user);
        columns_text(&columns[INSTANCES], claim->instance);
        columns_text(&columns[SESSIONS], claim->session);
        columns_text(&columns[TASKS], name->task);
        columns_int(&columns[ATTEMPTS], name->attempt);
        columns_text(&columns[TOKENS], name->token);
    }
}

static enum flow_status
grant(struct flow *flow, struct item **items, size_t n, struct pg_result **result)
{
    struct column columns[COLUMNS];

    columns_open(columns, COLUMNS);
    for (size_t i = 0; i < n; i++)
        add_claim(columns, i, items[i]);
    return columns_exec(flow, sql, columns, COLUMNS, result);
}

/* Put one row into the answer to its claim. */
static void
add_row(struct intake *in, const struct pg_result *result, size_t row, struct answer *answer)
{
    struct answer_item *item = &answer->items[answer->n];

    if (answer->n == LIMIT_CLAIMS ||
        verdict_parse(pg_get(result, row, "verdict"), &item->verdict) == -1)
        log_panic("grant_claims: %s is no verdict", pg_get(result, row, "verdict"));
    memcpy(item->name.task, pg_get(result, row, "task"), UUID_TEXT_SIZE);
    item->name.attempt = (int32_t)pg_get_int(result, row, "attempt");
    memcpy(item->name.token, pg_get(result, row, "token"), TOKEN_TEXT_SIZE);
    answer->n++;
    if (item->verdict == VERDICT_GRANTED) {
        atomic_fetch_add(&in->flow->counters->granted, 1);
        in->moved = true;
    } else {
        atomic_fetch_add(&in->flow->counters->refused, 1);
    }
}

static void
send_answer(struct intake *in, const struct item *item, struct answer *answer)
{
    struct buf body CLEANUP(buf_free) = {0};

    memcpy(answer->session, item->claim->session, sizeof answer->session);
    answer->claim = item->claim->number;
    answer_encode(answer, &body);
    post_send(in->post,
              &(struct mq_message){.exchange = "",
                                   .routing_key = item->reply_to,
                                   .content_type = NAMES_JSON,
                                   .type = NAMES_TYPE_ANSWER,
                                   .body = body.data,
                                   .len = body.len,
                                   .mandatory = true},
              &(struct parcel_label){.name = item->user, .keep = true});
}

enum flow_status
intake_claims(void *ctx, struct item **items, size_t n)
{
    struct pg_result *result CLEANUP(pg_result_cleanup) = NULL;
    struct intake *in = ctx;
    struct answer *answers;
    enum flow_status status = grant(in->flow, items, n, &result);

    if (status != FLOW_OK)
        return status;
    answers = mem_alloc(n * sizeof *answers);
    for (size_t row = 0; row < pg_rows(result); row++)
        add_row(in, result, row, &answers[pg_get_int(result, row, "n")]);
    for (size_t i = 0; i < n; i++) {
        send_answer(in, items[i], &answers[i]);
        items[i]->work = WORK_DONE;
    }
    mem_cleanup(&answers);
    return FLOW_OK;
}
