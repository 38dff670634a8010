/* warp.h - a clock that goes faster than the real one, and can be set ahead: a day in a moment. */
#ifndef MR_OS_WARP_H
#define MR_OS_WARP_H

#include "os/clock.h"

#include <stdatomic.h>
#include <stdbool.h>

#define MR_WARP_RATE_MAX 3600                                   /* for 29 days, then it overflows */
#define MR_WARP_JUMPS_MS_MAX (INT64_C(50) * 365 * 86400 * 1000) /* all together */

struct mr_warp {
    struct mr_clock clock; /* first: give this to others */
    uint64_t since_ns;     /* of the real one */
    _Atomic int64_t jumped_ms;
};

/* From now on it goes rate times as fast (1..MR_WARP_RATE_MAX). */
void mr_warp_init(struct mr_warp *warp, uint32_t rate);

/* Sets it ahead, for all who look from now on. False: that is back, or too far. */
bool mr_warp_jump(struct mr_warp *warp, int64_t ms);

#endif
