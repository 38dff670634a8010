/* Records through the API: putting, iterators, getting; the texts of the spec's sections 4 and 6. */
#include "support/api.h"

#include "base/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int open_api(void **state)
{
    struct api *api = api_open();

    api_must(api, "CreateStream", "{\"StreamName\":\"s\",\"ShardCount\":2}");
    *state = api;
    return 0;
}

/* Of shard 0; fresh memory. */
static char *iterator(struct api *api, const char *how)
{
    api_callf(api, "GetShardIterator", "{\"StreamName\":\"s\",\"ShardId\":\"0\",%s}", how);
    return api_text(api, "ShardIterator");
}

static char *put(struct api *api, const char *data)
{
    api_callf(api, "PutRecord",
              "{\"StreamName\":\"s\",\"Data\":\"%s\",\"PartitionKey\":\"k\",\"ExplicitHashKey\":"
              "\"0\"}",
              data);
    return api_text(api, "SequenceNumber");
}

static const char *get(struct api *api, const char *iterator)
{
    return api_callf(api, "GetRecords", "{\"ShardIterator\":\"%s\"}", iterator);
}

/* The answer has these data, in order, and no others: "AAAA BBBB". */
static void assert_data(const char *answer, const char *expected)
{
    char found[1000] = "";

    for (const char *at = answer; (at = strstr(at, "\"Data\":\"")); at++)
        snprintf(found + strlen(found), sizeof found - strlen(found), "%s%.*s", found[0] ? " " : "",
                 (int)strcspn(at + 8, "\""), at + 8);
    if (strcmp(found, expected) != 0)
        fail_msg("not '%s' but '%s' in %s", expected, found, answer);
}

static void what_was_put_is_read_in_order(void **state)
{
    struct api *api = *state;
    char *at;

    mr_free(put(api, "AAAA"));
    mr_free(put(api, "BBBB"));
    api_must(
        api, "PutRecord",
        "{\"StreamName\":\"s\",\"Data\":\"\",\"PartitionKey\":\"\xc3\xa9\",\"ExplicitHashKey\":"
        "\"340282366920938463463374607431768211455\"}");
    at = iterator(api, "\"ShardIteratorType\":\"TRIM_HORIZON\"");
    assert_data(get(api, at), "AAAA BBBB");
    assert_non_null(strstr(get(api, at), "\"PartitionKey\":\"k\"}"));
    assert_non_null(strstr(get(api, at), "\"NextShardIterator\":\"AAAAAAAAAAE"));
    assert_non_null(strstr(get(api, at), "\"MillisBehindLatest\":0"));
    assert_null(strstr(get(api, at), "EncryptionType"));
    mr_free(at);
}

/* K2 */
static void every_kind_of_iterator_begins_where_it_says(void **state)
{
    struct api *api = *state;
    char *first = put(api, "AAAA"), *second, *latest, *at, how[300];

    latest = iterator(api, "\"ShardIteratorType\":\"LATEST\"");
    second = put(api, "BBBB");
    assert_data(get(api, latest), "BBBB");
    assert_data(get(api, latest), "BBBB"); /* again: it is not used up */
    mr_free(latest);
    snprintf(how, sizeof how,
             "\"ShardIteratorType\":\"AT_SEQUENCE_NUMBER\",\"StartingSequenceNumber\":\"%s\"",
             second);
    assert_data(get(api, at = iterator(api, how)), "BBBB");
    mr_free(at);
    snprintf(how, sizeof how,
             "\"ShardIteratorType\":\"AFTER_SEQUENCE_NUMBER\",\"StartingSequenceNumber\":\"%s\"",
             first);
    assert_data(get(api, at = iterator(api, how)), "BBBB");
    mr_free(at);
    api_call(api, "DescribeStream", "{\"StreamName\":\"s\"}");
    mr_free(first);
    first = api_text(api, "StartingSequenceNumber");
    snprintf(how, sizeof how,
             "\"ShardIteratorType\":\"AT_SEQUENCE_NUMBER\",\"StartingSequenceNumber\":\"%s\"",
             first);
    assert_data(get(api, at = iterator(api, how)), "AAAA BBBB");
    mr_free(at);
    at = iterator(api, "\"ShardIteratorType\":\"AT_TIMESTAMP\",\"Timestamp\":1");
    assert_data(get(api, at), "AAAA BBBB");
    mr_free(at);
    mr_free(first);
    mr_free(second);
}

