/* latency.h - how long requests took and how they failed, by operation. Any thread, without locks. */
#ifndef MR_SERVER_LATENCY_H
#define MR_SERVER_LATENCY_H

#include "service/service.h"

#include <stdatomic.h>

#define MR_LATENCY_BUCKET_COUNT 14

/* The upper ends of the buckets in microseconds; the last has none. */
extern const uint32_t mr_latency_bounds_us[MR_LATENCY_BUCKET_COUNT - 1];

struct mr_latency {
    _Atomic uint64_t buckets[MR_LATENCY_BUCKET_COUNT]; /* each by itself */
    _Atomic uint64_t sum_us;
    _Atomic uint64_t errors[MR_EXCEPTION_COUNT]; /* by enum mr_exception; NONE is no error */
};

struct mr_latencies {
    struct mr_latency of[MR_ACTION_COUNT];
};

void mr_latency_note(struct mr_latencies *latencies, enum mr_action action, uint64_t took_ns,
                     enum mr_exception type);

#endif
