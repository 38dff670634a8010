/*
 * block.h - up to 64 KiB of one log's runs, compressed, maybe encrypted: what segments are made of.
 *
 *     offset  size  field, little-endian
 *          0     8  XXH3-64 of all that follows, payload included; its seed is the block's place
 *          8     4  "MRb1"
 *         12     1  codec: 0 stored, 1 zstd; and 2 if that is encrypted
 *         13     3  XXH3-64 of the header from its magic on, this field 0; the low 24 bits
 *         16     4  log
 *         20     4  stored_bytes of the payload
 *         24     4  raw_bytes of the runs, at most BLOCK_RAW_BYTES_MAX
 *         28     4  record_count
 *         32     8  first number
 *         40     8  last number
 *         48     8  arrival of the first record, ms since 1970
 *         56     4  arrival of the last record, ms after the first
 *         60     4  record_bytes: keys and data
 *         64        payload: runs (frame.h); their base is the first record itself. If encrypted: an
 *                   envelope (cipher.h), whose place is the block's seed and header, then those
 *
 *     B1  Any change to a block's bytes is seen, and so is a block that is not at its place: the
 *         seed is made of the directory's id, the segment and the offset. Of the header it is seen
 *         without reading the payload.
 */
#ifndef MR_LOG_BLOCK_H
#define MR_LOG_BLOCK_H

#include "log/cipher.h"
#include "log/frame.h"

#define BLOCK_HEADER_BYTES 64
#define BLOCK_RAW_BYTES_GOOD (64u << 10)
/* One record of the largest size is a block of its own. */
#define BLOCK_RAW_BYTES_MAX (MR_RECORD_BYTES_MAX + 4096)

struct mr_block {
    uint32_t log, stored_bytes, raw_bytes, record_count, record_bytes;
    uint64_t first_number, last_number;
    int64_t first_ms, last_ms;
    bool is_compressed, is_encrypted;
};

/* How hard to compress: what the codec ladder climbs down under pressure. */
enum mr_codec_effort {
    MR_CODEC_SMALL,  /* zstd 1: the knee of size against time on real data */
    MR_CODEC_FAST,   /* zstd -5: half the time, not half the gain */
    MR_CODEC_STORED, /* as it is */
};

/* Compression state of one thread: about 300 KiB. keys open what is encrypted; NULL: nothing does. */
struct mr_codec;
struct mr_codec *mr_codec_new(struct mr_key_file *keys);
void mr_codec_free(struct mr_codec *codec);

/* At most so much is written by mr_block_write(). */
size_t mr_block_bytes_max(size_t raw_bytes);

/* Writes header and payload for the runs in raw (which may lie at out + BLOCK_HEADER_BYTES already if
 * they are to be stored), encrypted under key unless that is NULL. block's stored_bytes, raw_bytes,
 * is_compressed and is_encrypted are set, the rest is read from it. Returns the size written. */
size_t mr_block_write(struct mr_codec *codec, enum mr_codec_effort effort, struct mr_data_key *key,
                      struct mr_block *block, mr_bytes raw, uint64_t seed, uint8_t *out);

/* Reads a header. False: damaged, or no header at all. */
bool mr_block_read_header(const uint8_t header[BLOCK_HEADER_BYTES], struct mr_block *block);

/* Checks header and payload, which lie together at whole, and gives the runs: in raw (with room for
 * block->raw_bytes), or in place if stored. What is encrypted is decrypted in place. CORRUPT: damaged;
 * NO_KEY: it is encrypted, and its checksum is good; of this alone error says more. */
mr_status mr_block_read(struct mr_codec *codec, const struct mr_block *block, uint8_t *whole,
                        uint64_t seed, uint8_t *raw, mr_bytes *runs, mr_error *error);

#endif
