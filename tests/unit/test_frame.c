/* Runs and frames: what was encoded comes back, and any other bytes are read without harm. */
#include "log/frame.h"

#include "log/log.h"
#include "support/seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { RECORDS_MAX = 300 };

/* Random records, whose bytes are parts of one noise. */
struct sample {
    uint8_t noise[40000];
    mr_hash_key keys[RECORDS_MAX];
    mr_put puts[RECORDS_MAX];
};

static void make_put(struct sample *sample, struct mr_random *random, size_t i)
{
    static const uint64_t sizes[] = {1, 2, 63, 64, 65, 127, 128, 129, 300, 16384, 20000};
    size_t key = (size_t)mr_random_below(random, sizes[mr_random_below(random, 9)]);
    size_t data = (size_t)mr_random_below(random, sizes[mr_random_below(random, 11)]);

    sample->keys[i] = (mr_hash_key){mr_random_next(random), mr_random_next(random)};
    sample->puts[i] = (mr_put){
        .partition_key = {sample->noise + mr_random_below(random, 10000), key},
        .data = {sample->noise + mr_random_below(random, 10000), data},
        .explicit_hash_key = mr_random_below(random, 3) ? NULL : &sample->keys[i],
    };
}

static void make_sample(struct sample *sample, struct mr_random *random)
{
    for (size_t i = 0; i < sizeof sample->noise; i++)
        sample->noise[i] = (uint8_t)mr_random_next(random);
    for (size_t i = 0; i < RECORDS_MAX; i++)
        make_put(sample, random, i);
}

static void assert_same(const mr_put *put, const mr_record *record)
{
    assert_int_equal(record->partition_key.size, put->partition_key.size);
    assert_int_equal(record->data.size, put->data.size);
    assert_memory_equal(record->partition_key.data, put->partition_key.data,
                        put->partition_key.size);
    assert_memory_equal(record->data.data, put->data.data, put->data.size);
    assert_int_equal(record->has_explicit_hash_key, put->explicit_hash_key != NULL);
    if (put->explicit_hash_key) {
        assert_true(record->explicit_hash_key.hi == put->explicit_hash_key->hi);
        assert_true(record->explicit_hash_key.lo == put->explicit_hash_key->lo);
    }
}

/* F1 */
static void frames_come_back(void **state)
{
    struct mr_random random = seed_random();
    struct sample *sample = malloc(sizeof *sample);
    uint8_t *bytes = malloc(50000);

    (void)state;
    assert_non_null(sample);
    assert_non_null(bytes);
    for (int round = 0; round < 30; round++) {
        make_sample(sample, &random);
        for (size_t i = 0; i < RECORDS_MAX; i++) {
            size_t size = mr_frame_bytes(&sample->puts[i]);
            struct mr_scan scan;
            mr_record record;

            assert_ptr_equal(mr_frame_write(bytes, &sample->puts[i]), bytes + size);
            assert_true(size <= sample->puts[i].partition_key.size + sample->puts[i].data.size +
                                    MR_FRAME_BYTES_MORE);
            scan = mr_scan_of((mr_bytes){bytes, size});
            assert_true(mr_frame_read(&scan, &record));
            assert_int_equal(mr_scan_left(&scan), 0);
            assert_same(&sample->puts[i], &record);
        }
    }
    free(bytes);
    free(sample);
}

struct encoded {
    uint8_t *bytes;
    size_t size, record_count, run_count;
    struct mr_run runs[100];
    struct mr_run_base base;
};

static void encode(struct encoded *encoded, const struct sample *sample, struct mr_random *random)
{
    struct mr_run_base base = {1 + mr_random_below(random, 1000),
                               (int64_t)mr_random_below(random, 1u << 30)};
    uint64_t number = base.next_number;
    int64_t at_ms = base.at_ms;
    uint8_t *out = encoded->bytes;

    encoded->base = base;
    encoded->run_count = 0;
    for (size_t i = 0; i < encoded->record_count && encoded->run_count < 100;) {
        struct mr_run *run = &encoded->runs[encoded->run_count++];
        size_t count = 1 + (size_t)mr_random_below(random, encoded->record_count - i);
        size_t size = 0;

        number += mr_random_below(random, 2) ? mr_random_below(random, 100000) : 0;
        at_ms += mr_random_below(random, 2) ? (int64_t)mr_random_below(random, 100000) : 0;
        for (size_t n = 0; n < count; n++)
            size += mr_frame_bytes(&sample->puts[i + n]);
        *run = (struct mr_run){
            .record_count = count, .first_number = number, .at_ms = at_ms, .frames = {NULL, size}};
        out = mr_run_write_header(out, &base, run);
        run->frames.data = out;
        for (size_t n = 0; n < count; n++)
            out = mr_frame_write(out, &sample->puts[i + n]);
        number += count;
        i += count;
        assert_true(base.next_number == number && base.at_ms == at_ms);
    }
    encoded->size = (size_t)(out - encoded->bytes);
}

