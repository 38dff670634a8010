#include "replay/schedule.h"

/* Below 16 each number has a bucket; above, each power of two has 16. */
static size_t bucket_of(uint64_t ns)
{
    unsigned power;

    if (ns < 16)
        return (size_t)ns;
    power = 63 - (unsigned)__builtin_clzll(ns);
    return (size_t)(power - 3) * 16 + (size_t)(ns >> (power - 4) & 15);
}

/* The largest number of a bucket. */
static uint64_t bucket_end(size_t bucket)
{
    unsigned power = (unsigned)(bucket / 16) + 3;

    if (bucket < 16)
        return bucket;
    return ((uint64_t)(bucket % 16 + 17) << (power - 4)) - 1;
}

void mr_lateness_add(struct mr_lateness *lateness, uint64_t late_ns, uint64_t count)
{
    lateness->count += count;
    lateness->buckets[bucket_of(late_ns)] += count;
    if (late_ns > lateness->most_ns)
        lateness->most_ns = late_ns;
}

uint64_t mr_lateness_quantile_ns(const struct mr_lateness *lateness, double part)
{
    uint64_t wanted = (uint64_t)(part * (double)lateness->count), seen = 0;

    if (wanted >= lateness->count)
        return lateness->most_ns;
    for (size_t i = 0; i < MR_LATENESS_BUCKETS; i++) {
        seen += lateness->buckets[i];
        if (seen > wanted)
            return bucket_end(i) < lateness->most_ns ? bucket_end(i) : lateness->most_ns;
    }
    return lateness->most_ns;
}

uint64_t mr_schedule_due_ns(struct mr_schedule *schedule, int64_t time_ms, uint64_t now_ns)
{
    double behind_ns;

    if (schedule->speed <= 0)
        return now_ns;
    if (!schedule->start_ns) {
        schedule->first_ms = time_ms;
        schedule->start_ns = now_ns > schedule->last_ns ? now_ns : schedule->last_ns;
    }
    behind_ns = ((double)time_ms - (double)schedule->first_ms) * 1e6 / schedule->speed;
    /* Two centuries and more are never. */
    if (behind_ns > 0x1p62)
        behind_ns = 0x1p62;
    if (behind_ns > 0 && schedule->start_ns + (uint64_t)behind_ns > schedule->last_ns)
        schedule->last_ns = schedule->start_ns + (uint64_t)behind_ns;
    if (schedule->last_ns < schedule->start_ns)
        schedule->last_ns = schedule->start_ns;
    return schedule->last_ns;
}

void mr_schedule_restart(struct mr_schedule *schedule)
{
    schedule->start_ns = 0;
}
