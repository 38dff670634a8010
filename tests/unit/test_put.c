/* Puts: what is refused, where records go, in which order, and when the answer comes. */
#include "base/memory.h"
#include "base/random.h"
#include "base/u128.h"
#include "base/utf8.h"
#include "log/log.h"
#include "stream/range.h"
#include "support/seed.h"
#include "support/stream_world.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void create(struct stream_world *world, const char *stream, uint32_t shard_count)
{
    assert_int_equal(mr_stream_create(world->engine, stream, shard_count, NULL), MR_OK);
}

static mr_put put_of(const char *key, const char *data)
{
    return (mr_put){.partition_key = {key, strlen(key)}, .data = {data, strlen(data)}};
}

/* ---- UTF-8 -------------------------------------------------------------------------------- */

static size_t encode(uint32_t code, uint8_t *out)
{
    if (code < 0x80) {
        out[0] = (uint8_t)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (uint8_t)(0xc0 | code >> 6);
        out[1] = (uint8_t)(0x80 | (code & 0x3f));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (uint8_t)(0xe0 | code >> 12);
        out[1] = (uint8_t)(0x80 | (code >> 6 & 0x3f));
        out[2] = (uint8_t)(0x80 | (code & 0x3f));
        return 3;
    }
    out[0] = (uint8_t)(0xf0 | code >> 18);
    out[1] = (uint8_t)(0x80 | (code >> 12 & 0x3f));
    out[2] = (uint8_t)(0x80 | (code >> 6 & 0x3f));
    out[3] = (uint8_t)(0x80 | (code & 0x3f));
    return 4;
}

static void knows_every_character_and_no_other_bytes(void **state)
{
    uint8_t text[4];
    size_t good = 0;
    (void)state;

    for (uint32_t code = 0; code <= 0x10ffff; code++) {
        size_t size = encode(code, text);
        bool is_surrogate = code >= 0xd800 && code <= 0xdfff;

        assert_int_equal(mr_utf8_chars((mr_bytes){text, size}), is_surrogate ? SIZE_MAX : 1);
        if (size > 1)
            assert_int_equal(mr_utf8_chars((mr_bytes){text, size - 1}), SIZE_MAX);
    }
    /* Of all three bytes: as many are good as there are ways to write characters so. */
    for (uint32_t bytes = 0; bytes < 1u << 24; bytes++) {
        text[0] = (uint8_t)(bytes >> 16);
        text[1] = (uint8_t)(bytes >> 8);
        text[2] = (uint8_t)bytes;
        good += mr_utf8_chars((mr_bytes){text, 3}) != SIZE_MAX;
    }
    assert_int_equal(good, 128 * 128 * 128 + 2 * 128 * 1920 + 0x10000 - 0x800 - 0x800);
}

static void counts_ascii_at_every_length_and_place(void **state)
{
    char text[40];
    (void)state;

    for (size_t size = 0; size <= sizeof text; size++)
        for (size_t place = 0; place < size; place++) {
            memset(text, 'a', size);
            assert_int_equal(mr_ascii_bytes((mr_bytes){text, size}), size);
            text[place] = (char)0x80;
            assert_int_equal(mr_ascii_bytes((mr_bytes){text, size}), place);
        }
}

/* ---- what is refused ---------------------------------------------------------------------- */

