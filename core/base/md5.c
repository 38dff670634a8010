#include "base/md5.h"

#include "base/check.h"
#include "base/endian.h"

#include <stdatomic.h>
#include <string.h>

#define BLOCK_BYTES 64
#define LENGTH_AT 56      /* in the last block: the message's size in bits */
#define LANE_BYTES_MAX 55 /* key, a 0x80 and the length in one block */

/* ---- the steps, for any type with + ^ & | ~ << >>: an integer or a vector of them ---------- */

#define F(b, c, d) ((d) ^ ((b) & ((c) ^ (d))))
#define G(b, c, d) (((b) & (d)) | ((c) & ~(d)))
#define H(b, c, d) ((b) ^ (c) ^ (d))
#define I(b, c, d) ((c) ^ ((b) | ~(d)))

#define STEP(f, a, b, c, d, word, constant, turn)                                                  \
    a += (word) + (constant);                                                                      \
    a += f(b, c, d);                                                                               \
    a = (a << (turn) | a >> (32 - (turn))) + b;

/* RFC 1321, 3.4: X(function, the state's words in their turn, message word, constant, rotation). */
#define MD5_STEPS(X)                                                                               \
    MD5_STEPS_F(X)                                                                                 \
    MD5_STEPS_G(X)                                                                                 \
    MD5_STEPS_H(X)                                                                                 \
    MD5_STEPS_I(X)
#define MD5_STEPS_F(X)                                                                             \
    X(F, a, b, c, d, 0, 0xd76aa478u, 7)                                                            \
    X(F, d, a, b, c, 1, 0xe8c7b756u, 12)                                                           \
    X(F, c, d, a, b, 2, 0x242070dbu, 17)                                                           \
    X(F, b, c, d, a, 3, 0xc1bdceeeu, 22)                                                           \
    X(F, a, b, c, d, 4, 0xf57c0fafu, 7)                                                            \
    X(F, d, a, b, c, 5, 0x4787c62au, 12)                                                           \
    X(F, c, d, a, b, 6, 0xa8304613u, 17)                                                           \
    X(F, b, c, d, a, 7, 0xfd469501u, 22)                                                           \
    X(F, a, b, c, d, 8, 0x698098d8u, 7)                                                            \
    X(F, d, a, b, c, 9, 0x8b44f7afu, 12)                                                           \
    X(F, c, d, a, b, 10, 0xffff5bb1u, 17)                                                          \
    X(F, b, c, d, a, 11, 0x895cd7beu, 22)                                                          \
    X(F, a, b, c, d, 12, 0x6b901122u, 7)                                                           \
    X(F, d, a, b, c, 13, 0xfd987193u, 12)                                                          \
    X(F, c, d, a, b, 14, 0xa679438eu, 17)                                                          \
    X(F, b, c, d, a, 15, 0x49b40821u, 22)
#define MD5_STEPS_G(X)                                                                             \
    X(G, a, b, c, d, 1, 0xf61e2562u, 5)                                                            \
    X(G, d, a, b, c, 6, 0xc040b340u, 9)                                                            \
    X(G, c, d, a, b, 11, 0x265e5a51u, 14)                                                          \
    X(G, b, c, d, a, 0, 0xe9b6c7aau, 20)                                                           \
    X(G, a, b, c, d, 5, 0xd62f105du, 5)                                                            \
    X(G, d, a, b, c, 10, 0x02441453u, 9)                                                           \
    X(G, c, d, a, b, 15, 0xd8a1e681u, 14)                                                          \
    X(G, b, c, d, a, 4, 0xe7d3fbc8u, 20)                                                           \
    X(G, a, b, c, d, 9, 0x21e1cde6u, 5)                                                            \
    X(G, d, a, b, c, 14, 0xc33707d6u, 9)                                                           \
    X(G, c, d, a, b, 3, 0xf4d50d87u, 14)                                                           \
    X(G, b, c, d, a, 8, 0x455a14edu, 20)                                                           \
    X(G, a, b, c, d, 13, 0xa9e3e905u, 5)                                                           \
    X(G, d, a, b, c, 2, 0xfcefa3f8u, 9)                                                            \
    X(G, c, d, a, b, 7, 0x676f02d9u, 14)                                                           \
    X(G, b, c, d, a, 12, 0x8d2a4c8au, 20)
