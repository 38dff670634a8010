/* simulation.h - a simulation's inside: simulate.c fills it, simulation.c is asked. */
#ifndef MR_TOOLS_KEYS_SIMULATION_H
#define MR_TOOLS_KEYS_SIMULATION_H

#include "keys/bins.h"
#include "keys/limiter.h"
#include "keys/timeline.h"

#define TAILS 3 /* the last quarter, half and three quarters of a second */

/* Records of one second, in order. */
struct held {
    uint64_t second;
    size_t count;
    uint16_t *cells;
    uint32_t *bytes, *at_ns;
    uint64_t *worth_ns; /* of the bytes, of the first worth_count records */
    size_t worth_count;
};

struct shard {
    uint64_t second; /* its last with records, and what came in it */
    uint64_t bytes;
    uint32_t record_count;
    bool is_followed;
};

struct division {
    struct shard *shards;
    struct mr_limiter *limiters; /* of the shards, while they are followed */
    uint32_t *bins;
    uint64_t over_count, over_second_count;
    float max;
    bool is_over;       /* in this second */
    uint32_t *followed; /* shards */
    size_t followed_count;
};

struct mr_simulation {
    const struct mr_grid *grid;
    struct mr_limits limits;
    float per_record, per_byte; /* parts of a second's limits */
    uint64_t record_ns;         /* until a record's worth has come in */
    struct mr_bucket_rate byte_rate;

    uint64_t newest_ns, second; /* the one under way */
    bool is_crowded;            /* it has more records than are held: all shards are followed */
    struct held held, before;   /* of this second; of the last that had records */
    struct mr_load in_second, total, peak;
    struct mr_load *now;          /* of each cell, in this second */
    struct mr_load *cells;        /* in all */
    struct mr_load *sums;         /* in this second, over the cells before each */
    uint32_t *picked;             /* room for the places of one shard's records */
    struct mr_load *tails[TAILS]; /* of the second before: see find_tails() */
    uint64_t tails_second;

    struct shard *shards; /* of all divisions */
    struct mr_limiter *limiters;
    struct division divisions[MR_GRID_DIVISIONS_MAX];
    uint32_t *stream_bins; /* [shard][MR_BIN_COUNT], of the stream's division */
    struct mr_timeline_columns timeline;
    size_t column;
};

#endif
