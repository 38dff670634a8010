/* timeline.h - figures over time in a bounded number of columns: when they are full, neighbours
 * become one. */
#ifndef MR_TOOLS_KEYS_TIMELINE_H
#define MR_TOOLS_KEYS_TIMELINE_H

#include "keys/simulate.h"

#define TIMELINE_STRIDE (2 * MR_TIMELINE_COLUMNS)

struct mr_timeline_columns {
    float (*rows)[MR_TIMELINE_ROWS]; /* [TIMELINE_STRIDE] */
    uint16_t *shards;                /* [TIMELINE_STRIDE][shard_count] */
    size_t shard_count;
    unsigned shift; /* a column is 2^shift seconds */
    size_t column_count;
};

void mr_timeline_init(struct mr_timeline_columns *timeline, size_t shard_count);
void mr_timeline_fini(struct mr_timeline_columns *timeline);

/* The column of a second; makes room for it. */
size_t mr_timeline_column(struct mr_timeline_columns *timeline, uint64_t second);

static inline void mr_timeline_shard(struct mr_timeline_columns *timeline, size_t column,
                                     size_t shard, float busy)
{
    uint16_t *place = &timeline->shards[column * timeline->shard_count + shard];
    uint16_t value = busy >= 65.0f ? 65000 : (uint16_t)(busy * 1000.0f + 0.999f);

    if (value > *place)
        *place = value;
}

#endif
