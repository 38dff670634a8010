/* Segment files: blocks, zeros between them, index and trailer; found again, and damage seen. */
#include "log/segment.h"

#include "base/memory.h"
#include "support/seed.h"
#include "support/sim_disk.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ID UINT64_C(0x0123456789abcdef)
#define PATH "data/s/00000002/00000009.seg"
enum { STREAM = 2, SEGMENT = 9, PLACES_MAX = 400 };

struct fixture {
    struct sim_disk *disk;
    struct mr_fs *fs;
    struct mr_codec *codec;
    struct mr_segment segment;
    struct mr_block_place places[PLACES_MAX];
    uint32_t place_count;
    uint64_t next_number;
};

static int setup(void **state)
{
    struct fixture *f = mr_new(struct fixture);

    f->disk = sim_disk_new(1);
    f->fs = sim_disk_fs(f->disk);
    f->codec = mr_codec_new(NULL);
    f->next_number = 1;
    *state = f;
    return f->fs->make_directory(f->fs, "data", NULL) ||
           f->fs->make_directory(f->fs, "data/s", NULL) ||
           f->fs->make_directory(f->fs, "data/s/00000002", NULL) ||
           mr_segment_create(&f->segment, f->fs, "data", ID, STREAM, SEGMENT, NULL);
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    f->fs->close(f->segment.file);
    mr_codec_free(f->codec);
    sim_disk_free(f->disk);
    mr_free(f);
    return 0;
}

/* Appends a block as flushing does: with its numbers, 10 of them, and with its time, a second. */
static void add_block(struct fixture *f, mr_log_id log, size_t raw_bytes)
{
    struct mr_block_place *place = &f->places[f->place_count++];
    uint32_t padding = mr_segment_padding(&f->segment);
    uint8_t *raw = mr_alloc_zero(1, raw_bytes);
    uint8_t *out = mr_alloc_zero(1, padding + mr_block_bytes_max(raw_bytes));
    size_t size;

    assert_in_range(f->place_count, 1, PLACES_MAX);
    raw[0] = (uint8_t)f->place_count;
    *place = (struct mr_block_place){.segment = SEGMENT,
                                     .offset = f->segment.bytes + padding,
                                     .block = {.log = log,
                                               .record_count = 10,
                                               .first_number = f->next_number,
                                               .last_number = f->next_number + 9,
                                               .first_ms = (int64_t)f->next_number * 100,
                                               .last_ms = (int64_t)f->next_number * 100 + 900}};
    f->next_number += 10;
    size = padding + mr_block_write(f->codec, MR_CODEC_STORED, NULL, &place->block,
                                    (mr_bytes){raw, raw_bytes},
                                    mr_segment_seed(ID, SEGMENT, place->offset), out + padding);
    assert_int_equal(f->fs->write(f->segment.file, out, size, f->segment.bytes, NULL), MR_OK);
    f->segment.bytes += size;
    f->segment.block_count++;
    f->segment.is_dirty = true;
    mr_free(raw);
    mr_free(out);
}

static void sync_segment(struct fixture *f)
{
    assert_int_equal(f->fs->sync(f->segment.file, NULL), MR_OK);
    f->segment.is_dirty = false;
    f->segment.named_bytes = f->segment.bytes;
}

static int by_log_and_number(const void *left, const void *right)
{
    const struct mr_block_place *a = left, *b = right;

    if (a->block.log != b->block.log)
        return a->block.log < b->block.log ? -1 : 1;
    return a->block.first_number < b->block.first_number ? -1 : 1;
}

static void seal(struct fixture *f)
{
    qsort(f->places, f->place_count, sizeof f->places[0], by_log_and_number);
    assert_int_equal(mr_segment_seal(&f->segment, mr_segment_padding(&f->segment), ID, f->places,
                                     f->place_count, NULL),
                     MR_OK);
}

static void flip(struct fixture *f, uint64_t bit)
{
    sim_disk_flip(f->disk, PATH, bit / 8, (uint8_t)(1 << bit % 8));
}

static mr_status find(struct fixture *f, mr_log_id log, bool by_time, uint64_t number,
                      int64_t time_ms, struct mr_block_place *place, bool *found)
{
    struct mr_segment_page page = {0};
    uint32_t entry;
    mr_error error;
    mr_status status = mr_segment_find(f->segment.file, PATH, ID, &f->segment, log, by_time, number,
                                       time_ms, &page, &entry, &error);

    *found = !status && entry != UINT32_MAX;
    if (*found)
        mr_segment_page_entry(&page, entry, place);
    if (status == MR_CORRUPT)
        assert_non_null(strstr(error.message, PATH));
    return status;
}

