#include "os/clock.h"

#include <time.h>

static int64_t real_wall_ms(struct mr_clock *clock)
{
    struct timespec now;

    (void)clock;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static uint64_t real_monotonic_ns(struct mr_clock *clock)
{
    struct timespec now;

    (void)clock;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

struct mr_clock *mr_clock_real(void)
{
    static struct mr_clock clock = {.wall_ms = real_wall_ms, .monotonic_ns = real_monotonic_ns};
    return &clock;
}
