/*
 * simulate.h - what AWS would do with a sequence of records, for every division of a grid at once.
 *
 * A shard takes 1,000 records and 1 MiB a second. AWS does not say how it measures that second, so
 * two models bound it: a bucket that holds one second's worth and fills steadily (what `serve` does),
 * and a window that starts anew with each second of the clock. Both are followed record by record,
 * but only where that can matter: a shard that got at most what a bucket holds in two seconds
 * together has refused nothing and forgotten all before them. A refused record is gone: nobody
 * retries here.
 */
#ifndef MR_TOOLS_KEYS_SIMULATE_H
#define MR_TOOLS_KEYS_SIMULATE_H

#include "keys/grid.h"

enum mr_model { MR_MODEL_BUCKET, MR_MODEL_WINDOW, MR_MODEL_COUNT };

struct mr_throttled {
    uint64_t record_count, bytes;
};

struct mr_load {
    uint64_t record_count, bytes;
};

/* How busy the shards of a division were: each shard's each second is one sample, 1 is the limit. */
struct mr_busy {
    double p50, p99, max;
    double over_part;           /* samples over the limit, of all */
    uint64_t over_second_count; /* seconds in which at least one shard was over it */
};

#define MR_TIMELINE_COLUMNS 256 /* at most; each is a power of two of seconds wide */
#define MR_TIMELINE_ROWS 64     /* of the hash space */

struct mr_simulation;

/* limits must not be 0. */
struct mr_simulation *mr_simulation_new(const struct mr_grid *grid, const struct mr_limits *limits);
void mr_simulation_free(struct mr_simulation *simulation);

/* A record at time_ns since some start; one before an earlier one counts as at that one's time. */
void mr_simulation_add(struct mr_simulation *simulation, uint64_t time_ns, uint16_t cell,
                       uint32_t bytes);
void mr_simulation_add_batch(struct mr_simulation *simulation, size_t count,
                             const uint64_t *times_ns, const uint16_t *cells,
                             const uint32_t *bytes);
/* After the last one, before the questions below. */
void mr_simulation_end(struct mr_simulation *simulation);

uint64_t mr_simulation_seconds(const struct mr_simulation *simulation); /* from start to end */
struct mr_load mr_simulation_total(const struct mr_simulation *simulation);
/* The busiest second of all shards together. */
struct mr_load mr_simulation_peak(const struct mr_simulation *simulation);

/* Of one shard of a division. */
struct mr_load mr_simulation_load(const struct mr_simulation *simulation, size_t division,
                                  size_t shard);
struct mr_throttled mr_simulation_throttled(const struct mr_simulation *simulation, size_t division,
                                            size_t shard, enum mr_model model);
/* Its second at the given part (0.99) of all seconds; of the stream's division only. */
double mr_simulation_shard_busy(const struct mr_simulation *simulation, size_t shard, double part);

/* Of all shards of a division. */
struct mr_throttled mr_simulation_throttled_sum(const struct mr_simulation *simulation,
                                                size_t division, enum mr_model model);
struct mr_busy mr_simulation_busy(const struct mr_simulation *simulation, size_t division);

/* Over time: columns of so many seconds. Of the space's rows, bytes and records as parts of what one
 * shard takes in a second, summed; of a shard, its busiest second in thousandths of the limit. */
struct mr_timeline {
    size_t column_count;
    uint64_t column_s;
    float (*rows)[MR_TIMELINE_ROWS];
    const uint16_t *shards; /* [column][shard of all divisions] */
    size_t shard_count;
};
struct mr_timeline mr_simulation_timeline(const struct mr_simulation *simulation);

#endif