static void bad_records_are_refused_and_the_others_stored(void **state) /* L4 */
{
    static char ascii_257[258], wide_256[256 * 4 + 1], wide_257[257 * 4 + 1];
    struct stream_world *world = *state;
    const mr_hash_key zero = {0, 0};
    uint8_t *huge = mr_alloc_zero(1, MR_RECORD_BYTES_MAX);
    mr_put puts[9];
    mr_put_result results[9];

    memset(ascii_257, 'k', 257);
    for (int i = 0; i < 257; i++) {
        if (i < 256)
            memcpy(wide_256 + 4 * i, "\xf0\x9f\x8c\x8d", 4);
        memcpy(wide_257 + 4 * i, "\xf0\x9f\x8c\x8d", 4);
    }
    create(world, "s", 1);
    puts[0] = put_of("good", "a");
    puts[1] = put_of("", "no key");
    puts[2] = (mr_put){.data = {"b", 1}, .explicit_hash_key = &zero};
    puts[3] = put_of(ascii_257, "too many characters");
    puts[4] = put_of(wide_256, "c");
    puts[5] = put_of(wide_257, "too many characters");
    puts[6] = put_of("\xff", "not UTF-8");
    puts[7] = put_of("key", "");
    puts[7].data = (mr_bytes){huge, MR_RECORD_BYTES_MAX - 2}; /* with its key one too many */
    puts[8] = put_of("last", "d");
    assert_int_equal(mr_put_records(world->engine, "s", puts, 9, results, NULL), MR_OK);
    assert_int_equal(results[0].status, MR_OK);
    assert_int_equal(results[1].status, MR_INVALID);
    assert_int_equal(results[2].status, MR_OK);
    assert_int_equal(results[3].status, MR_LIMIT);
    assert_int_equal(results[4].status, MR_OK);
    assert_int_equal(results[5].status, MR_LIMIT);
    assert_int_equal(results[6].status, MR_INVALID);
    assert_int_equal(results[7].status, MR_LIMIT);
    assert_int_equal(results[8].status, MR_OK);
    assert_int_equal(results[3].sequence.number, 0);
    assert_string_equal(stream_world_read(world, "s", 0, FROM_START), "a b c d ");
    mr_free(huge);
}

static void the_largest_record_comes_back_whole(void **state)
{
    struct stream_world *world = *state;
    struct mr_random random = seed_random();
    uint8_t *data = mr_alloc(MR_RECORD_BYTES_MAX);
    mr_put put = put_of("key", "");
    mr_put_result result;
    mr_reader *reader;
    mr_batch batch;

    for (size_t i = 0; i < MR_RECORD_BYTES_MAX; i++)
        data[i] = (uint8_t)mr_random_next(&random);
    put.data = (mr_bytes){data, MR_RECORD_BYTES_MAX - 3};
    create(world, "s", 2);
    assert_int_equal(mr_put_records(world->engine, "s", &put, 1, &result, NULL), MR_OK);
    assert_int_equal(result.status, MR_OK);
    for (int flushed = 0; flushed < 2; flushed++) {
        assert_int_equal(
            mr_reader_open(&reader, world->engine, "s", result.sequence.shard,
                           &(struct mr_reader_config){.from = {.start = MR_START_TRIM_HORIZON}},
                           NULL),
            MR_OK);
        assert_int_equal(mr_reader_next(reader, 10, 0, &batch, NULL), MR_OK);
        assert_int_equal(batch.count, 1);
        assert_int_equal(batch.records->data.size, put.data.size);
        assert_memory_equal(batch.records->data.data, data, put.data.size);
        mr_reader_close(reader);
        stream_world_reopen(world);
    }
    mr_free(data);
}

static void a_batch_over_its_limit_stores_nothing(void **state)
{
    struct stream_world *world = *state;
    size_t size = MR_BATCH_BYTES_MAX / 3 - 66; /* with key and surcharge: 2 under the third */
    uint8_t *data = mr_alloc_zero(1, size + 4);
    mr_put puts[3] = {put_of("k", ""), put_of("k", ""), put_of("k", "")};
    mr_put_result results[3];

    create(world, "s", 1);
    for (int i = 0; i < 3; i++)
        puts[i].data = (mr_bytes){data, size};
    puts[2].data.size = size + 4;
    assert_int_equal(mr_put_records(world->engine, "s", puts, 3, results, NULL), MR_LIMIT);
    puts[2].data.size = SIZE_MAX - 40; /* must not wrap around */
    assert_int_equal(mr_put_records(world->engine, "s", puts, 3, results, NULL), MR_LIMIT);
    assert_string_equal(stream_world_read(world, "s", 0, FROM_START), "");
    puts[2].data.size = size + 3;
    assert_int_equal(mr_put_records(world->engine, "s", puts, 3, results, NULL), MR_OK);
    assert_int_equal(mr_put_records(world->engine, "s", NULL, 0, results, NULL), MR_OK);
    mr_free(data);
}

static void a_missing_stream_is_named(void **state)
{
    struct stream_world *world = *state;
    mr_put put = put_of("k", "v");
    mr_put_result result;
    mr_error error;

    assert_int_equal(mr_put_records(world->engine, "ghost", &put, 1, &result, &error),
                     MR_NOT_FOUND);
    assert_non_null(strstr(error.message, "ghost"));
    create(world, "ghost", 1);
    assert_int_equal(mr_put_records(world->engine, "ghost", &put, 1, &result, &error), MR_OK);
    assert_int_equal(mr_stream_delete(world->engine, "ghost", NULL), MR_OK);
    assert_int_equal(mr_put_records(world->engine, "ghost", &put, 1, &result, &error),
                     MR_NOT_FOUND);
}