/* F1: with gaps in numbers and in time, from any base. */
static void runs_come_back(void **state)
{
    struct mr_random random = seed_random();
    struct sample *sample = malloc(sizeof *sample);
    struct encoded encoded = {.bytes = malloc(8u << 20)};

    (void)state;
    assert_non_null(sample);
    assert_non_null(encoded.bytes);
    make_sample(sample, &random);
    for (int round = 0; round < 200; round++) {
        struct mr_scan scan;
        struct mr_run_base base;
        struct mr_run run;
        size_t run_count = 0, record_count = 0;

        encoded.record_count = 1 + (size_t)mr_random_below(&random, RECORDS_MAX);
        encode(&encoded, sample, &random);
        scan = mr_scan_of((mr_bytes){encoded.bytes, encoded.size});
        base = encoded.base;
        while (mr_run_read(&scan, &base, &run)) {
            const struct mr_run *expected = &encoded.runs[run_count++];
            struct mr_scan frames = mr_scan_of(run.frames);
            mr_record record;

            assert_true(run.record_count == expected->record_count);
            assert_true(run.first_number == expected->first_number);
            assert_true(run.at_ms == expected->at_ms);
            assert_ptr_equal(run.frames.data, expected->frames.data);
            assert_int_equal(run.frames.size, expected->frames.size);
            for (uint64_t i = 0; i < run.record_count; i++) {
                assert_true(mr_frame_read(&frames, &record));
                assert_same(&sample->puts[record_count++], &record);
            }
            assert_int_equal(mr_scan_left(&frames), 0);
        }
        assert_false(mr_scan_failed(&scan));
        assert_int_equal(run_count, encoded.run_count);
    }
    free(encoded.bytes);
    free(sample);
}

/* Reads all there is of bytes that end where their memory ends. Says whether all was well. */
static bool read_all(const uint8_t *data, size_t size, uint64_t *record_count)
{
    uint8_t *exact = malloc(size ? size : 1);
    struct mr_scan scan, frames;
    struct mr_run_base base = {1, 1000};
    struct mr_run run;
    volatile uint8_t sum = 0;
    bool good = true;

    assert_non_null(exact);
    if (size)
        memcpy(exact, data, size);
    scan = mr_scan_of((mr_bytes){exact, size});
    *record_count = 0;
    while (mr_run_read(&scan, &base, &run)) {
        mr_record record;
        uint64_t count = 0;

        frames = mr_scan_of(run.frames);
        while (frames.at < frames.end && mr_frame_read(&frames, &record)) {
            /* Every byte named is there to be read. */
            for (size_t i = 0; i < record.partition_key.size + record.data.size; i++)
                sum = sum ^ ((const uint8_t *)record.partition_key.data)[i];
            count++;
        }
        good = good && !frames.failed && count == run.record_count;
        *record_count += count;
        assert_true(base.next_number <= (uint64_t)INT64_MAX && base.at_ms >= 0);
    }
    free(exact);
    return good && !scan.failed;
}

/* A few small runs: long enough for every kind of field, short enough to try all damage. */
static size_t small_runs(uint8_t *bytes, uint64_t *boundaries, size_t *boundary_count)
{
    static const mr_hash_key hash_key = {0x0123456789abcdef, 0xfedcba9876543210};
    static uint8_t data[200];
    const mr_put puts[] = {
        {.partition_key = {"key", 3}, .data = {"some data", 9}},
        {.partition_key = {"", 0}, .data = {"", 0}},
        {.partition_key = {"k", 1}, .data = {data, 140}, .explicit_hash_key = &hash_key},
        {.partition_key = {data, 70}, .data = {"x", 1}},
    };
    struct mr_run_base base = {1, 1000};
    uint8_t *out = bytes;

    *boundary_count = 0;
    for (uint64_t i = 0; i < 3; i++) {
        struct mr_run run = {.record_count = i == 0 ? 2 : 1,
                             .first_number = base.next_number + i * 1000,
                             .at_ms = base.at_ms + (int64_t)i * 7};
        size_t first = i == 0 ? 0 : i + 1;

        for (size_t n = 0; n < run.record_count; n++)
            run.frames.size += mr_frame_bytes(&puts[first + n]);
        out = mr_run_write_header(out, &base, &run);
        for (size_t n = 0; n < run.record_count; n++)
            out = mr_frame_write(out, &puts[first + n]);
        boundaries[(*boundary_count)++] = (uint64_t)(out - bytes);
    }
    return (size_t)(out - bytes);
}