static void pages_follow_each_other(void **state)
{
    struct api *api = *state;
    char *at, *next;

    mr_free(put(api, "AAAA"));
    mr_free(put(api, "BBBB"));
    mr_free(put(api, "CCCC"));
    at = iterator(api, "\"ShardIteratorType\":\"TRIM_HORIZON\"");
    assert_data(api_callf(api, "GetRecords", "{\"ShardIterator\":\"%s\",\"Limit\":2}", at),
                "AAAA BBBB");
    next = api_text(api, "NextShardIterator");
    assert_data(get(api, next), "CCCC");
    mr_free(next);
    next = api_text(api, "NextShardIterator");
    assert_data(get(api, next), "");
    mr_free(put(api, "DDDD"));
    assert_data(get(api, next), "DDDD");
    mr_free(next);
    mr_free(at);
}

static void quotes_around_an_iterator_do_no_harm(void **state)
{
    struct api *api = *state;
    char *at = iterator(api, "\"ShardIteratorType\":\"TRIM_HORIZON\"");

    mr_free(put(api, "AAAA"));
    assert_data(api_callf(api, "GetRecords", "{\"ShardIterator\":\"\\\"%s\\\"\"}", at), "AAAA");
    mr_free(at);
}

/* K5 */
static void a_forged_iterator_is_refused(void **state)
{
    struct api *api = *state;
    char *at = iterator(api, "\"ShardIteratorType\":\"TRIM_HORIZON\"");

    for (size_t i = 0; at[i]; i++) {
        char right = at[i];

        at[i] = right == 'A' ? 'B' : 'A';
        assert_string_equal(get(api, at), "InvalidArgumentException: Invalid ShardIterator.");
        at[i] = right;
    }
    at[strlen(at) - 4] = 0;
    assert_string_equal(get(api, at), "InvalidArgumentException: Invalid ShardIterator.");
    assert_string_equal(get(api, "x"), "InvalidArgumentException: Invalid ShardIterator.");
    mr_free(at);
}

static void an_iterator_expires_after_five_minutes(void **state)
{
    struct api *api = *state;
    char *at = iterator(api, "\"ShardIteratorType\":\"TRIM_HORIZON\"");

    api->advance_ms += 299000;
    assert_data(get(api, at), "");
    api->advance_ms += 2000;
    api_begins(get(api, at), "ExpiredIteratorException: Iterator expired. The "
                             "iterator was created at time ");
    assert_non_null(strstr(get(api, at), " UTC 20"));
    assert_non_null(strstr(get(api, at),
                           " which is further in the future than the tolerated delay of 300000 "
                           "milliseconds."));
    mr_free(at);
}

/* K2 */
static void an_iterator_survives_a_restart_but_not_its_stream(void **state)
{
    struct api *api = *state;
    char *at = iterator(api, "\"ShardIteratorType\":\"TRIM_HORIZON\"");

    mr_free(put(api, "AAAA"));
    api_reopen(api);
    assert_data(get(api, at), "AAAA");
    api_must(api, "DeleteStream", "{\"StreamName\":\"s\"}");
    assert_string_equal(get(api, at),
                        "ResourceNotFoundException: Shard shardId-000000000000 in stream s under "
                        "account 000000000000 does not exist");
    api_must(api, "CreateStream", "{\"StreamName\":\"s\",\"ShardCount\":2}");
    assert_string_equal(get(api, at),
                        "ResourceNotFoundException: Shard shardId-000000000000 in stream s under "
                        "account 000000000000 does not exist");
    mr_free(at);
}

#define AT_NUMBER(number, end)                                                                     \
    {                                                                                              \
        "\"ShardId\":\"0\",\"ShardIteratorType\":\"AT_SEQUENCE_NUMBER\","                          \
        "\"StartingSequenceNumber\":\"" number "\"",                                               \
            end(number)                                                                            \
    }
#define INVALID(number)                                                                            \
    "InvalidArgumentException: StartingSequenceNumber " number " used in GetShardIterator on "     \
    "shard shardId-000000000000 in stream s under account 000000000000 is invalid."
#define ANOTHERS(number)                                                                           \
    "InvalidArgumentException: StartingSequenceNumber " number " used in GetShardIterator on "     \
    "shard shardId-000000000000 in stream s under account 000000000000 is invalid because it did " \
    "not come from this stream."
