/* The search for poison in a batch: what cannot be recorded is set aside, the rest is
 * recorded once, and a database that is away blames nobody. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "dispatcher/batch.h"

#define ITEMS 100

struct table {
    unsigned recorded[ITEMS]; /* by the number in the body */
    bool poison[ITEMS];
    size_t calls, away_from; /* calls from this one on find the database away; 0 = never */
};

static size_t
number(const struct item *item)
{
    return (size_t)(unsigned char)item->body[0];
}

static enum flow_status
record(void *ctx, struct item **items, size_t n)
{
    struct table *table = ctx;

    table->calls++;
    if (table->away_from != 0 && table->calls >= table->away_from)
        return FLOW_LATER;
    for (size_t i = 0; i < n; i++)
        if (table->poison[number(items[i])])
            return FLOW_POISON;
    for (size_t i = 0; i < n; i++) {
        table->recorded[number(items[i])]++;
        items[i]->work = WORK_DONE;
    }
    return FLOW_OK;
}

static void
fill(struct batch *batch)
{
    for (unsigned i = 0; i < ITEMS; i++) {
        char body[2] = {(char)i, '\0'};
        const struct mq_delivery delivery = {
            .tag = i + 1, .routing_key = "a.b", .body = body, .len = 1};

        batch_add(batch, "queue", &delivery)->work = WORK_OUTPUT;
    }
}

static enum flow_status
run(struct batch *batch, struct table *table, struct flow *flow)
{
    const struct batch_job job = {flow, WORK_OUTPUT, record, table};

    return batch_do(batch, &job);
}

static const struct flow_kind kind = {.name = "test"};

static void
test_poison(void **state)
{
    struct flow flow = {.kind = &kind, .pg = pg_new("", "test", 1000)};
    struct table table = {.poison = {[0] = true, [41] = true, [42] = true, [99] = true}};
    struct batch batch = {0};

    (void)state;
    fill(&batch);
    assert_int_equal(batch.last_tag, ITEMS);
    assert_int_equal(run(&batch, &table, &flow), FLOW_OK);
    for (size_t i = 0; i < ITEMS; i++) {
        assert_int_equal(table.recorded[i], table.poison[i] ? 0 : 1);
        assert_int_equal(batch.items[i]->work, table.poison[i] ? WORK_DEAD : WORK_DONE);
        if (table.poison[i])
            assert_int_equal(batch.items[i]->fault.reason, FAULT_NOT_RECORDABLE);
    }
    assert_true(table.calls < 4 * 2 * 7 + 1); /* not one by one */
    batch_free(&batch);
    pg_free(flow.pg);
}

static void
test_away_in_the_middle(void **state)
{
    struct flow flow = {.kind = &kind, .pg = pg_new("", "test", 1000)};
    struct table table = {.poison = {[99] = true}, .away_from = 3};
    struct batch batch = {0};

    (void)state;
    fill(&batch);
    assert_int_equal(run(&batch, &table, &flow), FLOW_LATER);
    for (size_t i = 0; i < ITEMS; i++)
        assert_int_not_equal(batch.items[i]->work, WORK_DEAD);
    table.away_from = 0;
    assert_int_equal(run(&batch, &table, &flow), FLOW_OK);
    for (size_t i = 0; i < ITEMS; i++)
        assert_int_equal(table.recorded[i], i == 99 ? 0 : 1);
    batch_free(&batch);
    pg_free(flow.pg);
}

static void
test_copy(void **state)
{
    char body[] = "body", key[] = "key";
    struct mq_delivery delivery = {
        .tag = 7, .routing_key = key, .user_id = "w1", .body = body, .len = 4};
    struct batch batch = {0};
    struct item *item = batch_add(&batch, "queue", &delivery);

    (void)state;
    memset(body, 'x', 4);
    memset(key, 'x', 3);
    assert_string_equal(item->body, "body");
    assert_string_equal(item->routing_key, "key");
    assert_string_equal(item->user, "w1");
    assert_null(item->reply_to);
    delivery.body = NULL;
    delivery.len = 5000000;
    item = batch_add(&batch, "queue", &delivery);
    assert_null(item->body);
    assert_int_equal(item->len, 5000000);
    assert_int_equal(batch.bytes, 4);
    batch_clear(&batch);
    assert_int_equal(batch.n, 0);
    assert_int_equal(batch.bytes, 0);
    batch_free(&batch);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_poison),
        cmocka_unit_test(test_away_in_the_middle),
        cmocka_unit_test(test_copy),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
