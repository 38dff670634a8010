/* The buckets behind a shard's limits, with a clock of our own. */
#include "base/limit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define MIB (1u << 20)

static uint64_t ms(uint64_t count)
{
    return count * 1000000;
}

static void gives_one_seconds_worth_at_once_and_no_more(void **state)
{
    struct mr_bucket bucket = {0};
    (void)state;

    for (int i = 0; i < 1000; i++)
        assert_true(mr_bucket_take(&bucket, ms(5), 1000, 1));
    assert_false(mr_bucket_take(&bucket, ms(5), 1000, 1));
}

static void fills_with_time(void **state)
{
    struct mr_bucket bucket = {0};
    (void)state;

    assert_true(mr_bucket_take(&bucket, ms(0), 1000, 1000));
    assert_false(mr_bucket_take(&bucket, ms(9), 1000, 10));
    assert_true(mr_bucket_take(&bucket, ms(10), 1000, 10));
    assert_false(mr_bucket_take(&bucket, ms(10), 1000, 1));
}

static void never_holds_more_than_a_second(void **state)
{
    struct mr_bucket bucket = {0};
    uint64_t taken = 0;
    (void)state;

    assert_true(mr_bucket_take(&bucket, ms(0), 1000, 1));
    while (mr_bucket_take(&bucket, ms(3600000), 1000, 1))
        taken++;
    assert_int_equal(taken, 1000);
}

static void refusing_takes_nothing(void **state)
{
    struct mr_bucket bucket = {0};
    (void)state;

    assert_true(mr_bucket_take(&bucket, ms(0), 1000, 600));
    for (int i = 0; i < 10; i++)
        assert_false(mr_bucket_take(&bucket, ms(0), 1000, 401));
    assert_true(mr_bucket_take(&bucket, ms(0), 1000, 400));
}

static void lets_a_large_record_through_when_full_and_is_paid_back(void **state)
{
    struct mr_bucket bucket = {0};
    (void)state;

    assert_true(mr_bucket_take(&bucket, ms(0), MIB, 10 * MIB));
    assert_false(mr_bucket_take(&bucket, ms(8999), MIB, 1));
    assert_true(mr_bucket_take(&bucket, ms(9001), MIB, 1));
    assert_false(mr_bucket_take(&bucket, ms(9002), MIB, 10 * MIB)); /* not full */
    assert_true(mr_bucket_take(&bucket, ms(11000), MIB, 10 * MIB));
}

static void gives_back_what_was_taken(void **state)
{
    struct mr_bucket bucket = {0};
    (void)state;

    assert_true(mr_bucket_take(&bucket, ms(1), 10, 10));
    mr_bucket_return(&bucket, 10, 4);
    assert_true(mr_bucket_take(&bucket, ms(1), 10, 4));
    assert_false(mr_bucket_take(&bucket, ms(1), 10, 1));
}

static void a_rate_of_zero_is_no_limit(void **state)
{
    struct mr_bucket bucket = {0};
    (void)state;

    for (int i = 0; i < 100; i++) {
        assert_true(mr_bucket_take(&bucket, 0, 0, UINT32_MAX));
        assert_true(mr_bucket_has_some(&bucket, 0, 0));
        mr_bucket_charge(&bucket, 0, 0, UINT32_MAX);
        mr_bucket_return(&bucket, 0, UINT32_MAX);
    }
    assert_int_equal(bucket.full_at_ns, 0);
}

static void a_large_read_makes_the_next_ones_wait(void **state)
{
    struct mr_bucket bucket = {0};
    (void)state;

    assert_true(mr_bucket_has_some(&bucket, ms(0), 2 * MIB));
    mr_bucket_charge(&bucket, ms(0), 2 * MIB, 10 * MIB); /* five seconds' worth */
    assert_false(mr_bucket_has_some(&bucket, ms(3999), 2 * MIB));
    assert_true(mr_bucket_has_some(&bucket, ms(4001), 2 * MIB));
    mr_bucket_charge(&bucket, ms(4001), 2 * MIB, 1 * MIB);
    assert_false(mr_bucket_has_some(&bucket, ms(4002), 2 * MIB));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_one_seconds_worth_at_once_and_no_more),
        cmocka_unit_test(fills_with_time),
        cmocka_unit_test(never_holds_more_than_a_second),
        cmocka_unit_test(refusing_takes_nothing),
        cmocka_unit_test(lets_a_large_record_through_when_full_and_is_paid_back),
        cmocka_unit_test(gives_back_what_was_taken),
        cmocka_unit_test(a_rate_of_zero_is_no_limit),
        cmocka_unit_test(a_large_read_makes_the_next_ones_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
