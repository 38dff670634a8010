/* What a request must be: the texts of the spec's section 3, their order, and the patterns. */
#include "service/pattern.h"
#include "service/service.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct mr_arena arena = {.limit = (size_t)1 << 24};

static mr_bytes bytes_of(const char *text)
{
    return (mr_bytes){text, strlen(text)};
}

static mr_bytes repeated(char byte, size_t count)
{
    char *text = mr_arena_take(&arena, count);

    memset(text, byte, count);
    return (mr_bytes){text, count};
}

/* NULL: it is right. */
static void checks(enum mr_action action, const void *request, const char *expected)
{
    struct mr_refusal refusal = {0};
    bool is_right = mr_request_check(action, request, &arena, &refusal);

    assert_int_equal(is_right, !expected);
    if (!expected)
        return;
    assert_int_equal(refusal.type, MR_EXCEPTION_VALIDATION);
    if (strcmp(refusal.message.data, expected) != 0)
        fail_msg("not\n%s\nbut\n%s", expected, (const char *)refusal.message.data);
    mr_arena_reset(&arena);
}

static void tells_of_all_that_is_missing_in_order(void **state)
{
    (void)state;
    checks(MR_ACTION_SPLIT_SHARD, &(struct mr_api_split_shard_request){0},
           "2 validation errors detected: Value null at 'newStartingHashKey' failed to satisfy "
           "constraint: Member must not be null; Value null at 'shardToSplit' failed to satisfy "
           "constraint: Member must not be null");
    checks(MR_ACTION_PUT_RECORD, &(struct mr_api_put_record_request){0},
           "1 validation error detected: Value null at 'data' failed to satisfy constraint: "
           "Member must not be null");
    checks(MR_ACTION_DESCRIBE_LIMITS, &(struct mr_api_describe_limits_request){0}, NULL);
}

static void tells_of_pattern_before_length(void **state)
{
    struct mr_api_describe_stream_request request = {.stream_name = bytes_of(""),
                                                     .limit = MR_NUMBER(0)};
    (void)state;

    checks(MR_ACTION_DESCRIBE_STREAM, &request,
           "3 validation errors detected: Value '0' at 'limit' failed to satisfy constraint: "
           "Member must have value greater than or equal to 1; Value '' at 'streamName' failed to "
           "satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+; "
           "Value '' at 'streamName' failed to satisfy constraint: Member must have length greater "
           "than or equal to 1");
    request = (struct mr_api_describe_stream_request){.stream_name = bytes_of("a"),
                                                      .limit = MR_NUMBER(10001)};
    checks(MR_ACTION_DESCRIBE_STREAM, &request,
           "1 validation error detected: Value '10001' at 'limit' failed to satisfy constraint: "
           "Member must have value less than or equal to 10000");
}

static void names_enums_as_the_service_orders_them(void **state)
{
    struct mr_api_get_shard_iterator_request request = {.shard_id = bytes_of("0"),
                                                        .shard_iterator_type = bytes_of("x")};
    (void)state;

    checks(MR_ACTION_GET_SHARD_ITERATOR, &request,
           "1 validation error detected: Value 'x' at 'shardIteratorType' failed to satisfy "
           "constraint: Member must satisfy enum value set: [AFTER_SEQUENCE_NUMBER, LATEST, "
           "AT_TIMESTAMP, AT_SEQUENCE_NUMBER, TRIM_HORIZON]");
}

static void names_the_place_within_lists_and_structures(void **state)
{
    struct mr_api_put_records_request_entry entries[2] = {
        {.data = bytes_of(""), .partition_key = bytes_of("a")},
        {.explicit_hash_key = bytes_of("01"), .partition_key = bytes_of("")}};
    struct mr_api_put_records_request puts = {.records = entries, .records_count = 2};
    struct mr_api_starting_position position = {0};
    struct mr_api_subscribe_to_shard_request subscribe = {
        .consumer_arn = bytes_of("arn:aws:kinesis:us-east-1:000000000000:stream/s/consumer/c:1"),
        .shard_id = bytes_of("0"),
        .starting_position = &position};
    (void)state;

    checks(MR_ACTION_PUT_RECORDS, &puts,
           "3 validation errors detected: Value '' at 'records.2.member.partitionKey' failed to "
           "satisfy constraint: Member must have length greater than or equal to 1; Value '01' at "
           "'records.2.member.explicitHashKey' failed to satisfy constraint: Member must satisfy "
           "regular expression pattern: 0|([1-9]\\d{0,38}); Value null at "
           "'records.2.member.data' failed to satisfy constraint: Member must not be null");
    checks(MR_ACTION_SUBSCRIBE_TO_SHARD, &subscribe,
           "1 validation error detected: Value null at 'startingPosition.type' failed to satisfy "
           "constraint: Member must not be null");
}

