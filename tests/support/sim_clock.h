/* sim_clock.h - a clock that moves only when told to; any thread may look. */
#ifndef MR_TESTS_SIM_CLOCK_H
#define MR_TESTS_SIM_CLOCK_H

#include "os/clock.h"

#define SIM_CLOCK_START_MS INT64_C(1700000000000) /* 2023-11-14 22:13:20 UTC */

struct sim_clock {
    struct mr_clock base;
    _Atomic int64_t wall_ms;
    _Atomic uint64_t monotonic_ns;
};

void sim_clock_init(struct sim_clock *clock);
/* Time passes. */
void sim_clock_advance(struct sim_clock *clock, uint64_t ms);
/* Somebody sets the wall clock, forward or back. */
void sim_clock_set_wall(struct sim_clock *clock, int64_t wall_ms);

#endif
