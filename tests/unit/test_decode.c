/* Requests out of JSON and CBOR, and back: values, wrong types in Kinesis's words, what is refused. */
#include "support/seed.h"
#include "wire/wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define BIG_NUMBER "class com.amazon.coral.value.json.numbers.TruncatingBigNumber"

static struct mr_arena arena = {.limit = (size_t)64 << 20};

static int reset(void **state)
{
    (void)state;
    mr_arena_reset(&arena);
    return 0;
}

static int release(void **state)
{
    (void)state;
    mr_arena_fini(&arena);
    return 0;
}

static mr_bytes bytes_of(const char *text)
{
    return (mr_bytes){text, strlen(text)};
}

static void assert_text(mr_bytes text, const char *expected)
{
    if (!text.data || text.size != strlen(expected) || memcmp(text.data, expected, text.size) != 0)
        fail_msg("not '%s' but '%.*s'", expected, (int)text.size,
                 text.data ? (const char *)text.data : "(absent)");
}

static void *decode(enum mr_format format, enum mr_shape_id shape, mr_bytes body)
{
    struct mr_refusal refusal;
    void *structure = NULL;

    if (!mr_decode(format, body, shape, &arena, &structure, &refusal))
        fail_msg("refused: %.*s: %.*s", (int)body.size, (const char *)body.data,
                 (int)refusal.message.size, (const char *)refusal.message.data);
    return structure;
}

static void *from_json(enum mr_shape_id shape, const char *body)
{
    return decode(MR_FORMAT_JSON, shape, bytes_of(body));
}

/* What is wrong with it; NULL: its syntax. */
static void refuses(enum mr_format format, enum mr_shape_id shape, mr_bytes body,
                    const char *message)
{
    struct mr_refusal refusal;
    void *structure;

    if (mr_decode(format, body, shape, &arena, &structure, &refusal))
        fail_msg("taken: %.*s", (int)body.size, (const char *)body.data);
    assert_int_equal(refusal.type, MR_EXCEPTION_SERIALIZATION);
    if (message)
        assert_text(refusal.message, message);
    else if (refusal.message.data)
        fail_msg("%.*s: no fault of syntax, but: %.*s", (int)body.size, (const char *)body.data,
                 (int)refusal.message.size, (const char *)refusal.message.data);
}

/* ---- values ------------------------------------------------------------------------------- */

static void reads_every_kind_of_member_from_json(void **state)
{
    const struct mr_api_put_record_request *put =
        from_json(MR_SHAPE_put_record_request,
                  " { \"StreamName\" : \"s\\u0041\\/\" , \"Data\":\"aGk=\",\"DryRun\":true,"
                  "\"PartitionKey\":\"k\xc3\xa9y\", \"ExplicitHashKey\":null} ");
    const struct mr_api_get_shard_iterator_request *iterator =
        from_json(MR_SHAPE_get_shard_iterator_request,
                  "{\"ShardId\":\"\",\"Timestamp\":1459799926.480,\"Unknown\":[{\"a\":[1]}]}");
    const struct mr_api_add_tags_to_stream_request *tags =
        from_json(MR_SHAPE_add_tags_to_stream_request, "{\"Tags\":{\"a\":\"1\",\"b\":\"\"}}");
    const struct mr_api_create_stream_request *create =
        from_json(MR_SHAPE_create_stream_request,
                  "{\"ShardCount\":3,\"StreamModeDetails\":{\"StreamMode\":\"ON_DEMAND\"}}");
    (void)state;

    assert_text(put->stream_name, "sA/");
    assert_text(put->data, "hi");
    assert_text(put->partition_key, "k\xc3\xa9y");
    assert_null(put->explicit_hash_key.data);
    assert_true(put->dry_run.is_set && put->dry_run.value == 1);
    assert_text(iterator->shard_id, "");
    assert_int_equal(iterator->timestamp.value, INT64_C(1459799926480));
    assert_int_equal(tags->tags_count, 2);
    assert_text(tags->tags[0].key, "a");
    assert_text(tags->tags[1].value, "");
    assert_int_equal(create->shard_count.value, 3);
    assert_text(create->stream_mode_details->stream_mode, "ON_DEMAND");
    assert_false(create->warm_throughput_mibps.is_set);
}