/* F2 */
static void sees_every_cut(void **state)
{
    uint8_t bytes[1000];
    uint64_t boundaries[3], record_count;
    size_t boundary_count, size = small_runs(bytes, boundaries, &boundary_count);

    (void)state;
    for (size_t cut = 0; cut <= size; cut++) {
        bool is_boundary = cut == 0;

        for (size_t i = 0; i < boundary_count; i++)
            is_boundary |= cut == boundaries[i];
        assert_int_equal(read_all(bytes, cut, &record_count), is_boundary);
    }
    assert_int_equal(record_count, 4);
}

/* F2: flipped bits may give other records (checksums are the block's business), never harm. */
static void no_flipped_bit_makes_it_read_beyond_the_end(void **state)
{
    uint8_t bytes[1000];
    uint64_t boundaries[3], record_count;
    size_t boundary_count, size = small_runs(bytes, boundaries, &boundary_count);
    size_t refused_count = 0;

    (void)state;
    for (size_t bit = 0; bit < size * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        refused_count += !read_all(bytes, size, &record_count);
        assert_true(record_count <= size / 2);
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    assert_true(refused_count > 0);
    assert_true(read_all(bytes, size, &record_count));
}

/* F2 */
static void random_bytes_do_no_harm(void **state)
{
    struct mr_random random = seed_random();
    uint8_t bytes[300];

    (void)state;
    for (int round = 0; round < 100000; round++) {
        size_t size = (size_t)mr_random_below(&random, sizeof bytes);
        uint64_t record_count, small = mr_random_below(&random, 255) + 1;

        for (size_t i = 0; i < size; i++)
            bytes[i] = (uint8_t)mr_random_below(&random, small);
        read_all(bytes, size, &record_count);
        assert_true(record_count <= size / 2);
    }
}

static bool reads_header(uint64_t record_count, uint64_t gap, uint64_t later_ms, uint64_t size,
                         struct mr_run_base base)
{
    uint8_t bytes[RUN_HEADER_BYTES_MAX + 100] = {0};
    uint8_t *out = bytes;
    struct mr_scan scan;
    struct mr_run run;

    out = mr_varint_write(out, record_count);
    out = mr_varint_write(out, gap);
    out = mr_varint_write(out, later_ms);
    out = mr_varint_write(out, size);
    scan = mr_scan_of((mr_bytes){bytes, (size_t)(out - bytes) + 100});
    return mr_run_read(&scan, &base, &run);
}

/* F2: sums of hostile numbers do not wrap. */
static void headers_that_cannot_be_are_refused(void **state)
{
    const struct mr_run_base base = {1, 1000};

    (void)state;
    assert_true(reads_header(50, 0, 0, 100, base));
    assert_true(reads_header(1, INT64_MAX / 4, INT64_MAX / 4, 2, base));
    assert_false(reads_header(0, 0, 0, 100, base));
    assert_false(reads_header(51, 0, 0, 100, base)); /* a frame has two bytes at least */
    assert_false(reads_header(UINT64_MAX, 0, 0, 100, base));
    assert_false(reads_header(1, 0, 0, 101, base));
    assert_false(reads_header(1, 0, 0, UINT64_MAX, base));
    assert_false(reads_header(1, UINT64_MAX, 0, 100, base));
    assert_false(reads_header(1, 0, UINT64_MAX, 100, base));
    assert_false(reads_header(1, 0, 0, 100, (struct mr_run_base){UINT64_MAX - 5, 0}));
    assert_false(reads_header(1, 0, 0, 100, (struct mr_run_base){1, INT64_MAX}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_come_back),
        cmocka_unit_test(runs_come_back),
        cmocka_unit_test(sees_every_cut),
        cmocka_unit_test(no_flipped_bit_makes_it_read_beyond_the_end),
        cmocka_unit_test(random_bytes_do_no_harm),
        cmocka_unit_test(headers_that_cannot_be_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
