/* Streams through the API: creating, describing, listing, deleting; states, quotas, names. */
#include "support/api.h"

#include "base/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define NOT_FOUND(name)                                                                            \
    "ResourceNotFoundException: Stream " name " under account 000000000000 not found."

static void a_new_stream_is_there_with_all_that_describes_it(void **state)
{
    struct api *api = *state;

    api_expect(api, "CreateStream", "{\"StreamName\":\"a\",\"ShardCount\":3}", "");
    api_expect_part(api, "DescribeStream", "{\"StreamName\":\"a\"}",
                    "\"StreamARN\":\"arn:aws:kinesis:us-east-1:000000000000:stream/a\"");
    api_expect_part(api, "DescribeStream", "{\"StreamName\":\"a\"}",
                    "\"StreamStatus\":\"ACTIVE\",\"Shards\":[{\"ShardId\":\"shardId-000000000000\","
                    "\"HashKeyRange\":{\"StartingHashKey\":\"0\",\"EndingHashKey\":"
                    "\"113427455640312821154458202477256070484\"},\"SequenceNumberRange\":{"
                    "\"StartingSequenceNumber\":\"");
    api_expect_part(api, "DescribeStream", "{\"StreamName\":\"a\"}",
                    "\"HasMoreShards\":false,\"RetentionPeriodHours\":24,");
    api_expect_part(api, "DescribeStream", "{\"StreamName\":\"a\"}",
                    "\"EnhancedMonitoring\":[{\"ShardLevelMetrics\":[]}],\"StreamModeDetails\":{"
                    "\"StreamMode\":\"PROVISIONED\"},\"EncryptionType\":\"NONE\"}");
    api_expect_part(api, "DescribeStreamSummary", "{\"StreamName\":\"a\"}",
                    "\"OpenShardCount\":3,");
    api_expect_part(api, "DescribeStreamSummary", "{\"StreamName\":\"a\"}",
                    "\"ConsumerCount\":0,\"MaxRecordSizeInKiB\":1024,\"ChannelCount\":0}}");
}

static void without_a_shard_count_it_is_on_demand(void **state)
{
    struct api *api = *state;

    api_must(api, "CreateStream", "{\"StreamName\":\"d\"}");
    api_expect_part(api, "DescribeStreamSummary", "{\"StreamName\":\"d\"}",
                    "\"OpenShardCount\":4,");
    api_expect_part(api, "DescribeStreamSummary", "{\"StreamName\":\"d\"}",
                    "\"StreamMode\":\"ON_DEMAND\"");
    api_expect_part(api, "DescribeStreamSummary", "{\"StreamName\":\"d\"}",
                    "\"RecordDistributionStrategy\":\"USER_PARTITION_KEY\"");
    api_expect(api, "DescribeLimits", "{}",
               "{\"ShardLimit\":20000,\"OpenShardCount\":0,\"OnDemandStreamCount\":1,"
               "\"OnDemandStreamCountLimit\":50}");
}

static void a_name_is_taken_once(void **state)
{
    struct api *api = *state;

    api_must(api, "CreateStream", "{\"StreamName\":\"a\",\"ShardCount\":1}");
    api_expect(api, "CreateStream", "{\"StreamName\":\"a\",\"ShardCount\":1}",
               "ResourceInUseException: Stream a under account 000000000000 already exists.");
    api_must(api, "DeleteStream", "{\"StreamName\":\"a\"}");
    api_must(api, "CreateStream", "{\"StreamName\":\"a\",\"ShardCount\":1}");
}

static void quotas_hold(void **state)
{
    struct api *api = *state;

    api->config.shard_count_max = 3;
    api->config.on_demand_stream_count_max = 1;
    api_reopen(api);
    api_must(api, "CreateStream", "{\"StreamName\":\"a\",\"ShardCount\":2}");
    api_expect(api, "CreateStream", "{\"StreamName\":\"b\",\"ShardCount\":2}",
               "LimitExceededException: This request would exceed the shard limit for the account "
               "000000000000 in us-east-1. Current shard count for the account: 2. Limit: 3. "
               "Number of additional shards that would have resulted from this request: 2. Refer "
               "to the AWS Service Limits page "
               "(http://docs.aws.amazon.com/general/latest/gr/aws_service_limits.html) for current "
               "limits and how to request higher limits.");
    api_must(api, "CreateStream", "{\"StreamName\":\"d\"}");
    api_expect_part(api, "CreateStream", "{\"StreamName\":\"e\"}", "LimitExceededException");
}

