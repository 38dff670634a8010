/*
 * md5.h - MD5, which Kinesis routes by: one at a time, and many short keys at once.
 *
 * MD5 cannot use a wide machine on one message, each step needs the one before. So many keys go
 * side by side, one in each lane of the vector registers.
 */
#ifndef MR_BASE_MD5_H
#define MR_BASE_MD5_H

#include "millrace.h"

#define MR_MD5_BYTES 16

void mr_md5(mr_bytes in, uint8_t out[MR_MD5_BYTES]);

/* out[i] = the MD5 of message i, of any sizes: best if many are of about the same. */
void mr_md5_many(const mr_bytes *messages, size_t count, uint8_t (*out)[MR_MD5_BYTES]);

/*
 * out[i] = mr_hash_key_of(key i) for count keys, of which the first is *keys and each next one
 * stands stride_bytes further: sizeof(mr_bytes) in a plain array, sizeof(mr_put) in puts.
 */
void mr_hash_keys_of(const mr_bytes *keys, size_t stride_bytes, size_t count, mr_hash_key *out);

/* How many keys go side by side. */
typedef enum mr_md5_lanes {
    MR_MD5_LANES_BEST, /* what the processor has; how a process starts */
    MR_MD5_LANES_1,
    MR_MD5_LANES_4,       /* 128-bit vectors: SSE2, NEON */
    MR_MD5_LANES_16,      /* AVX2: two interleaved chains of 8 */
    MR_MD5_LANES_16_WIDE, /* the same with what AVX-512 adds */
    MR_MD5_LANES_COUNT
} mr_md5_lanes;

/* For tests and benches: false and no change where the processor cannot. Process-wide. */
bool mr_md5_use(mr_md5_lanes lanes);
mr_md5_lanes mr_md5_used(void);

#endif
