/* Checkpoints: what was encoded is decoded, every change is seen, and one of two copies is enough. */
#include "log/checkpoint.h"

#include "base/endian.h"
#include "base/memory.h"
#include "support/seed.h"
#include "support/small_log.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include <cmocka.h>

enum { LOGS = 3, SEGMENTS = 4 };

static struct mr_checkpoint_log some_logs[LOGS] = {
    {.id = 0,
     .stream = 1,
     .flushed_number = 90,
     .figures = {.record_count = 5, .record_bytes = 99, .newest_ms = 8}},
    {.id = 4, .stream = 1},
    {.id = UINT32_MAX, .stream = 9, .flushed_number = UINT64_MAX},
};

static struct mr_checkpoint_segment some_segments[SEGMENTS] = {
    {1,
     {.id = 2,
      .is_sealed = true,
      .bytes = 4096 + 5000 + 4096 + 64,
      .raw_bytes = 7000,
      .block_count = 3,
      .page_count = 1,
      .last_number = 60,
      .first_ms = 5,
      .last_ms = 6}},
    {1, {.id = 3, .bytes = 4096, .first_ms = INT64_MAX}},
    {9, {.id = 7, .is_sealed = true, .bytes = 4096 + 64}},
    {9, {.id = 8, .bytes = UINT64_MAX}},
};

static struct mr_checkpoint sample(void)
{
    return (struct mr_checkpoint){
        .serial = 17,
        .directory_id = 0x1122334455667788,
        .journal_bytes = 1 << 20,
        .epoch = 5,
        .is_clean = true,
        .tail = {.at = 8192, .previous_hash = 0x99aabbccddeeff00},
        .restored_lsn = 12288,
        .next_number = 1000,
        .last_ms = 1700000000000,
        .next_segment = 12,
        .logs = some_logs,
        .log_count = LOGS,
        .segments = some_segments,
        .segment_count = SEGMENTS,
        .owner = {"the owner's state", 17},
    };
}

static void assert_same(const struct mr_checkpoint *left, const struct mr_checkpoint *right)
{
    assert_true(left->serial == right->serial && left->directory_id == right->directory_id &&
                left->journal_bytes == right->journal_bytes && left->epoch == right->epoch &&
                left->is_clean == right->is_clean && left->tail.at == right->tail.at &&
                left->tail.previous_hash == right->tail.previous_hash &&
                left->restored_lsn == right->restored_lsn &&
                left->next_number == right->next_number && left->last_ms == right->last_ms &&
                left->next_segment == right->next_segment);
    assert_int_equal(left->log_count, right->log_count);
    for (uint32_t i = 0; i < left->log_count; i++)
        assert_memory_equal(&left->logs[i], &right->logs[i], sizeof left->logs[i]);
    assert_int_equal(left->segment_count, right->segment_count);
    for (uint32_t i = 0; i < left->segment_count; i++) {
        const struct mr_segment *a = &left->segments[i].segment, *b = &right->segments[i].segment;

        assert_int_equal(left->segments[i].stream, right->segments[i].stream);
        assert_true(a->id == b->id && a->is_sealed == b->is_sealed && a->bytes == b->bytes &&
                    a->raw_bytes == b->raw_bytes && a->block_count == b->block_count &&
                    a->page_count == b->page_count && a->last_number == b->last_number &&
                    a->first_ms == b->first_ms && a->last_ms == b->last_ms);
        assert_false(a->is_dirty);
        assert_null(a->file);
    }
    assert_int_equal(left->owner.size, right->owner.size);
    assert_memory_equal(left->owner.data, right->owner.data, left->owner.size);
}

/* Bytes that end where their memory ends. */
static bool decodes(const uint8_t *bytes, size_t size, uint32_t *format)
{
    uint8_t *exact = malloc(size ? size : 1);
    struct mr_checkpoint checkpoint;
    bool good;

    assert_non_null(exact);
    if (size)
        memcpy(exact, bytes, size);
    good = mr_checkpoint_decode((mr_bytes){exact, size}, &checkpoint, format);
    if (good)
        mr_checkpoint_fini(&checkpoint);
    free(exact);
    return good;
}

