/* What can be set through the API: retention, mode, encryption, monitoring, tags, policies,
 * consumers, the account. */
#include "support/api.h"

#include "base/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define POLICY                                                                                     \
    "{\\\"Statement\\\":{\\\"Effect\\\":\\\"Allow\\\",\\\"Principal\\\":\\\"*\\\",\\\"Action\\\":" \
    "\\\"kinesis:Get*\\\",\\\"Resource\\\":\\\"*\\\"}}"
#define ARN "arn:aws:kinesis:us-east-1:000000000000:stream/s"

static void retention_goes_up_and_down_by_its_own_actions(void **state)
{
    struct api *api = *state;

    api_expect(api, "IncreaseStreamRetentionPeriod",
               "{\"StreamName\":\"s\",\"RetentionPeriodHours\":23}",
               "InvalidArgumentException: Minimum allowed retention period is 24 hours. Requested "
               "retention period (23 hours) is too short.");
    api_expect(
        api, "IncreaseStreamRetentionPeriod",
        "{\"StreamName\":\"s\",\"RetentionPeriodHours\":8761}",
        "InvalidArgumentException: Maximum allowed retention period is 8760 hours. Requested "
        "retention period (8761 hours) is too long.");
    api_expect(api, "DecreaseStreamRetentionPeriod",
               "{\"StreamName\":\"s\",\"RetentionPeriodHours\":48}",
               "InvalidArgumentException: Requested retention period (48 hours) for stream s can "
               "not be longer than existing retention period (24 hours). Use "
               "IncreaseRetentionPeriod API.");
    api_expect(api, "IncreaseStreamRetentionPeriod",
               "{\"StreamName\":\"s\",\"RetentionPeriodHours\":48}", "");
    api_expect_part(api, "DescribeStream", "{\"StreamName\":\"s\"}", "\"RetentionPeriodHours\":48");
    api_expect(api, "IncreaseStreamRetentionPeriod",
               "{\"StreamName\":\"s\",\"RetentionPeriodHours\":47}",
               "InvalidArgumentException: Requested retention period (47 hours) for stream s can "
               "not be shorter than existing retention period (48 hours). Use "
               "DecreaseRetentionPeriod API.");
    api_expect(api, "DecreaseStreamRetentionPeriod",
               "{\"StreamName\":\"s\",\"RetentionPeriodHours\":24}", "");
}

static void the_mode_changes_twice_a_day(void **state)
{
    static const char *const modes[] = {"ON_DEMAND", "PROVISIONED", "ON_DEMAND"};
    struct api *api = *state;
    char body[200];

    api->config.limit_calls = true;
    api_reopen(api);
    for (int i = 0; i < 3; i++) {
        snprintf(body, sizeof body,
                 "{\"StreamARN\":\"" ARN "\",\"StreamModeDetails\":{\"StreamMode\":\"%s\"}}",
                 modes[i]);
        api->advance_ms += 1000;
        if (i < 2)
            api_expect(api, "UpdateStreamMode", body, "");
        else
            api_expect_part(api, "UpdateStreamMode", body, "LimitExceededException: ");
    }
    api->advance_ms += INT64_C(86400000);
    api_expect(api, "UpdateStreamMode", body, "");
    api_expect_part(api, "DescribeStream", "{\"StreamName\":\"s\"}",
                    "\"StreamMode\":\"ON_DEMAND\"");
}

static void encryption_is_shown(void **state)
{
    struct api *api = *state;

    api_expect_part(api, "StartStreamEncryption",
                    "{\"StreamName\":\"s\",\"EncryptionType\":\"NONE\",\"KeyId\":\"k\"}",
                    "InvalidArgumentException: ");
    api_expect(api, "StartStreamEncryption",
               "{\"StreamName\":\"s\",\"EncryptionType\":\"KMS\",\"KeyId\":\"alias/k\"}", "");
    api_expect_part(api, "DescribeStream", "{\"StreamName\":\"s\"}",
                    "\"EncryptionType\":\"KMS\",\"KeyId\":\"alias/k\"}");
    api_expect(api, "StopStreamEncryption",
               "{\"StreamName\":\"s\",\"EncryptionType\":\"KMS\",\"KeyId\":\"alias/k\"}", "");
    api_expect_part(api, "DescribeStream", "{\"StreamName\":\"s\"}",
                    "\"EncryptionType\":\"NONE\"}");
}