#define NEGATIVE(number)                                                                           \
    "InvalidArgumentException: Invalid StartingSequenceNumber. It encodes shardId--02147483648, "  \
    "while it was used in a call to a shard with shardId-000000000000"

static void wrong_arguments_of_an_iterator_are_told(void **state)
{
    static const char *const cases[][2] = {
        {"\"ShardId\":\"x\",\"ShardIteratorType\":\"LATEST\"",
         "ResourceNotFoundException: Could not find shard x in stream s under account "
         "000000000000."},
        {"\"ShardId\":\"shardId-7\",\"ShardIteratorType\":\"LATEST\"",
         "ResourceNotFoundException: Shard shardId-000000000007 in stream s under account "
         "000000000000 does not exist"},
        {"\"ShardId\":\"0\",\"ShardIteratorType\":\"AT_SEQUENCE_NUMBER\"",
         "InvalidArgumentException: Must either specify (1) AT_SEQUENCE_NUMBER or "
         "AFTER_SEQUENCE_NUMBER and StartingSequenceNumber or (2) TRIM_HORIZON or LATEST and no "
         "StartingSequenceNumber. Request specified AT_SEQUENCE_NUMBER and no "
         "StartingSequenceNumber."},
        {"\"ShardId\":\"0\",\"ShardIteratorType\":\"LATEST\",\"StartingSequenceNumber\":\"1\"",
         "InvalidArgumentException: Must either specify (1) AT_SEQUENCE_NUMBER or "
         "AFTER_SEQUENCE_NUMBER and StartingSequenceNumber or (2) TRIM_HORIZON or LATEST and no "
         "StartingSequenceNumber. Request specified LATEST and also a StartingSequenceNumber."},
        {"\"ShardId\":\"0\",\"ShardIteratorType\":\"AT_SEQUENCE_NUMBER\","
         "\"StartingSequenceNumber\":\"77\"",
         "InvalidArgumentException: Invalid StartingSequenceNumber. It encodes "
         "shardId-000000000077, while it was used in a call to a shard with "
         "shardId-000000000000"},
        AT_NUMBER("42535295865117307932921825928971026432", INVALID), /* 2^125 */
        AT_NUMBER("99999999999999999999999999999999999999999999999999999999", INVALID),
        AT_NUMBER("100000000000000000000000000000000000000000000000000000000", INVALID),
        /* Made with the layout's hex digits: version 3, a counter of 64 bits, created too late. */
        AT_NUMBER("49546986683135544286507457935754639368631356030233608195", INVALID),
        AT_NUMBER("49546986683146694659106723247325407227767680210986598402", INVALID),
        AT_NUMBER("54757830818698251126701659333928097181345247661037453314", INVALID),
        /* A second earlier; version 1. */
        AT_NUMBER("54757830818341439203525169363663525688982873876941766658", ANOTHERS),
        AT_NUMBER("49546986683135546088193124690663982995013168516388880385", ANOTHERS),
        AT_NUMBER("49546986683135544286507457935754639368631356064593346562", NEGATIVE),
        {"\"ShardId\":\"0\",\"ShardIteratorType\":\"AT_SEQUENCE_NUMBER\","
         "\"StartingSequenceNumber\":"
         "\"49546986683135544286507457936321625675700192471156785154\"",
         "InvalidArgumentException: StartingSequenceNumber "
         "49546986683135544286507457936321625675700192471156785154 used in GetShardIterator on "
         "shard shardId-000000000000 in stream s under account 000000000000 is invalid because it "
         "did not come from this stream."},
        {"\"ShardId\":\"1\",\"ShardIteratorType\":\"AT_SEQUENCE_NUMBER\","
         "\"StartingSequenceNumber\":"
         "\"49546986683135544286507457936321625675700192471156785154\"",
         "InvalidArgumentException: Invalid StartingSequenceNumber. It encodes "
         "shardId-000000000000, while it was used in a call to a shard with "
         "shardId-000000000001"},
        {"\"ShardId\":\"0\",\"ShardIteratorType\":\"AT_TIMESTAMP\"",
         "InvalidArgumentException: Must specify timestampInMillis parameter for iterator of type "
         "AT_TIMESTAMP. Current request has no timestamp parameter."},
        {"\"ShardId\":\"0\",\"ShardIteratorType\":\"LATEST\",\"DryRun\":true",
         "DryRunOperationException: Request would have succeeded, but the DryRun parameter was "
         "specified."},
    };
    struct api *api = *state;
    const char *answer;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        answer = api_callf(api, "GetShardIterator", "{\"StreamName\":\"s\",%s}", cases[i][0]);
        assert_string_equal(answer, cases[i][1]);
    }
    answer = api_call(api, "GetShardIterator",
                      "{\"StreamName\":\"s\",\"ShardId\":\"0\",\"ShardIteratorType\":"
                      "\"AT_TIMESTAMP\",\"Timestamp\":99999999999}");
    api_begins(answer, "InvalidArgumentException: The timestampInMillis parameter cannot be "
                       "greater than the currentTimestampInMillis. timestampInMillis: "
                       "99999999999000, currentTimestampInMillis: ");
}