/* What the first entry wanted is, by looking at each. */
static const struct mr_block_place *expected_place(const struct fixture *f, mr_log_id log,
                                                   bool by_time, uint64_t number, int64_t time_ms)
{
    for (uint32_t i = 0; i < f->place_count; i++)
        if (f->places[i].block.log == log && (by_time ? f->places[i].block.last_ms >= time_ms
                                                      : f->places[i].block.last_number >= number))
            return &f->places[i];
    return NULL;
}

static void check_find(struct fixture *f, mr_log_id log, bool by_time, uint64_t number,
                       int64_t time_ms)
{
    const struct mr_block_place *expected = expected_place(f, log, by_time, number, time_ms);
    struct mr_block_place place;
    bool found;

    assert_int_equal(find(f, log, by_time, number, time_ms, &place, &found), MR_OK);
    assert_int_equal(found, expected != NULL);
    if (!expected)
        return;
    assert_true(place.offset == expected->offset);
    assert_int_equal(place.block.log, log);
    assert_int_equal(place.block.stored_bytes, expected->block.stored_bytes);
    assert_true(place.block.first_number == expected->block.first_number);
    assert_true(place.block.last_number == expected->block.last_number);
    assert_true(place.block.first_ms == expected->block.first_ms);
    assert_true(place.block.last_ms == expected->block.last_ms);
}

/* With several index pages, logs that have many blocks, one, or none. */
static void finds_every_number_and_time(void **state)
{
    struct fixture *f = *state;
    struct mr_random random = seed_random();

    for (int i = 0; i < 300; i++)
        add_block(f, (mr_log_id)(mr_random_below(&random, 3) ? 7 : mr_random_below(&random, 40)),
                  100);
    seal(f);
    assert_int_equal(f->segment.page_count, 4);
    for (uint64_t number = 0; number <= f->next_number + 5; number++) {
        check_find(f, 7, false, number, 0);
        check_find(f, 7, true, 0, (int64_t)number * 100);
        check_find(f, (mr_log_id)(number % 42), false, number, 0);
        check_find(f, (mr_log_id)(number % 42), true, 0, (int64_t)number * 100 + 1);
    }
}

/* The places that the index pages are cut at: one entry less than a page, a page, one more. */
static void finds_the_ends_of_index_pages(void **state)
{
    static const int counts[] = {1, 84, 85, 86, 170, 171};

    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        struct fixture *f;

        if (i > 0)
            assert_int_equal(teardown(state) || setup(state), 0);
        f = *state;
        for (int n = 0; n < counts[i]; n++)
            add_block(f, 3, 50);
        seal(f);
        assert_int_equal(f->segment.page_count, (counts[i] + 84) / 85);
        assert_int_equal(mr_segment_check_trailer(f->segment.file, ID, &f->segment), MR_OK);
        for (uint64_t number = 1; number < f->next_number; number += 5)
            check_find(f, 3, false, number, 0);
        check_find(f, 3, false, f->next_number, 0);
        check_find(f, 2, false, 1, 0);
        check_find(f, 4, false, 1, 0);
    }
}

/* Follows the file from its header page on; says how many blocks there are, or -1 for damage. */
static int follow(struct fixture *f, uint64_t end)
{
    uint64_t offset = SEGMENT_HEADER_BYTES;
    int count = 0;

    while (offset < end) {
        struct mr_block block;
        bool found;

        assert_int_equal(mr_segment_next_block(f->segment.file, end, &offset, &block, &found, NULL),
                         MR_OK);
        if (!found)
            return offset < end ? -1 : count;
        if (count < (int)f->place_count) {
            assert_true(offset == f->places[count].offset);
            assert_true(block.first_number == f->places[count].block.first_number);
        }
        count++;
        offset += BLOCK_HEADER_BYTES + (uint64_t)block.stored_bytes;
    }
    return count;
}

/* G3: with syncs anywhere; what is written after one begins a page. */
static void what_is_durable_shares_no_page_with_what_comes_later(void **state)
{
    struct fixture *f = *state;
    struct mr_random random = seed_random();
    uint64_t durable = 0;

    for (int i = 0; i < 200; i++) {
        if (mr_random_below(&random, 3) == 0) {
            sync_segment(f);
            durable = f->segment.bytes;
        }
        add_block(f, 1,
                  1 + (size_t)mr_random_below(&random, mr_random_below(&random, 2) ? 9000 : 60));
        assert_true(f->places[i].offset / 4096 > (durable - 1) / 4096 || durable == 0);
        assert_true(f->places[i].offset - f->segment.bytes < 4096 ||
                    f->segment.bytes > f->places[i].offset);
        assert_int_equal(follow(f, f->segment.bytes), i + 1);
    }
    sync_segment(f);
    durable = f->segment.bytes;
    seal(f);
    assert_int_equal(mr_segment_index_offset(&f->segment) % 4096, 0);
    assert_true(mr_segment_index_offset(&f->segment) >= durable);
    /* The zeros before the index are followed, too. */
    assert_int_equal(follow(f, mr_segment_index_offset(&f->segment)), 200);
}

