/*
 * limiter.h - the two models of a shard's limiter, record by record.
 *
 * The bucket is base/limit.h's to the nanosecond, without its atomics: `serve` refuses the same
 * records at the same times.
 */
#ifndef MR_TOOLS_KEYS_LIMITER_H
#define MR_TOOLS_KEYS_LIMITER_H

#include "keys/simulate.h"

#define MR_LIMITER_SECOND_NS UINT64_C(1000000000)

struct mr_limiter {
    uint64_t records_full_at_ns, bytes_full_at_ns; /* the buckets */
    uint32_t window_record_count, window_bytes;
    struct mr_throttled throttled[MR_MODEL_COUNT];
};

static inline uint64_t mr_bucket_worth_ns(uint32_t per_s, uint64_t amount)
{
    return amount * MR_LIMITER_SECOND_NS / per_s;
}

/* The same for many amounts without a division, and exact: the factor is rounded up by less than
 * 2^-64, so the product by less than 2^-32, and quotients are 1 / per_s apart. */
struct mr_bucket_rate {
    mr_u128 ns_per_unit; /* in 2^-64 */
};

static inline struct mr_bucket_rate mr_bucket_rate_of(uint32_t per_s)
{
    return (struct mr_bucket_rate){(((mr_u128)MR_LIMITER_SECOND_NS << 64) + per_s - 1) / per_s};
}

static inline uint64_t mr_bucket_rate_ns(struct mr_bucket_rate rate, uint32_t amount)
{
    return (uint64_t)(rate.ns_per_unit * amount >> 64);
}

static inline bool mr_bucket_gives(uint64_t full_at_ns, uint64_t now_ns, uint64_t worth_ns)
{
    return (full_at_ns <= now_ns) | (full_at_ns + worth_ns <= now_ns + MR_LIMITER_SECOND_NS);
}

static inline uint64_t mr_bucket_without(uint64_t full_at_ns, uint64_t now_ns, uint64_t worth_ns)
{
    return (full_at_ns > now_ns ? full_at_ns : now_ns) + worth_ns;
}

static inline void mr_throttled_add(struct mr_throttled *throttled, bool is_refused, uint32_t bytes)
{
    throttled->record_count += is_refused;
    throttled->bytes += is_refused ? bytes : 0;
}

/* Which of the two can be short: what cannot be is kept up to date, but not asked. */
struct mr_bucket_asks {
    bool records, bytes;
};

/* record_ns, bytes_ns: how long a record's worth of each takes to come in. Without branches: what is
 * refused cannot be foreseen. */
static inline void mr_limiter_ask_bucket(struct mr_limiter *limiter, struct mr_bucket_asks asks,
                                         uint64_t now_ns, uint32_t bytes, uint64_t record_ns,
                                         uint64_t bytes_ns)
{
    uint64_t records_at_ns = limiter->records_full_at_ns, bytes_at_ns = limiter->bytes_full_at_ns;
    bool gives = (int)(!asks.records || mr_bucket_gives(records_at_ns, now_ns, record_ns)) &
                 (int)(!asks.bytes || mr_bucket_gives(bytes_at_ns, now_ns, bytes_ns));
    uint64_t records_next_ns = mr_bucket_without(records_at_ns, now_ns, record_ns);
    uint64_t bytes_next_ns = mr_bucket_without(bytes_at_ns, now_ns, bytes_ns);

    limiter->records_full_at_ns = gives ? records_next_ns : records_at_ns;
    limiter->bytes_full_at_ns = gives ? bytes_next_ns : bytes_at_ns;
    mr_throttled_add(&limiter->throttled[MR_MODEL_BUCKET], !gives, bytes);
}

static inline void mr_limiter_ask_window(struct mr_limiter *limiter, const struct mr_limits *limits,
                                         uint32_t bytes)
{
    bool fits = (limiter->window_record_count < limits->write_records_per_s) &
                ((limiter->window_bytes == 0) |
                 ((uint64_t)limiter->window_bytes + bytes <= limits->write_bytes_per_s));

    limiter->window_record_count += fits;
    limiter->window_bytes += fits ? bytes : 0;
    mr_throttled_add(&limiter->throttled[MR_MODEL_WINDOW], !fits, bytes);
}

static inline void mr_limiter_next_window(struct mr_limiter *limiter)
{
    limiter->window_record_count = limiter->window_bytes = 0;
}

/* Full buckets, a new window; what was throttled stays counted. */
static inline void mr_limiter_rest(struct mr_limiter *limiter)
{
    limiter->records_full_at_ns = limiter->bytes_full_at_ns = 0;
    mr_limiter_next_window(limiter);
}

#endif
