/* test_kafka_mapping.c - records as Kafka's messages and back: keys, partitions, headers, positions. */
#include "kafka/inside.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static mr_bytes text(const char *of)
{
    return (mr_bytes){of, strlen(of)};
}

static struct mr_incoming message_of(mr_bytes key, mr_bytes data)
{
    return (struct mr_incoming){
        .key = key, .data = data, .topic = "t", .partition = 3, .offset = 1234, .time_ms = 99};
}

/* ---- partitions --------------------------------------------------------------------------- */

/* Hashes as published with the tests of Apache Kafka's own murmur2. */
static void chooses_the_partition_that_java_does(void **state)
{
    static const struct {
        const char *key;
        int32_t hash;
    } known[] = {{"21", -973932308},
                 {"foobar", -790332482},
                 {"a-little-bit-long-string", -985981536},
                 {"a-little-bit-longer-string", -1486304829},
                 {"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971},
                 {"abc", 479470107}};
    (void)state;

    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        for (int32_t count = 1; count < 100; count++)
            assert_int_equal(
                mr_partition_of(MR_BY_KEY, text(known[i].key), (mr_hash_key){0}, 0, count),
                (known[i].hash & 0x7fffffff) % count);
}

static void spreads_hash_ranges_evenly_and_in_order(void **state)
{
    (void)state;
    for (int32_t count = 1; count < 50; count++) {
        int32_t before = 0;

        for (uint64_t i = 0; i < 1000; i++) {
            const mr_hash_key hash = {i * (UINT64_MAX / 1000), 0};
            int32_t partition = mr_partition_of(MR_BY_HASH_RANGE, text("k"), hash, 0, count);

            assert_true(partition == before || partition == before + 1);
            before = partition;
        }
        assert_int_equal(before, count - 1);
        assert_int_equal(mr_partition_of(MR_BY_HASH_RANGE, text(""),
                                         (mr_hash_key){UINT64_MAX, UINT64_MAX}, 0, count),
                         count - 1);
    }
}

static void shards_take_partitions_in_turn(void **state)
{
    (void)state;
    for (uint32_t shard = 0; shard < 20; shard++)
        assert_int_equal(mr_partition_of(MR_BY_SHARD, text("k"), (mr_hash_key){0}, shard, 7),
                         (int)shard % 7);
}

static void a_record_without_key_goes_by_its_hash(void **state)
{
    (void)state;
    assert_int_equal(
        mr_partition_of(MR_BY_KEY, text(""), (mr_hash_key){UINT64_MAX / 2 + 1, 0}, 0, 2), 1);
    assert_int_equal(mr_partition_of(MR_BY_KEY, text(""), (mr_hash_key){1, 0}, 0, 2), 0);
}

/* ---- headers ------------------------------------------------------------------------------ */

static void assert_header(rd_kafka_headers_t *headers, const char *name, const char *expected)
{
    const void *value;
    size_t size;

    if (!expected) {
        assert_int_not_equal(rd_kafka_header_get_last(headers, name, &value, &size), 0);
        return;
    }
    assert_int_equal(rd_kafka_header_get_last(headers, name, &value, &size), 0);
    assert_int_equal(size, strlen(expected));
    assert_memory_equal(value, expected, size);
}

static void headers_tell_where_a_record_was(void **state)
{
    mr_consumer_record record = {.has_explicit_hash_key = true, .explicit_hash_key = {0, 77}};
    rd_kafka_headers_t *headers;
    (void)state;

    assert_int_equal(mr_mark_parse("49590338271490256608559692538361571095921575989136588898", 0,
                                   &record.mark, NULL),
                     MR_OK);
    headers = mr_headers_of(&record, 7);
    assert_header(headers, "millrace-sequence",
                  "49590338271490256608559692538361571095921575989136588898");
    assert_header(headers, "millrace-shard", "shardId-000000000007");
    assert_header(headers, "millrace-hash-key", "77");
    assert_header(headers, "millrace-sub-sequence", NULL);
    rd_kafka_headers_destroy(headers);
    record.mark.sub_sequence = 5;
    record.has_explicit_hash_key = false;
    headers = mr_headers_of(&record, 7);
    assert_header(headers, "millrace-sub-sequence", "5");
    assert_header(headers, "millrace-hash-key", NULL);
    rd_kafka_headers_destroy(headers);
}

/* ---- keys of messages --------------------------------------------------------------------- */

static void assert_key(mr_bytes key, const char *expected)
{
    struct mr_incoming message = message_of(key, text("data"));
    struct mr_mapped mapped = {0};
    const char *reason = NULL;

    if (!expected) {
        assert_false(mr_message_map(&message, false, &mapped, &reason));
        assert_non_null(reason);
    } else {
        assert_true(mr_message_map(&message, false, &mapped, &reason));
        assert_int_equal(mapped.key.size, strlen(expected));
        assert_memory_equal(mapped.key.data, expected, mapped.key.size);
        assert_int_equal(mapped.data.size, 4);
    }
    mr_mapped_fini(&mapped);
}

static void keys_become_partition_keys(void **state)
{
    char longest[258];
    (void)state;

    memset(longest, 'k', sizeof longest);
    longest[256] = 0;
    assert_key(text("DTW"), "DTW");
    assert_key(text("Z\xc3\xbcrich"), "Z\xc3\xbcrich");
    assert_key((mr_bytes){0}, "3:1234");
    assert_key(text(""), "3:1234");
    assert_key((mr_bytes){"\xff\0x", 3}, "base64:/wB4");
    assert_key(text(longest), longest);
    assert_key((mr_bytes){longest, 257}, NULL);
}

static void a_long_key_that_is_no_text_is_refused(void **state)
{
    uint8_t key[200];
    (void)state;

    memset(key, 0xff, sizeof key);
    assert_key((mr_bytes){key, 187}, NULL); /* 7 and 252 characters */
    assert_key((mr_bytes){key, sizeof key}, NULL);
}

static void a_tombstone_is_a_record_without_data(void **state)
{
    struct mr_incoming message = message_of(text("k"), (mr_bytes){0});
    struct mr_mapped mapped = {0};
    const char *reason;
    (void)state;

    assert_true(mr_message_map(&message, false, &mapped, &reason));
    assert_int_equal(mapped.data.size, 0);
}

/* ---- headers of messages ------------------------------------------------------------------ */

static void a_hash_key_finds_its_way_back(void **state)
{
    mr_consumer_record record = {.has_explicit_hash_key = true, .explicit_hash_key = {3, 77}};
    struct mr_incoming message = message_of(text("k"), text("data"));
    struct mr_mapped mapped = {0};
    const char *reason;
    (void)state;

    message.headers = mr_headers_of(&record, 0);
    assert_true(mr_message_map(&message, false, &mapped, &reason));
    assert_true(mapped.has_hash_key);
    assert_true(mapped.hash_key.hi == 3 && mapped.hash_key.lo == 77);
    rd_kafka_headers_destroy(message.headers);
    message.headers = rd_kafka_headers_new(1);
    rd_kafka_header_add(message.headers, "millrace-hash-key", -1, "no number", -1);
    assert_true(mr_message_map(&message, false, &mapped, &reason));
    assert_false(mapped.has_hash_key);
    rd_kafka_headers_destroy(message.headers);
}

static void wraps_all_that_a_message_has(void **state)
{
    static const char expected[] =
        "{\"topic\":\"t\",\"partition\":3,\"offset\":1234,\"time_ms\":99,\"key\":\"k\","
        "\"headers\":[{\"name\":\"a\",\"value\":\"1\"},{\"name\":\"a\",\"value_base64\":\"/w==\"},"
        "{\"name\":\"b\",\"value\":null}],\"data\":null}";
    struct mr_incoming message = message_of(text("k"), (mr_bytes){0});
    struct mr_mapped mapped = {0};
    const char *reason;
    (void)state;

    message.headers = rd_kafka_headers_new(3);
    rd_kafka_header_add(message.headers, "a", -1, "1", 1);
    rd_kafka_header_add(message.headers, "a", -1, "\xff", 1);
    rd_kafka_header_add(message.headers, "b", -1, NULL, 0);
    assert_true(mr_message_map(&message, true, &mapped, &reason));
    assert_int_equal(mapped.data.size, strlen(expected));
    assert_memory_equal(mapped.data.data, expected, mapped.data.size);
    mr_mapped_fini(&mapped);
    rd_kafka_headers_destroy(message.headers);
}

/* ---- positions ---------------------------------------------------------------------------- */

static void a_position_is_read_as_it_was_written(void **state)
{
    static const char *const places[] = {"49590338271490256608559692538361571095921575989136588898",
                                         "SHARD_END", "TRIM_HORIZON"};
    struct mr_bridge bridge = {.created = "1763800000"};
    (void)state;

    for (size_t i = 0; i < 3; i++) {
        char written[MR_POSITION_TEXT_BYTES];
        mr_mark mark, back;
        mr_bytes created;
        size_t size;

        assert_int_equal(mr_mark_parse(places[i], i == 0 ? 12 : 0, &mark, NULL), MR_OK);
        size = mr_position_write(&bridge, &mark, written);
        assert_true(mr_position_scan((mr_bytes){written, size}, &back, &created));
        assert_int_equal(mr_mark_compare(&mark, &back), 0);
        assert_int_equal(created.size, strlen(bridge.created));
        assert_memory_equal(created.data, bridge.created, created.size);
    }
}

static void what_is_no_position_is_none(void **state)
{
    static const char *const wrong[] = {
        "",       " ", "SHARD_END", "SHARD_END 0", "SHARD_END x 1", "nowhere 0 1", "SHARD_END -1 1",
        "12x 0 1"};
    mr_bytes created;
    mr_mark mark;
    (void)state;

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_false(mr_position_scan(text(wrong[i]), &mark, &created));
    assert_false(mr_position_scan((mr_bytes){0}, &mark, &created));
}

/* ---- properties --------------------------------------------------------------------------- */

static void a_property_may_come_from_the_environment(void **state)
{
    struct mr_kafka_properties properties = {0};
    mr_error error;
    (void)state;

    setenv("MR_TEST_SECRET", "a=b", 1);
    assert_int_equal(
        mr_kafka_property_add(&properties, " sasl.password = env:MR_TEST_SECRET ", &error), MR_OK);
    assert_string_equal(properties.items[0].name, "sasl.password");
    assert_string_equal(properties.items[0].value, "a=b");
    assert_int_equal(mr_kafka_property_add(&properties, "x=env:MR_TEST_NONE", &error), MR_INVALID);
    assert_int_equal(mr_kafka_property_add(&properties, "nonsense", &error), MR_INVALID);
    assert_null(strstr(error.message, "nonsense")); /* it may be the secret alone */
    mr_kafka_properties_fini(&properties);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chooses_the_partition_that_java_does),
        cmocka_unit_test(spreads_hash_ranges_evenly_and_in_order),
        cmocka_unit_test(shards_take_partitions_in_turn),
        cmocka_unit_test(a_record_without_key_goes_by_its_hash),
        cmocka_unit_test(headers_tell_where_a_record_was),
        cmocka_unit_test(keys_become_partition_keys),
        cmocka_unit_test(a_long_key_that_is_no_text_is_refused),
        cmocka_unit_test(a_tombstone_is_a_record_without_data),
        cmocka_unit_test(a_hash_key_finds_its_way_back),
        cmocka_unit_test(wraps_all_that_a_message_has),
        cmocka_unit_test(a_position_is_read_as_it_was_written),
        cmocka_unit_test(what_is_no_position_is_none),
        cmocka_unit_test(a_property_may_come_from_the_environment),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
