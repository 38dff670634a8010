/* bins.h - how often a utilisation was seen, by its size: steps of 3 %, from 2^-16 to 2^8. */
#ifndef MR_TOOLS_KEYS_BINS_H
#define MR_TOOLS_KEYS_BINS_H

#include <stdint.h>
#include <string.h>

#define MR_BIN_STEPS_LOG 5 /* 32 to an octave */
#define MR_BIN_COUNT ((16 + 8) << MR_BIN_STEPS_LOG)

/* The first bits of a float's mantissa, behind its exponent, are that size. value is above 0. */
static inline size_t mr_bin_of(float value)
{
    const uint32_t lowest = (127u - 16) << MR_BIN_STEPS_LOG;
    uint32_t bits;

    memcpy(&bits, &value, sizeof bits);
    bits >>= 23 - MR_BIN_STEPS_LOG;
    return bits <= lowest ? 0 : bits - lowest >= MR_BIN_COUNT ? MR_BIN_COUNT - 1 : bits - lowest;
}

/* The middle of a bin. */
static inline double mr_bin_value(size_t bin)
{
    uint32_t bits =
        ((((127u - 16) << MR_BIN_STEPS_LOG) + (uint32_t)bin) << (23 - MR_BIN_STEPS_LOG)) +
        (1u << (22 - MR_BIN_STEPS_LOG));
    float value;

    memcpy(&value, &bits, sizeof value);
    return (double)value;
}

/* The value that `part` of all_count samples do not exceed; those that are not in bins are 0. */
static inline double mr_bins_quantile(const uint32_t *bins, uint64_t all_count, double part)
{
    uint64_t above = (uint64_t)((1 - part) * (double)all_count), seen = 0;

    for (size_t bin = MR_BIN_COUNT; bin-- > 0;) {
        seen += bins[bin];
        if (seen > above)
            return mr_bin_value(bin);
    }
    return 0;
}

#endif
