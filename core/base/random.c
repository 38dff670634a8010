#include "base/random.h"

#include "base/check.h"
#include "base/u128.h"

/* xoshiro256** (Blackman, Vigna 2018), seeded by splitmix64 as its authors advise. */

static uint64_t splitmix(uint64_t *state)
{
    uint64_t mixed = *state += 0x9e3779b97f4a7c15;

    mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9;
    mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111eb;
    return mixed ^ mixed >> 31;
}

static uint64_t rotate(uint64_t value, unsigned turn)
{
    return value << turn | value >> (64 - turn);
}

struct mr_random mr_random_of(uint64_t seed)
{
    struct mr_random random;

    for (int word = 0; word < 4; word++)
        random.state[word] = splitmix(&seed);
    return random;
}

uint64_t mr_random_next(struct mr_random *random)
{
    uint64_t *s = random->state;
    uint64_t result = rotate(s[1] * 5, 7) * 9;
    uint64_t shifted = s[1] << 17;

    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = rotate(s[3], 45);
    return result;
}

uint64_t mr_random_below(struct mr_random *random, uint64_t bound)
{
    mr_u128 product;
    uint64_t unfair;

    mr_check(bound > 0);
    /* The high half of next * bound is the answer; 2^64 mod bound low halves come once too often.
     */
    unfair = (0 - bound) % bound;
    do
        product = (mr_u128)mr_random_next(random) * bound;
    while ((uint64_t)product < unfair);
    return (uint64_t)(product >> 64);
}