static void monitoring_tells_before_and_after(void **state)
{
    struct api *api = *state;

    api_expect(api, "EnableEnhancedMonitoring",
               "{\"StreamName\":\"s\",\"ShardLevelMetrics\":[\"IncomingBytes\","
               "\"OutgoingRecords\"]}",
               "{\"StreamName\":\"s\",\"CurrentShardLevelMetrics\":[],"
               "\"DesiredShardLevelMetrics\":[\"IncomingBytes\",\"OutgoingRecords\"],"
               "\"StreamARN\":\"" ARN "\"}");
    api_expect_part(api, "DisableEnhancedMonitoring",
                    "{\"StreamName\":\"s\",\"ShardLevelMetrics\":[\"IncomingBytes\"]}",
                    "\"CurrentShardLevelMetrics\":[\"IncomingBytes\",\"OutgoingRecords\"],"
                    "\"DesiredShardLevelMetrics\":[\"OutgoingRecords\"]");
    api_expect_part(api, "EnableEnhancedMonitoring",
                    "{\"StreamName\":\"s\",\"ShardLevelMetrics\":[\"ALL\"]}",
                    "\"DesiredShardLevelMetrics\":[\"IncomingBytes\",\"IncomingRecords\","
                    "\"OutgoingBytes\",\"OutgoingRecords\",\"WriteProvisionedThroughputExceeded\","
                    "\"ReadProvisionedThroughputExceeded\",\"IteratorAgeMilliseconds\"]");
}

static void tags_are_sorted_merged_and_paged(void **state)
{
    struct api *api = *state;

    api_expect(api, "AddTagsToStream", "{\"StreamName\":\"s\",\"Tags\":{\"b\":\"1\",\"a\":\"2\"}}",
               "");
    api_expect(api, "TagResource",
               "{\"ResourceARN\":\"" ARN "\",\"Tags\":{\"b\":\"3\",\"\xc3\xa9\":\"\"}}", "");
    api_expect(api, "ListTagsForStream", "{\"StreamName\":\"s\"}",
               "{\"Tags\":[{\"Key\":\"a\",\"Value\":\"2\"},{\"Key\":\"b\",\"Value\":\"3\"},{"
               "\"Key\":\"\xc3\xa9\",\"Value\":\"\"}],\"HasMoreTags\":false}");
    api_expect(api, "ListTagsForStream",
               "{\"StreamName\":\"s\",\"Limit\":1,\"ExclusiveStartTagKey\":\"a\"}",
               "{\"Tags\":[{\"Key\":\"b\",\"Value\":\"3\"}],\"HasMoreTags\":true}");
    api_expect(api, "RemoveTagsFromStream", "{\"StreamName\":\"s\",\"TagKeys\":[\"a\",\"x\"]}", "");
    api_expect(api, "UntagResource", "{\"ResourceARN\":\"" ARN "\",\"TagKeys\":[\"\xc3\xa9\"]}",
               "");
    api_expect(api, "ListTagsForResource", "{\"ResourceARN\":\"" ARN "\"}",
               "{\"Tags\":[{\"Key\":\"b\",\"Value\":\"3\"}]}");
}

static void tags_have_their_limits(void **state)
{
    struct api *api = *state;
    char body[4000];
    size_t size = (size_t)sprintf(body, "{\"StreamName\":\"s\",\"Tags\":{");

    for (int i = 0; i < 50; i++)
        size += (size_t)sprintf(body + size, "%s\"k%d\":\"v\"", i ? "," : "", i);
    memcpy(body + size, "}}", 3);
    api_expect(api, "AddTagsToStream", body, "");
    api_expect(api, "AddTagsToStream", body, "");
    api_expect(api, "AddTagsToStream", "{\"StreamName\":\"s\",\"Tags\":{\"x\":\"1\"}}",
               "InvalidArgumentException: Failed to add tags to stream s under account "
               "000000000000 because a given stream cannot have more than 50 tags associated with "
               "it.");
    api_expect(api, "AddTagsToStream", "{\"StreamName\":\"s\",\"Tags\":{\"a;b\":\"1\"}}",
               "InvalidArgumentException: Some tags contain invalid characters. Valid characters: "
               "Unicode letters, digits, white space, _ . / = + - % @.");
    api_expect(api, "AddTagsToStream", "{\"StreamName\":\"s\",\"Tags\":{\"a\":\"1%\"}}",
               "InvalidArgumentException: Failed to add tags to stream s under account "
               "000000000000 because some tags contained illegal characters. The allowed "
               "characters are Unicode letters, white-spaces, '_',',','/','=','+','-','@'.");
    api_expect_part(api, "RemoveTagsFromStream", "{\"StreamName\":\"s\",\"TagKeys\":[\"50%\"]}",
                    "InvalidArgumentException: Failed to remove tags from stream s under");
}

