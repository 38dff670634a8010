/*
 * The texts of sequence numbers and shards.
 *
 * A sequence number is 188 bits, layout version 2, shown in decimal. From the top, in bits:
 *
 *     4 constant 2 | 36 created_s | 4 shard mod 16 | 64 number | 8 zero | 36 time_s | 32 shard |
 *     4 version 2
 *
 * The first digit is never 0 and the count of digits always 56, so texts sort as numbers do.
 */
#include "base/check.h"
#include "base/endian.h"
#include "base/fail.h"
#include "base/u128.h"

#include <string.h>

#define DIGIT_COUNT (MR_SEQUENCE_TEXT_BYTES - 1)
#define VERSION 2u
#define TOP 2u

/* words[0] is the lowest. */
struct wide {
    uint64_t words[3];
};

/* wide = wide * factor + add */
static void multiply(struct wide *wide, uint64_t factor, uint64_t add)
{
    for (int i = 0; i < 3; i++) {
        mr_u128 product = (mr_u128)wide->words[i] * factor + add;
        wide->words[i] = (uint64_t)product;
        add = (uint64_t)(product >> 64);
    }
}

/* ---- out ---------------------------------------------------------------------------------- */

#define PART_COUNT 7 /* of 8 digits, the lowest first */
#define PART_DIGITS 8
#define PART 100000000u

/* 2^(32 i) in parts: so a number is the sum of its half words times these, without a division of
 * anything wide. */
static const uint32_t powers[6][PART_COUNT] = {
    {1, 0, 0, 0, 0, 0, 0},
    {94967296, 42, 0, 0, 0, 0, 0},
    {9551616, 67440737, 1844, 0, 0, 0, 0},
    {43950336, 43375935, 16251426, 79228, 0, 0, 0},
    {68211456, 46074317, 46346337, 66920938, 3402823, 0, 0},
    {32542976, 30196559, 83271628, 18203684, 73309029, 46150163, 1},
};

/* The digits of a part, the first in the lowest byte: three times all pairs are split at once. */
static uint64_t digits_of(uint32_t part)
{
    uint64_t fours = part / 10000 | (uint64_t)(part % 10000) << 32, twos, ones;

    twos = (fours * 10486 >> 20) & 0x0000007f0000007f; /* / 100, of less than 10,000 */
    twos |= (fours - 100 * twos) << 16;
    ones = (twos * 103 >> 10) & 0x000f000f000f000f; /* / 10, of less than 100 */
    ones |= (twos - 10 * ones) << 8;
    return ones | 0x3030303030303030;
}

void mr_sequence_format(const mr_sequence *sequence, char text[MR_SEQUENCE_TEXT_BYTES])
{
    uint64_t shard = sequence->shard, time_s = sequence->time_s;
    const uint64_t low = VERSION | shard << 4 | time_s << 36;
    const uint64_t middle = time_s >> 28 | sequence->number << 16;
    const uint64_t high = sequence->number >> 48 | (shard & 15) << 16 |
                          (uint64_t)sequence->created_s << 20 | (uint64_t)TOP << 56;
    const uint64_t halves[] = {low & UINT32_MAX, low >> 32,         middle & UINT32_MAX,
                               middle >> 32,     high & UINT32_MAX, high >> 32};
    uint64_t carry = 0;

    mr_check(sequence->number <= INT64_MAX);
#pragma GCC unroll 7
    for (size_t part = 0; part < PART_COUNT; part++) {
        uint64_t sum = 0; /* below 7 * 2^32 * PART: it fits */

#pragma GCC unroll 6
        for (size_t i = 0; i < 6; i++)
            sum += halves[i] * powers[i][part];
        sum += carry;
        carry = sum / PART;
        mr_store64(text + (PART_COUNT - 1 - part) * PART_DIGITS,
                   digits_of((uint32_t)(sum - carry * PART)));
    }
    text[DIGIT_COUNT] = '\0';
}

/* ---- in ----------------------------------------------------------------------------------- */

/* 56 digits are 18 + 19 + 19, the most that a word holds. */
#define TEN_19 10000000000000000000u
static const size_t part_ends[] = {18, 37, DIGIT_COUNT};

static bool read_wide(const char *text, struct wide *wide)
{
    *wide = (struct wide){{0, 0, 0}};
    if (strspn(text, "0123456789") != DIGIT_COUNT || text[DIGIT_COUNT])
        return false;
    for (size_t part = 0, at = 0; part < 3; part++) {
        uint64_t digits = 0;
        for (; at < part_ends[part]; at++)
            digits = digits * 10 + (uint64_t)(text[at] - '0');
        multiply(wide, TEN_19, digits);
    }
    return true;
}

mr_status mr_sequence_parse(const char *text, mr_sequence *sequence, mr_error *error)
{
    char again[MR_SEQUENCE_TEXT_BYTES];
    mr_sequence read;
    struct wide wide;

    if (!read_wide(text, &wide))
        return mr_fail(error, MR_INVALID, "\"%.80s\" is not a sequence number: %d decimal digits",
                       text, DIGIT_COUNT);
    read = (mr_sequence){
        .number = wide.words[1] >> 16 | wide.words[2] << 48,
        .shard = (uint32_t)(wide.words[0] >> 4),
        .created_s = (uint32_t)(wide.words[2] >> 20),
        .time_s = (uint32_t)(wide.words[0] >> 36 | wide.words[1] << 28),
    };
    /* What is in no field, or in one that is too wide, does not come back. */
    if (read.number <= INT64_MAX) {
        mr_sequence_format(&read, again);
        if (strcmp(text, again) == 0) {
            *sequence = read;
            return MR_OK;
        }
    }
    return mr_fail(error, MR_INVALID,
                   "\"%s\" is not a sequence number: its fields contradict layout version 2", text);
}

void mr_shard_format(mr_shard_id shard, char text[MR_SHARD_TEXT_BYTES])
{
    static const char name[] = "shardId-";
    const size_t at = sizeof name - 1;

    /* Twelve digits: the last eight, before them those that a number of 32 bits has more, and over
     * their zeros the name. */
    mr_store64(text + at + 4, digits_of(shard % PART));
    mr_store64(text + at - 4, digits_of(shard / PART));
    memcpy(text, name, at);
    text[at + 12] = '\0';
}

mr_status mr_shard_parse(const char *text, mr_shard_id *shard, mr_error *error)
{
    const char *dash = strchr(text, '-');
    const char *digits = dash ? dash + 1 : text;
    uint64_t value = 0;
    bool good = *digits != '\0';

    for (const char *at = digits; good && *at; at++) {
        unsigned digit = (unsigned)(unsigned char)*at - '0';
        value = value * 10 + digit;
        good = digit <= 9 && value <= INT32_MAX;
    }
    if (!good)
        return mr_fail(
            error, MR_INVALID,
            "\"%.60s\" is not a shard: \"shardId-000000000007\", \"shardId-7\" or \"7\", "
            "from 0 to 2147483647",
            text);
    *shard = (mr_shard_id)value;
    return MR_OK;
}