/* ---- where and in which order ------------------------------------------------------------- */

static void both_ends_of_every_range_go_to_its_shard(void **state)
{
    struct stream_world *world = *state;

    create(world, "s", 37);
    for (uint32_t i = 0; i < 37; i++) {
        struct mr_range range = mr_range_uniform(37, i);

        assert_int_equal(stream_world_put_at(world, "s", range.first, "x").sequence.shard, i);
        assert_int_equal(stream_world_put_at(world, "s", range.last, "x").sequence.shard, i);
    }
}

static void the_md5_of_the_key_decides_unless_a_hash_key_is_given(void **state)
{
    struct stream_world *world = *state;
    const mr_hash_key key = {UINT64_MAX, 0};
    mr_put puts[40];
    mr_put_result results[40];
    char keys[40][16];
    mr_shard shard;

    create(world, "s", 7);
    for (int i = 0; i < 40; i++) {
        snprintf(keys[i], sizeof keys[i], "key-%d", i);
        puts[i] = put_of(keys[i], "x");
        if (i % 5 == 4)
            puts[i].explicit_hash_key = &key;
    }
    assert_int_equal(mr_put_records(world->engine, "s", puts, 40, results, NULL), MR_OK);
    for (int i = 0; i < 40; i++) {
        mr_hash_key hash;

        assert_int_equal(
            mr_shard_where(world->engine, "s", puts[i].partition_key, &shard, &hash, NULL), MR_OK);
        assert_true(mr_hash_key_equal(hash, mr_hash_key_of(puts[i].partition_key)));
        assert_int_equal(results[i].sequence.shard, i % 5 == 4 ? 6 : shard.id);
    }
}

/* What the model remembers of each record, in put order. */
struct kept {
    uint32_t id, size;
    mr_sequence sequence;
};

static void read_back(struct stream_world *world, uint32_t shard, const struct kept *kept,
                      size_t count)
{
    mr_reader *reader;
    mr_batch batch;
    size_t at = 0, seen = 0, expected = 0;

    for (size_t i = 0; i < count; i++)
        expected += kept[i].sequence.shard == shard;
    assert_int_equal(
        mr_reader_open(&reader, world->engine, "s", shard,
                       &(struct mr_reader_config){.from = {.start = MR_START_TRIM_HORIZON}}, NULL),
        MR_OK);
    do {
        assert_int_equal(mr_reader_next(reader, 333, 0, &batch, NULL), MR_OK);
        for (size_t i = 0; i < batch.count; i++, at++, seen++) { /* L2 */
            const mr_record *record = &batch.records[i];

            while (at < count && kept[at].sequence.shard != shard)
                at++;
            assert_true(at < count);
            assert_int_equal(record->sequence.number, kept[at].sequence.number);
            assert_int_equal(record->sequence.time_s, kept[at].sequence.time_s);
            assert_int_equal(record->sequence.created_s, kept[at].sequence.created_s);
            assert_int_equal(record->sequence.shard, shard);
            assert_int_equal(record->data.size, kept[at].size);
            assert_memory_equal(record->data.data, &kept[at].id, sizeof kept[at].id);
        }
    } while (batch.count > 0);
    assert_int_equal(seen, expected);
    mr_reader_close(reader);
}

