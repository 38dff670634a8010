/*
 * spread.h - how evenly the load lies on the keys: Gini, effective number, Lorenz curve.
 *
 * Exact up to 16,384 different keys. With more a sample is kept of those whose MD5 ends with enough
 * zero bits: each of them was counted from its first record on, so it is a fair sample of keys with
 * exact weights. The heaviest keys, which a sample may miss, come from the Space-Saving lists.
 */
#ifndef MR_TOOLS_KEYS_SPREAD_H
#define MR_TOOLS_KEYS_SPREAD_H

#include "keys/top.h"

#define MR_SPREAD_KEYS_MAX 16384
#define MR_LORENZ_POINTS 101

struct mr_spread_key {
    uint64_t id; /* 0: free */
    uint64_t record_count, bytes;
};

/* Start from {0}; release with mr_spread_fini(). */
struct mr_spread {
    struct mr_spread_key *keys; /* by id */
    size_t count, capacity;
    unsigned level; /* one key in 2^level is kept */
};

/* Whether the key is in the sample, by the low half of its MD5. */
static inline bool mr_spread_keeps(const struct mr_spread *spread, uint64_t id)
{
    return !(id & ((UINT64_C(1) << spread->level) - 1));
}

void mr_spread_add(struct mr_spread *spread, mr_hash_key id, uint64_t bytes);
void mr_spread_fini(struct mr_spread *spread);

struct mr_evenness {
    double gini;           /* 0: all keys get the same, 1: one key gets all */
    double effective_keys; /* 1 / sum of squared shares: so many equal keys would be as uneven */
    double lorenz[MR_LORENZ_POINTS]; /* the lightest i % of keys get so much of the load */
};

/* by_bytes: the load is bytes, not records; top is the list by the same. key_count: different keys,
 * at least one. */
void mr_spread_measure(const struct mr_spread *spread, const struct mr_top *top, bool by_bytes,
                       double key_count, struct mr_evenness *evenness);

#endif