static void reads_every_kind_of_member_from_cbor(void **state)
{
    static const char put_body[] = "\xbf\x6aStreamName\x7f\x61s\x61y\xff"
                                   "\x64"
                                   "Data\x5f\x41h\x41i\xff\x66"
                                   "DryRun\xf5\xff";
    static const char time_body[] = "\xa1\x69Timestamp\xc1\x1b\x00\x00\x01\x53\xe2\xa8\xa0\x10";
    static const char float_body[] = "\xa1\x69Timestamp\xc1\xfb\x3f\xf8\x00\x00\x00\x00\x00\x00";
    const struct mr_api_put_record_request *put = decode(
        MR_FORMAT_CBOR, MR_SHAPE_put_record_request, (mr_bytes){put_body, sizeof put_body - 1});
    const struct mr_api_get_shard_iterator_request *iterator =
        decode(MR_FORMAT_CBOR, MR_SHAPE_get_shard_iterator_request,
               (mr_bytes){time_body, sizeof time_body - 1});
    (void)state;

    assert_text(put->stream_name, "sy");
    assert_text(put->data, "hi");
    assert_int_equal(put->dry_run.value, 1);
    assert_int_equal(iterator->timestamp.value, INT64_C(0x153e2a8a010));
    iterator = decode(MR_FORMAT_CBOR, MR_SHAPE_get_shard_iterator_request,
                      (mr_bytes){float_body, sizeof float_body - 1});
    assert_int_equal(iterator->timestamp.value, 1500);
}

static int64_t limit_of(const char *number)
{
    char body[400];

    snprintf(body, sizeof body, "{\"Limit\":%s}", number);
    return ((const struct mr_api_list_streams_request *)from_json(MR_SHAPE_list_streams_request,
                                                                  body))
        ->limit.value;
}

static void rounds_integers_down_and_clamps_them(void **state)
{
    (void)state;
    assert_int_equal(limit_of("7"), 7);
    assert_int_equal(limit_of("7.9"), 7);
    assert_int_equal(limit_of("-7.1"), -8);
    assert_int_equal(limit_of("-7.0"), -7);
    assert_int_equal(limit_of("0.00000000000000000000000001e27"), 10);
    assert_int_equal(limit_of("1234567890123e-9"), 1234);
    assert_int_equal(limit_of("1e400"), INT32_MAX);
    assert_int_equal(limit_of("100000000000"), INT32_MAX);
    assert_int_equal(limit_of("-1e99999999999999999999"), INT32_MIN);
    assert_int_equal(limit_of("1e-99999999999999999999"), 0);
    assert_int_equal(limit_of("-1e-9"), -1);
    assert_int_equal(limit_of("0e999999999"), 0);
    assert_int_equal(limit_of("-0"), 0);
}

static void keeps_milliseconds_of_times_exact(void **state)
{
    struct mr_random random = seed_random();
    (void)state;

    for (int i = 0; i < 1000; i++) {
        int64_t ms = (int64_t)mr_random_below(&random, UINT64_C(1) << 43);
        char body[100];

        snprintf(body, sizeof body, "{\"Timestamp\":%lld.%03lld}", (long long)(ms / 1000),
                 (long long)(ms % 1000));
        assert_int_equal(((const struct mr_api_get_shard_iterator_request *)from_json(
                              MR_SHAPE_get_shard_iterator_request, body))
                             ->timestamp.value,
                         ms);
        mr_arena_reset(&arena);
    }
}

static void reads_base64_with_escapes_in_it(void **state)
{
    const struct mr_api_put_record_request *put =
        from_json(MR_SHAPE_put_record_request, "{\"Data\":\"\\/\\/\\/\\u002f\"}");
    (void)state;

    assert_text(put->data, "\xff\xff\xff");
}

