/* Acknowledgements that go together: each delivery is settled once, and none that is not done is taken along. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "worker/bridge/acks.h"

#define MANY 100

static void
expect(struct acks *acks, uint64_t tag, bool multiple)
{
    bool was_multiple;
    uint64_t got;

    assert_true(acks_next(acks, &got, &was_multiple));
    assert_int_equal(got, tag);
    assert_int_equal(was_multiple, multiple);
}

static void
expect_none(struct acks *acks)
{
    bool multiple;
    uint64_t tag;

    assert_false(acks_next(acks, &tag, &multiple));
    assert_int_equal(acks->n_done, 0);
}

/* Tags 1 to n. */
static struct acks
delivered(uint64_t n)
{
    struct acks acks = {0};

    for (uint64_t tag = 1; tag <= n; tag++)
        acks_add(&acks, tag);
    return acks;
}

static void
done(struct acks *acks, uint64_t first, uint64_t last)
{
    for (uint64_t tag = first; tag <= last; tag++)
        assert_true(acks_done(acks, tag));
}

static void
test_what_is_not_done_stays(void **state)
{
    struct acks acks = delivered(3);

    (void)state;
    expect_none(&acks);
    done(&acks, 2, 2);
    expect(&acks, 2, false);
    expect_none(&acks);
    done(&acks, 1, 1);
    expect(&acks, 1, false);
    done(&acks, 3, 3);
    expect(&acks, 3, false);
    assert_int_equal(acks.n, 0);
    acks_clear(&acks);
}

static void
test_all_before_an_unfinished_one_go_together(void **state)
{
    struct acks acks = delivered(6);

    (void)state;
    done(&acks, 1, 3);
    done(&acks, 5, 6);
    expect(&acks, 3, true);
    expect(&acks, 5, false); /* `multiple` would take 4 along */
    expect(&acks, 6, false);
    expect_none(&acks);
    assert_int_equal(acks.n, 1);
    acks_clear(&acks);
}

static void
test_what_is_given_back_is_in_nobodys_way(void **state)
{
    struct acks acks = delivered(4);

    (void)state;
    done(&acks, 2, 3);
    acks_forget(&acks, 1);
    acks_forget(&acks, 2);
    acks_forget(&acks, 7);
    expect(&acks, 3, false);
    expect_none(&acks);
    acks_clear(&acks);
}

static void
test_each_is_done_once(void **state)
{
    struct acks acks = delivered(2);

    (void)state;
    done(&acks, 1, 1);
    assert_false(acks_done(&acks, 1));
    assert_false(acks_done(&acks, 9));
    expect(&acks, 1, false);
    assert_false(acks_done(&acks, 1));
    expect_none(&acks);
    acks_clear(&acks);
    assert_false(acks_done(&acks, 2));
}

static void
test_a_tag_that_does_not_rise_is_left_out(void **state)
{
    struct acks acks = delivered(2);

    (void)state;
    acks_add(&acks, 2);
    acks_add(&acks, 1);
    done(&acks, 1, 2);
    expect(&acks, 2, true);
    expect_none(&acks);
    assert_int_equal(acks.n, 0);
    acks_clear(&acks);
}

static void
test_many(void **state)
{
    struct acks acks = delivered(MANY);

    (void)state;
    for (uint64_t tag = MANY; tag >= 1; tag--)
        done(&acks, tag, tag);
    expect(&acks, MANY, true);
    expect_none(&acks);
    acks_add(&acks, MANY + 1);
    done(&acks, MANY + 1, MANY + 1);
    expect(&acks, MANY + 1, false);
    acks_clear(&acks);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_not_done_stays),
        cmocka_unit_test(test_all_before_an_unfinished_one_go_together),
        cmocka_unit_test(test_what_is_given_back_is_in_nobodys_way),
        cmocka_unit_test(test_each_is_done_once),
        cmocka_unit_test(test_a_tag_that_does_not_rise_is_left_out),
        cmocka_unit_test(test_many),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
