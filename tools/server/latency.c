#include "server/latency.h"

const uint32_t mr_latency_bounds_us[MR_LATENCY_BUCKET_COUNT - 1] = {
    100, 250, 500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 500000, 1000000, 5000000};

static void add(_Atomic uint64_t *count, uint64_t more)
{
    atomic_fetch_add_explicit(count, more, memory_order_relaxed);
}

void mr_latency_note(struct mr_latencies *latencies, enum mr_action action, uint64_t took_ns,
                     enum mr_exception type)
{
    struct mr_latency *latency = &latencies->of[action];
    uint64_t took_us = took_ns / 1000;
    size_t bucket = 0;

    while (bucket < MR_LATENCY_BUCKET_COUNT - 1 && took_us > mr_latency_bounds_us[bucket])
        bucket++;
    add(&latency->buckets[bucket], 1);
    add(&latency->sum_us, took_us);
    if (type)
        add(&latency->errors[type], 1);
}
