/*
 * Segments of any bytes, with good checksums: whoever reads or verifies them gets to the end.
 *
 * The input is changes: 1 byte segment, 2 bytes place, 1 byte size, then so many bytes to lie there.
 * Then all checksums are made good again: of header page, blocks, index pages.
 */
#include "base/check.h"
#include "base/endian.h"
#include "base/memory.h"
#include "log/checkpoint.h"
#include "support/small_log.h"

#include <string.h>
#include <xxhash.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SEGMENTS_MAX = 16, BLOCKS_MAX = 64 };

/* A closed directory, and where its blocks lie. */
static struct small_log *base;
static struct mr_checkpoint checkpoint;
static struct places {
    char path[64];
    uint64_t offsets[BLOCKS_MAX];
    uint32_t sizes[BLOCKS_MAX];
    size_t count;
} places[SEGMENTS_MAX];

static void note_places(struct places *found, const struct mr_checkpoint_segment *row)
{
    const struct mr_segment *segment = &row->segment;
    uint64_t offset = SEGMENT_HEADER_BYTES;
    uint64_t end = segment->is_sealed ? mr_segment_index_offset(segment) : segment->bytes;
    char path[MR_PATH_BYTES];
    struct mr_file *file;

    mr_segment_path(path, "data", row->stream, segment->id);
    strcpy(found->path, path);
    mr_check(!base->fs->open(base->fs, path, 0, &file, NULL));
    for (;;) {
        struct mr_block block;
        bool is_there;

        mr_check(!mr_segment_next_block(file, end, &offset, &block, &is_there, NULL));
        if (!is_there)
            break;
        mr_check(found->count < BLOCKS_MAX);
        found->offsets[found->count] = offset;
        found->sizes[found->count] = BLOCK_HEADER_BYTES + block.stored_bytes;
        offset += found->sizes[found->count++];
    }
    base->fs->close(file);
}

static void make_base(void)
{
    uint8_t *bytes; /* kept */
    size_t size;
    uint32_t format;

    base = small_log_new_simulated(1);
    small_log_must_open(base);
    small_log_add(base, 0, 1);
    small_log_add(base, 1, 1);
    for (int i = 0; i < 30; i++) {
        small_log_must_put(base, (mr_log_id)(i % 3 == 2), 7);
        if (i % 3 == 0)
            mr_log_checkpoint(base->log, NULL);
    }
    small_log_close(base);
    mr_check(!mr_fs_read_all(base->fs, "data/checkpoint.0", 1 << 20, &bytes, &size, NULL));
    mr_check(mr_checkpoint_decode((mr_bytes){bytes, size}, &checkpoint, &format));
    mr_check(checkpoint.segment_count > 1 && checkpoint.segment_count <= SEGMENTS_MAX);
    for (uint32_t i = 0; i < checkpoint.segment_count; i++)
        note_places(&places[i], &checkpoint.segments[i]);
}

static void stamp(uint8_t *bytes, size_t size, uint32_t segment, uint64_t offset)
{
    mr_store64(bytes,
               XXH3_64bits_withSeed(bytes + 8, size - 8,
                                    mr_segment_seed(checkpoint.directory_id, segment, offset)));
}

static void stamp_all(uint8_t *bytes, size_t i)
{
    const struct mr_segment *segment = &checkpoint.segments[i].segment;

    stamp(bytes, SEGMENT_HEADER_BYTES, segment->id, 0);
    for (size_t n = 0; n < places[i].count; n++) {
        uint8_t *block = bytes + places[i].offsets[n];

        mr_store32(block + 12, block[12]);
        mr_store32(block + 12,
                   block[12] | (uint32_t)(XXH3_64bits(block + 8, BLOCK_HEADER_BYTES - 8) << 8));
        stamp(block, places[i].sizes[n], segment->id, places[i].offsets[n]);
    }
    for (uint32_t n = 0; n < segment->page_count; n++) {
        uint64_t offset = mr_segment_index_offset(segment) + n * SEGMENT_PAGE_BYTES;

        stamp(bytes + offset, SEGMENT_PAGE_BYTES, segment->id, offset);
    }
}

static void change(struct small_log *s, struct mr_scan *scan)
{
    uint8_t i = (uint8_t)(mr_scan_u8(scan) % checkpoint.segment_count);
    size_t low = mr_scan_u8(scan), place = low | (size_t)mr_scan_u8(scan) << 8;
    size_t count = mr_scan_u8(scan), size;
    struct mr_file *file;
    uint8_t *bytes;

    mr_check(!mr_fs_read_all(s->fs, places[i].path, 1 << 20, &bytes, &size, NULL));
    if (count > mr_scan_left(scan))
        count = mr_scan_left(scan);
    place %= size;
    if (count > size - place)
        count = size - place;
    memcpy(bytes + place, mr_scan_take(scan, count), count);
    stamp_all(bytes, i);
    mr_check(!s->fs->open(s->fs, places[i].path, MR_FS_WRITE, &file, NULL));
    mr_check(!s->fs->write(file, bytes, size, 0, NULL));
    s->fs->close(file);
    mr_free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mr_scan scan = mr_scan_of((mr_bytes){data, size});
    struct small_log *s;
    mr_error error;
    mr_status status;

    if (!base)
        make_base();
    s = small_log_copy(base);
    s->config.salvage = size % 2;
    while (mr_scan_left(&scan) >= 5)
        change(s, &scan);
    small_log_damage(s);
    status = small_log_open(s, &error);
    mr_check(status == MR_OK || status == MR_CORRUPT);
    if (status == MR_OK) {
        for (uint32_t id = 0; id < 2; id++) {
            struct mr_log_cursor *cursor;

            mr_check(small_log_read(s, id).corrupt_count < 1000); /* it gets to the end */
            mr_check(!mr_log_cursor_open(&cursor, s->log, id, (mr_sequence){.shard = id}, NULL));
            mr_log_cursor_seek_time(cursor, s->clock.wall_ms, NULL);
            mr_log_cursor_close(cursor);
        }
        small_log_must_put(s, 0, 3);
        small_log_close(s);
    }
    small_log_free(s);
    return 0;
}
