/* distinct.h - how many different keys there were, in 16 KiB: HyperLogLog, standard error 0.8 %. */
#ifndef MR_TOOLS_KEYS_DISTINCT_H
#define MR_TOOLS_KEYS_DISTINCT_H

#include "millrace.h"

#define MR_DISTINCT_BITS 14
#define MR_DISTINCT_ERROR 0.0081 /* 1.04 / sqrt(2^14) */

/* Start from {0}. */
struct mr_distinct {
    uint8_t ranks[1 << MR_DISTINCT_BITS];
};

/* The key with that MD5. */
static inline void mr_distinct_add(struct mr_distinct *distinct, mr_hash_key id)
{
    uint8_t *rank = &distinct->ranks[id.lo & ((1 << MR_DISTINCT_BITS) - 1)];
    uint64_t rest = id.lo >> MR_DISTINCT_BITS | UINT64_C(1) << (64 - MR_DISTINCT_BITS);
    uint8_t found = (uint8_t)(__builtin_ctzll(rest) + 1);

    if (found > *rank)
        *rank = found;
}

double mr_distinct_count(const struct mr_distinct *distinct);

#endif