static void records_of_a_shard_keep_the_order_of_the_batch(void **state)
{
    struct stream_world *world = *state;
    struct mr_random random = seed_random();
    static uint8_t data[200][40000];
    struct kept *kept = mr_alloc(20000 * sizeof *kept);
    size_t kept_count = 0;
    uint64_t newest[9] = {0};

    create(world, "s", 9);
    for (int round = 0; round < 60; round++) {
        mr_put puts[200];
        mr_put_result results[200];
        mr_hash_key keys[200];
        size_t count = 1 + mr_random_below(&random, 200);

        for (size_t i = 0; i < count; i++) {
            uint32_t id = (uint32_t)(kept_count + i);
            uint64_t size = mr_random_below(&random, 20) ? 4 + mr_random_below(&random, 200)
                                                         : 4 + mr_random_below(&random, 39996);

            memcpy(data[i], &id, sizeof id);
            keys[i] = (mr_hash_key){mr_random_next(&random), mr_random_next(&random)};
            puts[i] = (mr_put){.data = {data[i], size}, .explicit_hash_key = &keys[i]};
        }
        assert_int_equal(mr_put_records(world->engine, "s", puts, count, results, NULL), MR_OK);
        for (size_t i = 0; i < count; i++) {
            uint32_t shard = results[i].sequence.shard;

            assert_int_equal(results[i].status, MR_OK);
            assert_true(results[i].sequence.number > newest[shard]);
            newest[shard] = results[i].sequence.number;
            kept[kept_count] = (struct kept){(uint32_t)kept_count, (uint32_t)puts[i].data.size,
                                             results[i].sequence};
            kept_count++;
        }
        sim_clock_advance(&world->clock, mr_random_below(&random, 700));
    }
    for (uint32_t shard = 0; shard < 9; shard++)
        read_back(world, shard, kept, kept_count);
    stream_world_reopen(world);
    for (uint32_t shard = 0; shard < 9; shard++)
        read_back(world, shard, kept, kept_count);
    mr_free(kept);
}

/* ---- limits ------------------------------------------------------------------------------- */

static void each_shard_has_its_own_write_limit(void **state)
{
    struct stream_world *world = *state;
    const mr_hash_key low = {0, 0}, high = {UINT64_MAX, 0};
    mr_put puts[30];
    mr_put_result results[30];

    create(world, "s", 2);
    mr_engine_limit(world->engine, &(struct mr_limits){.write_records_per_s = 10});
    for (int i = 0; i < 30; i++)
        puts[i] = (mr_put){.data = {"x", 1}, .explicit_hash_key = i % 3 ? &low : &high};
    assert_int_equal(mr_put_records(world->engine, "s", puts, 30, results, NULL), MR_OK);
    for (int i = 0; i < 30; i++) /* 20 to one, 10 to the other: the first 10 of each */
        assert_int_equal(results[i].status, i % 3 && i >= 15 ? MR_THROTTLED : MR_OK);
    assert_string_equal(stream_world_read(world, "s", 0, FROM_START), "x x x x x x x x x x ");
    sim_clock_advance(&world->clock, 100);
    assert_int_equal(mr_put_records(world->engine, "s", puts, 3, results, NULL), MR_OK);
    assert_int_equal(results[1].status, MR_OK);
    assert_int_equal(results[2].status, MR_THROTTLED);
    mr_engine_limit(world->engine, &MR_LIMITS_NONE);
    assert_int_equal(mr_put_records(world->engine, "s", puts, 30, results, NULL), MR_OK);
    for (int i = 0; i < 30; i++)
        assert_int_equal(results[i].status, MR_OK);
}

static void a_byte_limit_counts_keys_and_gives_back_the_record(void **state)
{
    struct stream_world *world = *state;
    mr_put puts[3] = {put_of("12345", "67890"), put_of("12345", "678901"), put_of("1234", "5")};
    mr_put_result results[3];

    create(world, "s", 1);
    mr_engine_limit(world->engine,
                    &(struct mr_limits){.write_bytes_per_s = 20, .write_records_per_s = 2});
    assert_int_equal(mr_put_records(world->engine, "s", puts, 3, results, NULL), MR_OK);
    assert_int_equal(results[0].status, MR_OK);
    assert_int_equal(results[1].status, MR_THROTTLED); /* 11 bytes, 10 are left */
    assert_int_equal(results[2].status, MR_OK);        /* the second record, not the third */
}

/* ---- submit ------------------------------------------------------------------------------- */

struct answers {
    size_t count;
    mr_status status[8];
    void *order[8];
};

struct call {
    struct answers *answers;
    mr_put_result result;
};

static void done(void *context, mr_status status)
{
    struct call *call = context;

    call->answers->status[call->answers->count] = status;
    call->answers->order[call->answers->count++] = call;
}

