/*
 * frame.h - records as bytes: the same in the journal, in memory and in blocks.
 *
 *     frame   varint  key_bytes * 2 + has_hash_key
 *             varint  data_bytes
 *             16      explicit hash key, low half first (only if has_hash_key)
 *                     partition key, then data
 *
 *     run     varint  record_count, at least 1
 *             varint  first number - (last number of the run before + 1)
 *             varint  arrival in ms - arrival of the run before
 *             varint  frames_bytes
 *                     frames
 *
 * Runs follow each other without gaps. What the first run counts from (number and arrival of "the run
 * before") is the base, kept by the chunk or block that holds the runs.
 *
 *     F1  Runs decode to exactly the records they were encoded from.
 *     F2  Whatever the bytes, decoding reads only them and stops: lengths meet the end first.
 */
#ifndef MR_LOG_FRAME_H
#define MR_LOG_FRAME_H

#include "base/pack.h"
#include "base/scan.h"

#define RUN_HEADER_BYTES_MAX (4 * MR_VARINT_BYTES_MAX)

/* Where numbers and times of the next run count from. */
struct mr_run_base {
    uint64_t next_number; /* the number of a run that follows without a gap */
    int64_t at_ms;
};

struct mr_run {
    uint64_t record_count, first_number;
    int64_t at_ms;
    mr_bytes frames;
    bool is_encrypted; /* its blocks are to be; not in the run's bytes */
};

/* Writes a run's header (at most RUN_HEADER_BYTES_MAX) and moves base behind the run. */
uint8_t *mr_run_write_header(uint8_t *out, struct mr_run_base *base, const struct mr_run *run);

/* Reads a run and moves base behind it. False: no more bytes, or scan->failed. */
bool mr_run_read(struct mr_scan *scan, struct mr_run_base *base, struct mr_run *run);

/* Reads one frame; the record's sequence and arrival are left alone. False: scan->failed. */
static inline bool mr_frame_read(struct mr_scan *scan, mr_record *record)
{
    uint64_t key_word, data_size, key_size;
    const uint8_t *at;

    /* Most lengths take one byte: look before asking in general. */
    if (scan->end - scan->at >= 2 && scan->at[0] < 0x80 && scan->at[1] < 0x80) {
        key_word = scan->at[0];
        data_size = scan->at[1];
        scan->at += 2;
    } else {
        key_word = mr_scan_varint(scan);
        data_size = mr_scan_varint(scan);
    }
    key_size = key_word >> 1;
    record->has_explicit_hash_key = key_word & 1;
    if (record->has_explicit_hash_key) {
        record->explicit_hash_key.lo = mr_scan_u64(scan);
        record->explicit_hash_key.hi = mr_scan_u64(scan);
    }
    if (scan->failed || key_size > (uint64_t)(scan->end - scan->at) ||
        data_size > (uint64_t)(scan->end - scan->at) - key_size) {
        scan->failed = true;
        return false;
    }
    at = scan->at;
    scan->at += key_size + data_size;
    record->partition_key = (mr_bytes){at, (size_t)key_size};
    record->data = (mr_bytes){at + key_size, (size_t)data_size};
    return true;
}

#endif