static void policies_are_kept_as_they_are(void **state)
{
    struct api *api = *state;

    api_expect(api, "GetResourcePolicy", "{\"ResourceARN\":\"" ARN "\"}", "{\"Policy\":\"{}\"}");
    api_expect(api, "DeleteResourcePolicy", "{\"ResourceARN\":\"" ARN "\"}",
               "ResourceNotFoundException: No resource policy found for resource ARN " ARN);
    api_expect(api, "PutResourcePolicy", "{\"ResourceARN\":\"" ARN "\",\"Policy\":\"" POLICY "\"}",
               "");
    api_expect(api, "GetResourcePolicy", "{\"ResourceARN\":\"" ARN "\"}",
               "{\"Policy\":\"" POLICY "\"}");
    api_expect(api, "DeleteResourcePolicy", "{\"ResourceARN\":\"" ARN "\"}", "");
    api_expect(api, "GetResourcePolicy", "{\"ResourceARN\":\"" ARN "\"}", "{\"Policy\":\"{}\"}");
    api_expect_part(api, "PutResourcePolicy",
                    "{\"ResourceARN\":\"" ARN "\",\"Policy\":\"nonsense\"}",
                    "InvalidArgumentException: ");
    api_expect(api, "GetResourcePolicy", "{\"ResourceARN\":\"" ARN "x\"}",
               "ResourceNotFoundException: Stream sx under account 000000000000 not found.");
}

static void a_consumer_is_made_found_and_taken_away(void **state)
{
    struct api *api = *state;
    char *arn, body[300];

    api->config.state_delay_ms = 1000;
    api_reopen(api);
    api->advance_ms += 1000;
    api_expect_part(api, "RegisterStreamConsumer",
                    "{\"StreamARN\":\"" ARN "\",\"ConsumerName\":\"c\",\"Tags\":{\"k\":\"v\"}}",
                    "{\"Consumer\":{\"ConsumerName\":\"c\",\"ConsumerARN\":\"" ARN "/consumer/c:");
    assert_non_null(strstr((char *)api->text.data, "\"ConsumerStatus\":\"CREATING\""));
    arn = api_text(api, "ConsumerARN");
    api_expect(api, "RegisterStreamConsumer", "{\"StreamARN\":\"" ARN "\",\"ConsumerName\":\"c\"}",
               "ResourceInUseException: Consumer c under stream " ARN " already exists.");
    snprintf(body, sizeof body, "{\"ConsumerARN\":\"%s\"}", arn);
    api_expect_part(api, "DescribeStreamConsumer", body, "\"ConsumerStatus\":\"CREATING\"");
    api->advance_ms += 1000;
    api_expect_part(api, "DescribeStreamConsumer", body, "\"ConsumerStatus\":\"ACTIVE\"");
    api_expect_part(api, "DescribeStreamConsumer",
                    "{\"StreamARN\":\"" ARN "\",\"ConsumerName\":\"c\"}", "\"StreamARN\":\"" ARN);
    api_expect_part(api, "DescribeStreamSummary", "{\"StreamName\":\"s\"}", "\"ConsumerCount\":1");
    snprintf(body, sizeof body, "{\"ResourceARN\":\"%s\"}", arn);
    api_expect(api, "ListTagsForResource", body, "{\"Tags\":[{\"Key\":\"k\",\"Value\":\"v\"}]}");
    api_expect_part(api, "DeleteStream", "{\"StreamName\":\"s\"}",
                    "ResourceInUseException: Stream s under account 000000000000 has registered "
                    "consumers.");
    snprintf(body, sizeof body, "{\"ConsumerARN\":\"%s\"}", arn);
    api_expect(api, "DeregisterStreamConsumer", body, "");
    api_expect_part(api, "DescribeStreamConsumer", body, "\"ConsumerStatus\":\"DELETING\"");
    api->advance_ms += 1000;
    api_expect(api, "DescribeStreamConsumer", body,
               "ResourceNotFoundException: Consumer c, account 000000000000 not found.");
    api_expect_part(api, "DescribeStreamConsumer", "{\"ConsumerName\":\"c\"}",
                    "InvalidArgumentException: ");
    /* One of the same name has nothing of the one before. */
    api_must(api, "RegisterStreamConsumer", "{\"StreamARN\":\"" ARN "\",\"ConsumerName\":\"c\"}");
    mr_free(arn);
    arn = api_text(api, "ConsumerARN");
    snprintf(body, sizeof body, "{\"ResourceARN\":\"%s\"}", arn);
    api_expect(api, "ListTagsForResource", body, "{\"Tags\":[]}");
    mr_free(arn);
}