static void looks_at_no_more_items_than_were_kept(void **state)
{
    struct mr_api_put_records_request puts = {
        .records = mr_arena_array(&arena, struct mr_api_put_records_request_entry, 500),
        .records_count = 100000};
    (void)state;

    for (int i = 0; i < 500; i++)
        puts.records[i].data = bytes_of("");
    checks(MR_ACTION_PUT_RECORDS, &puts,
           "1 validation error detected: Value at 'records' failed to satisfy constraint: Member "
           "must have length less than or equal to 500");
}

static void stops_at_ten_faults(void **state)
{
    struct mr_api_put_records_request puts = {
        .records = mr_arena_array(&arena, struct mr_api_put_records_request_entry, 20),
        .records_count = 20};
    struct mr_refusal refusal;
    (void)state;

    assert_false(mr_request_check(MR_ACTION_PUT_RECORDS, &puts, &arena, &refusal));
    assert_memory_equal(refusal.message.data, "10 validation errors detected: ", 31);
    assert_non_null(strstr(refusal.message.data, "'records.10.member.data'"));
    assert_null(strstr(refusal.message.data, "'records.11.member.data'"));
    mr_arena_reset(&arena);
}

static void words_items_of_lists_and_maps_as_one(void **state)
{
    mr_bytes metrics[] = {bytes_of("IncomingBytes"), bytes_of("x")}, keys[] = {bytes_of("a"), {0}};
    struct mr_api_enable_enhanced_monitoring_request monitoring = {.shard_level_metrics = metrics,
                                                                   .shard_level_metrics_count = 2};
    struct mr_api_remove_tags_from_stream_request remove = {.tag_keys = keys, .tag_keys_count = 2};
    struct mr_api_tag tag = {.key = bytes_of("k"), .value = repeated('v', 257)};
    struct mr_api_add_tags_to_stream_request add = {.tags = &tag, .tags_count = 1};
    char expected[600];
    (void)state;

    checks(MR_ACTION_ENABLE_ENHANCED_MONITORING, &monitoring,
           "1 validation error detected: Value '[IncomingBytes, x]' at 'shardLevelMetrics' failed "
           "to satisfy constraint: Member must satisfy constraint: [Member must satisfy enum value "
           "set: [IncomingBytes, IncomingRecords, OutgoingBytes, OutgoingRecords, "
           "WriteProvisionedThroughputExceeded, ReadProvisionedThroughputExceeded, "
           "IteratorAgeMilliseconds, ALL]]");
    checks(MR_ACTION_REMOVE_TAGS_FROM_STREAM, &remove,
           "1 validation error detected: Value '[a, ]' at 'tagKeys' failed to satisfy constraint: "
           "Member must satisfy constraint: [Member must have length less than or equal to 128, "
           "Member must have length greater than or equal to 1]");
    tag.value = repeated('v', 257);
    snprintf(expected, sizeof expected,
             "1 validation error detected: Value '{k=%.257s}' at 'tags' failed to satisfy "
             "constraint: Map value must satisfy constraint: [Member must have length less than or "
             "equal to 256, Member must have length greater than or equal to 0]",
             (const char *)tag.value.data);
    checks(MR_ACTION_ADD_TAGS_TO_STREAM, &add, expected);
}

static void counts_characters_of_keys_not_bytes(void **state)
{
    struct mr_api_put_record_request put = {.data = bytes_of("")};
    char key[1028];
    (void)state;

    for (int i = 0; i < 257; i++)
        memcpy(key + 4 * i, "\xf0\x9f\x98\x80", 4);
    put.partition_key = (mr_bytes){key, 1024};
    checks(MR_ACTION_PUT_RECORD, &put, NULL);
    put.partition_key = (mr_bytes){key, 1028};
    assert_false(mr_request_check(MR_ACTION_PUT_RECORD, &put, &arena, &(struct mr_refusal){0}));
    mr_arena_reset(&arena);
}

