/*
 * checkpoint.h - all that is needed besides segments and the journal's live part: a small file.
 *
 * DIR/checkpoint.0 and DIR/checkpoint.1 have the same contents, each replaced in one step, one after
 * the other; journal space is reused only when both are durable.
 *
 *     16 XXH3-128 of all that follows · 4 "MRc1" · 4 format · 8 bytes in all · 8 serial ·
 *     8 directory id · 8 journal_bytes · 4 epoch · 4 flags (1: closed cleanly) · 8 tail lsn ·
 *     8 hash before the tail · 8 restored lsn · 8 next number · 8 newest time in ms ·
 *     4 next segment · 4 log_count · 4 segment_count · 4 reserved · 8 owner's bytes
 *     log      4 log · 4 stream · 8 flushed number · 8 record_count · 8 record_bytes · 8 newest_ms
 *     segment  4 stream · 4 segment · 4 flags (1: sealed) · 4 page_count · 4 block_count ·
 *              4 rank · 8 bytes · 8 raw_bytes · 8 hasty_bytes · 8 last number · 8 first_ms ·
 *              8 last_ms
 *     owner's snapshot
 *
 *     C1  After a crash one of the copies is whole, and names only what was durable before it.
 *     C2  One damaged copy loses nothing.
 */
#ifndef MR_LOG_CHECKPOINT_H
#define MR_LOG_CHECKPOINT_H

#include "log/segment.h"

#define CHECKPOINT_BYTES_MAX ((size_t)1 << 30)
#define CHECKPOINT_FORMAT 1

struct mr_checkpoint_log {
    mr_log_id id;
    uint32_t stream;
    uint64_t flushed_number;
    struct mr_log_figures figures;
};

struct mr_checkpoint_segment {
    uint32_t stream;
    struct mr_segment segment;
};

struct mr_checkpoint {
    uint64_t serial, directory_id, journal_bytes;
    uint32_t epoch;
    bool is_clean;
    struct mr_lsn tail;
    uint64_t restored_lsn; /* the owner's snapshot holds the entries before it */
    uint64_t next_number;
    int64_t last_ms;
    uint32_t next_segment;
    struct mr_checkpoint_log *logs;
    uint32_t log_count;
    struct mr_checkpoint_segment *segments; /* of one stream together, in order */
    uint32_t segment_count;
    mr_bytes owner; /* borrowed from what it was decoded from or is to be encoded */
};

void mr_checkpoint_fini(struct mr_checkpoint *checkpoint);

/* The file's bytes, in fresh memory. */
void mr_checkpoint_encode(const struct mr_checkpoint *checkpoint, uint8_t **bytes, size_t *size);

/* False: damaged. *format is that of the file where it can be read at all, else 0. */
bool mr_checkpoint_decode(mr_bytes bytes, struct mr_checkpoint *checkpoint, uint32_t *format);

void mr_checkpoint_path(char path[MR_PATH_BYTES], const char *directory, unsigned copy);

#endif