static void states_last_as_long_as_told(void **state)
{
    struct api *api = *state;

    api->config.state_delay_ms = 1000000;
    api_reopen(api);
    api_must(api, "CreateStream", "{\"StreamName\":\"a\",\"ShardCount\":1}");
    api_expect_part(api, "DescribeStream", "{\"StreamName\":\"a\"}",
                    "\"StreamStatus\":\"CREATING\",\"Shards\":[],\"HasMoreShards\":false");
    api_expect(api, "ListShards", "{\"StreamName\":\"a\"}",
               "ResourceInUseException: Stream a under account 000000000000 not ACTIVE, instead "
               "in state CREATING");
    api_expect(api, "PutRecord", "{\"StreamName\":\"a\",\"Data\":\"\",\"PartitionKey\":\"k\"}",
               NOT_FOUND("a"));
    api_expect(api, "IncreaseStreamRetentionPeriod",
               "{\"StreamName\":\"a\",\"RetentionPeriodHours\":48}",
               "ResourceInUseException: Stream a under account 000000000000 not ACTIVE, instead "
               "in state CREATING");
    api->advance_ms += 1000000;
    api_expect_part(api, "DescribeStream", "{\"StreamName\":\"a\"}", "\"StreamStatus\":\"ACTIVE\"");
    api_must(api, "PutRecord", "{\"StreamName\":\"a\",\"Data\":\"\",\"PartitionKey\":\"k\"}");
    api_must(api, "IncreaseStreamRetentionPeriod",
             "{\"StreamName\":\"a\",\"RetentionPeriodHours\":48}");
    api_expect_part(api, "DescribeStream", "{\"StreamName\":\"a\"}",
                    "\"StreamStatus\":\"UPDATING\"");
    api_must(api, "PutRecord", "{\"StreamName\":\"a\",\"Data\":\"\",\"PartitionKey\":\"k\"}");
    api_must(api, "DeleteStream", "{\"StreamName\":\"a\"}");
    api_expect_part(api, "DescribeStream", "{\"StreamName\":\"a\"}",
                    "\"StreamStatus\":\"DELETING\"");
    api_reopen(api);
    api_expect_part(api, "DescribeStream", "{\"StreamName\":\"a\"}",
                    "\"StreamStatus\":\"DELETING\"");
    api->advance_ms += 1000000;
    api_expect(api, "DescribeStream", "{\"StreamName\":\"a\"}", NOT_FOUND("a"));
    api_expect(api, "ListStreams", "{}",
               "{\"StreamNames\":[],\"HasMoreStreams\":false,\"StreamSummaries\":[]}");
}

static void a_stream_has_a_name_or_an_arn_or_both_that_agree(void **state)
{
    struct api *api = *state;

    api_must(api, "CreateStream", "{\"StreamName\":\"a\",\"ShardCount\":1}");
    api_must(api, "DescribeStream",
             "{\"StreamARN\":\"arn:aws:kinesis:eu-west-1:000000000000:stream/a\"}");
    api_must(api, "DescribeStream",
             "{\"StreamName\":\"a\",\"StreamARN\":"
             "\"arn:aws:kinesis:eu-west-1:000000000000:stream/a\"}");
    api_expect_part(api, "DescribeStream",
                    "{\"StreamName\":\"b\",\"StreamARN\":"
                    "\"arn:aws:kinesis:eu-west-1:000000000000:stream/a\"}",
                    "InvalidArgumentException: ");
    api_expect(api, "DescribeStream",
               "{\"StreamARN\":\"arn:aws:kinesis:us-east-1:123456789012:stream/a\"}",
               "ResourceNotFoundException: Stream a under account 123456789012 not found.");
    api_expect_part(api, "DescribeStream", "{}", "InvalidArgumentException: ");
    api_expect(api, "DescribeStream", "{\"StreamName\":\"b\"}", NOT_FOUND("b"));
}

static void streams_are_listed_in_order_and_pages(void **state)
{
    struct api *api = *state;
    char *token;
    char body[1000];

    for (char name = 'e'; name >= 'a'; name--)
        api_callf(api, "CreateStream", "{\"StreamName\":\"%c\",\"ShardCount\":1}", name);
    api_expect_part(api, "ListStreams", "{\"Limit\":2}",
                    "{\"StreamNames\":[\"a\",\"b\"],\"HasMoreStreams\":true,\"NextToken\":\"");
    token = api_text(api, "NextToken");
    snprintf(body, sizeof body, "{\"Limit\":2,\"NextToken\":\"%s\"}", token);
    api_expect_part(api, "ListStreams", body, "{\"StreamNames\":[\"c\",\"d\"],");
    api_expect_part(api, "ListStreams", "{\"ExclusiveStartStreamName\":\"d\"}",
                    "{\"StreamNames\":[\"e\"],\"HasMoreStreams\":false,\"StreamSummaries\":[{"
                    "\"StreamName\":\"e\"");
    api->advance_ms += 300001;
    api_expect(api, "ListStreams", body, "ExpiredNextTokenException: NextToken has expired.");
    api_expect(api, "ListStreams", "{\"NextToken\":\"AAAA\"}",
               "InvalidArgumentException: Invalid NextToken.");
    mr_free(token);
}

