/*
 * The estimator is Ertl's (New cardinality estimation algorithms for HyperLogLog sketches, 2017): one
 * formula from no keys to 2^64, without the tables and thresholds that corrected the first one.
 */
#include "keys/distinct.h"

#include <math.h>

#define REGISTERS ((double)(1 << MR_DISTINCT_BITS))
#define RANK_MAX (64 - MR_DISTINCT_BITS + 1)

/* What the registers that are still empty stand for. */
static double sigma(double x)
{
    double y = 1, z = x, before;

    if (x >= 1)
        return INFINITY;
    do {
        x *= x;
        before = z;
        z += x * y;
        y += y;
    } while (z > before);
    return z;
}

/* What the full ones stand for. */
static double tau(double x)
{
    double y = 1, z = 1 - x, before;

    if (x <= 0 || x >= 1)
        return 0;
    do {
        x = sqrt(x);
        before = z;
        y *= 0.5;
        z -= (1 - x) * (1 - x) * y;
    } while (z < before);
    return z / 3;
}

double mr_distinct_count(const struct mr_distinct *distinct)
{
    double counts[RANK_MAX + 1] = {0}, z;

    for (size_t i = 0; i < sizeof distinct->ranks; i++)
        counts[distinct->ranks[i]]++;
    z = REGISTERS * tau(1 - counts[RANK_MAX] / REGISTERS);
    for (int rank = RANK_MAX - 1; rank >= 1; rank--)
        z = 0.5 * (z + counts[rank]);
    z += REGISTERS * sigma(counts[0] / REGISTERS);
    return REGISTERS * REGISTERS / (2 * log(2)) / z;
}
