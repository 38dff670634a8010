/* u128.h - points of the hash space as one wide integer, and their decimal form's arithmetic. */
#ifndef MR_BASE_U128_H
#define MR_BASE_U128_H

#include "millrace.h"

__extension__ typedef unsigned __int128 mr_u128;

#define MR_HASH_KEY_MAX ((mr_hash_key){UINT64_MAX, UINT64_MAX})

static inline mr_u128 mr_hash_key_wide(mr_hash_key key)
{
    return (mr_u128)key.hi << 64 | key.lo;
}

static inline mr_hash_key mr_hash_key_narrow(mr_u128 wide)
{
    return (mr_hash_key){.hi = (uint64_t)(wide >> 64), .lo = (uint64_t)wide};
}

static inline bool mr_hash_key_equal(mr_hash_key a, mr_hash_key b)
{
    return a.hi == b.hi && a.lo == b.lo;
}

static inline bool mr_hash_key_below(mr_hash_key a, mr_hash_key b)
{
    return mr_hash_key_wide(a) < mr_hash_key_wide(b);
}

/* Below, equal, above: negative, 0, positive. */
static inline int mr_hash_key_compare(mr_hash_key a, mr_hash_key b)
{
    return mr_hash_key_below(b, a) - mr_hash_key_below(a, b);
}

/* Sums and differences wrap around the end of the space, as unsigned integers do. */
static inline mr_hash_key mr_hash_key_add(mr_hash_key a, mr_hash_key b)
{
    return mr_hash_key_narrow(mr_hash_key_wide(a) + mr_hash_key_wide(b));
}

static inline mr_hash_key mr_hash_key_sub(mr_hash_key a, mr_hash_key b)
{
    return mr_hash_key_narrow(mr_hash_key_wide(a) - mr_hash_key_wide(b));
}

static inline mr_hash_key mr_hash_key_next(mr_hash_key key)
{
    return mr_hash_key_narrow(mr_hash_key_wide(key) + 1);
}

static inline mr_hash_key mr_hash_key_previous(mr_hash_key key)
{
    return mr_hash_key_narrow(mr_hash_key_wide(key) - 1);
}

#endif