static void knows_arns(void **state)
{
    static const struct {
        enum mr_rule rule;
        const char *text;
        bool holds;
    } cases[] = {
        {MR_RULE_STREAM_ARN, "arn:aws:kinesis:us-east-1:123456789012:stream/a", true},
        {MR_RULE_STREAM_ARN, "arn:aws-cn:kinesis::123456789012:stream/a b", false},
        {MR_RULE_STREAM_ARN, "arn:aws:kinesis:us-east-1:12345678901:stream/a", false},
        {MR_RULE_STREAM_ARN, "arn:aws:kinesis:us-east-1:123456789012:stream/", false},
        {MR_RULE_STREAM_ARN, "arn:aws:kinesis:a:kinesis:b:123456789012:stream/a", true},
        {MR_RULE_RESOURCE_ARN, "arn:aws:kinesis:r:123456789012:stream/a/consumer/b:1", true},
        {MR_RULE_RESOURCE_ARN, "arn:aws:kinesis:r:123456789012:xstream/a", true},
        {MR_RULE_CONSUMER_ARN, "arn:aws:kinesis:r:123456789012:stream/a/consumer/b:1", true},
        {MR_RULE_CONSUMER_ARN, "arn:aws:kinesis:r:123456789012:stream/a/consumer/b:", false},
        {MR_RULE_CONSUMER_ARN, "arn:aws:kinesis:r:123456789012:stream/a/consumer/b:1x", false},
        {MR_RULE_CONSUMER_ARN, "arn:aws:kinesis:r:123456789012:stream/x stream/a/consumer/b:1",
         true},
        {MR_RULE_CONSUMER_ARN, "arn:aws:kinesis:r:123456789012:stream/a", false},
        {MR_RULE_STREAM_ID, "abcdefghij0123456789-abc", true},
        {MR_RULE_STREAM_ID, "abcdefghij0123456789-abC", false},
        {MR_RULE_NAME, "aZ09_.-", true},
        {MR_RULE_NAME, "a b", false},
        {MR_RULE_HASH_KEY, "0", true},
        {MR_RULE_HASH_KEY, "00", false},
        {MR_RULE_HASH_KEY, "999999999999999999999999999999999999999", true},
        {MR_RULE_HASH_KEY, "1000000000000000000000000000000000000000", false},
        {MR_RULE_HASH_KEY, "-1", false},
        {MR_RULE_HASH_KEY, "", false},
    };
    (void)state;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (mr_rule_holds(cases[i].rule, bytes_of(cases[i].text)) != cases[i].holds)
            fail_msg("%s", cases[i].text);
}

static void matches_long_texts_in_a_moment(void **state)
{
    mr_bytes text = repeated(':', 1 << 14);
    (void)state;

    memcpy((char *)(uintptr_t)text.data, "arn:aws:kinesis:", 16);
    assert_false(mr_rule_holds(MR_RULE_CONSUMER_ARN, text));
    mr_arena_reset(&arena);
}

static void knows_its_own_names(void **state)
{
    (void)state;
    for (enum mr_action action = 0; action < MR_ACTION_COUNT; action++)
        assert_int_equal(mr_action_find(bytes_of(mr_actions[action].name)), action);
    assert_int_equal(mr_action_find(bytes_of("Nothing")), MR_ACTION_COUNT);
    for (enum mr_exception type = 1; type < MR_EXCEPTION_COUNT; type++)
        assert_int_equal(mr_exception_find(bytes_of(mr_exceptions[type].name)), type);
    assert_int_equal(mr_exception_find(bytes_of("x")), MR_EXCEPTION_NONE);
}

static int release(void **state)
{
    (void)state;
    mr_arena_fini(&arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_of_all_that_is_missing_in_order),
        cmocka_unit_test(tells_of_pattern_before_length),
        cmocka_unit_test(names_enums_as_the_service_orders_them),
        cmocka_unit_test(names_the_place_within_lists_and_structures),
        cmocka_unit_test(looks_at_no_more_items_than_were_kept),
        cmocka_unit_test(stops_at_ten_faults),
        cmocka_unit_test(words_items_of_lists_and_maps_as_one),
        cmocka_unit_test(counts_characters_of_keys_not_bytes),
        cmocka_unit_test(knows_arns),
        cmocka_unit_test(matches_long_texts_in_a_moment),
        cmocka_unit_test(knows_its_own_names),
    };
    return cmocka_run_group_tests_name("request", tests, NULL, release);
}