/* G2, G3: between the blocks and in the zeros. */
static void sees_damage_in_headers_and_padding(void **state)
{
    struct fixture *f = *state;
    uint64_t offset = SEGMENT_HEADER_BYTES;

    add_block(f, 1, 300);
    sync_segment(f);
    add_block(f, 1, 5000);
    sync_segment(f);
    add_block(f, 2, 10);
    assert_int_equal(follow(f, f->segment.bytes), 3);
    for (uint32_t i = 0; i < 3; i++) {
        /* The first 8 bytes are the checksum of the whole block, seen when it is read. */
        for (uint64_t bit = (f->places[i].offset + 8) * 8;
             bit < (f->places[i].offset + BLOCK_HEADER_BYTES) * 8; bit++) {
            flip(f, bit);
            assert_int_equal(follow(f, f->segment.bytes), -1);
            flip(f, bit);
        }
        offset = f->places[i].offset + BLOCK_HEADER_BYTES + f->places[i].block.stored_bytes;
        for (uint64_t bit = offset * 8; i < 2 && bit < f->places[i + 1].offset * 8; bit++) {
            flip(f, bit);
            assert_int_equal(follow(f, f->segment.bytes), -1);
            flip(f, bit);
        }
    }
}

static void reads_no_block_that_was_cut(void **state)
{
    struct fixture *f = *state;
    uint64_t first_end;

    add_block(f, 1, 300);
    first_end = f->segment.bytes;
    add_block(f, 1, 200);
    for (uint64_t end = SEGMENT_HEADER_BYTES; end <= f->segment.bytes; end++) {
        int expected = end == SEGMENT_HEADER_BYTES ? 0
                       : end == first_end          ? 1
                       : end == f->segment.bytes   ? 2
                                                   : -1;
        assert_int_equal(follow(f, end), expected);
    }
    /* The file itself may be shorter than was said. */
    for (uint64_t size = f->segment.bytes - 1; size > SEGMENT_HEADER_BYTES; size--) {
        assert_int_equal(f->fs->truncate(f->segment.file, size, NULL), MR_OK);
        if (size < first_end + BLOCK_HEADER_BYTES)
            assert_int_equal(follow(f, f->segment.bytes), -1);
    }
}

static bool header_is_good(struct fixture *f, uint64_t id, uint32_t stream, uint32_t segment)
{
    uint8_t page[SEGMENT_HEADER_BYTES];
    size_t got;

    assert_int_equal(f->fs->read(f->segment.file, page, sizeof page, 0, &got, NULL), MR_OK);
    return got == sizeof page && mr_segment_header_is_good(page, id, stream, segment);
}

/* G2 */
static void sees_every_flipped_bit_of_the_header_page(void **state)
{
    struct fixture *f = *state;

    assert_true(header_is_good(f, ID, STREAM, SEGMENT));
    assert_false(header_is_good(f, ID + 1, STREAM, SEGMENT));
    assert_false(header_is_good(f, ID, STREAM + 1, SEGMENT));
    assert_false(header_is_good(f, ID, STREAM, SEGMENT + 1));
    for (uint64_t bit = 0; bit < SEGMENT_HEADER_BYTES * 8; bit++) {
        flip(f, bit);
        assert_false(header_is_good(f, ID, STREAM, SEGMENT));
        flip(f, bit);
    }
}

/* G2 */
static void sees_every_flipped_bit_of_index_and_trailer(void **state)
{
    struct fixture *f = *state;
    uint64_t index_offset, trailer;
    struct mr_segment_page page;
    mr_error error;

    for (int i = 0; i < 86; i++)
        add_block(f, 3, 50);
    seal(f);
    index_offset = mr_segment_index_offset(&f->segment);
    trailer = f->segment.bytes - SEGMENT_TRAILER_BYTES;
    for (uint64_t bit = index_offset * 8; bit < trailer * 8; bit++) {
        uint32_t i = (uint32_t)((bit / 8 - index_offset) / SEGMENT_PAGE_BYTES);

        flip(f, bit);
        assert_int_equal(
            mr_segment_read_page(f->segment.file, PATH, ID, &f->segment, i, &page, &error),
            MR_CORRUPT);
        assert_int_equal(page.entry_count, 0);
        flip(f, bit);
        if (bit % 1024 == 0)
            assert_int_equal(
                mr_segment_read_page(f->segment.file, PATH, ID, &f->segment, 1 - i, &page, &error),
                MR_OK);
    }
    for (uint64_t bit = trailer * 8; bit < f->segment.bytes * 8; bit++) {
        flip(f, bit);
        assert_int_equal(mr_segment_check_trailer(f->segment.file, ID, &f->segment), MR_CORRUPT);
        flip(f, bit);
    }
    assert_int_equal(mr_segment_check_trailer(f->segment.file, ID, &f->segment), MR_OK);
}

