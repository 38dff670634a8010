/*
 * Records that come from an origin are stored once, whoever is asked and however often: what Kinesis has
 * not (S4). That position and records are one through a crash is tried in tests/crash.
 */
#include "support/api.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define STREAM "\"StreamName\":\"s\""

static struct mr_call_origin origin;

static int set_up(void **state)
{
    struct api *api = api_open();

    api_must(api, "CreateStream", "{" STREAM ",\"ShardCount\":2}");
    *state = api;
    return 0;
}

static int tear_down(void **state)
{
    api_close(*state);
    return 0;
}

static struct mr_call_origin *from(uint64_t first, uint64_t end)
{
    origin = (struct mr_call_origin){.origin = {"topic/0", first, end}};
    return &origin;
}

/* What the put of so many records answers. */
static const char *put(struct api *api, uint64_t first, unsigned count)
{
    char body[4096] = "{" STREAM ",\"Records\":[";
    const char *answer;

    for (unsigned i = 0; i < count; i++) {
        size_t size = strlen(body);

        snprintf(body + size, sizeof body - size, "%s{\"Data\":\"QQ==\",\"PartitionKey\":\"k%u\"}",
                 i > 0 ? "," : "", i);
    }
    strncat(body, "]}", sizeof body - strlen(body) - 1);
    api->origin = from(first, first + count);
    answer = api_call(api, "PutRecords", body);
    api->origin = NULL;
    return answer;
}

static uint64_t position(struct api *api)
{
    api->origin = from(0, 0);
    api_must(api, "DescribeStreamSummary", "{" STREAM "}");
    api->origin = NULL;
    assert_true(origin.is_known);
    return origin.position;
}

static uint64_t stored(struct api *api)
{
    struct mr_stream_info info;

    assert_int_equal(mr_stream_describe(api->engine, "s", &info, NULL), MR_OK);
    return info.record_count;
}

static void what_is_there_is_not_taken_again(void **state) /* S4 */
{
    struct api *api = *state;

    assert_int_equal(position(api), 0);
    api_begins(put(api, 0, 5), "{\"Records\":[{\"SequenceNumber\":");
    assert_true(origin.is_known);
    assert_int_equal(origin.position, 5);
    api_begins(put(api, 0, 5), "InvalidArgumentException: ");
    assert_true(origin.is_known);
    assert_int_equal(origin.position, 5);
    api_begins(put(api, 4, 9), "InvalidArgumentException: ");
    assert_int_equal(position(api), 5);
    assert_int_equal(stored(api), 5);
    api_begins(put(api, 7, 3), "{\"Records\":[{\"SequenceNumber\":"); /* an origin may have gaps */
    assert_int_equal(position(api), 10);
    assert_int_equal(stored(api), 8);
}

static void a_position_lives_as_long_as_its_stream(void **state)
{
    struct api *api = *state;

    api_begins(put(api, 0, 5), "{\"Records\":[{\"SequenceNumber\":");
    api_reopen(api);
    assert_int_equal(position(api), 5);
    api_must(api, "DeleteStream", "{" STREAM "}");
    api_must(api, "CreateStream", "{" STREAM ",\"ShardCount\":1}");
    assert_int_equal(position(api), 0);
    api_begins(put(api, 0, 5), "{\"Records\":[{\"SequenceNumber\":");
}

static void all_are_taken_or_none(void **state)
{
    struct api *api = *state;

    api->engine_config.limits = (struct mr_limits){.write_records_per_s = 3};
    api_reopen(api);
    api_begins(put(api, 0, 20), "ProvisionedThroughputExceededException: ");
    assert_int_equal(stored(api), 0);
    assert_int_equal(position(api), 0);
    api_begins(put(api, 0, 3),
               "{\"Records\":[{\"SequenceNumber\":"); /* what was given back is there */
    assert_int_equal(position(api), 3);
}

static void origins_and_streams_are_apart(void **state)
{
    struct api *api = *state;

    api_must(api, "CreateStream", "{\"StreamName\":\"other\",\"ShardCount\":1}");
    api_begins(put(api, 0, 5), "{\"Records\":[{\"SequenceNumber\":");
    api->origin = from(0, 0);
    api->origin->origin.name = "topic/1";
    api_must(api, "DescribeStreamSummary", "{" STREAM "}");
    assert_int_equal(origin.position, 0);
    api->origin = from(0, 0);
    api_must(api, "DescribeStreamSummary", "{\"StreamName\":\"other\"}");
    assert_int_equal(origin.position, 0);
    api->origin = NULL;
}

static void an_origin_that_ends_before_it_begins_is_refused(void **state)
{
    struct api *api = *state;

    api->origin = from(5, 5);
    api_begins(api_call(api, "PutRecords",
                        "{" STREAM ",\"Records\":[{\"Data\":\"QQ==\",\"PartitionKey\":\"k\"}]}"),
               "InvalidArgumentException: ");
    api->origin = NULL;
    assert_int_equal(stored(api), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(what_is_there_is_not_taken_again),
        TEST(a_position_lives_as_long_as_its_stream),
        TEST(all_are_taken_or_none),
        TEST(origins_and_streams_are_apart),
        TEST(an_origin_that_ends_before_it_begins_is_refused),
    };

    return api_run_group(tests);
}
