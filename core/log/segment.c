#include "log/segment.h"

#include "base/check.h"
#include "base/endian.h"
#include "base/fail.h"
#include "base/memory.h"

#include <inttypes.h>
#include <stdio.h>
#include <xxhash.h>

#define SEGMENT_MAGIC 0x3173524du /* "MRs1" */
#define TRAILER_MAGIC 0x3174524du /* "MRt1" */
#define SEGMENT_FORMAT 1
#define ENTRY_BYTES 48u

/* mr_log_open() has checked that the directory leaves room for what is added here and below. */
static void join(char path[MR_PATH_BYTES], const char *directory, const char *name)
{
    size_t size = strlen(directory);

    mr_check(size + strlen(name) < MR_PATH_BYTES);
    memcpy(path, directory, size);
    strcpy(path + size, name);
}

void mr_store_path(char path[MR_PATH_BYTES], const char *directory, uint32_t stream)
{
    char name[32];

    snprintf(name, sizeof name, "/s/%08" PRIx32, stream);
    join(path, directory, name);
}

void mr_segment_path(char path[MR_PATH_BYTES], const char *directory, uint32_t stream,
                     uint32_t segment)
{
    char name[32];

    snprintf(name, sizeof name, "/s/%08" PRIx32 "/%08" PRIx32 ".seg", stream, segment);
    join(path, directory, name);
}

static void stamp(uint8_t *bytes, size_t size, uint64_t seed)
{
    mr_store64(bytes, XXH3_64bits_withSeed(bytes + 8, size - 8, seed));
}

static bool is_stamped(const uint8_t *bytes, size_t size, uint64_t seed)
{
    return mr_load64(bytes) == XXH3_64bits_withSeed(bytes + 8, size - 8, seed);
}

mr_status mr_segment_create(struct mr_segment *segment, struct mr_fs *fs, const char *directory,
                            uint64_t directory_id, uint32_t stream, uint32_t id, mr_error *error)
{
    uint8_t page[SEGMENT_HEADER_BYTES] = {0};
    char path[MR_PATH_BYTES];
    mr_status status;

    *segment = (struct mr_segment){.id = id,
                                   .rank = id,
                                   .is_dirty = true,
                                   .bytes = SEGMENT_HEADER_BYTES,
                                   .first_ms = INT64_MAX};
    mr_store32(page + 8, SEGMENT_MAGIC);
    mr_store32(page + 12, SEGMENT_FORMAT);
    mr_store64(page + 16, directory_id);
    mr_store32(page + 24, stream);
    mr_store32(page + 28, id);
    stamp(page, sizeof page, mr_segment_seed(directory_id, id, 0));

    mr_segment_path(path, directory, stream, id);
    status = fs->open(fs, path, MR_FS_WRITE | MR_FS_CREATE | MR_FS_BULK, &segment->file, error);
    if (status)
        return status;
    status = fs->truncate(segment->file, 0, error); /* one that a crash left */
    if (!status)
        status = fs->write(segment->file, page, sizeof page, 0, error);
    if (status) {
        fs->close(segment->file);
        segment->file = NULL;
    }
    return status;
}

bool mr_segment_header_is_good(const uint8_t page[SEGMENT_HEADER_BYTES], uint64_t directory_id,
                               uint32_t stream, uint32_t id)
{
    return is_stamped(page, SEGMENT_HEADER_BYTES, mr_segment_seed(directory_id, id, 0)) &&
           mr_load32(page + 8) == SEGMENT_MAGIC && mr_load32(page + 12) == SEGMENT_FORMAT &&
           mr_load64(page + 16) == directory_id && mr_load32(page + 24) == stream &&
           mr_load32(page + 28) == id;
}

uint32_t mr_segment_padding(const struct mr_segment *segment)
{
    if (segment->bytes != segment->named_bytes)
        return 0; /* what lies before is as new as what comes */
    return (uint32_t)(-segment->bytes % SEGMENT_PAGE_BYTES);
}

mr_status mr_segment_cut(const struct mr_segment *segment, mr_error *error)
{
    struct mr_fs *fs = segment->file->fs;

    return segment->is_ragged ? fs->truncate(segment->file, segment->bytes, error) : MR_OK;
}

mr_status mr_segment_write(const struct mr_segment *segment, uint64_t offset, mr_bytes bytes,
                           mr_error *error)
{
    /* The padding is left as a hole: writing it would touch the page of what is durable (G3). */
    return segment->file->fs->write(segment->file, bytes.data, bytes.size, offset, error);
}

