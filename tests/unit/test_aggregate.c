/*
 * Aggregates against bytes that Google's protobuf wrote, against themselves, and every way in which
 * data may look like one and not be one.
 */
#include "wire/aggregate.h"

#include "base/md5.h"
#include "base/memory.h"
#include "support/seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static mr_bytes text(const char *string)
{
    return (mr_bytes){string, strlen(string)};
}

static void assert_text(mr_bytes bytes, const char *expected)
{
    assert_int_equal(bytes.size, strlen(expected));
    assert_memory_equal(bytes.data, expected, bytes.size);
}

/* magic, message, digest: fresh memory. */
static uint8_t *wrap(mr_bytes message)
{
    uint8_t *data = mr_alloc(message.size + MR_AGGREGATE_BYTES_MORE);

    memcpy(data, "\xf3\x89\x9a\xc2", 4);
    if (message.size)
        memcpy(data + 4, message.data, message.size);
    mr_md5(message, data + 4 + message.size);
    return data;
}

/* How many user records a message with the right frame around it has; 0: it is a plain record. */
static size_t count_in(mr_bytes message)
{
    struct mr_aggregate_reader reader = {0};
    struct mr_user_record record;
    uint8_t *data = wrap(message);
    size_t count = 0;

    if (mr_aggregate_open(&reader, (mr_bytes){data, message.size + MR_AGGREGATE_BYTES_MORE})) {
        while (mr_aggregate_next(&reader, &record))
            count++;
        assert_int_equal(count, reader.record_count);
        assert_true(count > 0);
    }
    mr_aggregate_reader_fini(&reader);
    mr_free(data);
    return count;
}

#define COUNT_IN(literal) count_in((mr_bytes){literal, sizeof(literal) - 1})

/* ---- known bytes ----------------------------------------------------------------------------- */

/* Keys "k1" and "k2", explicit hash key 340282366920938463463374607431768211455 of the second. */
static const uint8_t known[] = "\x0a\x02k1\x0a\x02k2"
                               "\x12\x27"
                               "340282366920938463463374607431768211455"
                               "\x1a\x07\x08\x00\x1a\x03one"
                               "\x1a\x09\x08\x01\x10\x00\x1a\x03two"
                               "\x1a\x04\x08\x00\x1a\x00";
#define KNOWN ((mr_bytes){known, sizeof known - 1})

static void writes_what_protobuf_writes(void **state)
{
    struct mr_pack out = {0};
    uint8_t *expected = wrap(KNOWN);
    size_t start = 3, bytes = MR_AGGREGATE_BYTES_MORE;
    mr_hash_key last = {UINT64_MAX, UINT64_MAX};
    (void)state;

    mr_pack_bytes(&out, text("---")); /* it may stand behind something */
    mr_aggregate_begin(&out);
    mr_aggregate_add_key(&out, text("k1"));
    mr_aggregate_add_key(&out, text("k2"));
    mr_aggregate_add_hash_key(&out, last);
    mr_aggregate_add_record(&out, 0, MR_NO_EXPLICIT_KEY, text("one"));
    mr_aggregate_add_record(&out, 1, 0, text("two"));
    mr_aggregate_add_record(&out, 0, MR_NO_EXPLICIT_KEY, (mr_bytes){NULL, 0});
    mr_aggregate_end(&out, start);
    assert_int_equal(out.size - start, KNOWN.size + MR_AGGREGATE_BYTES_MORE);
    assert_memory_equal(out.data + start, expected, out.size - start);

    bytes += mr_aggregate_key_bytes(2) * 2 + mr_aggregate_hash_key_bytes(last) +
             mr_aggregate_record_bytes(0, MR_NO_EXPLICIT_KEY, 3) +
             mr_aggregate_record_bytes(1, 0, 3) +
             mr_aggregate_record_bytes(0, MR_NO_EXPLICIT_KEY, 0);
    assert_int_equal(bytes, out.size - start);
    mr_free(expected);
    mr_pack_fini(&out);
}