#define MD5_STEPS_H(X)                                                                             \
    X(H, a, b, c, d, 5, 0xfffa3942u, 4)                                                            \
    X(H, d, a, b, c, 8, 0x8771f681u, 11)                                                           \
    X(H, c, d, a, b, 11, 0x6d9d6122u, 16)                                                          \
    X(H, b, c, d, a, 14, 0xfde5380cu, 23)                                                          \
    X(H, a, b, c, d, 1, 0xa4beea44u, 4)                                                            \
    X(H, d, a, b, c, 4, 0x4bdecfa9u, 11)                                                           \
    X(H, c, d, a, b, 7, 0xf6bb4b60u, 16)                                                           \
    X(H, b, c, d, a, 10, 0xbebfbc70u, 23)                                                          \
    X(H, a, b, c, d, 13, 0x289b7ec6u, 4)                                                           \
    X(H, d, a, b, c, 0, 0xeaa127fau, 11)                                                           \
    X(H, c, d, a, b, 3, 0xd4ef3085u, 16)                                                           \
    X(H, b, c, d, a, 6, 0x04881d05u, 23)                                                           \
    X(H, a, b, c, d, 9, 0xd9d4d039u, 4)                                                            \
    X(H, d, a, b, c, 12, 0xe6db99e5u, 11)                                                          \
    X(H, c, d, a, b, 15, 0x1fa27cf8u, 16)                                                          \
    X(H, b, c, d, a, 2, 0xc4ac5665u, 23)
#define MD5_STEPS_I(X)                                                                             \
    X(I, a, b, c, d, 0, 0xf4292244u, 6)                                                            \
    X(I, d, a, b, c, 7, 0x432aff97u, 10)                                                           \
    X(I, c, d, a, b, 14, 0xab9423a7u, 15)                                                          \
    X(I, b, c, d, a, 5, 0xfc93a039u, 21)                                                           \
    X(I, a, b, c, d, 12, 0x655b59c3u, 6)                                                           \
    X(I, d, a, b, c, 3, 0x8f0ccc92u, 10)                                                           \
    X(I, c, d, a, b, 10, 0xffeff47du, 15)                                                          \
    X(I, b, c, d, a, 1, 0x85845dd1u, 21)                                                           \
    X(I, a, b, c, d, 8, 0x6fa87e4fu, 6)                                                            \
    X(I, d, a, b, c, 15, 0xfe2ce6e0u, 10)                                                          \
    X(I, c, d, a, b, 6, 0xa3014314u, 15)                                                           \
    X(I, b, c, d, a, 13, 0x4e0811a1u, 21)                                                          \
    X(I, a, b, c, d, 4, 0xf7537e82u, 6)                                                            \
    X(I, d, a, b, c, 11, 0xbd3af235u, 10)                                                          \
    X(I, c, d, a, b, 2, 0x2ad7d2bbu, 15)                                                           \
    X(I, b, c, d, a, 9, 0xeb86d391u, 21)

static const uint32_t start[4] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476};

/* ---- one message --------------------------------------------------------------------------- */

static void add_block(uint32_t state[4], const uint8_t block[BLOCK_BYTES])
{
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3];

#define X(f, a, b, c, d, word, constant, turn)                                                     \
    STEP(f, a, b, c, d, mr_load32(block + (word)*4), constant, turn)
    MD5_STEPS(X)
#undef X
    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
}

/* The rest of a message of so many bytes, and what MD5 puts behind it. */
static void add_rest(uint32_t state[4], mr_bytes rest, uint64_t message_bytes)
{
    uint8_t tail[2 * BLOCK_BYTES] = {0};
    const uint8_t *at = rest.data;
    size_t left = rest.size, tail_bytes;

    for (; left >= BLOCK_BYTES; at += BLOCK_BYTES, left -= BLOCK_BYTES)
        add_block(state, at);
    if (left > 0)
        memcpy(tail, at, left);
    tail[left] = 0x80;
    tail_bytes = left < LENGTH_AT ? BLOCK_BYTES : 2 * BLOCK_BYTES;
    mr_store64(tail + tail_bytes - 8, message_bytes * 8);
    add_block(state, tail);
    if (tail_bytes > BLOCK_BYTES)
        add_block(state, tail + BLOCK_BYTES);
}