static void keeps_no_more_items_than_are_allowed_but_counts_them(void **state)
{
    struct mr_pack body = MR_PACK(1 << 20);
    const struct mr_api_put_records_request *puts;
    (void)state;

    mr_pack_bytes(&body, bytes_of("{\"Records\":[{}"));
    for (int i = 1; i < 100000; i++)
        mr_pack_bytes(&body, bytes_of(",{}"));
    mr_pack_bytes(&body, bytes_of("]}"));
    puts = decode(MR_FORMAT_JSON, MR_SHAPE_put_records_request, (mr_bytes){body.data, body.size});
    assert_int_equal(puts->records_count, 100000);
    assert_true(arena.used < 200000);
    mr_pack_fini(&body);
}

/* ---- refusals ----------------------------------------------------------------------------- */

static void tells_of_wrong_types_in_the_words_of_kinesis(void **state)
{
    static const struct {
        enum mr_shape_id shape;
        const char *body, *message;
    } cases[] = {
        {MR_SHAPE_put_record_request, "{\"StreamName\":1}",
         BIG_NUMBER " can not be converted to an String"},
        {MR_SHAPE_put_record_request, "{\"StreamName\":true}",
         "class java.lang.Boolean can not be converted to an String"},
        {MR_SHAPE_put_record_request, "{\"StreamName\":[]}",
         "Start of list found where not expected"},
        {MR_SHAPE_put_record_request, "{\"StreamName\":{}}",
         "Start of structure or map found where not expected."},
        {MR_SHAPE_list_streams_request, "{\"Limit\":\"1\"}",
         "class java.lang.String can not be converted to an Integer"},
        {MR_SHAPE_list_streams_request, "{\"Limit\":false}",
         "class java.lang.Boolean can not be converted to an Integer"},
        {MR_SHAPE_list_streams_request, "{\"Limit\":[1]}",
         "Start of list found where not expected"},
        {MR_SHAPE_put_record_request, "{\"DryRun\":1}",
         BIG_NUMBER " can not be converted to an Boolean"},
        {MR_SHAPE_put_record_request, "{\"DryRun\":\"maybe\"}",
         "'MAYBE' can not be converted to an Boolean"},
        {MR_SHAPE_put_records_request, "{\"Records\":1}", "Expected list or null"},
        {MR_SHAPE_put_records_request, "{\"Records\":{}}",
         "Start of structure or map found where not expected."},
        {MR_SHAPE_put_records_request, "{\"Records\":[1]}", "Expected null"},
        {MR_SHAPE_put_records_request, "{\"Records\":[[]]}",
         "Start of list found where not expected"},
        {MR_SHAPE_add_tags_to_stream_request, "{\"Tags\":\"a\"}", "Expected map or null"},
        {MR_SHAPE_add_tags_to_stream_request, "{\"Tags\":[]}",
         "Start of list found where not expected"},
        {MR_SHAPE_create_stream_request, "{\"StreamModeDetails\":\"ON_DEMAND\"}", "Expected null"},
        {MR_SHAPE_put_record_request, "{\"Data\":true}",
         "class java.lang.Boolean can not be converted to a Blob"},
        {MR_SHAPE_put_record_request, "{\"Data\":12}",
         BIG_NUMBER " can not be converted to a Blob"},
        {MR_SHAPE_put_record_request, "{\"Data\":\"abc\"}",
         "'abc' can not be converted to a Blob: Base64 encoded length is expected a multiple of 4 "
         "bytes but found: 3"},
        {MR_SHAPE_put_record_request, "{\"Data\":\"ab!=\"}",
         "'ab!=' can not be converted to a Blob: Invalid Base64 character: '!'"},
        {MR_SHAPE_put_record_request, "{\"Data\":\"a=bc\"}",
         "'a=bc' can not be converted to a Blob: Invalid Base64 character: '='"},
        {MR_SHAPE_put_record_request, "{\"Data\":\"+/+=\"}",
         "'+/+=' can not be converted to a Blob: Invalid last non-pad Base64 character dectected"},
        {MR_SHAPE_get_shard_iterator_request, "{\"Timestamp\":true}",
         "class java.lang.Boolean can not be converted to milliseconds since epoch"},
        {MR_SHAPE_get_shard_iterator_request, "{\"Timestamp\":\"now\"}",
         "class java.lang.String can not be converted to milliseconds since epoch"},
        /* The first of several. */
        {MR_SHAPE_put_record_request, "{\"StreamName\":[1],\"Data\":true}",
         "Start of list found where not expected"},
    };
    (void)state;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        refuses(MR_FORMAT_JSON, cases[i].shape, bytes_of(cases[i].body), cases[i].message);
}

