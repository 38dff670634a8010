#include "base/base64.h"

#include <stdatomic.h>
#include <string.h>

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* ---- a group at a time -------------------------------------------------------------------- */

static void encode_bytewise(const uint8_t *at, size_t size, char *out)
{
    for (size_t left = size; left > 0; at += 3) {
        uint32_t group = (uint32_t)at[0] << 16;

        if (left > 1)
            group |= (uint32_t)at[1] << 8;
        if (left > 2)
            group |= at[2];
        *out++ = digits[group >> 18];
        *out++ = digits[group >> 12 & 63];
        *out++ = left > 1 ? digits[group >> 6 & 63] : '=';
        *out++ = left > 2 ? digits[group & 63] : '=';
        left -= left < 3 ? left : 3;
    }
}

static int value_of(uint8_t digit)
{
    if (digit >= 'A' && digit <= 'Z')
        return digit - 'A';
    if (digit >= 'a' && digit <= 'z')
        return digit - 'a' + 26;
    if (digit >= '0' && digit <= '9')
        return digit - '0' + 52;
    return digit == '+' ? 62 : digit == '/' ? 63 : -1;
}

/* The first digit_count (2 to 4) digits of a group; -1 if they are none. */
static int32_t group_of(const uint8_t *at, size_t digit_count)
{
    int32_t group = 0;

    for (size_t k = 0; k < digit_count; k++) {
        int value = value_of(at[k]);
        if (value < 0)
            return -1;
        group |= value << (18 - 6 * (int)k);
    }
    return group;
}

static size_t decode_bytewise(const uint8_t *at, size_t size, uint8_t *out)
{
    size_t done = 0;
    int32_t group;

    for (; size - done >= 4 && (group = group_of(at + done, 4)) >= 0; done += 4) {
        *out++ = (uint8_t)(group >> 16);
        *out++ = (uint8_t)(group >> 8);
        *out++ = (uint8_t)group;
    }
    return done;
}

/* ---- many at a time ----------------------------------------------------------------------- */

/*
 * Decoding, a character's two halves choose from two tables of sixteen. Each row of the ASCII table
 * (a high half) that has digits is a bit: 1 for row 2, 2 for row 3, 4 for rows 4 and 6, 8 for rows
 * 5 and 7 (letters stand alike in them), 16 for those without. By its low half a character has the
 * bits of the rows in which it is no digit; if the two have a bit in common, it is none. What to add
 * to a digit to get its value depends on its row, but for '/', which gets a place of its own.
 *
 * Encoding, a value's class is 0 for a-z, 1..10 for 0-9, 11 and 12 for + and /, 13 for A-Z.
 */
#if defined(__x86_64__)
#include <immintrin.h>

#define NOT_IN_ROWS                                                                                \
    0x15, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x13, 0x1a, 0x1b, 0x1b, 0x1b, 0x1a
#define ROW 16, 16, 1, 2, 4, 8, 4, 8, 16, 16, 16, 16, 16, 16, 16, 16
#define ADD 0, '/' - 63, '+' - 62, '0' - 52, 'A', 'A', 'a' - 26, 'a' - 26, 0, 0, 0, 0, 0, 0, 0, 0
/* Four 6-bit values of each 32-bit word, the first lowest, become its bytes 2, 1, 0: put in order. */
#define PACK 2, 1, 0, 6, 5, 4, 10, 9, 8, 14, 13, 12, -1, -1, -1, -1
/* Three bytes a, b, c spread over a word as b, a, c, b: each 6-bit value within one half of it. */
#define SPREAD 1, 0, 2, 1, 4, 3, 5, 4, 7, 6, 8, 7, 10, 9, 11, 10
#define CLASS_ADD                                                                                  \
    'a' - 26, '0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52, '0' - 52,      \
        '0' - 52, '0' - 52, '+' - 62, '/' - 63, 'A', 0, 0

