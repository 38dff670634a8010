/* Resharding through the API, and ListShards (the spec's section 5). */
#include "support/api.h"

#include "base/memory.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define LAST_KEY "340282366920938463463374607431768211455"
#define MIDDLE "170141183460469231731687303715884105728"

/* The ids of the shards in an answer: "0 1 2". */
static void assert_ids(const char *answer, const char *expected)
{
    char found[200] = "";
    unsigned id;

    for (const char *at = answer; (at = strstr(at, "{\"ShardId\":\"shardId-")); at++) {
        assert_int_equal(sscanf(at + 20, "%u", &id), 1);
        snprintf(found + strlen(found), sizeof found - strlen(found), "%s%u", found[0] ? " " : "",
                 id);
    }
    if (strcmp(found, expected) != 0)
        fail_msg("not '%s' but '%s' in %s", expected, found, answer);
}

static void split(struct api *api, const char *shard, const char *at)
{
    char body[300];

    snprintf(body, sizeof body,
             "{\"StreamName\":\"s\",\"ShardToSplit\":\"%s\",\"NewStartingHashKey\":\"%s\"}", shard,
             at);
    api_expect(api, "SplitShard", body, "");
}

static void a_split_closes_one_and_opens_two(void **state)
{
    struct api *api = *state;

    split(api, "0", MIDDLE);
    api_expect_part(api, "DescribeStream", "{\"StreamName\":\"s\"}", "\"EndingSequenceNumber\":\"");
    api_expect_part(api, "ListShards", "{\"StreamName\":\"s\"}",
                    "{\"ShardId\":\"shardId-000000000001\",\"HashKeyRange\":{\"StartingHashKey\":"
                    "\"0\",\"EndingHashKey\":\"170141183460469231731687303715884105727\"}");
    api_expect_part(api, "ListShards", "{\"StreamName\":\"s\"}",
                    "\"ParentShardId\":\"shardId-000000000000\"}]}");
    api_expect_part(api, "ListShards", "{\"StreamName\":\"s\"}",
                    "{\"ShardId\":\"shardId-000000000002\",\"HashKeyRange\":{\"StartingHashKey\":"
                    "\"" MIDDLE "\",\"EndingHashKey\":\"" LAST_KEY "\"}");
    api_expect(api, "SplitShard",
               "{\"StreamName\":\"s\",\"ShardToSplit\":\"0\",\"NewStartingHashKey\":\"" MIDDLE
               "\"}",
               "InvalidArgumentException: Shard shardId-000000000000 in stream s under account "
               "000000000000 has already been merged or split, and thus is not eligible for "
               "merging or splitting.");
}

static void a_split_must_leave_something_on_both_sides(void **state)
{
    struct api *api = *state;
    static const char *const keys[] = {"0", "1", LAST_KEY,
                                       "340282366920938463463374607431768211456"};
    char body[300], expected[500];

    for (int i = 0; i < 4; i++) {
        snprintf(body, sizeof body,
                 "{\"StreamName\":\"s\",\"ShardToSplit\":\"shardId-000000000000\","
                 "\"NewStartingHashKey\":\"%s\"}",
                 keys[i]);
        snprintf(expected, sizeof expected,
                 "InvalidArgumentException: NewStartingHashKey %s used in SplitShard() on shard "
                 "shardId-000000000000 in stream s under account 000000000000 is not both greater "
                 "than one plus the shard's StartingHashKey 0 and less than the shard's "
                 "EndingHashKey " LAST_KEY ".",
                 keys[i]);
        api_expect(api, "SplitShard", body, expected);
    }
    split(api, "0", "2");
}

static void unknown_shards_are_told(void **state)
{
    struct api *api = *state;

    api_expect(api, "SplitShard",
               "{\"StreamName\":\"s\",\"ShardToSplit\":\"7\",\"NewStartingHashKey\":\"5\"}",
               "ResourceNotFoundException: Could not find shard shardId-000000000007 in stream s "
               "under account 000000000000.");
    api_expect(api, "MergeShards",
               "{\"StreamName\":\"s\",\"ShardToMerge\":\"x\",\"AdjacentShardToMerge\":\"0\"}",
               "ResourceNotFoundException: Could not find shard x in stream s under account "
               "000000000000.");
}

static void a_merge_takes_neighbours_only(void **state)
{
    struct api *api = *state;

    split(api, "0", MIDDLE);
    split(api, "2", "255211775190703847597530955573826158592");
    api_expect(api, "MergeShards",
               "{\"StreamName\":\"s\",\"ShardToMerge\":\"1\",\"AdjacentShardToMerge\":\"4\"}",
               "InvalidArgumentException: Shards shardId-000000000001 and shardId-000000000004 in "
               "stream s under account 000000000000 are not an adjacent pair of shards eligible "
               "for merging");
    api_expect(api, "MergeShards",
               "{\"StreamName\":\"s\",\"ShardToMerge\":\"1\",\"AdjacentShardToMerge\":\"3\"}", "");
    api_expect_part(api, "ListShards", "{\"StreamName\":\"s\"}",
                    "\"ParentShardId\":\"shardId-000000000001\",\"AdjacentParentShardId\":"
                    "\"shardId-000000000003\"}");
}