/* Not over HTTP, where a client tries again. */
static void a_number_of_version_0_is_a_failure(void **state)
{
    struct api *api = *state;

    if (api->way != API_LOCAL)
        return;
    api_begins(api_call(api, "GetShardIterator",
                        "{\"StreamName\":\"s\",\"ShardId\":\"0\",\"ShardIteratorType\":"
                        "\"AFTER_SEQUENCE_NUMBER\",\"StartingSequenceNumber\":"
                        "\"21707512549014077723302366865675780096\"}"),
               "InternalFailureException: ");
    api_begins(api_call(api, "GetShardIterator",
                        "{\"StreamName\":\"s\",\"ShardId\":\"0\",\"ShardIteratorType\":"
                        "\"AFTER_SEQUENCE_NUMBER\",\"StartingSequenceNumber\":\"0\"}"),
               "InternalFailureException: ");
}

static void any_earlier_number_will_do_for_ordering(void **state)
{
    static const char *const numbers[] = {
        "5", "21707512549014077723302366865675780096",
        "49546986683135546088193124690663982995013168516388880385",
        "49546986683135544286507457936321625675700192471156785154"};

    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        api_begins(api_callf(*state, "PutRecord",
                             "{\"StreamName\":\"s\",\"Data\":\"\",\"PartitionKey\":\"k\","
                             "\"SequenceNumberForOrdering\":\"%s\"}",
                             numbers[i]),
                   "{\"ShardId\":");
}

/* K1 */
static void wrong_arguments_of_a_put_are_told(void **state)
{
    static const char *const cases[][2] = {
        {"\"StreamName\":\"x\",\"Data\":\"\",\"PartitionKey\":\"k\"",
         "ResourceNotFoundException: Stream x under account 000000000000 not found."},
        {"\"StreamName\":\"s\",\"Data\":\"\"",
         "ValidationException: 1 validation error detected: Value null at 'partitionKey' failed to "
         "satisfy constraint: Member must not be null"},
        {"\"StreamName\":\"s\",\"Data\":\"\",\"PartitionKey\":\"k\",\"ExplicitHashKey\":"
         "\"340282366920938463463374607431768211456\"",
         "InvalidArgumentException: Invalid ExplicitHashKey. ExplicitHashKey must be in the range: "
         "[0, 2^128-1]. Specified value was 340282366920938463463374607431768211456"},
        {"\"StreamName\":\"s\",\"Data\":\"\",\"PartitionKey\":\"k\",\"SequenceNumberForOrdering\":"
         "\"42535295865117307932921825928971026432\"",
         "InvalidArgumentException: ExclusiveMinimumSequenceNumber "
         "42535295865117307932921825928971026432 used in PutRecord on stream s under account "
         "000000000000 is invalid."},
        {"\"StreamName\":\"s\",\"Data\":\"\",\"PartitionKey\":\"k\",\"DryRun\":true",
         "DryRunOperationException: Request would have succeeded, but the DryRun parameter was "
         "specified."},
    };
    struct api *api = *state;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(api_callf(api, "PutRecord", "{%s}", cases[i][0]), cases[i][1]);
    assert_string_equal(
        api_call(api, "PutRecords",
                 "{\"StreamName\":\"s\",\"Records\":[{\"Data\":\"\",\"PartitionKey\":\"k\"},{"
                 "\"Data\":\"\"}]}"),
        "ValidationException: 1 validation error detected: Value null at "
        "'records.2.member.partitionKey' failed to satisfy constraint: Member must not be null");
}

