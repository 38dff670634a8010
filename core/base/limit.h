/*
 * limit.h - how fast a shard may be written and read: a bucket that holds one second's worth.
 *
 * A bucket is one number, the moment at which it will be full again; taking from it pushes that
 * moment away. So it needs no lock and no timer, and 0 is a full bucket.
 */
#ifndef MR_BASE_LIMIT_H
#define MR_BASE_LIMIT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct mr_bucket {
    _Atomic uint64_t full_at_ns; /* of a monotonic clock */
};

/* Takes amount of what comes in at per_s a second; per_s 0 takes nothing and is always fine. False
 * and nothing taken when so much is not in it, but a full bucket gives more than it holds (a record
 * may be larger than a second's worth) and is empty for as long as that takes to come in again. */
bool mr_bucket_take(struct mr_bucket *bucket, uint64_t now_ns, uint32_t per_s, uint64_t amount);

/* Puts back what was just taken. */
void mr_bucket_return(struct mr_bucket *bucket, uint32_t per_s, uint64_t amount);

/* For an amount that is known only afterwards: may one begin, and what it was. */
bool mr_bucket_has_some(const struct mr_bucket *bucket, uint64_t now_ns, uint32_t per_s);
void mr_bucket_charge(struct mr_bucket *bucket, uint64_t now_ns, uint32_t per_s, uint64_t amount);

#endif