/* K3 */
static void the_end_of_a_shard_names_its_children(void **state)
{
    struct api *api = *state;
    char *at, *next;

    api_must(api, "PutRecord", "{\"StreamName\":\"s\",\"Data\":\"AAAA\",\"PartitionKey\":\"k\"}");
    split(api, "0", MIDDLE);
    api_must(api, "GetShardIterator",
             "{\"StreamName\":\"s\",\"ShardId\":\"0\",\"ShardIteratorType\":\"TRIM_HORIZON\"}");
    at = api_text(api, "ShardIterator");
    api_callf(api, "GetRecords", "{\"ShardIterator\":\"%s\"}", at);
    assert_null(strstr((char *)api->text.data, "ChildShards"));
    next = api_text(api, "NextShardIterator");
    api_callf(api, "GetRecords", "{\"ShardIterator\":\"%s\"}", next);
    assert_string_equal((char *)api->text.data,
                        "{\"Records\":[],\"MillisBehindLatest\":0,\"ChildShards\":[{\"ShardId\":"
                        "\"shardId-000000000001\",\"ParentShards\":[\"shardId-000000000000\"],"
                        "\"HashKeyRange\":{\"StartingHashKey\":\"0\",\"EndingHashKey\":"
                        "\"170141183460469231731687303715884105727\"}},{\"ShardId\":"
                        "\"shardId-000000000002\",\"ParentShards\":[\"shardId-000000000000\"],"
                        "\"HashKeyRange\":{\"StartingHashKey\":\"" MIDDLE
                        "\",\"EndingHashKey\":\"" LAST_KEY "\"}}]}");
    mr_free(at);
    mr_free(next);
    /* At once, by LATEST on what is closed. */
    api_must(api, "GetShardIterator",
             "{\"StreamName\":\"s\",\"ShardId\":\"0\",\"ShardIteratorType\":\"LATEST\"}");
    at = api_text(api, "ShardIterator");
    api_callf(api, "GetRecords", "{\"ShardIterator\":\"%s\"}", at);
    assert_non_null(strstr((char *)api->text.data, "ChildShards"));
    assert_null(strstr((char *)api->text.data, "NextShardIterator"));
    mr_free(at);
}

static void a_shard_count_is_reached_within_its_limits(void **state)
{
    struct api *api = *state;

    api_expect(api, "UpdateShardCount",
               "{\"StreamName\":\"s\",\"TargetShardCount\":2,\"ScalingType\":\"UNIFORM_SCALING\"}",
               "{\"StreamName\":\"s\",\"CurrentShardCount\":1,\"TargetShardCount\":2,"
               "\"StreamARN\":\"arn:aws:kinesis:us-east-1:000000000000:stream/s\"}");
    api_expect_part(api, "DescribeStreamSummary", "{\"StreamName\":\"s\"}",
                    "\"OpenShardCount\":2,");
    api_expect(api, "UpdateShardCount",
               "{\"StreamName\":\"s\",\"TargetShardCount\":5,\"ScalingType\":\"UNIFORM_SCALING\"}",
               "LimitExceededException: UpdateShardCount cannot scale up over double your current "
               "open shard count. Current open shard count: 2 Target shard count: 5");
    api_must(api, "UpdateShardCount",
             "{\"StreamName\":\"s\",\"TargetShardCount\":4,\"ScalingType\":\"UNIFORM_SCALING\"}");
    api_expect(api, "UpdateShardCount",
               "{\"StreamName\":\"s\",\"TargetShardCount\":1,\"ScalingType\":\"UNIFORM_SCALING\"}",
               "LimitExceededException: UpdateShardCount cannot scale down below half your current "
               "open shard count. Current open shard count: 4, Target shard count: 1");
    api_must(api, "CreateStream", "{\"StreamName\":\"d\"}");
    api_expect(api, "UpdateShardCount",
               "{\"StreamName\":\"d\",\"TargetShardCount\":5,\"ScalingType\":\"UNIFORM_SCALING\"}",
               "ValidationException: Request is invalid. Stream d under account 000000000000 is in "
               "On-Demand mode.");
}

