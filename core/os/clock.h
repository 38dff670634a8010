/* clock.h - the time, passed in: tests own it, labs can speed it up. */
#ifndef MR_OS_CLOCK_H
#define MR_OS_CLOCK_H

#include <stdint.h>

struct mr_clock {
    int64_t (*wall_ms)(struct mr_clock *clock);       /* since 1970-01-01 UTC; may jump */
    uint64_t (*monotonic_ns)(struct mr_clock *clock); /* only grows; any start */
    uint32_t rate; /* how much faster than the real one it goes; 0: as fast, or not by itself */
};

struct mr_clock *mr_clock_real(void); /* valid for the life of the process */

#endif
