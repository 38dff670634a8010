/* Messages of an event stream: what is written is what is read, and nothing damaged is. */
#include "support/seed.h"
#include "wire/wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define LIMIT ((size_t)16 << 20)

static mr_bytes text_of(const char *text)
{
    return (mr_bytes){text, strlen(text)};
}

static void assert_bytes(mr_bytes bytes, const char *text)
{
    assert_int_equal(bytes.size, strlen(text));
    assert_memory_equal(bytes.data, text, bytes.size);
}

/* The only message there is, whole. */
static struct mr_event_message cut_one(const struct mr_pack *pack)
{
    struct mr_event_message message;
    size_t size;

    assert_true(mr_event_cut((mr_bytes){pack->data, pack->size}, &message, &size));
    assert_int_equal(size, pack->size);
    return message;
}

/* By hand from the format's description, with the checksums of another program. */
static void the_first_message_is_known_byte_by_byte(void **state)
{
    static const char head[] = "\x0b:event-type\x07\x00\x10initial-response"
                               "\x0d:content-type\x07\x00\x1a"
                               "application/x-amz-json-1.1"
                               "\x0d:message-type\x07\x00\x05"
                               "event{}";
    static const uint8_t prelude[] = {0x00, 0x00, 0x00, 0x72, 0x00, 0x00,
                                      0x00, 0x60, 0xab, 0x82, 0x0d, 0x9e},
                         checksum[] = {0xac, 0xae, 0x6b, 0x7d};
    struct mr_pack pack = MR_PACK(LIMIT);

    (void)state;
    mr_event_initial(MR_FORMAT_JSON, &pack);
    assert_int_equal(pack.size, sizeof prelude + sizeof head - 1 + sizeof checksum);
    assert_memory_equal(pack.data, prelude, sizeof prelude);
    assert_memory_equal(pack.data + sizeof prelude, head, sizeof head - 1);
    assert_memory_equal(pack.data + pack.size - 4, checksum, 4);
    mr_pack_fini(&pack);
}

static void exceptions_say_their_type(void **state)
{
    const struct mr_refusal refusal = {MR_EXCEPTION_NOT_FOUND, text_of("it is gone")};
    struct mr_pack pack = MR_PACK(LIMIT);
    struct mr_event_message message;

    (void)state;
    mr_event_exception(MR_FORMAT_JSON, &refusal, &pack);
    message = cut_one(&pack);
    assert_bytes(message.kind, "exception");
    assert_bytes(message.type, "ResourceNotFoundException");
    assert_bytes(message.payload, "{\"message\":\"it is gone\"}");
    mr_pack_fini(&pack);
}

/* An event of any size, as it is decoded from its message. */
static void assert_comes_back(enum mr_format format, struct mr_random *random)
{
    static uint8_t data[70000];
    struct mr_api_record records[5] = {0};
    struct mr_api_subscribe_to_shard_event event = {
        .records = records,
        .records_count = (size_t)mr_random_below(random, 6),
        .continuation_sequence_number = text_of("495"),
        .millis_behind_latest = MR_NUMBER((int64_t)mr_random_below(random, 1u << 20))};
    const struct mr_api_subscribe_to_shard_event *read;
    struct mr_pack pack = MR_PACK(LIMIT);
    struct mr_arena arena = MR_ARENA(LIMIT);
    struct mr_event_message message;
    struct mr_refusal refusal;
    void *structure;

    for (size_t i = 0; i < event.records_count; i++) {
        size_t size = (size_t)mr_random_below(random, sizeof data);

        for (size_t at = 0; at < size; at += 97)
            data[at] = (uint8_t)mr_random_next(random);
        records[i] = (struct mr_api_record){.sequence_number = text_of("496"),
                                            .approximate_arrival_timestamp =
                                                MR_NUMBER(1700000000123 + (int64_t)i),
                                            .data = {data, size},
                                            .partition_key = text_of("k")};
    }
    mr_event_records(format, &event, &pack);
    message = cut_one(&pack);
    assert_bytes(message.kind, "event");
    assert_bytes(message.type, "SubscribeToShardEvent");
    assert_true(mr_decode(format, message.payload, MR_SHAPE_subscribe_to_shard_event, &arena,
                          &structure, &refusal));
    read = structure;
    assert_int_equal(read->records_count, event.records_count);
    assert_bytes(read->continuation_sequence_number, "495");
    assert_int_equal(read->millis_behind_latest.value, event.millis_behind_latest.value);
    for (size_t i = 0; i < event.records_count; i++) {
        assert_int_equal(read->records[i].data.size, records[i].data.size);
        assert_memory_equal(read->records[i].data.data, data, records[i].data.size);
        assert_int_equal(read->records[i].approximate_arrival_timestamp.value,
                         records[i].approximate_arrival_timestamp.value);
    }
    mr_arena_fini(&arena);
    mr_pack_fini(&pack);
}

static void events_come_back_in_both_formats(void **state)
{
    struct mr_random random = seed_random();

    (void)state;
    for (int i = 0; i < 40; i++) {
        assert_comes_back(MR_FORMAT_JSON, &random);
        assert_comes_back(MR_FORMAT_CBOR, &random);
    }
}

static void messages_behind_each_other_are_cut_apart(void **state)
{
    const struct mr_api_subscribe_to_shard_event event = {.millis_behind_latest = MR_NUMBER(1)};
    const struct mr_refusal refusal = {MR_EXCEPTION_INTERNAL_FAILURE, text_of("no")};
    static const char *const types[] = {"initial-response", "SubscribeToShardEvent",
                                        "InternalFailure"};
    struct mr_pack pack = MR_PACK(LIMIT);
    struct mr_event_message message;
    size_t at = 0, size, count = 0;

    (void)state;
    mr_event_initial(MR_FORMAT_CBOR, &pack);
    mr_event_records(MR_FORMAT_CBOR, &event, &pack);
    mr_event_exception(MR_FORMAT_CBOR, &refusal, &pack);
    for (; at < pack.size; at += size, count++) {
        assert_true(mr_event_cut((mr_bytes){pack.data + at, pack.size - at}, &message, &size));
        assert_true(size > 0);
        assert_memory_equal(message.type.data, types[count], strlen(types[count]));
    }
    assert_int_equal(count, 3);
    mr_pack_fini(&pack);
}

static void a_part_of_a_message_is_waited_for(void **state)
{
    struct mr_pack pack = MR_PACK(LIMIT);
    struct mr_event_message message;
    size_t size;

    (void)state;
    mr_event_initial(MR_FORMAT_JSON, &pack);
    for (size_t part = 0; part < pack.size; part++) {
        size = 1;
        assert_true(mr_event_cut((mr_bytes){pack.data, part}, &message, &size));
        assert_int_equal(size, 0);
    }
    mr_pack_fini(&pack);
}

static void every_changed_bit_is_seen(void **state)
{
    struct mr_pack pack = MR_PACK(LIMIT);
    struct mr_event_message message;
    size_t size;

    (void)state;
    mr_event_initial(MR_FORMAT_JSON, &pack);
    for (size_t bit = 0; bit < 8 * pack.size; bit++) {
        pack.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_false(mr_event_cut((mr_bytes){pack.data, pack.size}, &message, &size));
        pack.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    mr_pack_fini(&pack);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_message_is_known_byte_by_byte),
        cmocka_unit_test(exceptions_say_their_type),
        cmocka_unit_test(events_come_back_in_both_formats),
        cmocka_unit_test(messages_behind_each_other_are_cut_apart),
        cmocka_unit_test(a_part_of_a_message_is_waited_for),
        cmocka_unit_test(every_changed_bit_is_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