static void checkpoints_come_back(void **state)
{
    const struct mr_checkpoint samples[] = {
        sample(),
        {.directory_id = 5, .journal_bytes = 4096, .next_number = 1, .next_segment = 1},
    };

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct mr_checkpoint found;
        uint8_t *bytes;
        size_t size;
        uint32_t format;

        mr_checkpoint_encode(&samples[i], &bytes, &size);
        assert_true(mr_checkpoint_decode((mr_bytes){bytes, size}, &found, &format));
        assert_int_equal(format, CHECKPOINT_FORMAT);
        assert_same(&found, &samples[i]);
        mr_checkpoint_fini(&found);
        mr_free(bytes);
    }
}

/* C1: a file that reached the disk in part is not taken. */
static void sees_every_flipped_bit_and_every_cut(void **state)
{
    const struct mr_checkpoint checkpoint = sample();
    uint8_t *bytes;
    size_t size;
    uint32_t format;

    (void)state;
    mr_checkpoint_encode(&checkpoint, &bytes, &size);
    assert_true(decodes(bytes, size, &format));
    for (size_t bit = 0; bit < size * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_false(decodes(bytes, size, &format));
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t cut = 0; cut < size; cut++)
        assert_false(decodes(bytes, cut, &format));
    bytes = mr_resize(bytes, size + 1);
    bytes[size] = 0;
    assert_false(decodes(bytes, size + 1, &format));
    mr_free(bytes);
}

static void stamp(uint8_t *bytes, size_t size)
{
    XXH128_hash_t hash;

    mr_store64(bytes + 24, size);
    hash = XXH3_128bits(bytes + 16, size - 16);
    mr_store64(bytes, hash.low64);
    mr_store64(bytes + 8, hash.high64);
}

/* Counts and sizes that do not fit the file, under a good checksum. */
static void hostile_counts_are_refused(void **state)
{
    static const struct {
        size_t offset;
        uint64_t value;
        int bytes;
    } changes[] = {
        {108, UINT32_MAX, 4},
        {108, LOGS - 1, 4},
        {108, LOGS + 1, 4}, /* log_count */
        {112, UINT32_MAX, 4},
        {112, SEGMENTS - 1, 4}, /* segment_count */
        {120, UINT64_MAX, 8},
        {120, 18, 8},
        {120, 16, 8}, /* the owner's bytes */
        {48, 0, 8},
        {48, 4097, 8}, /* journal_bytes */
        {128 + LOGS * 40 + 24, 4095, 8},
        {128 + LOGS * 40 + 12, 1000, 4}, /* a segment's bytes, pages */
    };
    const struct mr_checkpoint checkpoint = sample();
    uint8_t *bytes;
    size_t size;
    uint32_t format;

    (void)state;
    mr_checkpoint_encode(&checkpoint, &bytes, &size);
    assert_int_equal(mr_load32(bytes + 108), LOGS);
    assert_int_equal(mr_load32(bytes + 112), SEGMENTS);
    assert_int_equal(mr_load64(bytes + 120), 17);
    assert_int_equal(mr_load64(bytes + 48), 1 << 20);
    assert_int_equal(mr_load64(bytes + 128 + LOGS * 40 + 24), 4096 + 5000 + 4096 + 64);
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        uint8_t *changed = malloc(size);

        assert_non_null(changed);
        memcpy(changed, bytes, size);
        if (changes[i].bytes == 4)
            mr_store32(changed + changes[i].offset, (uint32_t)changes[i].value);
        else
            mr_store64(changed + changes[i].offset, changes[i].value);
        stamp(changed, size);
        assert_false(decodes(changed, size, &format));
        free(changed);
    }
    mr_free(bytes);
}

static void a_newer_format_is_told(void **state)
{
    const struct mr_checkpoint checkpoint = sample();
    uint8_t *bytes;
    size_t size;
    uint32_t format;

    (void)state;
    mr_checkpoint_encode(&checkpoint, &bytes, &size);
    mr_store32(bytes + 20, CHECKPOINT_FORMAT + 1);
    stamp(bytes, size);
    assert_false(decodes(bytes, size, &format));
    assert_int_equal(format, CHECKPOINT_FORMAT + 1);
    assert_false(decodes((const uint8_t *)"neither a checkpoint nor a format", 33, &format));
    assert_int_equal(format, 0);
    mr_free(bytes);
}