static void takes_words_for_truth_values(void **state)
{
    (void)state;
    assert_int_equal(((const struct mr_api_put_record_request *)from_json(
                          MR_SHAPE_put_record_request, "{\"DryRun\":\"Yes\"}"))
                         ->dry_run.value,
                     1);
    assert_int_equal(((const struct mr_api_put_record_request *)from_json(
                          MR_SHAPE_put_record_request, "{\"DryRun\":\"false\"}"))
                         ->dry_run.value,
                     0);
}

static void refuses_bodies_that_are_no_object(void **state)
{
    static const char *const bodies[] = {
        "",
        "null",
        "[]",
        "1",
        "\"{}\"",
        "{",
        "{} {}",
        "{\"StreamName\":\"\xff\"}",
        "{\"StreamName\":1",
        "{\"Records\":[{\"Data\":\"AAAA\"}",
        "{\"Records\":[{\"Data\":\"AAAA\"",
        "{\"StreamName\":\"a\",\"StreamName\":\"b\"}",
        "{\"StreamName\":1} x",
    };
    (void)state;

    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++)
        refuses(MR_FORMAT_JSON, MR_SHAPE_put_records_request, bytes_of(bodies[i]), NULL);
    refuses(MR_FORMAT_CBOR, MR_SHAPE_put_records_request, (mr_bytes){"\x80", 1}, NULL);
    refuses(MR_FORMAT_CBOR, MR_SHAPE_put_records_request, (mr_bytes){"\xbf", 1}, NULL);
    refuses(MR_FORMAT_CBOR, MR_SHAPE_put_records_request, (mr_bytes){"\xa0\xa0", 2}, NULL);
    refuses(MR_FORMAT_CBOR, MR_SHAPE_put_records_request,
            bytes_of("\xa2\x6aStreamName\x61\x61\x6aStreamName\x61\x62"), NULL);
}

static void needs_room_in_the_arena(void **state)
{
    struct mr_arena small = MR_ARENA(1000);
    struct mr_refusal refusal;
    void *structure;
    (void)state;

    assert_false(mr_decode(MR_FORMAT_JSON, bytes_of("{}"), MR_SHAPE_put_record_request, &small,
                           &structure, &refusal));
    mr_arena_fini(&small);
}

/* ---- there and back ----------------------------------------------------------------------- */

static void assert_encodes(enum mr_format format, enum mr_shape_id shape, const void *structure,
                           const char *expected, size_t size)
{
    struct mr_pack out = MR_PACK(1 << 20);

    mr_encode(format, shape, structure, &out);
    if (format == MR_FORMAT_JSON)
        assert_text((mr_bytes){out.data, out.size}, expected);
    assert_int_equal(out.size, size);
    assert_memory_equal(out.data, expected, size);
    mr_pack_fini(&out);
}

