/* seed.h - random tests that can be repeated: the seed is printed, and MR_SEED sets it. */
#ifndef MR_TESTS_SEED_H
#define MR_TESTS_SEED_H

#include "base/random.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static inline uint64_t seed_choose(void)
{
    const char *given = getenv("MR_SEED");
    struct timespec now;
    uint64_t seed;

    timespec_get(&now, TIME_UTC);
    seed = given ? strtoull(given, NULL, 0) : (uint64_t)now.tv_sec << 20 ^ (uint64_t)now.tv_nsec;
    printf("MR_SEED=%llu\n", (unsigned long long)seed);
    return seed;
}

static inline struct mr_random seed_random(void)
{
    return mr_random_of(seed_choose());
}

#endif