static bool is_zero(const uint8_t *bytes, size_t size)
{
    while (size > 0 && *bytes == 0) {
        bytes++;
        size--;
    }
    return size == 0;
}

mr_status mr_segment_next_block(struct mr_file *file, uint64_t end, uint64_t *offset,
                                struct mr_block *block, bool *found, mr_error *error)
{
    uint8_t bytes[SEGMENT_PAGE_BYTES];

    *found = false;
    while (*offset < end) {
        size_t padding = (size_t)(-*offset % SEGMENT_PAGE_BYTES), got;
        mr_status status = file->fs->read(file, bytes, BLOCK_HEADER_BYTES, *offset, &got, error);

        if (status)
            return status;
        *found = got == BLOCK_HEADER_BYTES && end - *offset >= BLOCK_HEADER_BYTES &&
                 mr_block_read_header(bytes, block) &&
                 block->stored_bytes <= end - *offset - BLOCK_HEADER_BYTES;
        if (*found || padding == 0)
            return MR_OK;
        if (padding > end - *offset)
            padding = (size_t)(end - *offset);
        status = file->fs->read(file, bytes, padding, *offset, &got, error);
        if (status || got < padding || !is_zero(bytes, padding))
            return status;
        *offset += padding;
    }
    return MR_OK;
}

static void write_entry(uint8_t *out, const struct mr_block_place *place)
{
    mr_store32(out, place->block.log);
    mr_store32(out + 4, place->block.stored_bytes);
    mr_store64(out + 8, place->offset);
    mr_store64(out + 16, place->block.first_number);
    mr_store64(out + 24, place->block.last_number);
    mr_store64(out + 32, (uint64_t)place->block.first_ms);
    mr_store64(out + 40, (uint64_t)place->block.last_ms);
}

static void write_trailer(uint8_t trailer[SEGMENT_TRAILER_BYTES], uint64_t directory_id,
                          uint32_t segment, uint32_t page_count, uint64_t index_offset)
{
    uint64_t offset = index_offset + (uint64_t)page_count * SEGMENT_PAGE_BYTES;

    memset(trailer, 0, SEGMENT_TRAILER_BYTES);
    mr_store32(trailer + 8, TRAILER_MAGIC);
    mr_store32(trailer + 12, page_count);
    mr_store64(trailer + 16, index_offset);
    stamp(trailer, SEGMENT_TRAILER_BYTES, mr_segment_seed(directory_id, segment, offset));
}

mr_status mr_segment_seal(struct mr_segment *segment, uint32_t padding, uint64_t directory_id,
                          const struct mr_block_place *places, size_t place_count, mr_error *error)
{
    size_t page_count = (place_count + SEGMENT_PAGE_ENTRIES - 1) / SEGMENT_PAGE_ENTRIES;
    size_t size = page_count * SEGMENT_PAGE_BYTES + SEGMENT_TRAILER_BYTES;
    uint64_t offset = segment->bytes + padding;
    uint8_t *pages = mr_alloc_zero(1, size);
    mr_status status;

    for (size_t page = 0; page < page_count; page++) {
        uint8_t *out = pages + page * SEGMENT_PAGE_BYTES;
        size_t first = page * SEGMENT_PAGE_ENTRIES;
        size_t count = place_count - first;

        if (count > SEGMENT_PAGE_ENTRIES)
            count = SEGMENT_PAGE_ENTRIES;
        mr_store16(out + 8, (uint16_t)count);
        for (size_t i = 0; i < count; i++)
            write_entry(out + 16 + i * ENTRY_BYTES, &places[first + i]);
        stamp(out, SEGMENT_PAGE_BYTES,
              mr_segment_seed(directory_id, segment->id, offset + page * SEGMENT_PAGE_BYTES));
    }
    write_trailer(pages + page_count * SEGMENT_PAGE_BYTES, directory_id, segment->id,
                  (uint32_t)page_count, offset);

    status = mr_segment_cut(segment, error);
    if (!status)
        status = mr_segment_write(segment, offset, (mr_bytes){pages, size}, error);
    mr_free(pages);
    if (status)
        return status;
    segment->bytes = offset + size;
    segment->page_count = (uint32_t)page_count;
    segment->is_sealed = true;
    segment->is_dirty = true;
    return MR_OK;
}

void mr_segment_page_entry(const struct mr_segment_page *page, uint32_t entry,
                           struct mr_block_place *place)
{
    const uint8_t *in = page->bytes + 16 + entry * ENTRY_BYTES;