static void writes_every_kind_of_member(void **state)
{
    struct mr_api_record record = {.sequence_number = bytes_of("1"),
                                   .data = bytes_of("hi"),
                                   .approximate_arrival_timestamp = MR_NUMBER(1459799926480),
                                   .partition_key = bytes_of("\"k\xc3\xa9y\\\n\x01")};
    struct mr_api_get_records_response response = {
        .records = &record, .records_count = 1, .millis_behind_latest = MR_NUMBER(0)};
    static const char json[] =
        "{\"Records\":[{\"SequenceNumber\":\"1\",\"Data\":\"aGk=\","
        "\"ApproximateArrivalTimestamp\":1459799926.480,"
        "\"PartitionKey\":\"\\\"k\xc3\xa9y\\\\\\n\\u0001\"}],\"MillisBehindLatest\":0}";
    static const char cbor[] =
        "\xbf\x67Records\x9f\xbf\x6eSequenceNumber\x61"
        "1\x64"
        "Data\x42hi"
        "\x78\x1b"
        "ApproximateArrivalTimestamp\xc1\x1b\x00\x00\x01\x53\xe2\xdb\x26\xd0"
        "\x6cPartitionKey\x68\"k\xc3\xa9y\\\n\x01\xff\xff\x72MillisBehindLatest\x00\xff";
    (void)state;

    assert_encodes(MR_FORMAT_JSON, MR_SHAPE_get_records_response, &response, json, sizeof json - 1);
    assert_encodes(MR_FORMAT_CBOR, MR_SHAPE_get_records_response, &response, cbor, sizeof cbor - 1);
}

static void writes_required_lists_even_if_empty_and_nothing_else_that_is_absent(void **state)
{
    struct mr_api_get_records_response response = {0};
    struct mr_api_list_streams_response streams = {.has_more_streams = MR_NUMBER(false)};
    (void)state;

    assert_encodes(MR_FORMAT_JSON, MR_SHAPE_get_records_response, &response, "{\"Records\":[]}",
                   14);
    assert_encodes(MR_FORMAT_JSON, MR_SHAPE_list_streams_response, &streams,
                   "{\"StreamNames\":[],\"HasMoreStreams\":false}", 41);
}

static mr_bytes random_text(struct mr_random *random)
{
    static const char *const pieces[] = {"a",
                                         "\"",
                                         "\\",
                                         "\xc3\xa9",
                                         "\xf0\x9f\x98\x80",
                                         "\n",
                                         "plain text that is longer than a few vector registers"};
    struct mr_pack text = MR_PACK(1 << 20);
    mr_bytes copy;

    for (uint64_t left = mr_random_below(random, 8); left > 0; left--)
        mr_pack_bytes(&text, bytes_of(pieces[mr_random_below(random, 7)]));
    copy = mr_arena_copy(&arena, (mr_bytes){text.data, text.size});
    mr_pack_fini(&text);
    return copy;
}

static void fill(struct mr_random *random, const struct mr_shape *shape, void *structure);

static void *random_items(struct mr_random *random, const struct mr_shape *shape, size_t count)
{
    uint8_t *items = mr_arena_take_zero(&arena, count * shape->bytes);

    for (size_t i = 0; i < count; i++)
        fill(random, shape, items + i * shape->bytes);
    return items;
}

static void fill_member(struct mr_random *random, const struct mr_member *table, void *member)
{
    size_t count = (size_t)mr_random_below(random, 5);
    mr_bytes *texts;

    switch ((enum mr_kind)table->kind) {
    case MR_KIND_STRING:
    case MR_KIND_BLOB:
        *(mr_bytes *)member = random_text(random);
        break;
    case MR_KIND_INTEGER:
        *(struct mr_number *)member = MR_NUMBER((int32_t)mr_random_next(random));
        break;
    case MR_KIND_LONG:
        *(struct mr_number *)member = MR_NUMBER((int64_t)mr_random_next(random));
        break;
    case MR_KIND_TIMESTAMP:
        *(struct mr_number *)member = MR_NUMBER((int64_t)mr_random_next(random) >> 12);
        break;
    case MR_KIND_BOOLEAN:
        *(struct mr_number *)member = MR_NUMBER((int64_t)mr_random_below(random, 2));
        break;
    case MR_KIND_STRUCTURE:
        mr_items_set(member, random_items(random, &mr_shapes[table->shape], 1), 0);
        break;
    case MR_KIND_STRINGS:
        texts = mr_arena_array(&arena, mr_bytes, count);
        for (size_t i = 0; i < count; i++)
            texts[i] = random_text(random);
        mr_items_set(member, texts, count);
        break;
    case MR_KIND_LIST:
        mr_items_set(member, random_items(random, &mr_shapes[table->shape], count), count);
        break;
    case MR_KIND_TAGS:
        mr_items_set(member, mr_arena_array(&arena, struct mr_api_tag, 0), 0);
        break;
    }
}