static void an_answer_comes_once_durable_and_in_order(void **state)
{
    struct stream_world *world = *state;
    struct answers answers = {0};
    struct call calls[5];
    mr_put put = put_of("k", "v");

    create(world, "s", 3);
    for (int i = 0; i < 5; i++) {
        calls[i].answers = &answers;
        assert_int_equal(
            mr_put_submit(world->engine, "s", &put, 1, &calls[i].result, done, &calls[i], NULL),
            MR_OK);
    }
    assert_int_equal(answers.count, 0); /* not before it is durable (L1) */
    stream_world_work(world);
    assert_int_equal(answers.count, 5);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(answers.status[i], MR_OK);
        assert_ptr_equal(answers.order[i], &calls[i]);
        assert_int_equal(calls[i].result.status, MR_OK);
        assert_true(i == 0 ||
                    calls[i].result.sequence.number > calls[i - 1].result.sequence.number);
    }
    stream_world_crash(world);
    assert_string_equal(stream_world_read(world, "s", calls[0].result.sequence.shard, FROM_START),
                        "v v v v v ");
}

static void an_offer_is_refused_at_once_while_there_is_no_room(void **state)
{
    static uint8_t data[1u << 20];
    struct stream_world *world = *state;
    struct answers answers = {0};
    struct call calls[8], refused = {&answers, {0}};
    mr_put put = {.partition_key = {"k", 1}, .data = {data, sizeof data}};
    mr_status status = MR_OK;
    size_t count = 0;

    create(world, "s", 1);
    mr_engine_limit(world->engine, &(struct mr_limits){.write_records_per_s = 8});
    while (!status && count < 8) {
        calls[count].answers = &answers;
        status = mr_put_offer(world->engine, "s", &put, 1, &calls[count].result, done,
                              &calls[count], NULL);
        count += !status;
    }
    assert_int_equal(status, MR_BUSY); /* nobody commits the open group: it is full */
    assert_true(count > 0);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(
            mr_put_offer(world->engine, "s", &put, 1, &refused.result, done, &refused, NULL),
            MR_BUSY);
        assert_int_equal(refused.result.status, MR_BUSY);
    }
    stream_world_work(world);
    assert_int_equal(answers.count, count);
    /* What was refused does not count for the shard's limits. */
    assert_int_equal(
        mr_put_offer(world->engine, "s", &put, 1, &refused.result, done, &refused, NULL), MR_OK);
    stream_world_work(world);
    assert_int_equal(refused.result.status, MR_OK);
    assert_int_equal(answers.count, count + 1);
}

static void a_whole_batch_is_refused_for_one_bad_record(void **state)
{
    struct stream_world *world = *state;
    struct answers answers = {0};
    struct call call = {&answers, {0}};
    mr_put puts[3] = {put_of("a", "1"), put_of("", "2"), put_of("a", "3")};
    mr_put_result results[3];
    const struct mr_put_order order = {
        .stream = "s", .puts = puts, .count = 3, .results = results, .is_whole = true};
    bool are_placed;

    create(world, "s", 1);
    assert_int_equal(mr_put_place(world->engine, &order, done, &call, &are_placed, NULL),
                     MR_INVALID);
    assert_false(are_placed);
    stream_world_work(world);
    assert_int_equal(answers.count, 0);
    puts[1] = put_of("b", "2");
    assert_int_equal(mr_put_place(world->engine, &order, done, &call, &are_placed, NULL), MR_OK);
    assert_true(are_placed);
    stream_world_work(world);
    assert_int_equal(answers.count, 1);
    assert_true(results[0].sequence.number < results[1].sequence.number &&
                results[1].sequence.number < results[2].sequence.number);
    assert_int_equal(results[2].sequence.number - results[0].sequence.number, 2);
}

static void a_whole_batch_goes_to_the_shards_it_is_meant_for_or_nowhere(void **state)
{
    struct stream_world *world = *state;
    struct answers answers = {0};
    struct call call = {&answers, {0}};
    mr_hash_key low = {0, 0}, high = MR_HASH_KEY_MAX;
    const mr_put puts[2] = {{.partition_key = {"a", 1}, .explicit_hash_key = &low},
                            {.partition_key = {"a", 1}, .explicit_hash_key = &high}};
    mr_shard_id meant[2] = {0, 1};
    mr_put_result results[2];
    const struct mr_put_order order = {.stream = "s",
                                       .puts = puts,
                                       .count = 2,
                                       .results = results,
                                       .is_whole = true,
                                       .shards = meant};
    bool are_placed;
    mr_error error;

    create(world, "s", 2);
    assert_int_equal(mr_put_place(world->engine, &order, done, &call, &are_placed, NULL), MR_OK);
    assert_true(are_placed);
    assert_int_equal(mr_shard_split(world->engine, "s", 1, NULL, NULL, NULL), MR_OK);
    assert_int_equal(mr_put_place(world->engine, &order, done, &call, &are_placed, &error),
                     MR_CONFLICT);
    assert_string_equal(error.message,
                        "record 2 of 2 is not of shard 1 any more: the stream was resharded");
    assert_false(are_placed);
    stream_world_work(world);
    assert_int_equal(answers.count, 1);
    assert_string_equal(stream_world_read(world, "s", 0, FROM_START), " ");
    meant[1] = 3;
    assert_int_equal(mr_put_place(world->engine, &order, done, &call, &are_placed, NULL), MR_OK);
    stream_world_work(world);
    assert_int_equal(answers.count, 2);
    assert_string_equal(stream_world_read(world, "s", 3, FROM_START), " ");
}

