#include "base/md5.h"

#include "base/endian.h"
#include "base/md5_steps.h"

#include <string.h>

static const uint32_t start[4] = MR_MD5_START;

static void add_block(uint32_t state[4], const uint8_t block[MR_MD5_BLOCK_BYTES])
{
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3];

#define X(f, a, b, c, d, word, constant, turn)                                                     \
    MR_MD5_STEP(f, a, b, c, d, mr_load32(block + (word)*4), constant, turn)
    MR_MD5_STEPS(X)
#undef X
    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
}

void mr_md5_add_rest(uint32_t state[4], mr_bytes rest, uint64_t message_bytes)
{
    uint8_t tail[2 * MR_MD5_BLOCK_BYTES] = {0};
    const uint8_t *at = rest.data;
    size_t left = rest.size, tail_bytes;

    for (; left >= MR_MD5_BLOCK_BYTES; at += MR_MD5_BLOCK_BYTES, left -= MR_MD5_BLOCK_BYTES)
        add_block(state, at);
    if (left > 0)
        memcpy(tail, at, left);
    tail[left] = 0x80;
    tail_bytes = left < MR_MD5_LENGTH_AT ? MR_MD5_BLOCK_BYTES : 2 * MR_MD5_BLOCK_BYTES;
    mr_store64(tail + tail_bytes - 8, message_bytes * 8);
    add_block(state, tail);
    if (tail_bytes > MR_MD5_BLOCK_BYTES)
        add_block(state, tail + MR_MD5_BLOCK_BYTES);
}

static void add_message(uint32_t state[4], mr_bytes in)
{
    memcpy(state, start, sizeof start);
    mr_md5_add_rest(state, in, in.size);
}

void mr_md5(mr_bytes in, uint8_t out[MR_MD5_BYTES])
{
    uint32_t state[4];

    add_message(state, in);
    memcpy(out, state, sizeof state);
}

mr_hash_key mr_hash_key_of(mr_bytes partition_key)
{
    uint32_t state[4];

    add_message(state, partition_key);
    return mr_md5_key(state[0], state[1], state[2], state[3]);
}
