#include "support/sim_clock.h"

static int64_t wall_ms(struct mr_clock *base)
{
    return ((struct sim_clock *)base)->wall_ms;
}

static uint64_t monotonic_ns(struct mr_clock *base)
{
    return ((struct sim_clock *)base)->monotonic_ns;
}

void sim_clock_init(struct sim_clock *clock)
{
    clock->base = (struct mr_clock){.wall_ms = wall_ms, .monotonic_ns = monotonic_ns};
    clock->wall_ms = SIM_CLOCK_START_MS;
    clock->monotonic_ns = 1000000000u;
}

void sim_clock_advance(struct sim_clock *clock, uint64_t ms)
{
    clock->wall_ms += (int64_t)ms;
    clock->monotonic_ns += ms * 1000000u;
}

void sim_clock_set_wall(struct sim_clock *clock, int64_t now_ms)
{
    clock->wall_ms = now_ms;
}