static void reads_what_protobuf_writes(void **state)
{
    struct mr_aggregate_reader reader = {0};
    struct mr_user_record record;
    uint8_t *data = wrap(KNOWN);
    (void)state;

    assert_true(mr_aggregate_open(&reader, (mr_bytes){data, KNOWN.size + MR_AGGREGATE_BYTES_MORE}));
    assert_int_equal(reader.record_count, 3);
    assert_true(mr_aggregate_next(&reader, &record));
    assert_text(record.partition_key, "k1");
    assert_text(record.data, "one");
    assert_false(record.has_explicit_hash_key);
    assert_true(mr_aggregate_next(&reader, &record));
    assert_text(record.partition_key, "k2");
    assert_text(record.data, "two");
    assert_true(record.has_explicit_hash_key);
    assert_true(record.explicit_hash_key.hi == UINT64_MAX);
    assert_true(record.explicit_hash_key.lo == UINT64_MAX);
    assert_true(mr_aggregate_next(&reader, &record));
    assert_text(record.partition_key, "k1");
    assert_int_equal(record.data.size, 0);
    assert_false(mr_aggregate_next(&reader, &record));
    assert_false(mr_aggregate_next(&reader, &record));
    mr_aggregate_reader_fini(&reader);
    mr_free(data);
}

/* ---- hostile input --------------------------------------------------------------------------- */