static void ten_times_a_day_it_can_be_changed(void **state)
{
    struct api *api = *state;

    api->config.limit_calls = true;
    api_reopen(api);
    for (int i = 0; i < 10; i++) {
        api->advance_ms += 1000;
        api_callf(api, "UpdateShardCount",
                  "{\"StreamName\":\"s\",\"TargetShardCount\":%d,\"ScalingType\":"
                  "\"UNIFORM_SCALING\"}",
                  i % 2 ? 1 : 2);
        assert_int_equal(api->text.data[0], '{');
    }
    api->advance_ms += 1000;
    api_expect_part(
        api, "UpdateShardCount",
        "{\"StreamName\":\"s\",\"TargetShardCount\":2,\"ScalingType\":\"UNIFORM_SCALING\"}",
        "LimitExceededException: ");
    api->advance_ms += INT64_C(86400000);
    api_must(api, "UpdateShardCount",
             "{\"StreamName\":\"s\",\"TargetShardCount\":2,\"ScalingType\":\"UNIFORM_SCALING\"}");
}

static void shards_are_filtered_as_asked(void **state)
{
    struct api *api = *state;
    int64_t between_ms;

    api->advance_ms += 5000;
    between_ms = api->began_ms + api->advance_ms;
    api->advance_ms += 5000;
    split(api, "0", MIDDLE);
    assert_ids(api_call(api, "ListShards", "{\"StreamName\":\"s\"}"), "0 1 2");
    assert_ids(api_call(api, "ListShards",
                        "{\"StreamName\":\"s\",\"ShardFilter\":{\"Type\":\"AT_LATEST\"}}"),
               "1 2");
    assert_ids(api_call(api, "ListShards",
                        "{\"StreamName\":\"s\",\"ShardFilter\":{\"Type\":\"AT_TRIM_HORIZON\"}}"),
               "0");
    assert_ids(api_call(api, "ListShards",
                        "{\"StreamName\":\"s\",\"ShardFilter\":{\"Type\":\"FROM_TRIM_HORIZON\"}}"),
               "0 1 2");
    assert_ids(api_call(api, "ListShards",
                        "{\"StreamName\":\"s\",\"ShardFilter\":{\"Type\":\"AFTER_SHARD_ID\","
                        "\"ShardId\":\"0\"}}"),
               "1 2");
    assert_ids(api_callf(api, "ListShards",
                         "{\"StreamName\":\"s\",\"ShardFilter\":{\"Type\":\"AT_TIMESTAMP\","
                         "\"Timestamp\":%lld.5}}",
                         (long long)between_ms / 1000),
               "0");
    assert_ids(api_callf(api, "ListShards",
                         "{\"StreamName\":\"s\",\"ShardFilter\":{\"Type\":\"FROM_TIMESTAMP\","
                         "\"Timestamp\":%lld}}",
                         (long long)between_ms / 1000 + 3600),
               "1 2");
    /* Before there was a stream: what it began with. */
    assert_ids(api_call(api, "ListShards",
                        "{\"StreamName\":\"s\",\"ShardFilter\":{\"Type\":\"AT_TIMESTAMP\","
                        "\"Timestamp\":1}}"),
               "0");
    api_expect_part(api, "ListShards",
                    "{\"StreamName\":\"s\",\"ShardFilter\":{\"Type\":\"AT_TIMESTAMP\"}}",
                    "InvalidArgumentException: ");
    api_expect_part(api, "ListShards",
                    "{\"StreamName\":\"s\",\"ShardFilter\":{\"Type\":\"AFTER_SHARD_ID\"}}",
                    "InvalidArgumentException: ");
}

static void pages_of_shards_remember_the_filter(void **state)
{
    struct api *api = *state;
    char *token;

    split(api, "0", MIDDLE);
    split(api, "1", "5");
    assert_ids(api_call(api, "ListShards",
                        "{\"StreamName\":\"s\",\"MaxResults\":1,\"ShardFilter\":{\"Type\":"
                        "\"AT_LATEST\"}}"),
               "2");
    token = api_text(api, "NextToken");
    assert_ids(api_callf(api, "ListShards", "{\"NextToken\":\"%s\"}", token), "3 4");
    assert_null(strstr((char *)api->text.data, "NextToken"));
    assert_ids(
        api_call(api, "ListShards",
                 "{\"StreamName\":\"s\",\"ExclusiveStartShardId\":\"shardId-000000000002\"}"),
        "3 4");
    assert_string_equal(
        api_callf(api, "ListShards", "{\"StreamName\":\"s\",\"NextToken\":\"%s\"}", token),
        "InvalidArgumentException: NextToken and StreamName cannot be provided together.");
    api_expect(api, "ListShards", "{}",
               "InvalidArgumentException: Either NextToken or StreamName should be provided.");
    api->advance_ms += 300001;
    assert_string_equal(api_callf(api, "ListShards", "{\"NextToken\":\"%s\"}", token),
                        "ExpiredNextTokenException: NextToken has expired.");
    mr_free(token);
}

