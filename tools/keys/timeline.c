#include "keys/timeline.h"

#include "base/memory.h"

#include <string.h>

void mr_timeline_init(struct mr_timeline_columns *timeline, size_t shard_count)
{
    *timeline = (struct mr_timeline_columns){.shard_count = shard_count};
    timeline->rows = mr_alloc_zero(TIMELINE_STRIDE, sizeof *timeline->rows);
    timeline->shards = mr_alloc_zero(shard_count * TIMELINE_STRIDE, sizeof *timeline->shards);
}

void mr_timeline_fini(struct mr_timeline_columns *timeline)
{
    mr_free(timeline->rows);
    mr_free(timeline->shards);
}

static void halve(struct mr_timeline_columns *timeline)
{
    size_t half = TIMELINE_STRIDE / 2;

    for (size_t c = 0; c < half; c++)
        for (size_t r = 0; r < MR_TIMELINE_ROWS; r++)
            timeline->rows[c][r] = timeline->rows[2 * c][r] + timeline->rows[2 * c + 1][r];
    memset(timeline->rows + half, 0, half * sizeof *timeline->rows);
    for (size_t c = 0; c < half; c++)
        for (size_t s = 0; s < timeline->shard_count; s++) {
            uint16_t a = timeline->shards[2 * c * timeline->shard_count + s];
            uint16_t b = timeline->shards[(2 * c + 1) * timeline->shard_count + s];

            timeline->shards[c * timeline->shard_count + s] = a > b ? a : b;
        }
    memset(timeline->shards + half * timeline->shard_count, 0,
           half * timeline->shard_count * sizeof *timeline->shards);
    timeline->shift++;
}

size_t mr_timeline_column(struct mr_timeline_columns *timeline, uint64_t second)
{
    while (second >> timeline->shift >= TIMELINE_STRIDE)
        halve(timeline);
    timeline->column_count = (size_t)(second >> timeline->shift) + 1;
    return timeline->column_count - 1;
}