__attribute__((target("ssse3"))) static size_t decode_ssse3(const uint8_t *at, size_t size,
                                                            uint8_t *out)
{
    const __m128i not_in = _mm_setr_epi8(NOT_IN_ROWS), row = _mm_setr_epi8(ROW),
                  add = _mm_setr_epi8(ADD), pack = _mm_setr_epi8(PACK);
    size_t done = 0;

    /* Writes 16 bytes of which 12 count: stops where the others might not fit. */
    for (; size - done >= 24; done += 16, out += 12) {
        __m128i in = _mm_loadu_si128((const __m128i *)(const void *)(at + done));
        __m128i high = _mm_and_si128(_mm_srli_epi32(in, 4), _mm_set1_epi8(0x0f));
        __m128i low = _mm_and_si128(in, _mm_set1_epi8(0x0f));
        __m128i bad = _mm_and_si128(_mm_shuffle_epi8(not_in, low), _mm_shuffle_epi8(row, high));
        __m128i place = _mm_add_epi8(high, _mm_cmpeq_epi8(in, _mm_set1_epi8('/')));

        if (_mm_movemask_epi8(_mm_cmpeq_epi8(bad, _mm_setzero_si128())) != 0xffff)
            break;
        in = _mm_sub_epi8(in, _mm_shuffle_epi8(add, place));
        in = _mm_maddubs_epi16(in, _mm_set1_epi32(0x01400140));
        in = _mm_madd_epi16(in, _mm_set1_epi32(0x00011000));
        _mm_storeu_si128((__m128i *)(void *)out, _mm_shuffle_epi8(in, pack));
    }
    return done + decode_bytewise(at + done, size - done, out);
}

__attribute__((target("avx2"))) static size_t decode_avx2(const uint8_t *at, size_t size,
                                                          uint8_t *out)
{
    const __m256i not_in = _mm256_setr_epi8(NOT_IN_ROWS, NOT_IN_ROWS),
                  row = _mm256_setr_epi8(ROW, ROW), add = _mm256_setr_epi8(ADD, ADD),
                  pack = _mm256_setr_epi8(PACK, PACK),
                  join = _mm256_setr_epi32(0, 1, 2, 4, 5, 6, 7, 7);
    size_t done = 0;

    for (; size - done >= 44; done += 32, out += 24) {
        __m256i in = _mm256_loadu_si256((const __m256i *)(const void *)(at + done));
        __m256i high = _mm256_and_si256(_mm256_srli_epi32(in, 4), _mm256_set1_epi8(0x0f));
        __m256i low = _mm256_and_si256(in, _mm256_set1_epi8(0x0f));
        __m256i bad_row = _mm256_shuffle_epi8(row, high);
        __m256i place = _mm256_add_epi8(high, _mm256_cmpeq_epi8(in, _mm256_set1_epi8('/')));

        if (!_mm256_testz_si256(_mm256_shuffle_epi8(not_in, low), bad_row))
            break;
        in = _mm256_sub_epi8(in, _mm256_shuffle_epi8(add, place));
        in = _mm256_maddubs_epi16(in, _mm256_set1_epi32(0x01400140));
        in = _mm256_madd_epi16(in, _mm256_set1_epi32(0x00011000));
        in = _mm256_permutevar8x32_epi32(_mm256_shuffle_epi8(in, pack), join);
        _mm256_storeu_si256((__m256i *)(void *)out, in);
    }
    return done + decode_ssse3(at + done, size - done, out);
}

__attribute__((target("ssse3"))) static void encode_ssse3(const uint8_t *at, size_t size, char *out)
{
    const __m128i spread = _mm_setr_epi8(SPREAD), add = _mm_setr_epi8(CLASS_ADD);
    size_t done = 0;

    for (; size - done >= 16; done += 12, out += 16) {
        __m128i in = _mm_loadu_si128((const __m128i *)(const void *)(at + done)), value, kind;

        in = _mm_shuffle_epi8(in, spread);
        value = _mm_or_si128(_mm_mulhi_epu16(_mm_and_si128(in, _mm_set1_epi32(0x0fc0fc00)),
                                             _mm_set1_epi32(0x04000040)),
                             _mm_mullo_epi16(_mm_and_si128(in, _mm_set1_epi32(0x003f03f0)),
                                             _mm_set1_epi32(0x01000010)));
        kind = _mm_subs_epu8(value, _mm_set1_epi8(51));
        kind = _mm_or_si128(
            kind, _mm_and_si128(_mm_cmpgt_epi8(_mm_set1_epi8(26), value), _mm_set1_epi8(13)));
        _mm_storeu_si128((__m128i *)(void *)out, _mm_add_epi8(value, _mm_shuffle_epi8(add, kind)));
    }
    encode_bytewise(at + done, size - done, out);
}