static void many_records_are_answered_in_their_order(void **state)
{
    struct api *api = *state;
    const char *answer =
        api_call(api, "PutRecords",
                 "{\"StreamName\":\"s\",\"Records\":["
                 "{\"Data\":\"AAAA\",\"PartitionKey\":\"a\",\"ExplicitHashKey\":\"0\"},"
                 "{\"Data\":\"BBBB\",\"PartitionKey\":\"b\",\"ExplicitHashKey\":"
                 "\"340282366920938463463374607431768211455\"},"
                 "{\"Data\":\"CCCC\",\"PartitionKey\":\"c\",\"ExplicitHashKey\":\"0\"}]}");
    const char *first = strstr(answer, "shardId-000000000000"),
               *second = strstr(answer, "shardId-000000000001");
    char *at;

    assert_true(first && second && first < second);
    assert_non_null(strstr(second, "shardId-000000000000"));
    assert_non_null(strstr(answer, "\"FailedRecordCount\":0}"));
    at = iterator(api, "\"ShardIteratorType\":\"TRIM_HORIZON\"");
    assert_data(get(api, at), "AAAA CCCC");
    mr_free(at);
}

static char *body_of(size_t data_bytes, size_t count)
{
    size_t digits = (data_bytes + 2) / 3 * 4;
    char *body = mr_alloc(200 + count * (digits + 100)), *out = body;

    out += sprintf(out, "{\"StreamName\":\"s\",\"Records\":[");
    for (size_t i = 0; i < count; i++) {
        out += sprintf(out, "%s{\"PartitionKey\":\"k\",\"ExplicitHashKey\":\"0\",\"Data\":\"",
                       i ? "," : "");
        memset(out, 'A', digits);
        if (data_bytes % 3)
            memset(out + digits - (3 - data_bytes % 3), '=', 3 - data_bytes % 3);
        out += digits;
        out += sprintf(out, "\"}");
    }
    sprintf(out, "]}");
    return body;
}

static void sizes_are_limited_as_the_stream_says(void **state)
{
    struct api *api = *state;
    char *body = body_of((1 << 20) - 1, 1), *larger = body_of(1 << 20, 1),
         *many = body_of((1 << 20) - 1, 11);

    api_expect_part(api, "PutRecords", body, "\"FailedRecordCount\":0");
    api_expect(api, "PutRecords", larger,
               "ValidationException: 1 validation error detected: Value at 'records.1.member.data' "
               "failed to satisfy constraint: Member must have length less than or equal to "
               "1048576");
    api_expect(api, "PutRecords", many,
               "InvalidArgumentException: Records size exceeds 10 MB limit");
    api_must(api, "UpdateMaxRecordSize",
             "{\"StreamARN\":\"arn:aws:kinesis:us-east-1:000000000000:stream/s\","
             "\"MaxRecordSizeInKiB\":2048}");
    api_expect_part(api, "PutRecords", larger, "\"FailedRecordCount\":0");
    mr_free(body);
    mr_free(larger);
    mr_free(many);
}

static void a_page_ends_at_ten_mebibytes(void **state)
{
    struct api *api = *state;
    char *body = body_of(1000000, 6), *at, *next;
    const char *answer;
    size_t count = 0;

    api_must(api, "PutRecords", body);
    api_must(api, "PutRecords", body);
    at = iterator(api, "\"ShardIteratorType\":\"TRIM_HORIZON\"");
    answer = get(api, at);
    for (const char *place = answer; (place = strstr(place, "\"Data\"")); place++)
        count++;
    assert_int_equal(count, 10);
    next = api_text(api, "NextShardIterator");
    answer = get(api, next);
    for (count = 0; (answer = strstr(answer, "\"Data\"")); answer++)
        count++;
    assert_int_equal(count, 2);
    mr_free(next);
    mr_free(at);
    mr_free(body);
}