static void sees_every_cut_and_every_flipped_bit(void **state)
{
    struct mr_aggregate_reader reader = {0};
    uint8_t *data = wrap(KNOWN);
    size_t size = KNOWN.size + MR_AGGREGATE_BYTES_MORE;
    (void)state;

    for (size_t cut = 0; cut < size; cut++) {
        uint8_t *part = mr_alloc(cut + 1); /* so that a sanitizer sees reading past it */

        memcpy(part, data, cut);
        part = mr_resize(part, cut ? cut : 1);
        assert_false(mr_aggregate_open(&reader, (mr_bytes){part, cut}));
        mr_free(part);
    }
    for (size_t bit = 0; bit < size * 8; bit++) {
        data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_false(mr_aggregate_open(&reader, (mr_bytes){data, size}));
        data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    assert_true(mr_aggregate_open(&reader, (mr_bytes){data, size}));
    mr_aggregate_reader_fini(&reader);
    mr_free(data);
}

/* The digest is right in all of these: somebody meant it, and yet it is not an aggregate. */
static void whatever_is_wrong_inside_makes_it_a_plain_record(void **state)
{
    (void)state;
    assert_int_equal(COUNT_IN(""), 0);
    assert_int_equal(COUNT_IN("\x0a\x01k"), 0);                          /* no record */
    assert_int_equal(COUNT_IN("\x1a\x04\x08\x00\x1a\x00"), 0);           /* no key */
    assert_int_equal(COUNT_IN("\x0a\x01k\x1a\x04\x08\x01\x1a\x00"), 0);  /* the second of one key */
    assert_int_equal(COUNT_IN("\x0a\x01k\x1a\x02\x1a\x00"), 0);          /* no index */
    assert_int_equal(COUNT_IN("\x0a\x01k\x1a\x02\x08\x00"), 0);          /* no data */
    assert_int_equal(COUNT_IN("\x0a\x01k\x1a\x05\x08\x00\x1a\x02x"), 0); /* data past the record */
    assert_int_equal(COUNT_IN("\x0a\x01k\x1a\x05\x08\x00\x1a\x00"), 0);  /* a record past the end */
    assert_int_equal(COUNT_IN("\x0a\x01k\x1a\x06\x08\x00\x10\x00\x1a\x00"),
                     0);                                                   /* no explicit key */
    assert_int_equal(COUNT_IN("\x0a\x01\xff\x1a\x04\x08\x00\x1a\x00"), 0); /* not UTF-8 */
    assert_int_equal(COUNT_IN("\x0a\x01k\x12\x01x\x1a\x04\x08\x00\x1a\x00"), 0); /* not a number */
    assert_int_equal(COUNT_IN("\x0a\x01k\x12\x00\x1a\x04\x08\x00\x1a\x00"), 0);
    assert_int_equal(COUNT_IN("\x0a\x01k\x12\x02"
                              "1\x00\x1a\x04\x08\x00\x1a\x00"),
                     0);
    assert_int_equal(COUNT_IN("\x0a\x01k\x12\x27" /* 2^128 */
                              "340282366920938463463374607431768211456"
                              "\x1a\x04\x08\x00\x1a\x00"),
                     0);
    assert_int_equal(COUNT_IN("\x0a\x01k\x1a\x06\x08\x00\x1a\x00\x22\x00"), 0); /* a tag: no key */
    assert_int_equal(COUNT_IN("\x0a\x01k\x1a\x04\x08\x00\x1a\x00\x03"), 0);     /* a group */
    assert_int_equal(COUNT_IN("\x0a\x01k\x1a\x04\x08\x00\x1a\x00\x02\x00"), 0); /* field 0 */
    assert_int_equal(COUNT_IN("\x0a\x01k\x1a\x04\x08\x00\x1a\x00\x20\xff\xff"), 0);
    assert_int_equal(COUNT_IN("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01k"), 0);
    assert_int_equal(
        COUNT_IN("\x0a\x01k\x1a\x0d\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01\x1a\x00"), 0);
}

static void passes_over_what_later_versions_may_add(void **state)
{
    (void)state;
    assert_int_equal(COUNT_IN("\x0a\x01k\x1a\x04\x08\x00\x1a\x00"), 1);
    /* records before their tables; tags; unknown fields of every kind, inside and outside */
    assert_int_equal(COUNT_IN("\x1a\x04\x08\x00\x1a\x00\x0a\x01k"), 1);
    assert_int_equal(COUNT_IN("\x0a\x01k\x1a\x0c\x08\x00\x1a\x00\x22\x06\x0a\x01t\x12\x01v"), 1);
    assert_int_equal(
        COUNT_IN("\x20\x07\x29\x01\x02\x03\x04\x05\x06\x07\x08\x32\x01x\x3d\x01\x02\x03\x04"
                 "\x0a\x01k\x1a\x04\x08\x00\x1a\x00"),
        1);
    assert_int_equal(COUNT_IN("\x0a\x01k\x1a\x06\x08\x00\x1a\x00\x28\x07"), 1);
    assert_int_equal(COUNT_IN("\x0a\x01k\x1a\x06\x08\x09\x1a\x00\x08\x00"),
                     1); /* the last counts */
}

/* ---- everything ------------------------------------------------------------------------------ */

static void gives_back_what_was_put_in(void **state)
{
    struct mr_random random = seed_random();
    struct mr_aggregate_reader reader = {0};
    struct mr_pack out = {0};
    char bytes[1000];
    (void)state;

    memset(bytes, 'x', sizeof bytes);
    for (int round = 0; round < 200; round++) {
        uint32_t keys = 1 + (uint32_t)mr_random_below(&random, 300);
        uint32_t hash_keys = (uint32_t)mr_random_below(&random, 200);
        size_t records = 1 + mr_random_below(&random, 500);
        struct mr_random again = random;
        struct mr_user_record record;

        out.size = 0;
        mr_aggregate_begin(&out);
        for (uint32_t i = 0; i < keys; i++)
            mr_aggregate_add_key(&out, (mr_bytes){bytes, i});
        for (uint32_t i = 0; i < hash_keys; i++)
            mr_aggregate_add_hash_key(&out, (mr_hash_key){i, i});
        for (size_t i = 0; i < records; i++) {
            uint32_t key = (uint32_t)mr_random_below(&random, keys);
            uint32_t explicit_key = (uint32_t)mr_random_below(&random, hash_keys + 1);

            if (explicit_key == hash_keys)
                explicit_key = MR_NO_EXPLICIT_KEY;
            mr_aggregate_add_record(&out, key, explicit_key,
                                    (mr_bytes){bytes, mr_random_below(&random, sizeof bytes)});
        }
        mr_aggregate_end(&out, 0);

        assert_true(mr_aggregate_open(&reader, (mr_bytes){out.data, out.size}));
        assert_int_equal(reader.record_count, records);
        while (mr_aggregate_next(&reader, &record)) {
            uint64_t key = mr_random_below(&again, keys);
            uint64_t explicit_key = mr_random_below(&again, hash_keys + 1);

            assert_int_equal(record.partition_key.size, key);
            assert_int_equal(record.has_explicit_hash_key, explicit_key < hash_keys);
            if (record.has_explicit_hash_key)
                assert_int_equal(record.explicit_hash_key.hi, explicit_key);
            assert_int_equal(record.data.size, mr_random_below(&again, sizeof bytes));
        }
    }
    mr_aggregate_reader_fini(&reader);
    mr_pack_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_what_protobuf_writes),
        cmocka_unit_test(reads_what_protobuf_writes),
        cmocka_unit_test(sees_every_cut_and_every_flipped_bit),
        cmocka_unit_test(whatever_is_wrong_inside_makes_it_a_plain_record),
        cmocka_unit_test(passes_over_what_later_versions_may_add),
        cmocka_unit_test(gives_back_what_was_put_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
