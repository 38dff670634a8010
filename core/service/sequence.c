/*
 * The layout that we give out, and the two that Kinesis had before (spec 4.1). In hex digits, from
 * the top:
 *
 *     version 0: 1 | 9 created_s | 2 | 16 random | 4 shard
 *     version 1: 2 | 9 created_s | 1 | 2 | 9 time_s | 14 random | 2 number | 8 shard | 1
 *     version 2: 2 | 9 created_s | 1 | 16 number | 2 | 9 time_s | 8 shard | 2
 */
#include "service/sequence.h"

#include "base/u128.h"

#define CREATED_S_END 16025175000 /* later ones are refused */

/* words[0] is the lowest. */
struct wide {
    uint64_t words[3];
};

/* False: not decimal, or too large for any version. */
static bool read_wide(mr_bytes text, struct wide *wide)
{
    const char *digits = text.data;

    *wide = (struct wide){{0, 0, 0}};
    if (text.size == 0 || text.size >= MR_SEQUENCE_TEXT_BYTES)
        return false;
    for (size_t i = 0; i < text.size; i++) {
        uint64_t carry = (uint64_t)digits[i] - '0';

        if (carry > 9)
            return false;
        for (size_t word = 0; word < 3; word++) {
            mr_u128 product = (mr_u128)wide->words[word] * 10 + carry;

            wide->words[word] = (uint64_t)product;
            carry = (uint64_t)(product >> 64);
        }
    }
    return true;
}

/* So many hex digits, of which the lowest has that place; at most 16. */
static uint64_t field(const struct wide *wide, unsigned place, unsigned count)
{
    unsigned word = place / 16, shift = place % 16 * 4;
    mr_u128 bits = wide->words[word];

    if (word < 2)
        bits |= (mr_u128)wide->words[word + 1] << 64;
    return (uint64_t)(bits >> shift) & (UINT64_MAX >> (64 - count * 4));
}

bool mr_sequence_read(mr_bytes text, struct mr_asked_sequence *sequence)
{
    struct wide wide;

    if (!read_wide(text, &wide))
        return false;
    if (wide.words[2] == 0) { /* the leading digit may be left out */
        if (field(&wide, 31, 1) > 1)
            return false;
        *sequence = (struct mr_asked_sequence){.version = 0,
                                               .created_s = field(&wide, 22, 9),
                                               .time_s = field(&wide, 22, 9),
                                               .shard = (int32_t)field(&wide, 0, 4)};
    } else {
        bool is_old = field(&wide, 0, 1) == 1;

        if (field(&wide, 46, 2) != 2 || (!is_old && field(&wide, 0, 1) != 2))
            return false;
        *sequence =
            (struct mr_asked_sequence){.version = is_old ? 1 : 2,
                                       .created_s = field(&wide, 37, 9),
                                       .time_s = is_old ? field(&wide, 25, 9) : field(&wide, 9, 9),
                                       .number = is_old ? field(&wide, 9, 2) : field(&wide, 20, 16),
                                       .shard = (int32_t)(uint32_t)field(&wide, 1, 8)};
    }
    return sequence->created_s < CREATED_S_END && sequence->number <= INT64_MAX;
}