static void everything_survives_a_restart(void **state)
{
    struct api *api = *state;
    const char *requests[][2] = {
        {"DescribeStream", "{\"StreamName\":\"a\"}"},
        {"DescribeStreamSummary", "{\"StreamName\":\"a\"}"},
        {"ListTagsForStream", "{\"StreamName\":\"a\"}"},
        {"ListStreamConsumers",
         "{\"StreamARN\":\"arn:aws:kinesis:us-east-1:000000000000:stream/a\"}"},
        {"DescribeAccountSettings", "{}"},
        {"GetResourcePolicy",
         "{\"ResourceARN\":\"arn:aws:kinesis:us-east-1:000000000000:stream/a\"}"},
    };
    char *before[6];

    api_must(api, "CreateStream",
             "{\"StreamName\":\"a\",\"StreamModeDetails\":{\"StreamMode\":\"ON_DEMAND\"},"
             "\"Tags\":{\"k\":\"v\"},\"MaxRecordSizeInKiB\":2048}");
    api_must(api, "StartStreamEncryption",
             "{\"StreamName\":\"a\",\"EncryptionType\":\"KMS\",\"KeyId\":\"alias/x\"}");
    api_must(api, "EnableEnhancedMonitoring",
             "{\"StreamName\":\"a\",\"ShardLevelMetrics\":[\"OutgoingBytes\"]}");
    api_must(api, "RegisterStreamConsumer",
             "{\"StreamARN\":\"arn:aws:kinesis:us-east-1:000000000000:stream/a\","
             "\"ConsumerName\":\"c\"}");
    api_must(api, "UpdateAccountSettings",
             "{\"MinimumThroughputBillingCommitment\":{\"Status\":\"ENABLED\"}}");
    api_must(api, "PutResourcePolicy",
             "{\"ResourceARN\":\"arn:aws:kinesis:us-east-1:000000000000:stream/a\","
             "\"Policy\":\"{\\\"Statement\\\":[]}\"}");
    for (int i = 0; i < 6; i++)
        before[i] = mr_copy_text(api_call(api, requests[i][0], requests[i][1]));
    api_reopen(api);
    for (int i = 0; i < 6; i++) {
        api_expect(api, requests[i][0], requests[i][1], before[i]);
        assert_int_equal(before[i][0], '{');
        mr_free(before[i]);
    }
}

static void calls_are_limited_as_on_aws(void **state)
{
    struct api *api = *state;

    api->config.limit_calls = true;
    api_reopen(api);
    api_must(api, "CreateStream", "{\"StreamName\":\"a\",\"ShardCount\":1}");
    for (int i = 0; i < 10; i++)
        api_must(api, "DescribeStream", "{\"StreamName\":\"a\"}");
    api_expect(api, "DescribeStream", "{\"StreamName\":\"a\"}",
               "LimitExceededException: Rate exceeded for stream a under account 000000000000.");
    for (int i = 0; i < 5; i++)
        api_must(api, "ListTagsForStream", "{\"StreamName\":\"a\"}");
    api_expect(api, "ListTagsForStream", "{\"StreamName\":\"a\"}",
               "LimitExceededException: Rate exceeded for stream a under account 000000000000.");
    api->advance_ms += 1000;
    api_must(api, "ListTagsForStream", "{\"StreamName\":\"a\"}");
    api_must(api, "DescribeStream", "{\"StreamName\":\"a\"}");
}

static void channels_are_refused_clearly(void **state)
{
    struct api *api = *state;

    api_expect(api, "ListChannels", "{}",
               "InvalidArgumentException: ListChannels is not supported here: channels deliver to "
               "Amazon S3, and millrace does not.");
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, api_set_up, api_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_new_stream_is_there_with_all_that_describes_it),
        CASE(without_a_shard_count_it_is_on_demand),
        CASE(a_name_is_taken_once),
        CASE(quotas_hold),
        CASE(states_last_as_long_as_told),
        CASE(a_stream_has_a_name_or_an_arn_or_both_that_agree),
        CASE(streams_are_listed_in_order_and_pages),
        CASE(everything_survives_a_restart),
        CASE(calls_are_limited_as_on_aws),
        CASE(channels_are_refused_clearly),
    };
    return api_run_group(tests);
}
