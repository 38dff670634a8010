/* test_load.c - the last minute of a shard, second by second. */
#include "top/load.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define NOW INT64_C(1700000000)

static uint32_t count_at(const struct mr_shard_load *load, int64_t second)
{
    return mr_shard_load_at(load, second).record_count;
}

static void counts_by_second(void **state)
{
    struct mr_shard_load load = {.reader = NULL};

    (void)state;
    mr_shard_load_note(&load, NOW * 1000, 10);
    mr_shard_load_note(&load, NOW * 1000 + 999, 20);
    mr_shard_load_note(&load, NOW * 1000 + 1000, 40);
    assert_int_equal(count_at(&load, NOW), 2);
    assert_int_equal(mr_shard_load_at(&load, NOW).bytes, 30);
    assert_int_equal(count_at(&load, NOW + 1), 1);
    assert_int_equal(count_at(&load, NOW + 2), 0);
    assert_int_equal(load.newest_ms, NOW * 1000 + 1000);
}

static void forgets_after_a_minute(void **state)
{
    struct mr_shard_load load = {.reader = NULL};

    (void)state;
    mr_shard_load_note(&load, NOW * 1000, 10);
    mr_shard_load_note(&load, (NOW + MR_LOAD_SECONDS) * 1000, 10);
    assert_int_equal(count_at(&load, NOW), 0);
    assert_int_equal(count_at(&load, NOW + MR_LOAD_SECONDS), 1);
    /* What comes too late for its slot does not disturb the newer one. */
    mr_shard_load_note(&load, NOW * 1000, 10);
    assert_int_equal(count_at(&load, NOW), 0);
    assert_int_equal(count_at(&load, NOW + MR_LOAD_SECONDS), 1);
}

static void the_nearer_limit_counts(void **state)
{
    struct mr_load_second records = {.record_count = 500, .bytes = 1000};
    struct mr_load_second bytes = {.record_count = 1, .bytes = 1u << 20};

    (void)state;
    assert_true(mr_load_part(&records) == 0.5);
    assert_true(mr_load_part(&bytes) == 1);
}

static void counts_the_seconds_over_the_limit(void **state)
{
    struct mr_shard_load load = {.reader = NULL};

    (void)state;
    for (int64_t second = NOW - 3; second < NOW; second++)
        for (int i = 0; i < 1000 + (second != NOW - 2); i++)
            mr_shard_load_note(&load, second * 1000, 1);
    assert_int_equal(mr_shard_load_over(&load, NOW, 59), 2);
    assert_int_equal(mr_shard_load_over(&load, NOW, 1), 1);
    /* The second that is not over yet is not looked at. */
    assert_int_equal(mr_shard_load_over(&load, NOW - 1, 59), 1);
}

static void note_count(void *context, mr_shard_id shard, enum mr_count count, uint64_t value)
{
    mr_shard_load_count(context, NOW * 1000, count, value, false);
    assert_int_equal(shard, 2);
}

static void reads_a_page_of_counts(void **state)
{
    static const char page[] =
        "# HELP kinesis_incoming_records_total x\n"
        "kinesis_incoming_records_total{stream_name=\"s\",shard_id=\"shardId-000000000002\"} 12\n"
        "kinesis_incoming_records_total{stream_name=\"ss\",shard_id=\"shardId-000000000001\"} 9\n"
        "kinesis_incoming_bytes_total{stream_name=\"s\",shard_id=\"shardId-000000000002\"} 340\n"
        "kinesis_write_provisioned_throughput_exceeded_total{stream_name=\"s\",shard_id=\"shardId-"
        "000000000002\"} 5\n"
        "kinesis_incoming_bytes_total{stream_name=\"s\",shard_id=\"shardId-\"} 1\n"
        "kinesis_incoming_bytes_total{stream_name=\"s\",shard_id=\"shardId-000000000002\"} -1\n"
        "kinesis_iterator_age_seconds{stream_name=\"s\",shard_id=\"shardId-000000000002\"} 1.250";
    struct mr_shard_load load = {.reader = NULL};

    (void)state;
    mr_counts_parse((mr_bytes){page, sizeof page - 1}, "s", note_count, &load);
    assert_int_equal(count_at(&load, NOW - 1), 12);
    assert_int_equal(mr_shard_load_at(&load, NOW - 1).bytes, 340);
    assert_int_equal(mr_shard_load_throttled(&load, NOW), 5);
    assert_int_equal(load.counts[MR_COUNT_AGE_MS], 1250);
}

static void counts_from_the_first_look_on(void **state)
{
    struct mr_shard_load load = {.reader = NULL};

    (void)state;
    mr_shard_load_count(&load, NOW * 1000, MR_COUNT_RECORDS, 100, true);
    assert_int_equal(count_at(&load, NOW - 1), 0);
    mr_shard_load_count(&load, NOW * 1000 + 500, MR_COUNT_RECORDS, 107, false);
    mr_shard_load_count(&load, NOW * 1000 + 900, MR_COUNT_RECORDS, 110, false);
    assert_int_equal(count_at(&load, NOW - 1), 10);
    mr_shard_load_count(&load, NOW * 1000 + 1000, MR_COUNT_RECORDS, 4, false); /* started again */
    assert_int_equal(count_at(&load, NOW), 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_by_second),
        cmocka_unit_test(reads_a_page_of_counts),
        cmocka_unit_test(counts_from_the_first_look_on),
        cmocka_unit_test(forgets_after_a_minute),
        cmocka_unit_test(the_nearer_limit_counts),
        cmocka_unit_test(counts_the_seconds_over_the_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
