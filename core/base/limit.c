#include "base/limit.h"

#define SECOND_NS UINT64_C(1000000000)

/* How long the amount takes to come in. */
static uint64_t worth_ns(uint32_t per_s, uint64_t amount)
{
    return amount * SECOND_NS / per_s;
}

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

bool mr_bucket_take(struct mr_bucket *bucket, uint64_t now_ns, uint32_t per_s, uint64_t amount)
{
    uint64_t seen = atomic_load_explicit(&bucket->full_at_ns, memory_order_relaxed);
    uint64_t full_at_ns;

    if (per_s == 0)
        return true;
    do {
        full_at_ns = later(seen, now_ns) + worth_ns(per_s, amount);
        if (full_at_ns > now_ns + SECOND_NS && seen > now_ns)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&bucket->full_at_ns, &seen, full_at_ns,
                                                    memory_order_relaxed, memory_order_relaxed));
    return true;
}

void mr_bucket_return(struct mr_bucket *bucket, uint32_t per_s, uint64_t amount)
{
    if (per_s)
        atomic_fetch_sub_explicit(&bucket->full_at_ns, worth_ns(per_s, amount),
                                  memory_order_relaxed);
}

bool mr_bucket_has_some(const struct mr_bucket *bucket, uint64_t now_ns, uint32_t per_s)
{
    return per_s == 0 ||
           atomic_load_explicit(&bucket->full_at_ns, memory_order_relaxed) < now_ns + SECOND_NS;
}

void mr_bucket_charge(struct mr_bucket *bucket, uint64_t now_ns, uint32_t per_s, uint64_t amount)
{
    uint64_t seen = atomic_load_explicit(&bucket->full_at_ns, memory_order_relaxed);

    if (per_s == 0)
        return;
    while (!atomic_compare_exchange_weak_explicit(&bucket->full_at_ns, &seen,
                                                  later(seen, now_ns) + worth_ns(per_s, amount),
                                                  memory_order_relaxed, memory_order_relaxed))
        continue;
}