/* ---- in a directory ------------------------------------------------------------------------ */

static int setup(void **state)
{
    struct small_log *s = small_log_new_simulated(1);

    *state = s;
    small_log_must_open(s);
    small_log_add(s, 0, 1);
    small_log_add(s, 1, 2);
    for (int i = 0; i < 20; i++) {
        small_log_must_put(s, 0, 3);
        small_log_must_put(s, 1, 2);
        if (i % 4 == 0)
            assert_int_equal(mr_log_checkpoint(s->log, NULL), MR_OK);
    }
    return 0;
}

static int teardown(void **state)
{
    small_log_free(*state);
    return 0;
}

static size_t copies_bytes(struct small_log *s)
{
    uint8_t *bytes;
    size_t size;

    assert_int_equal(mr_fs_read_all(s->fs, "data/checkpoint.0", 1u << 20, &bytes, &size, NULL),
                     MR_OK);
    mr_free(bytes);
    return size;
}

/* C2: any damage to one copy, or its absence, loses nothing; and opening makes two of it again. */
static void one_damaged_copy_loses_nothing(void **state)
{
    static const char *const paths[] = {"data/checkpoint.0", "data/checkpoint.1"};
    struct small_log *s = *state;
    size_t size;

    small_log_crash(s, SIM_KILL);
    size = copies_bytes(s);
    for (size_t i = 0; i < size + 1; i += i < 150 ? 7 : 31) {
        for (int copy = 0; copy < 2; copy++) {
            struct small_log *c = small_log_copy(s);

            if (i < size)
                sim_disk_flip(c->disk, paths[copy], i, 0x10);
            else
                assert_int_equal(c->fs->remove(c->fs, paths[copy], NULL), MR_OK);
            assert_true(small_log_damage(c) > 0);
            small_log_must_open(c);
            small_log_must_read_all(c);
            mr_log_close(c->log);
            c->log = NULL;
            assert_int_equal(small_log_damage(c), 0);
            small_log_free(c);
        }
    }
}

/* C1, L5 */
static void two_damaged_copies_are_told(void **state)
{
    struct small_log *s = *state;
    mr_error error;

    small_log_crash(s, SIM_KILL);
    sim_disk_flip(s->disk, "data/checkpoint.0", 100, 1);
    sim_disk_flip(s->disk, "data/checkpoint.1", 200, 1);
    assert_int_equal(small_log_open(s, &error), MR_CORRUPT);
    assert_non_null(strstr(error.message, "checkpoint"));
    assert_non_null(strstr(error.message, "backup"));
    assert_true(small_log_damage(s) > 0);
}

/* C1: each call of taking a checkpoint fails in turn; then the power does, or not. */
static void a_checkpoint_that_failed_leaves_the_last_one(void **state)
{
    struct small_log *s = *state;
    uint64_t number = 1, met;

    small_log_crash(s, SIM_KILL);
    do {
        for (int crash = SIM_POWER_CUT; crash <= SIM_KILL; crash++) {
            struct small_log *c = small_log_copy(s);

            small_log_must_open(c);
            small_log_must_put(c, 0, 5);
            sim_disk_fail(c->disk, SIM_CHANGES, number, EIO, false);
            mr_log_checkpoint(c->log, NULL);
            met = sim_disk_failed(c->disk);
            small_log_crash(c, (enum sim_crash)crash);
            small_log_must_open(c);
            small_log_must_read_all(c);
            small_log_free(c);
        }
        number++;
    } while (met > 0);
    assert_true(number > 8);
}

#define in_a_directory(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(checkpoints_come_back),
        cmocka_unit_test(sees_every_flipped_bit_and_every_cut),
        cmocka_unit_test(hostile_counts_are_refused),
        cmocka_unit_test(a_newer_format_is_told),
        in_a_directory(one_damaged_copy_loses_nothing),
        in_a_directory(two_damaged_copies_are_told),
        in_a_directory(a_checkpoint_that_failed_leaves_the_last_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
