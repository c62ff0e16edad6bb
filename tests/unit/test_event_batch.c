/* Batches of events as a dispatcher reads them, against proto/vectors/event_batch_read.json. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "proto/event.h"
#include "proto/event_batch.h"
#include "tests/unit/vectors.h"

#define VECTORS "proto/vectors/event_batch_read.json"

static unsigned wrong;

/* "ok", or the reason for which the event is set aside. */
static const char *
judge(const struct vector *v, const struct event_piece *piece)
{
    const struct event_delivery delivery = {v->user, v->routing_key, piece->body, piece->len};
    struct fault fault = {0};
    struct event event;

    if (event_decode(&delivery, &event, &fault) == -1)
        return fault_reason_name(fault.reason);
    event_free(&event);
    return "ok";
}

static void
check(const struct vector *v)
{
    struct event_piece pieces[LIMIT_BATCH_EVENTS];
    struct fault fault = {0};
    struct buf found = {0};
    const char *expected = v->reason != NULL ? v->reason : v->events;
    int n;

    /* In memory of just its size: it need not end with a NUL. */
    char *body = malloc(v->len > 0 ? v->len : 1);

    if (body == NULL || v->body == NULL || expected == NULL) {
        wrong++;
        free(body);
        return;
    }
    memcpy(body, v->body, v->len);
    assert_true(event_batch_is(body, v->len));
    n = event_batch_split(body, v->len, pieces, &fault);
    buf_puts(&found, n == -1 ? fault_reason_name(fault.reason) : "");
    for (int i = 0; i < n; i++)
        buf_printf(&found, i > 0 ? " %s" : "%s", judge(v, &pieces[i]));
    if (found.data == NULL || strcmp(found.data, expected) != 0 ||
        (n == -1) != (v->reason != NULL) || (n == -1 && fault.text[0] == '\0')) {
        print_error("%s: expected %s, got %s (%s)\n", v->name, expected, found.data, fault.text);
        wrong++;
    }
    buf_free(&found);
    free(body);
}

static void
test_vectors(void **state)
{
    (void)state;
    wrong = 0;
    assert_true(vectors_each(VECTORS, check) >= 40);
    assert_int_equal(wrong, 0);
}

static void
test_what_is_none(void **state)
{
    (void)state;
    assert_false(event_batch_is(NULL, 2000000));
    assert_false(event_batch_is("", 0));
    assert_false(event_batch_is("{}", 2));
    assert_false(event_batch_is(" \n", 2));
    assert_false(event_batch_is("\xef\xbb\xbf[", 4)); /* a byte order mark */
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_what_is_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
