/* MD5 of many messages side by side, one in each lane of the vector registers. */
#include "base/md5.h"

#include "base/check.h"
#include "base/endian.h"
#include "base/md5_steps.h"

#include <stdatomic.h>
#include <string.h>
#ifdef __x86_64__
#include <immintrin.h>
#endif

#define BLOCK_BYTES MR_MD5_BLOCK_BYTES
#define BLOCK_WORDS (BLOCK_BYTES / 4)
#define LENGTH_WORD (MR_MD5_LENGTH_AT / 4)
#define LANE_BYTES_MAX (MR_MD5_LENGTH_AT - 1) /* key, a 0x80 and the length in one block */
static const uint32_t start[4] = MR_MD5_START;

#define LANES_MAX 16
#define LANES_WORTHWHILE 3 /* one pass over all lanes costs what so many keys cost one by one */

typedef uint32_t vector4 __attribute__((vector_size(16)));
typedef uint32_t vector8 __attribute__((vector_size(32)));

/* One block of each of up to 16 keys, word by word: row w holds word w of all of them. */
union rows {
    uint32_t words[16][LANES_MAX];
    vector4 by4[16][LANES_MAX / 4];
    vector8 by8[16][LANES_MAX / 8];
#ifdef __x86_64__
    __m256i wide[16][LANES_MAX / 8];
#endif
};

/* The four words of the state, each a row of all lanes. */
union digests {
    uint32_t words[4][LANES_MAX];
    vector4 by4[4][LANES_MAX / 4];
    vector8 by8[4][LANES_MAX / 8];
#ifdef __x86_64__
    __m256i wide[4][LANES_MAX / 8];
#endif
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
        rows->words[LENGTH_WORD][lane] = (uint32_t)key.size * 8;
        return;
    }
    for (word = 0; word < full_words; word++)
        rows->words[word][lane] = mr_load32(bytes + word * 4);
    for (size_t at = key.size; at > full_words * 4; at--)
        last = last << 8 | bytes[at - 1];
    rows->words[word][lane] = last;
    rows->words[LENGTH_WORD][lane] = (uint32_t)key.size * 8;
}