__attribute__((target("avx2"))) static void encode_avx2(const uint8_t *at, size_t size, char *out)
{
    const __m256i spread = _mm256_setr_epi8(SPREAD, SPREAD),
                  add = _mm256_setr_epi8(CLASS_ADD, CLASS_ADD);
    size_t done = 0;

    for (; size - done >= 28; done += 24, out += 32) {
        const uint8_t *from = at + done;
        __m256i value, kind,
            in = _mm256_inserti128_si256(
                _mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)from)),
                _mm_loadu_si128((const __m128i *)(const void *)(from + 12)), 1);

        in = _mm256_shuffle_epi8(in, spread);
        value =
            _mm256_or_si256(_mm256_mulhi_epu16(_mm256_and_si256(in, _mm256_set1_epi32(0x0fc0fc00)),
                                               _mm256_set1_epi32(0x04000040)),
                            _mm256_mullo_epi16(_mm256_and_si256(in, _mm256_set1_epi32(0x003f03f0)),
                                               _mm256_set1_epi32(0x01000010)));
        kind = _mm256_subs_epu8(value, _mm256_set1_epi8(51));
        kind =
            _mm256_or_si256(kind, _mm256_and_si256(_mm256_cmpgt_epi8(_mm256_set1_epi8(26), value),
                                                   _mm256_set1_epi8(13)));
        _mm256_storeu_si256((__m256i *)(void *)out,
                            _mm256_add_epi8(value, _mm256_shuffle_epi8(add, kind)));
    }
    encode_ssse3(at + done, size - done, out);
}

static bool can(mr_base64_way way)
{
    if (way == MR_BASE64_AVX2)
        return __builtin_cpu_supports("avx2");
    return way != MR_BASE64_SSSE3 || __builtin_cpu_supports("ssse3");
}

#else

static size_t decode_ssse3(const uint8_t *at, size_t size, uint8_t *out)
{
    return decode_bytewise(at, size, out);
}

static size_t decode_avx2(const uint8_t *at, size_t size, uint8_t *out)
{
    return decode_bytewise(at, size, out);
}

static void encode_ssse3(const uint8_t *at, size_t size, char *out)
{
    encode_bytewise(at, size, out);
}

static void encode_avx2(const uint8_t *at, size_t size, char *out)
{
    encode_bytewise(at, size, out);
}

static bool can(mr_base64_way way)
{
    return way == MR_BASE64_BYTEWISE;
}

#endif

/* ---- which -------------------------------------------------------------------------------- */

static _Atomic int used; /* MR_BASE64_BEST: not looked yet */

static int best(void)
{
    int way = can(MR_BASE64_AVX2)    ? MR_BASE64_AVX2
              : can(MR_BASE64_SSSE3) ? MR_BASE64_SSSE3
                                     : MR_BASE64_BYTEWISE;

    atomic_store_explicit(&used, way, memory_order_relaxed);
    return way;
}

static inline int way_used(void)
{
    int way = atomic_load_explicit(&used, memory_order_relaxed);

    return way == MR_BASE64_BEST ? best() : way;
}

bool mr_base64_use(mr_base64_way way)
{
    if (way != MR_BASE64_BEST && !can(way))
        return false;
    atomic_store_explicit(&used, (int)way, memory_order_relaxed);
    return true;
}

void mr_base64_encode(mr_bytes in, char *out)
{
    switch (way_used()) {
    case MR_BASE64_AVX2:
        encode_avx2(in.data, in.size, out);
        break;
    case MR_BASE64_SSSE3:
        encode_ssse3(in.data, in.size, out);
        break;
    default:
        encode_bytewise(in.data, in.size, out);
    }
}

size_t mr_base64_decode_digits(mr_bytes in, uint8_t *out)
{
    switch (way_used()) {
    case MR_BASE64_AVX2:
        return decode_avx2(in.data, in.size, out);
    case MR_BASE64_SSSE3:
        return decode_ssse3(in.data, in.size, out);
    default:
        return decode_bytewise(in.data, in.size, out);
    }
}

bool mr_base64_decode(mr_bytes in, uint8_t *out, size_t *size)
{
    const uint8_t *at = in.data;
    size_t done = mr_base64_decode_digits(in, out), padding;
    int32_t group;

    *size = done / 4 * 3;
    if (done == in.size)
        return true;
    at += done;
    if (in.size - done != 4 || at[3] != '=')
        return false;
    padding = at[2] == '=' ? 2 : 1;
    group = group_of(at, 4 - padding);
    if (group < 0 || group & (padding == 2 ? 0xffff : 0xff))
        return false; /* no digit, or bits that no byte takes */
    out += *size;
    out[0] = (uint8_t)(group >> 16);
    if (padding == 1)
        out[1] = (uint8_t)(group >> 8);
    *size += 3 - padding;
    return true;
}