static void a_batch_without_a_good_record_is_answered_at_once(void **state)
{
    struct stream_world *world = *state;
    struct answers answers = {0};
    struct call call = {&answers, {0}};
    mr_put put = put_of("", "v");

    create(world, "s", 1);
    assert_int_equal(mr_put_submit(world->engine, "s", &put, 1, &call.result, done, &call, NULL),
                     MR_OK);
    assert_int_equal(answers.count, 1);
    assert_int_equal(answers.status[0], MR_OK);
    assert_int_equal(call.result.status, MR_INVALID);
    assert_int_equal(mr_put_submit(world->engine, "none", &put, 1, &call.result, done, &call, NULL),
                     MR_NOT_FOUND);
    assert_int_equal(answers.count, 1); /* the call failed: no answer besides */
}

static void a_failing_disk_is_answered_with_its_error(void **state) /* L6 */
{
    struct stream_world *world = *state;
    struct answers answers = {0};
    struct call calls[2] = {{&answers, {0}}, {&answers, {0}}};
    mr_put put = put_of("k", "lost"), kept = put_of("k", "kept");
    mr_put_result result;
    mr_error error;

    create(world, "s", 1);
    assert_int_equal(mr_put_records(world->engine, "s", &kept, 1, &result, NULL), MR_OK);
    sim_disk_fail(world->disk, SIM_SYNC, 1, EIO, false);
    assert_int_equal(
        mr_put_submit(world->engine, "s", &put, 1, &calls[0].result, done, &calls[0], NULL), MR_OK);
    stream_world_work(world);
    assert_int_equal(answers.count, 1);
    assert_int_equal(answers.status[0], MR_IO);
    assert_int_equal(calls[0].result.status, MR_IO);
    assert_int_equal(calls[0].result.sequence.number, 0);
    assert_int_equal(mr_put_records(world->engine, "s", &put, 1, &result, &error), MR_IO);
    assert_int_equal(result.status, MR_IO);
    assert_int_equal(mr_shard_split(world->engine, "s", 0, NULL, NULL, NULL), MR_IO);
    assert_string_equal(stream_world_shards(world, "s"), "0 ");
    assert_string_equal(stream_world_read(world, "s", 0, FROM_START), "kept ");
}

#define WORLD_TEST(name)                                                                           \
    cmocka_unit_test_setup_teardown(name, stream_world_set_up, stream_world_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(knows_every_character_and_no_other_bytes),
        cmocka_unit_test(counts_ascii_at_every_length_and_place),
        WORLD_TEST(bad_records_are_refused_and_the_others_stored),
        WORLD_TEST(the_largest_record_comes_back_whole),
        WORLD_TEST(a_batch_over_its_limit_stores_nothing),
        WORLD_TEST(a_missing_stream_is_named),
        WORLD_TEST(both_ends_of_every_range_go_to_its_shard),
        WORLD_TEST(the_md5_of_the_key_decides_unless_a_hash_key_is_given),
        WORLD_TEST(records_of_a_shard_keep_the_order_of_the_batch),
        WORLD_TEST(each_shard_has_its_own_write_limit),
        WORLD_TEST(a_byte_limit_counts_keys_and_gives_back_the_record),
        WORLD_TEST(an_answer_comes_once_durable_and_in_order),
        WORLD_TEST(an_offer_is_refused_at_once_while_there_is_no_room),
        WORLD_TEST(a_whole_batch_is_refused_for_one_bad_record),
        WORLD_TEST(a_whole_batch_goes_to_the_shards_it_is_meant_for_or_nowhere),
        WORLD_TEST(a_batch_without_a_good_record_is_answered_at_once),
        WORLD_TEST(a_failing_disk_is_answered_with_its_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
