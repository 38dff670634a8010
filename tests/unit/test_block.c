/* Blocks: what was written comes back, at its own place only, and every changed bit is seen. */
#include "log/block.h"

#include "log/log.h"
#include "support/seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const enum mr_codec_effort efforts[] = {MR_CODEC_SMALL, MR_CODEC_FAST, MR_CODEC_STORED};

static const struct mr_block some_block = {
    .log = 7,
    .record_count = 5,
    .record_bytes = 400,
    .first_number = UINT64_C(0x123456789),
    .last_number = UINT64_C(0x123456799),
    .first_ms = 1700000000123,
    .last_ms = 1700000005123,
};

/* Bytes that get smaller the more the smaller `values` is. */
static uint8_t *make_raw(struct mr_random *random, size_t size, uint64_t values)
{
    uint8_t *raw = malloc(size ? size : 1);

    assert_non_null(raw);
    for (size_t i = 0; i < size; i++)
        raw[i] = (uint8_t)mr_random_below(random, values);
    return raw;
}

/* Reads a block as a reader does: header first, then all of it. False: damage was seen. The bytes end
 * where their memory ends. */
static bool read_block(struct mr_codec *codec, const uint8_t *bytes, size_t size, uint64_t seed,
                       struct mr_block *block, uint8_t *raw, size_t raw_capacity, mr_bytes *runs)
{
    return size >= BLOCK_HEADER_BYTES && mr_block_read_header(bytes, block) &&
           block->stored_bytes <= size - BLOCK_HEADER_BYTES && block->raw_bytes <= raw_capacity &&
           !mr_block_read(codec, block, (uint8_t *)(uintptr_t)bytes, seed, raw, runs, NULL);
}

/* B1: of all sizes, as compressible as may be, each effort. */
static void blocks_come_back(void **state)
{
    static const size_t sizes[] = {1, 2, 63, 64, 1000, 4096, 65536, 65537, 200000};
    static const uint64_t values[] = {1, 2, 16, 256};
    struct mr_random random = seed_random();
    struct mr_codec *writer = mr_codec_new(NULL), *reader = mr_codec_new(NULL);

    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        for (int n = 0; n < 12; n++) {
            uint8_t *raw = make_raw(&random, sizes[i], values[n / 3]);
            uint8_t *bytes = malloc(mr_block_bytes_max(sizes[i])), *again = malloc(sizes[i]);
            uint64_t seed = mr_random_next(&random);
            struct mr_block block = some_block, found;
            mr_bytes runs;
            size_t size = mr_block_write(writer, efforts[n % 3], NULL, &block,
                                         (mr_bytes){raw, sizes[i]}, seed, bytes);

            assert_in_range(size, BLOCK_HEADER_BYTES + 1, mr_block_bytes_max(sizes[i]));
            assert_int_equal(size, BLOCK_HEADER_BYTES + block.stored_bytes);
            assert_int_equal(block.raw_bytes, sizes[i]);
            assert_true(block.stored_bytes <= block.raw_bytes); /* it never grows */
            assert_int_equal(block.is_compressed, block.stored_bytes < block.raw_bytes);
            if (efforts[n % 3] == MR_CODEC_STORED)
                assert_false(block.is_compressed);
            else if (values[n / 3] <= (efforts[n % 3] == MR_CODEC_SMALL ? 16 : 1) &&
                     sizes[i] >= 1000)
                assert_true(block.is_compressed);

            assert_true(read_block(reader, bytes, size, seed, &found, again, sizes[i], &runs));
            assert_int_equal(runs.size, sizes[i]);
            assert_memory_equal(runs.data, raw, sizes[i]);
            assert_int_equal(found.log, block.log);
            assert_int_equal(found.stored_bytes, block.stored_bytes);
            assert_int_equal(found.raw_bytes, block.raw_bytes);
            assert_int_equal(found.record_count, block.record_count);
            assert_int_equal(found.record_bytes, block.record_bytes);
            assert_int_equal(found.is_compressed, block.is_compressed);
            assert_true(found.first_number == block.first_number);
            assert_true(found.last_number == block.last_number);
            assert_true(found.first_ms == block.first_ms && found.last_ms == block.last_ms);
            free(raw);
            free(bytes);
            free(again);
        }
    }
    mr_codec_free(writer);
    mr_codec_free(reader);
}