static void fill(struct mr_random *random, const struct mr_shape *shape, void *structure)
{
    for (size_t i = 0; i < shape->member_count; i++)
        if (mr_random_below(random, 4))
            fill_member(random, &shape->members[i], mr_member_at(structure, i));
}

static void any_structure_comes_back_in_both_formats(void **state)
{
    struct mr_random random = seed_random();
    (void)state;

    for (int round = 0; round < 40; round++)
        for (enum mr_shape_id shape = 1; shape < MR_SHAPE_COUNT; shape++)
            for (int format = 0; format < 2; format++) {
                void *structure = mr_arena_take_zero(&arena, mr_shapes[shape].bytes), *back;
                struct mr_pack once = MR_PACK(1 << 24), again = MR_PACK(1 << 24);

                fill(&random, &mr_shapes[shape], structure);
                mr_encode((enum mr_format)format, shape, structure, &once);
                back = decode((enum mr_format)format, shape, (mr_bytes){once.data, once.size});
                mr_encode((enum mr_format)format, shape, back, &again);
                assert_int_equal(again.size, once.size);
                assert_memory_equal(again.data, once.data, once.size);
                mr_pack_fini(&once);
                mr_pack_fini(&again);
                mr_arena_reset(&arena);
            }
}

static void writes_errors_in_both_formats(void **state)
{
    struct mr_refusal plain = {MR_EXCEPTION_SERIALIZATION, {0}},
                      typed = {MR_EXCEPTION_SERIALIZATION, bytes_of("x")},
                      other = {MR_EXCEPTION_NOT_FOUND, bytes_of("no \"s\"")};
    struct mr_pack out = MR_PACK(1000);
    (void)state;

    mr_encode_refusal(MR_FORMAT_JSON, &plain, &out);
    mr_encode_refusal(MR_FORMAT_JSON, &typed, &out);
    mr_encode_refusal(MR_FORMAT_JSON, &other, &out);
    assert_text((mr_bytes){out.data, out.size},
                "{\"__type\":\"SerializationException\"}"
                "{\"__type\":\"SerializationException\",\"Message\":\"x\"}"
                "{\"__type\":\"ResourceNotFoundException\",\"message\":\"no \\\"s\\\"\"}");
    out.size = 0;
    mr_encode_refusal(MR_FORMAT_CBOR, &other, &out);
    assert_text((mr_bytes){out.data, out.size},
                "\xbf\x66__type\x78\x19ResourceNotFoundException\x67message\x66no \"s\"\xff");
    mr_pack_fini(&out);
}

#define CASE(name) cmocka_unit_test_setup(name, reset)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(reads_every_kind_of_member_from_json),
        CASE(reads_every_kind_of_member_from_cbor),
        CASE(rounds_integers_down_and_clamps_them),
        CASE(keeps_milliseconds_of_times_exact),
        CASE(reads_base64_with_escapes_in_it),
        CASE(keeps_no_more_items_than_are_allowed_but_counts_them),
        CASE(tells_of_wrong_types_in_the_words_of_kinesis),
        CASE(takes_words_for_truth_values),
        CASE(refuses_bodies_that_are_no_object),
        CASE(needs_room_in_the_arena),
        CASE(writes_every_kind_of_member),
        CASE(writes_required_lists_even_if_empty_and_nothing_else_that_is_absent),
        CASE(any_structure_comes_back_in_both_formats),
        CASE(writes_errors_in_both_formats),
    };
    return cmocka_run_group_tests_name("decode", tests, NULL, release);
}