/* One block of each lane more. */
static void hash_lanes_4(const union rows *rows, union digests *state)
{
    vector4 a = state->by4[0][0], b = state->by4[1][0], c = state->by4[2][0], d = state->by4[3][0];

#define X(f, a, b, c, d, word, constant, turn)                                                     \
    MR_MD5_STEP(f, a, b, c, d, rows->by4[word][0], constant, turn)
    MR_MD5_STEPS(X)
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
    MR_MD5_STEP(f, a##0, b##0, c##0, d##0, rows->by8[word][0], constant, turn)                     \
    MR_MD5_STEP(f, a##1, b##1, c##1, d##1, rows->by8[word][1], constant, turn)
    MR_MD5_STEPS(X)
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

/* ---- AVX-512 ------------------------------------------------------------------------------- */

/* The same chains, where a choice of three words and a turn are one instruction each. (Registers of
 * 256 bits: a second chain fills the processor, and wider ones slow its clock.) */
#define WIDE __attribute__((target("avx512vl,avx512bw")))
#define CHOOSE_F 0xca /* truth tables over b, c and d */
#define CHOOSE_G 0xe4
#define CHOOSE_H 0x96
#define CHOOSE_I 0x39

WIDE static void hash_lanes_16_wide(const union rows *rows, union digests *state)
{
    __m256i a0 = state->wide[0][0], b0 = state->wide[1][0], c0 = state->wide[2][0];
    __m256i a1 = state->wide[0][1], b1 = state->wide[1][1], c1 = state->wide[2][1];
    __m256i d0 = state->wide[3][0], d1 = state->wide[3][1];

#define STEP(f, a, b, c, d, word, constant, turn)                                                  \
    a = _mm256_add_epi32(a, _mm256_add_epi32(word, _mm256_set1_epi32((int)(constant))));           \
    a = _mm256_add_epi32(a, _mm256_ternarylogic_epi32(b, c, d, CHOOSE_##f));                       \
    a = _mm256_add_epi32(_mm256_rol_epi32(a, turn), b);
#define X(f, a, b, c, d, word, constant, turn)                                                     \
    STEP(f, a##0, b##0, c##0, d##0, rows->wide[word][0], constant, turn)                           \
    STEP(f, a##1, b##1, c##1, d##1, rows->wide[word][1], constant, turn)
    MR_MD5_STEPS(X)
#undef X
#undef STEP
    state->wide[0][0] = _mm256_add_epi32(state->wide[0][0], a0);
    state->wide[0][1] = _mm256_add_epi32(state->wide[0][1], a1);
    state->wide[1][0] = _mm256_add_epi32(state->wide[1][0], b0);
    state->wide[1][1] = _mm256_add_epi32(state->wide[1][1], b1);
    state->wide[2][0] = _mm256_add_epi32(state->wide[2][0], c0);
    state->wide[2][1] = _mm256_add_epi32(state->wide[2][1], c1);
    state->wide[3][0] = _mm256_add_epi32(state->wide[3][0], d0);
    state->wide[3][1] = _mm256_add_epi32(state->wide[3][1], d1);
}

#define SHORT_BYTES_MAX 31 /* with a 0x80 behind it a register holds it */

/* Read in one go, whatever its size is. rows is all zeros but for the lanes put before. */
WIDE static inline void put_short_lane(union rows *rows, size_t lane, mr_bytes key)
{
    uint32_t own = (uint32_t)((UINT64_C(1) << key.size) - 1);
    __m256i bytes = _mm256_maskz_loadu_epi8(own, key.data);
    uint32_t words[8];

    bytes = _mm256_mask_blend_epi8(own + 1, bytes, _mm256_set1_epi8((char)0x80));
    _mm256_storeu_si256((__m256i *)(void *)words, bytes);
    for (size_t word = 0; word < 4; word++)
        rows->words[word][lane] = words[word];
    for (size_t word = 4; key.size >= 16 && word < 8; word++)
        rows->words[word][lane] = words[word];
    rows->words[LENGTH_WORD][lane] = (uint32_t)key.size * 8;
}
#endif

/* ---- which of them --------------------------------------------------------------------------- */

static atomic_uint lanes_used; /* 0: not chosen yet */

static bool is_supported(mr_md5_lanes lanes)
{
#ifdef __x86_64__
    if (lanes == MR_MD5_LANES_16)
        return __builtin_cpu_supports("avx2");
    if (lanes == MR_MD5_LANES_16_WIDE)
        return __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw");
#endif
    return lanes == MR_MD5_LANES_1 || lanes == MR_MD5_LANES_4;
}

bool mr_md5_use(mr_md5_lanes lanes)
{
    if (lanes == MR_MD5_LANES_BEST)
        lanes = is_supported(MR_MD5_LANES_16_WIDE) ? MR_MD5_LANES_16_WIDE
                : is_supported(MR_MD5_LANES_16)    ? MR_MD5_LANES_16
                                                   : MR_MD5_LANES_4;
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
    if (lanes == MR_MD5_LANES_16_WIDE) {
        hash_lanes_16_wide(rows, state);
        return;
    }
    if (lanes == MR_MD5_LANES_16) {
        hash_lanes_16(rows, state);
        return;
    }
#endif
    mr_check(lanes == MR_MD5_LANES_4);
    hash_lanes_4(rows, state);
}

static size_t lane_count(mr_md5_lanes lanes)
{
    static const size_t counts[] = {
        [MR_MD5_LANES_1] = 1,
        [MR_MD5_LANES_4] = 4,
        [MR_MD5_LANES_16] = 16,
        [MR_MD5_LANES_16_WIDE] = 16,
    };

    return counts[lanes];
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

static void start_lanes(union digests *digests)
{
    for (size_t word = 0; word < 4; word++)
        for (size_t lane = 0; lane < LANES_MAX; lane++)
            digests->words[word][lane] = start[word];
}

static mr_hash_key lane_key(const union digests *digests, size_t lane)
{
    return mr_md5_key(digests->words[0][lane], digests->words[1][lane], digests->words[2][lane],
                      digests->words[3][lane]);
}

#ifdef __x86_64__
/* As many keys as there are lanes, if all are short. */
WIDE static bool hash_short_keys(const mr_bytes *keys, size_t stride_bytes, mr_hash_key *out)
{
    union digests digests;
    union rows rows;

    for (size_t lane = 0; lane < LANES_MAX; lane++)
        if (key_at(keys, stride_bytes, lane).size > SHORT_BYTES_MAX)
            return false;
    memset(&rows, 0, sizeof rows);
    for (size_t lane = 0; lane < LANES_MAX; lane++)
        put_short_lane(&rows, lane, key_at(keys, stride_bytes, lane));
    start_lanes(&digests);
    hash_lanes_16_wide(&rows, &digests);
    for (size_t lane = 0; lane < LANES_MAX; lane++)
        out[lane] = lane_key(&digests, lane);
    return true;
}
#else
static bool hash_short_keys(const mr_bytes *keys, size_t stride_bytes, mr_hash_key *out)
{
    (void)keys, (void)stride_bytes, (void)out;
    return false;
}
#endif

void mr_hash_keys_of(const mr_bytes *keys, size_t stride_bytes, size_t count, mr_hash_key *out)
{
    const mr_md5_lanes lanes = mr_md5_used();
    union rows rows;
    union digests digests;
    size_t index = 0;

    while (index < count) {
        size_t places[LANES_MAX], used = 0;

        if (lanes == MR_MD5_LANES_16_WIDE && count - index >= LANES_MAX &&
            hash_short_keys((const mr_bytes *)((const char *)keys + index * stride_bytes),
                            stride_bytes, out + index)) {
            index += LANES_MAX;
            continue;
        }
        if (count - index < LANES_WORTHWHILE) {
            out[index] = mr_hash_key_of(key_at(keys, stride_bytes, index));
            index++;
            continue;
        }
        memset(&rows, 0, sizeof rows);
        for (; index < count && used < lane_count(lanes); index++) {
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
        start_lanes(&digests);
        hash_lanes(lanes, &rows, &digests);
        for (size_t lane = 0; lane < used; lane++)
            out[places[lane]] = lane_key(&digests, lane);
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
    for (size_t lane = 0; lane < lane_count(lanes) && *next < count; lane++) {
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
    mr_md5_add_rest(own, (mr_bytes){passing->at, message.size - done}, message.size);
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
        for (size_t lane = 0; lane < lane_count(lanes); lane++) {
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
        for (size_t lane = 0; lane < lane_count(lanes); lane++)
            if (passing[lane].block_count > 0) {
                used++;
                if (passing[lane].block_count < least)
                    least = passing[lane].block_count;
            }
        if (used < LANES_WORTHWHILE)
            break;
        pass(passing, lanes, &state, least);
        for (size_t lane = 0; lane < lane_count(lanes); lane++)
            if (passing[lane].block_count > 0 && (passing[lane].block_count -= least) == 0)
                end_message(&passing[lane], &state, lane, messages[passing[lane].index],
                            out[passing[lane].index]);
    }
    for (size_t lane = 0; lane < lane_count(lanes); lane++)
        if (passing[lane].block_count > 0)
            end_message(&passing[lane], &state, lane, messages[passing[lane].index],
                        out[passing[lane].index]);
    for (; next < count; next++)
        mr_md5(messages[next], out[next]);
}