static void add_message(uint32_t state[4], mr_bytes in)
{
    memcpy(state, start, sizeof start);
    add_rest(state, in, in.size);
}

void mr_md5(mr_bytes in, uint8_t out[MR_MD5_BYTES])
{
    uint32_t state[4];

    add_message(state, in);
    memcpy(out, state, sizeof state);
}

/* The digest's bytes as one big-endian number. */
static mr_hash_key key_of(uint32_t a, uint32_t b, uint32_t c, uint32_t d)
{
    return (mr_hash_key){.hi = (uint64_t)__builtin_bswap32(a) << 32 | __builtin_bswap32(b),
                         .lo = (uint64_t)__builtin_bswap32(c) << 32 | __builtin_bswap32(d)};
}

mr_hash_key mr_hash_key_of(mr_bytes partition_key)
{
    uint32_t state[4];

    add_message(state, partition_key);
    return key_of(state[0], state[1], state[2], state[3]);
}

/* ---- many side by side --------------------------------------------------------------------- */

#define LANES_MAX 16
#define LANES_WORTHWHILE 3 /* one pass over all lanes costs what so many keys cost one by one */

typedef uint32_t vector4 __attribute__((vector_size(16)));
typedef uint32_t vector8 __attribute__((vector_size(32)));

/* One block of each of up to 16 keys, word by word: row w holds word w of all of them. */
union rows {
    uint32_t words[16][LANES_MAX];
    vector4 by4[16][LANES_MAX / 4];
    vector8 by8[16][LANES_MAX / 8];
};

/* The four words of the state, each a row of all lanes. */
union digests {
    uint32_t words[4][LANES_MAX];
    vector4 by4[4][LANES_MAX / 4];
    vector8 by8[4][LANES_MAX / 8];
};

/* The four bytes from `at` on, zeros where the text has ended; it has at least four bytes. */
static inline uint32_t word_at(const uint8_t *text, size_t size, size_t at)
{
    size_t from = at < size - 4 ? at : size - 4, over = at - from;

    return (uint32_t)((uint64_t)mr_load32(text + from) >> (over < 4 ? over * 8 : 32));
}

/* rows is all zeros but for the lanes put before. */
static inline void put_lane(union rows *rows, size_t lane, mr_bytes key)
{
    const uint8_t *bytes = key.data;
    size_t full_words = key.size / 4, word;
    uint32_t last = 0x80;

    if (key.size >= 4 && key.size < 16) { /* most keys; where they end cannot be foreseen */
        for (word = 0; word < 4; word++)
            rows->words[word][lane] = word_at(bytes, key.size, word * 4);
        rows->words[full_words][lane] |= last << (key.size % 4 * 8);
        rows->words[LENGTH_AT / 4][lane] = (uint32_t)key.size * 8;
        return;
    }
    for (word = 0; word < full_words; word++)
        rows->words[word][lane] = mr_load32(bytes + word * 4);
    for (size_t at = key.size; at > full_words * 4; at--)
        last = last << 8 | bytes[at - 1];
    rows->words[word][lane] = last;
    rows->words[LENGTH_AT / 4][lane] = (uint32_t)key.size * 8;
}

/* One block of each lane more. */
static void hash_lanes_4(const union rows *rows, union digests *state)
{
    vector4 a = state->by4[0][0], b = state->by4[1][0], c = state->by4[2][0], d = state->by4[3][0];

#define X(f, a, b, c, d, word, constant, turn)                                                     \
    STEP(f, a, b, c, d, rows->by4[word][0], constant, turn)
    MD5_STEPS(X)
#undef X
    state->by4[0][0] += a;
    state->by4[1][0] += b;
    state->by4[2][0] += c;
    state->by4[3][0] += d;
}

