#include "os/warp.h"

/* How far it is ahead of the real clock, whatever is done to that meanwhile. */
static int64_t ahead_ns(struct mr_warp *warp)
{
    struct mr_clock *real = mr_clock_real();
    uint64_t passed_ns = real->monotonic_ns(real) - warp->since_ns;

    return (int64_t)(passed_ns * (warp->clock.rate - 1)) + atomic_load(&warp->jumped_ms) * 1000000;
}

static int64_t wall_ms(struct mr_clock *clock)
{
    struct mr_clock *real = mr_clock_real();

    return real->wall_ms(real) + ahead_ns((struct mr_warp *)(void *)clock) / 1000000;
}

static uint64_t monotonic_ns(struct mr_clock *clock)
{
    struct mr_clock *real = mr_clock_real();

    return real->monotonic_ns(real) + (uint64_t)ahead_ns((struct mr_warp *)(void *)clock);
}

void mr_warp_init(struct mr_warp *warp, uint32_t rate)
{
    struct mr_clock *real = mr_clock_real();

    warp->clock = (struct mr_clock){wall_ms, monotonic_ns, rate};
    warp->since_ns = real->monotonic_ns(real);
    atomic_init(&warp->jumped_ms, 0);
}

bool mr_warp_jump(struct mr_warp *warp, int64_t ms)
{
    int64_t before = atomic_load(&warp->jumped_ms);

    do
        if (ms < 0 || ms > MR_WARP_JUMPS_MS_MAX - before)
            return false;
    while (!atomic_compare_exchange_weak(&warp->jumped_ms, &before, before + ms));
    return true;
}
