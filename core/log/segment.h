/*
 * segment.h - a file of blocks of one stream: DIR/s/<stream>/<segment>.seg, names in hex.
 *
 *     0            header page: 4096 bytes
 *     4096         blocks (block.h), one after the other, of all the stream's logs; zeros up to the
 *                  next multiple of 4096 wherever the file was synced and then went on
 *     index        pages of 4096 bytes, once the segment is sealed
 *     end - 64     trailer, once the segment is sealed
 *
 *     header       8 XXH3-64 of the rest of the page · 4 "MRs1" · 4 format · 8 directory id ·
 *                  4 stream · 4 segment · zeros
 *     index page   8 XXH3-64 of the rest of the page · 2 entry_count (1..85) · 6 zeros · entries:
 *                  4 log · 4 stored_bytes · 8 offset · 8 first number · 8 last number ·
 *                  8 first_ms · 8 last_ms, sorted by log, then number
 *     trailer      8 XXH3-64 of the rest · 4 "MRt1" · 4 page_count · 8 index offset · 40 zeros
 *
 * Checksums are seeded with their place, as the blocks' are. The file is only ever appended to: a
 * crash cuts it back to the length the last checkpoint names, and the journal still has the rest.
 * Finding a block reads a few index pages, so that memory does not grow with what is stored.
 *
 *     G1  A sealed segment is never changed, only removed whole.
 *     G2  Any changed byte is seen when it is read.
 *     G3  What is durable shares no 4096 byte page with what is written later: a torn write cannot
 *         reach it.
 */
#ifndef MR_LOG_SEGMENT_H
#define MR_LOG_SEGMENT_H

#include "log/tail.h"

#define SEGMENT_HEADER_BYTES 4096u
#define SEGMENT_PAGE_BYTES 4096u
#define SEGMENT_PAGE_ENTRIES 85u
#define SEGMENT_TRAILER_BYTES 64u

/* One row of the manifest. */
struct mr_segment {
    uint32_t id;
    uint32_t rank; /* its place among the stream's: its own id, or that of the one it replaced */
    bool is_sealed;
    bool is_dirty;        /* written since the last sync; not stored */
    bool is_ragged;       /* a failed write may have left bytes behind its end; not stored */
    uint64_t named_bytes; /* the length that a checkpoint may name; not stored */
    struct mr_file *file; /* open for writing while active or dirty; not stored */
    uint64_t bytes;       /* valid length */
    uint64_t raw_bytes;   /* of its blocks before compression */
    uint64_t hasty_bytes; /* of them, those compressed less than there would be time for later */
    uint32_t block_count;
    uint32_t page_count; /* of a sealed one */
    uint64_t last_number;
    int64_t first_ms, last_ms;
};

/* What makes a checksum valid only at its place. */
static inline uint64_t mr_segment_seed(uint64_t directory_id, uint32_t segment, uint64_t offset)
{
    return (directory_id ^ ((uint64_t)segment << 40)) + offset;
}

void mr_store_path(char path[MR_PATH_BYTES], const char *directory, uint32_t stream);
void mr_segment_path(char path[MR_PATH_BYTES], const char *directory, uint32_t stream,
                     uint32_t segment);

/* Creates the file and writes its header page; fills segment. */
mr_status mr_segment_create(struct mr_segment *segment, struct mr_fs *fs, const char *directory,
                            uint64_t directory_id, uint32_t stream, uint32_t id, mr_error *error);

/* Checks a header page. */
bool mr_segment_header_is_good(const uint8_t page[SEGMENT_HEADER_BYTES], uint64_t directory_id,
                               uint32_t stream, uint32_t id);

/* Writes index and trailer for these places, sorted by log and number, behind segment->bytes. */
mr_status mr_segment_seal(struct mr_segment *segment, uint32_t padding, uint64_t directory_id,
                          const struct mr_block_place *places, size_t place_count, mr_error *error);

/* How many zeros go before what is appended next (G3). */
uint32_t mr_segment_padding(const struct mr_segment *segment);

/* Cuts off what a failed flush has left behind the end. */
mr_status mr_segment_cut(const struct mr_segment *segment, mr_error *error);
/* Writes bytes at offset, which is not before the segment's end; what lies between is a hole, or is
 * written by other calls, also at the same time. Nothing may be left behind the end (mr_segment_cut()). The
 * row stays as it is: where this fails the caller enters is_ragged, else the new length. */
mr_status mr_segment_write(const struct mr_segment *segment, uint64_t offset, mr_bytes bytes,
                           mr_error *error);

/* Reads the block header at *offset, or skips zeros to the one behind them. *found is false at end or
 * where neither is there. */
mr_status mr_segment_next_block(struct mr_file *file, uint64_t end, uint64_t *offset,
                                struct mr_block *block, bool *found, mr_error *error);

/* Where the index of a sealed segment begins. */
uint64_t mr_segment_index_offset(const struct mr_segment *segment);

/* CORRUPT if the trailer of a sealed segment is not as it was written. */
mr_status mr_segment_check_trailer(struct mr_file *file, uint64_t directory_id,
                                   const struct mr_segment *segment);

/* An index page, read and checked: page_index counts from 0. CORRUPT names file and place. */
struct mr_segment_page {
    uint32_t segment, page_index, entry_count;
    uint8_t bytes[SEGMENT_PAGE_BYTES];
};
void mr_segment_page_entry(const struct mr_segment_page *page, uint32_t entry,
                           struct mr_block_place *place);
mr_status mr_segment_read_page(struct mr_file *file, const char *path, uint64_t directory_id,
                               const struct mr_segment *segment, uint32_t page_index,
                               struct mr_segment_page *page, mr_error *error);

/* The first entry of the log whose last number is >= number (by_time: whose last_ms is >= that):
 * found in page->bytes at *entry, or *entry is UINT32_MAX if there is none. */
mr_status mr_segment_find(struct mr_file *file, const char *path, uint64_t directory_id,
                          const struct mr_segment *segment, mr_log_id log, bool by_time,
                          uint64_t number, int64_t time_ms, struct mr_segment_page *page,
                          uint32_t *entry, mr_error *error);

#endif