    mr_check(entry < page->entry_count);
    *place = (struct mr_block_place){
        .offset = mr_load64(in + 8),
        .block = {.log = mr_load32(in),
                  .stored_bytes = mr_load32(in + 4),
                  .first_number = mr_load64(in + 16),
                  .last_number = mr_load64(in + 24),
                  .first_ms = (int64_t)mr_load64(in + 32),
                  .last_ms = (int64_t)mr_load64(in + 40)},
    };
}

uint64_t mr_segment_index_offset(const struct mr_segment *segment)
{
    return segment->bytes - SEGMENT_TRAILER_BYTES -
           (uint64_t)segment->page_count * SEGMENT_PAGE_BYTES;
}

mr_status mr_segment_check_trailer(struct mr_file *file, uint64_t directory_id,
                                   const struct mr_segment *segment)
{
    uint8_t expected[SEGMENT_TRAILER_BYTES], found[SEGMENT_TRAILER_BYTES];
    size_t got;
    mr_status status;

    write_trailer(expected, directory_id, segment->id, segment->page_count,
                  mr_segment_index_offset(segment));
    status = file->fs->read(file, found, sizeof found, segment->bytes - SEGMENT_TRAILER_BYTES, &got,
                            NULL);
    if (status)
        return status;
    return got == sizeof found && !memcmp(expected, found, sizeof found) ? MR_OK : MR_CORRUPT;
}

mr_status mr_segment_read_page(struct mr_file *file, const char *path, uint64_t directory_id,
                               const struct mr_segment *segment, uint32_t page_index,
                               struct mr_segment_page *page, mr_error *error)
{
    uint64_t offset = mr_segment_index_offset(segment) + (uint64_t)page_index * SEGMENT_PAGE_BYTES;
    size_t got;
    mr_status status;

    page->entry_count = 0;
    status = file->fs->read(file, page->bytes, SEGMENT_PAGE_BYTES, offset, &got, error);
    if (status)
        return status;
    if (got == SEGMENT_PAGE_BYTES)
        page->entry_count = mr_load16(page->bytes + 8);
    if (page->entry_count < 1 || page->entry_count > SEGMENT_PAGE_ENTRIES ||
        !is_stamped(page->bytes, SEGMENT_PAGE_BYTES,
                    mr_segment_seed(directory_id, segment->id, offset))) {
        page->entry_count = 0;
        return mr_fail(error, MR_CORRUPT,
                       "%s: the index page at byte %" PRIu64
                       " is damaged; `millrace check` tells what is affected",
                       path, offset);
    }
    page->segment = segment->id;
    page->page_index = page_index;
    return MR_OK;
}

struct wanted {
    mr_log_id log;
    bool by_time;
    uint64_t number;
    int64_t time_ms;
};

/* Whether the entry lies wholly before what is wanted. */
static bool is_before(const struct mr_block_place *place, const struct wanted *wanted)
{
    if (place->block.log != wanted->log)
        return place->block.log < wanted->log;
    return wanted->by_time ? place->block.last_ms < wanted->time_ms
                           : place->block.last_number < wanted->number;
}

mr_status mr_segment_find(struct mr_file *file, const char *path, uint64_t directory_id,
                          const struct mr_segment *segment, mr_log_id log, bool by_time,
                          uint64_t number, int64_t time_ms, struct mr_segment_page *page,
                          uint32_t *entry, mr_error *error)
{
    const struct wanted wanted = {log, by_time, number, time_ms};
    uint32_t low = 0,
             high = segment->page_count; /* the first page whose last entry is not before */
    struct mr_block_place place;
    mr_status status;

    *entry = UINT32_MAX;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        status = mr_segment_read_page(file, path, directory_id, segment, middle, page, error);
        if (status)
            return status;
        mr_segment_page_entry(page, page->entry_count - 1, &place);
        if (is_before(&place, &wanted))
            low = middle + 1;
        else
            high = middle;
    }
    if (low == segment->page_count)
        return MR_OK;
    if (page->entry_count == 0 || page->page_index != low || page->segment != segment->id) {
        status = mr_segment_read_page(file, path, directory_id, segment, low, page, error);
        if (status)
            return status;
    }
    for (uint32_t i = 0; i < page->entry_count; i++) {
        mr_segment_page_entry(page, i, &place);
        if (is_before(&place, &wanted))
            continue;
        if (place.block.log == log)
            *entry = i;
        return MR_OK;
    }
    return MR_OK;
}