#ifdef __x86_64__
/* Two chains of steps that do not need each other keep the processor busy while each waits. */
__attribute__((target("avx2"))) static void hash_lanes_16(const union rows *rows,
                                                          union digests *state)
{
    vector8 a0 = state->by8[0][0], b0 = state->by8[1][0], c0 = state->by8[2][0];
    vector8 a1 = state->by8[0][1], b1 = state->by8[1][1], c1 = state->by8[2][1];
    vector8 d0 = state->by8[3][0], d1 = state->by8[3][1];

#define X(f, a, b, c, d, word, constant, turn)                                                     \
    STEP(f, a##0, b##0, c##0, d##0, rows->by8[word][0], constant, turn)                            \
    STEP(f, a##1, b##1, c##1, d##1, rows->by8[word][1], constant, turn)
    MD5_STEPS(X)
#undef X
    state->by8[0][0] += a0;
    state->by8[0][1] += a1;
    state->by8[1][0] += b0;
    state->by8[1][1] += b1;
    state->by8[2][0] += c0;
    state->by8[2][1] += c1;
    state->by8[3][0] += d0;
    state->by8[3][1] += d1;
}
#endif

/* ---- which of them --------------------------------------------------------------------------- */

static atomic_uint lanes_used; /* 0: not chosen yet */

static bool is_supported(mr_md5_lanes lanes)
{
#ifdef __x86_64__
    if (lanes == MR_MD5_LANES_16)
        return __builtin_cpu_supports("avx2");
#endif
    return lanes == MR_MD5_LANES_1 || lanes == MR_MD5_LANES_4;
}

bool mr_md5_use(mr_md5_lanes lanes)
{
    if (lanes == MR_MD5_LANES_BEST)
        lanes = is_supported(MR_MD5_LANES_16) ? MR_MD5_LANES_16 : MR_MD5_LANES_4;
    if (!is_supported(lanes))
        return false;
    atomic_store_explicit(&lanes_used, lanes, memory_order_relaxed);
    return true;
}

mr_md5_lanes mr_md5_used(void)
{
    if (atomic_load_explicit(&lanes_used, memory_order_relaxed) == MR_MD5_LANES_BEST)
        mr_md5_use(MR_MD5_LANES_BEST);
    return (mr_md5_lanes)atomic_load_explicit(&lanes_used, memory_order_relaxed);
}

static void hash_lanes(mr_md5_lanes lanes, const union rows *rows, union digests *state)
{
#ifdef __x86_64__
    if (lanes == MR_MD5_LANES_16) {
        hash_lanes_16(rows, state);
        return;
    }
#endif
    mr_check(lanes == MR_MD5_LANES_4);
    hash_lanes_4(rows, state);
}

static void start_lane(union digests *state, size_t lane)
{
    for (size_t word = 0; word < 4; word++)
        state->words[word][lane] = start[word];
}

/* ---- many keys ------------------------------------------------------------------------------- */

static mr_bytes key_at(const mr_bytes *keys, size_t stride_bytes, size_t index)
{
    mr_bytes key;

    memcpy(&key, (const char *)keys + index * stride_bytes, sizeof key);
    return key;
}

void mr_hash_keys_of(const mr_bytes *keys, size_t stride_bytes, size_t count, mr_hash_key *out)
{
    const mr_md5_lanes lanes = mr_md5_used();
    union rows rows;
    union digests digests;
    size_t index = 0;

    while (index < count) {
        size_t places[LANES_MAX], used = 0;

        if (count - index < LANES_WORTHWHILE) {
            out[index] = mr_hash_key_of(key_at(keys, stride_bytes, index));
            index++;
            continue;
        }
        memset(&rows, 0, sizeof rows);
        for (; index < count && used < lanes; index++) {
            mr_bytes key = key_at(keys, stride_bytes, index);
            if (lanes == MR_MD5_LANES_1 || key.size > LANE_BYTES_MAX) {
                out[index] = mr_hash_key_of(key);
                continue;
            }
            put_lane(&rows, used, key);
            places[used++] = index;
        }
        if (used == 0)
            continue;
        for (size_t word = 0; word < 4; word++)
            for (size_t lane = 0; lane < LANES_MAX; lane++)
                digests.words[word][lane] = start[word];
        hash_lanes(lanes, &rows, &digests);
        for (size_t lane = 0; lane < used; lane++)
            out[places[lane]] = key_of(digests.words[0][lane], digests.words[1][lane],
                                       digests.words[2][lane], digests.words[3][lane]);
    }
}

/* ---- many messages --------------------------------------------------------------------------- */

/* A message on its way through a lane. */
struct passing {
    const uint8_t *at;
    size_t block_count; /* full ones that are left; 0: the lane is free */
    size_t index;
};

/* Free lanes get the next messages. One without a full block is done at once. */
static void fill_lanes(struct passing *passing, mr_md5_lanes lanes, union digests *state,
                       const mr_bytes *messages, size_t count, size_t *next,
                       uint8_t (*out)[MR_MD5_BYTES])
{
    for (size_t lane = 0; lane < lanes && *next < count; lane++) {
        while (*next < count && passing[lane].block_count == 0) {
            mr_bytes message = messages[*next];

            if (message.size < BLOCK_BYTES)
                mr_md5(message, out[*next]);
            passing[lane] = (struct passing){message.data, message.size / BLOCK_BYTES, *next};
            start_lane(state, lane);
            ++*next;
        }
    }
}

/* The end of a message, from where its lane is. */
static void end_message(struct passing *passing, const union digests *state, size_t lane,
                        mr_bytes message, uint8_t out[MR_MD5_BYTES])
{
    size_t done = (size_t)(passing->at - (const uint8_t *)message.data);
    uint32_t own[4];

    for (size_t word = 0; word < 4; word++)
        own[word] = state->words[word][lane];
    add_rest(own, (mr_bytes){passing->at, message.size - done}, message.size);
    memcpy(out, own, sizeof own);
    passing->block_count = 0;
}

/* So many blocks of each message that is in a lane. */
static void pass(struct passing *passing, mr_md5_lanes lanes, union digests *state,
                 size_t block_count)
{
    union rows rows;

    memset(&rows, 0, sizeof rows);
    for (size_t block = 0; block < block_count; block++) {
        for (size_t lane = 0; lane < lanes; lane++) {
            if (passing[lane].block_count == 0)
                continue;
            for (size_t word = 0; word < BLOCK_BYTES / 4; word++)
                rows.words[word][lane] = mr_load32(passing[lane].at + word * 4);
            passing[lane].at += BLOCK_BYTES;
        }
        hash_lanes(lanes, &rows, state);
    }
}

void mr_md5_many(const mr_bytes *messages, size_t count, uint8_t (*out)[MR_MD5_BYTES])
{
    const mr_md5_lanes lanes = mr_md5_used();
    struct passing passing[LANES_MAX] = {0};
    union digests state = {0};
    size_t next = 0;

    while (lanes > MR_MD5_LANES_1) {
        size_t used = 0, least = SIZE_MAX;

        fill_lanes(passing, lanes, &state, messages, count, &next, out);
        for (size_t lane = 0; lane < lanes; lane++)
            if (passing[lane].block_count > 0) {
                used++;
                if (passing[lane].block_count < least)
                    least = passing[lane].block_count;
            }
        if (used < LANES_WORTHWHILE)
            break;
        pass(passing, lanes, &state, least);
        for (size_t lane = 0; lane < lanes; lane++)
            if (passing[lane].block_count > 0 && (passing[lane].block_count -= least) == 0)
                end_message(&passing[lane], &state, lane, messages[passing[lane].index],
                            out[passing[lane].index]);
    }
    for (size_t lane = 0; lane < lanes; lane++)
        if (passing[lane].block_count > 0)
            end_message(&passing[lane], &state, lane, messages[passing[lane].index],
                        out[passing[lane].index]);
    for (; next < count; next++)
        mr_md5(messages[next], out[next]);
}