static void a_stream_has_twenty_consumers_listed_in_pages(void **state)
{
    struct api *api = *state;
    char *token;

    for (int i = 0; i < 20; i++)
        api_callf(api, "RegisterStreamConsumer",
                  "{\"StreamARN\":\"" ARN "\",\"ConsumerName\":\"c%02d\"}", i);
    api_expect_part(api, "RegisterStreamConsumer",
                    "{\"StreamARN\":\"" ARN "\",\"ConsumerName\":\"x\"}",
                    "LimitExceededException: ");
    api_expect_part(api, "ListStreamConsumers", "{\"StreamARN\":\"" ARN "\",\"MaxResults\":2}",
                    "{\"Consumers\":[{\"ConsumerName\":\"c00\",");
    token = api_text(api, "NextToken");
    api_begins(api_callf(api, "ListStreamConsumers",
                         "{\"StreamARN\":\"" ARN "\",\"NextToken\":\"%s\"}", token),
               "{\"Consumers\":[{\"ConsumerName\":\"c02\",");
    assert_null(strstr((char *)api->text.data, "NextToken"));
    mr_free(token);
}

static void warm_throughput_needs_a_commitment(void **state)
{
    struct api *api = *state;

    api_must(api, "CreateStream", "{\"StreamName\":\"d\"}");
    api_expect_part(api, "UpdateStreamWarmThroughput",
                    "{\"StreamName\":\"d\",\"WarmThroughputMiBps\":8}", "ValidationException: ");
    api_expect(api, "DescribeAccountSettings", "{}",
               "{\"MinimumThroughputBillingCommitment\":{\"Status\":\"DISABLED\"}}");
    api_expect_part(api, "UpdateAccountSettings",
                    "{\"MinimumThroughputBillingCommitment\":{\"Status\":\"ENABLED\"}}",
                    "\"Status\":\"ENABLED\",\"StartedAt\":");
    api_expect(api, "UpdateStreamWarmThroughput",
               "{\"StreamName\":\"d\",\"WarmThroughputMiBps\":8}",
               "{\"StreamARN\":\"arn:aws:kinesis:us-east-1:000000000000:stream/d\","
               "\"StreamName\":\"d\",\"WarmThroughput\":{\"TargetMiBps\":8,\"CurrentMiBps\":4}}");
    api_expect_part(api, "DescribeStreamSummary", "{\"StreamName\":\"d\"}",
                    "\"WarmThroughput\":{\"TargetMiBps\":8,\"CurrentMiBps\":8}");
    api_expect_part(api, "UpdateAccountSettings",
                    "{\"MinimumThroughputBillingCommitment\":{\"Status\":\"DISABLED\"}}",
                    "\"Status\":\"ENABLED_UNTIL_EARLIEST_ALLOWED_END\"");
    api->advance_ms += INT64_C(86400000);
    api_expect_part(api, "DescribeAccountSettings", "{}", "\"Status\":\"DISABLED\"");
    api_expect_part(api, "UpdateStreamWarmThroughput",
                    "{\"StreamName\":\"d\",\"WarmThroughputMiBps\":9}", "ValidationException: ");
}

static void distribution_is_for_streams_on_demand(void **state)
{
    struct api *api = *state;

    api_expect_part(api, "UpdateStreamRecordDistributionStrategy",
                    "{\"StreamARN\":\"" ARN "\",\"RecordDistributionStrategy\":\"AUTO\"}",
                    "InvalidArgumentException: ");
    api_must(api, "CreateStream", "{\"StreamName\":\"d\"}");
    api_expect(api, "UpdateStreamRecordDistributionStrategy",
               "{\"StreamARN\":\"arn:aws:kinesis:us-east-1:000000000000:stream/d\","
               "\"RecordDistributionStrategy\":\"AUTO\"}",
               "");
    api_must(api, "PutRecord", "{\"StreamName\":\"d\",\"Data\":\"\"}");
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, api_set_up_stream, api_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(retention_goes_up_and_down_by_its_own_actions),
        CASE(the_mode_changes_twice_a_day),
        CASE(encryption_is_shown),
        CASE(monitoring_tells_before_and_after),
        CASE(tags_are_sorted_merged_and_paged),
        CASE(tags_have_their_limits),
        CASE(policies_are_kept_as_they_are),
        CASE(a_consumer_is_made_found_and_taken_away),
        CASE(a_stream_has_twenty_consumers_listed_in_pages),
        CASE(warm_throughput_needs_a_commitment),
        CASE(distribution_is_for_streams_on_demand),
    };
    return api_run_group(tests);
}
