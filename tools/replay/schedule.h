/* schedule.h - when recorded moments are due again, and how well that is kept. */
#ifndef MR_TOOLS_REPLAY_SCHEDULE_H
#define MR_TOOLS_REPLAY_SCHEDULE_H

#include <stddef.h>
#include <stdint.h>

/* How late records were: buckets of 1/16 of their size. Start from {0}. */
#define MR_LATENESS_BUCKETS (64 * 16)
struct mr_lateness {
    uint64_t count, most_ns;
    uint64_t buckets[MR_LATENESS_BUCKETS];
};
void mr_lateness_add(struct mr_lateness *lateness, uint64_t late_ns, uint64_t count);
/* At most 1/16 above the truth; part is 0..1. 0 when nothing was added. */
uint64_t mr_lateness_quantile_ns(const struct mr_lateness *lateness, double part);

/* Start from MR_SCHEDULE(speed): 1 is as recorded, 10 ten times as fast, 0 all at once. */
struct mr_schedule {
    double speed;
    int64_t first_ms;           /* the recorded time that start_ns stands for */
    uint64_t start_ns, last_ns; /* monotonic; start 0: not begun */
};
#define MR_SCHEDULE(factor) ((struct mr_schedule){.speed = (factor)})

/*
 * When a record is due that was recorded at time_ms: the first of all at once, the others as far
 * behind it as they were, by the speed. A time before an earlier one is due with that one, so what
 * this returns never falls.
 */
uint64_t mr_schedule_due_ns(struct mr_schedule *schedule, int64_t time_ms, uint64_t now_ns);

/* The next record begins anew, behind all before: for a recording played again and again. */
void mr_schedule_restart(struct mr_schedule *schedule);

#endif