/* K1 */
static void a_shard_that_is_too_fast_is_told_record_by_record(void **state)
{
    struct api *api = *state;
    char *body = body_of(500000, 4);

    api->engine_config.limits = MR_LIMITS_KINESIS;
    api_reopen(api);
    api_expect_part(api, "PutRecords", body, "\"FailedRecordCount\":2}");
    api_expect_part(api, "PutRecords", body,
                    "{\"ErrorCode\":\"ProvisionedThroughputExceededException\",\"ErrorMessage\":"
                    "\"Rate exceeded for shard shardId-000000000000 in stream s under account "
                    "000000000000.\"}],\"FailedRecordCount\":4}");
    mr_free(body);
    api->advance_ms += 10000;
    for (int i = 0; i < 1000; i++)
        mr_free(put(api, ""));
    api_expect(api, "PutRecord",
               "{\"StreamName\":\"s\",\"Data\":\"\",\"PartitionKey\":\"k\",\"ExplicitHashKey\":"
               "\"0\"}",
               "ProvisionedThroughputExceededException: Rate exceeded for shard "
               "shardId-000000000000 in stream s under account 000000000000.");
}

static void a_shard_is_read_five_times_a_second(void **state)
{
    struct api *api = *state;
    char *at;

    api->engine_config.limits = MR_LIMITS_KINESIS;
    api_reopen(api);
    at = iterator(api, "\"ShardIteratorType\":\"TRIM_HORIZON\"");
    for (int i = 0; i < 5; i++)
        assert_data(get(api, at), "");
    assert_string_equal(get(api, at),
                        "ProvisionedThroughputExceededException: Rate exceeded for shard "
                        "shardId-000000000000 in stream s under account 000000000000.");
    api->advance_ms += 1000;
    assert_data(get(api, at), "");
    mr_free(at);
}

static void with_auto_distribution_no_key_is_needed(void **state)
{
    struct api *api = *state;
    char *at;

    api_must(api, "CreateStream",
             "{\"StreamName\":\"auto\",\"StreamModeDetails\":{\"StreamMode\":\"ON_DEMAND\"},"
             "\"RecordDistributionStrategy\":\"AUTO\"}");
    for (int i = 0; i < 8; i++)
        api_must(api, "PutRecord", "{\"StreamName\":\"auto\",\"Data\":\"AAAA\"}");
    for (int shard = 0; shard < 4; shard++) {
        api_callf(api, "GetShardIterator",
                  "{\"StreamName\":\"auto\",\"ShardId\":\"%d\",\"ShardIteratorType\":"
                  "\"TRIM_HORIZON\"}",
                  shard);
        at = api_text(api, "ShardIterator");
        assert_non_null(strstr(get(api, at), "\"Data\":\"AAAA\""));
        assert_null(strstr(get(api, at), "PartitionKey"));
        mr_free(at);
    }
}

static void records_of_an_encrypted_stream_say_so(void **state)
{
    struct api *api = *state;
    char *at;

    api_must(api, "StartStreamEncryption",
             "{\"StreamName\":\"s\",\"EncryptionType\":\"KMS\",\"KeyId\":\"k\"}");
    mr_free(put(api, "AAAA"));
    assert_non_null(strstr((char *)api->text.data, "\"EncryptionType\":\"KMS\""));
    at = iterator(api, "\"ShardIteratorType\":\"TRIM_HORIZON\"");
    assert_non_null(strstr(get(api, at), "\"EncryptionType\":\"KMS\""));
    mr_free(at);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, open_api, api_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(what_was_put_is_read_in_order),
        CASE(every_kind_of_iterator_begins_where_it_says),
        CASE(pages_follow_each_other),
        CASE(quotes_around_an_iterator_do_no_harm),
        CASE(a_forged_iterator_is_refused),
        CASE(an_iterator_expires_after_five_minutes),
        CASE(an_iterator_survives_a_restart_but_not_its_stream),
        CASE(wrong_arguments_of_an_iterator_are_told),
        CASE(a_number_of_version_0_is_a_failure),
        CASE(any_earlier_number_will_do_for_ordering),
        CASE(wrong_arguments_of_a_put_are_told),
        CASE(many_records_are_answered_in_their_order),
        CASE(sizes_are_limited_as_the_stream_says),
        CASE(a_page_ends_at_ten_mebibytes),
        CASE(a_shard_that_is_too_fast_is_told_record_by_record),
        CASE(a_shard_is_read_five_times_a_second),
        CASE(with_auto_distribution_no_key_is_needed),
        CASE(records_of_an_encrypted_stream_say_so),
    };
    return api_run_group(tests);
}