static void a_description_has_pages_of_shards(void **state)
{
    struct api *api = *state;

    split(api, "0", MIDDLE);
    assert_ids(api_call(api, "DescribeStream", "{\"StreamName\":\"s\",\"Limit\":2}"), "0 1");
    assert_non_null(strstr((char *)api->text.data, "\"HasMoreShards\":true"));
    assert_ids(
        api_call(api, "DescribeStream",
                 "{\"StreamName\":\"s\",\"ExclusiveStartShardId\":\"shardId-000000000001\"}"),
        "2");
    assert_non_null(strstr((char *)api->text.data, "\"HasMoreShards\":false"));
}

/* Until the stream is ACTIVE: a sweep comes by the real clock when it is due by the world's. */
static void wait_until_active(struct api *api)
{
    while (strstr(api_call(api, "DescribeStreamSummary", "{\"StreamName\":\"s\"}"), "UPDATING"))
        sched_yield();
}

static void children_appear_when_the_stream_is_active_again(void **state)
{
    struct api *api = *state;

    api->config.state_delay_ms = 20;
    api_reopen(api);
    split(api, "0", MIDDLE);
    api_expect_part(api, "DescribeStreamSummary", "{\"StreamName\":\"s\"}",
                    "\"StreamStatus\":\"UPDATING\"");
    assert_ids(api_call(api, "ListShards", "{\"StreamName\":\"s\"}"), "0");
    api_expect_part(api, "PutRecord",
                    "{\"StreamName\":\"s\",\"Data\":\"AAAA\",\"PartitionKey\":\"k\"}",
                    "\"ShardId\":\"shardId-000000000000\"");
    api_expect_part(api, "SplitShard",
                    "{\"StreamName\":\"s\",\"ShardToSplit\":\"0\",\"NewStartingHashKey\":\"5\"}",
                    "ResourceInUseException");
    api->advance_ms += 20;
    wait_until_active(api);
    assert_ids(api_call(api, "ListShards", "{\"StreamName\":\"s\"}"), "0 1 2");

    api_must(api, "MergeShards",
             "{\"StreamName\":\"s\",\"ShardToMerge\":\"1\",\"AdjacentShardToMerge\":\"2\"}");
    assert_ids(api_call(api, "ListShards", "{\"StreamName\":\"s\"}"), "0 1 2");
    api_reopen(api); /* it is not forgotten */
    assert_ids(api_call(api, "ListShards", "{\"StreamName\":\"s\"}"), "0 1 2");
    api->advance_ms += 20;
    wait_until_active(api);
    assert_ids(api_call(api, "ListShards", "{\"StreamName\":\"s\"}"), "0 1 2 3");

    api_must(api, "UpdateShardCount",
             "{\"StreamName\":\"s\",\"TargetShardCount\":2,\"ScalingType\":\"UNIFORM_SCALING\"}");
    api_expect_part(api, "DescribeStreamSummary", "{\"StreamName\":\"s\"}", "\"OpenShardCount\":1");
    api->advance_ms += 20;
    wait_until_active(api);
    api_expect_part(api, "DescribeStreamSummary", "{\"StreamName\":\"s\"}", "\"OpenShardCount\":2");
}

static void a_stream_that_is_deleted_is_not_resharded(void **state)
{
    struct api *api = *state;

    api->config.state_delay_ms = 20;
    api_reopen(api);
    split(api, "0", MIDDLE);
    api_must(api, "DeleteStream", "{\"StreamName\":\"s\"}");
    api_reopen(api);
    api_expect_part(api, "DescribeStreamSummary", "{\"StreamName\":\"s\"}", "DELETING");
    api->advance_ms += 20;
    api_expect_part(api, "DescribeStreamSummary", "{\"StreamName\":\"s\"}",
                    "ResourceNotFoundException");
    api_must(api, "CreateStream", "{\"StreamName\":\"s\",\"ShardCount\":1}");
    api->advance_ms += 20;
    assert_ids(api_call(api, "ListShards", "{\"StreamName\":\"s\"}"), "0");
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, api_set_up_stream, api_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_split_closes_one_and_opens_two),
        CASE(a_split_must_leave_something_on_both_sides),
        CASE(unknown_shards_are_told),
        CASE(a_merge_takes_neighbours_only),
        CASE(the_end_of_a_shard_names_its_children),
        CASE(a_shard_count_is_reached_within_its_limits),
        CASE(ten_times_a_day_it_can_be_changed),
        CASE(shards_are_filtered_as_asked),
        CASE(pages_of_shards_remember_the_filter),
        CASE(a_description_has_pages_of_shards),
        CASE(children_appear_when_the_stream_is_active_again),
        CASE(a_stream_that_is_deleted_is_not_resharded),
    };
    return api_run_group(tests);
}