static void the_largest_record_fits_a_block(void **state)
{
    const size_t raw_bytes = MR_RECORD_BYTES_MAX + RUN_HEADER_BYTES_MAX + MR_FRAME_BYTES_MORE;
    struct mr_random random = seed_random();
    struct mr_codec *codec = mr_codec_new(NULL);
    uint8_t *raw = make_raw(&random, raw_bytes, 256),
            *bytes = malloc(mr_block_bytes_max(raw_bytes));
    struct mr_block block = some_block, found;
    mr_bytes runs;
    size_t size;

    (void)state;
    assert_non_null(bytes);
    assert_true(raw_bytes <= BLOCK_RAW_BYTES_MAX);
    size =
        mr_block_write(codec, MR_CODEC_SMALL, NULL, &block, (mr_bytes){raw, raw_bytes}, 1, bytes);
    assert_false(block.is_compressed); /* noise */
    assert_true(read_block(codec, bytes, size, 1, &found, NULL, raw_bytes, &runs));
    assert_memory_equal(runs.data, raw, raw_bytes);
    free(raw);
    free(bytes);
    mr_codec_free(codec);
}

struct written {
    uint8_t *bytes;
    uint8_t raw[600];
    size_t size;
    uint64_t seed;
    struct mr_codec *codec;
};

static struct written write_small(enum mr_codec_effort effort)
{
    struct mr_random random = mr_random_of(1);
    struct written written = {.bytes = malloc(mr_block_bytes_max(600)),
                              .seed = 0x1122334455667788,
                              .codec = mr_codec_new(NULL)};
    struct mr_block block = some_block;

    assert_non_null(written.bytes);
    for (size_t i = 0; i < sizeof written.raw; i++)
        written.raw[i] = (uint8_t)mr_random_below(&random, 4);
    written.size =
        mr_block_write(written.codec, effort, NULL, &block,
                       (mr_bytes){written.raw, sizeof written.raw}, written.seed, written.bytes);
    written.bytes = realloc(written.bytes, written.size); /* a sanitizer sees what is behind */
    return written;
}

static void free_written(struct written *written)
{
    mr_codec_free(written->codec);
    free(written->bytes);
}

static bool is_good(const struct written *written, const uint8_t *bytes, size_t size, uint64_t seed)
{
    uint8_t raw[sizeof written->raw];
    struct mr_block block;
    mr_bytes runs;

    return read_block(written->codec, bytes, size, seed, &block, raw, sizeof raw, &runs);
}

/* B1 */
static void sees_every_flipped_bit(void **state)
{
    (void)state;
    for (int effort = 0; effort < 3; effort++) {
        struct written written = write_small(efforts[effort]);

        assert_true(is_good(&written, written.bytes, written.size, written.seed));
        for (size_t bit = 0; bit < written.size * 8; bit++) {
            written.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
            assert_false(is_good(&written, written.bytes, written.size, written.seed));
            written.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        free_written(&written);
    }
}

/* B1: when segments are opened their block headers alone are read. */
static void sees_every_flipped_bit_of_what_the_header_says(void **state)
{
    struct written written = write_small(MR_CODEC_SMALL);
    struct mr_block block;

    (void)state;
    assert_true(mr_block_read_header(written.bytes, &block));
    for (size_t bit = 8 * 8; bit < BLOCK_HEADER_BYTES * 8; bit++) {
        written.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_false(mr_block_read_header(written.bytes, &block));
        written.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    free_written(&written);
}

/* B1 */
static void sees_every_cut(void **state)
{
    (void)state;
    for (int effort = 0; effort < 3; effort++) {
        struct written written = write_small(efforts[effort]);

        for (size_t cut = 0; cut < written.size; cut++) {
            uint8_t *exact = malloc(cut ? cut : 1);

            assert_non_null(exact);
            memcpy(exact, written.bytes, cut);
            assert_false(is_good(&written, exact, cut, written.seed));
            free(exact);
        }
        free_written(&written);
    }
}

/* B1: in another directory, segment or place. */
static void is_good_at_its_own_place_only(void **state)
{
    struct written written = write_small(MR_CODEC_SMALL);

    (void)state;
    for (unsigned bit = 0; bit < 64; bit++)
        assert_false(
            is_good(&written, written.bytes, written.size, written.seed ^ UINT64_C(1) << bit));
    for (uint64_t distance = 1; distance < 10000; distance++)
        assert_false(is_good(&written, written.bytes, written.size, written.seed + distance));
    free_written(&written);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_come_back),
        cmocka_unit_test(the_largest_record_fits_a_block),
        cmocka_unit_test(sees_every_flipped_bit),
        cmocka_unit_test(sees_every_flipped_bit_of_what_the_header_says),
        cmocka_unit_test(sees_every_cut),
        cmocka_unit_test(is_good_at_its_own_place_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
