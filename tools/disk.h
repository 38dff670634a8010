/* disk.h - how long the disk itself takes to flush, and times in general. */
#ifndef MR_TOOLS_DISK_H
#define MR_TOOLS_DISK_H

#include "millrace.h"

/* Start from {0}. */
struct mr_times {
    uint64_t *times_ns;
    size_t count, capacity;
    bool sorted;
};
void mr_times_add(struct mr_times *times, uint64_t time_ns);
double mr_times_quantile_s(struct mr_times *times, double part); /* count is at least 1 */
void mr_times_fini(struct mr_times *times);

#define MR_DISK_MEASURE_SECONDS 1
/* Writes and syncs 4 KiB at a time, in a file that is written already and past the page cache, as
 * the journal does: one time for each. The file is gone afterwards. */
mr_status mr_disk_measure(struct mr_times *times, const char *directory, mr_error *error);

#endif