/* G2: a page of another directory, segment or place is damage. */
static void index_pages_are_good_at_their_own_place_only(void **state)
{
    struct fixture *f = *state;
    struct mr_segment other;
    struct mr_segment_page page;
    uint8_t bytes[SEGMENT_PAGE_BYTES];
    uint64_t offset;
    size_t got;

    for (int i = 0; i < 200; i++)
        add_block(f, 3, 50);
    seal(f);
    other = f->segment;
    other.id++;
    assert_int_equal(mr_segment_read_page(f->segment.file, PATH, ID, &other, 0, &page, NULL),
                     MR_CORRUPT);
    assert_int_equal(
        mr_segment_read_page(f->segment.file, PATH, ID ^ 1, &f->segment, 0, &page, NULL),
        MR_CORRUPT);
    offset = mr_segment_index_offset(&f->segment);
    assert_int_equal(f->fs->read(f->segment.file, bytes, sizeof bytes, offset, &got, NULL), MR_OK);
    assert_int_equal(
        f->fs->write(f->segment.file, bytes, sizeof bytes, offset + SEGMENT_PAGE_BYTES, NULL),
        MR_OK);
    assert_int_equal(mr_segment_read_page(f->segment.file, PATH, ID, &f->segment, 1, &page, NULL),
                     MR_CORRUPT);
    assert_int_equal(mr_segment_read_page(f->segment.file, PATH, ID, &f->segment, 0, &page, NULL),
                     MR_OK);
}

/* G1: sealing only appends; and a failure of it leaves the segment as it was. */
static void sealing_changes_nothing_before_it(void **state)
{
    struct fixture *f = *state;
    uint8_t *before, *after;
    size_t before_size, after_size;

    for (int i = 0; i < 10; i++)
        add_block(f, (mr_log_id)i, 700);
    assert_int_equal(mr_fs_read_all(f->fs, PATH, 1u << 20, &before, &before_size, NULL), MR_OK);
    sim_disk_fail(f->disk, SIM_WRITE, 1, ENOSPC, false);
    assert_int_equal(mr_segment_seal(&f->segment, mr_segment_padding(&f->segment), ID, f->places,
                                     f->place_count, NULL),
                     MR_NO_SPACE);
    assert_false(f->segment.is_sealed);
    assert_int_equal(f->segment.bytes, before_size);
    seal(f);
    assert_true(f->segment.is_sealed && f->segment.is_dirty);
    assert_int_equal(mr_fs_read_all(f->fs, PATH, 1u << 20, &after, &after_size, NULL), MR_OK);
    assert_int_equal(after_size, f->segment.bytes);
    assert_memory_equal(after, before, before_size);
    check_find(f, 9, false, 1, 0);
    mr_free(before);
    mr_free(after);
}

static void what_cannot_be_made_is_reported(void **state)
{
    struct fixture *f = *state;
    struct mr_segment segment;
    mr_error error;

    sim_disk_fail(f->disk, SIM_WRITE, 1, EIO, false);
    assert_int_equal(mr_segment_create(&segment, f->fs, "data", ID, STREAM, SEGMENT + 1, &error),
                     MR_IO);
    assert_null(segment.file);
    assert_non_null(strstr(error.message, "0000000a.seg"));
    assert_int_equal(mr_segment_create(&segment, f->fs, "data", ID, STREAM + 1, 1, &error),
                     MR_NOT_FOUND);
    assert_null(segment.file);
}

#define in_a_folder(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        in_a_folder(finds_every_number_and_time),
        in_a_folder(finds_the_ends_of_index_pages),
        in_a_folder(what_is_durable_shares_no_page_with_what_comes_later),
        in_a_folder(sees_damage_in_headers_and_padding),
        in_a_folder(reads_no_block_that_was_cut),
        in_a_folder(sees_every_flipped_bit_of_the_header_page),
        in_a_folder(sees_every_flipped_bit_of_index_and_trailer),
        in_a_folder(index_pages_are_good_at_their_own_place_only),
        in_a_folder(sealing_changes_nothing_before_it),
        in_a_folder(what_cannot_be_made_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
