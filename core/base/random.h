/* random.h - numbers that look random and repeat from their seed: ids, jitter, tests. No secrets.
 */
#ifndef MR_BASE_RANDOM_H
#define MR_BASE_RANDOM_H

#include <stdint.h>

struct mr_random {
    uint64_t state[4];
};

/* Any seed is good; equal seeds give equal numbers on every machine. */
struct mr_random mr_random_of(uint64_t seed);

uint64_t mr_random_next(struct mr_random *random);

/* 0..bound-1, each as likely; bound is at least 1. */
uint64_t mr_random_below(struct mr_random *random, uint64_t bound);

#endif
