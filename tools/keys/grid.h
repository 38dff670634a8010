/*
 * grid.h - the hash space cut at every border that matters, so that one record is counted once for
 * all divisions.
 *
 * A division is a way to cut the space into shards: 1 to 64 equal ones, and those of a stream. Its
 * borders together cut the space into about two thousand cells; a shard of any division is a row of
 * neighbouring cells. A record is counted in its cell, and what each shard of each division got is a
 * difference of two prefix sums.
 */
#ifndef MR_TOOLS_KEYS_GRID_H
#define MR_TOOLS_KEYS_GRID_H

#include "base/u128.h"

#define MR_GRID_SHARDS_MAX 64
#define MR_GRID_STREAM MR_GRID_SHARDS_MAX /* the index of the stream's division */
#define MR_GRID_DIVISIONS_MAX (MR_GRID_SHARDS_MAX + 1)
#define MR_GRID_STREAM_SHARDS_MAX 20000
#define MR_GRID_NEAR_BITS 13 /* so fine that few parts of the space have a border inside */

struct mr_division {
    uint32_t shard_count;
    uint32_t first_shard;  /* in the shards of all divisions, one behind the other */
    uint16_t *first_cells; /* of each shard, and the end */
    uint16_t *shard_of;    /* each cell's shard */
};

/* The cell in which a part begins, and the one behind its first border: the borders of 1/2, 2/4, 3/6
 * and so on differ by a few, so that is behind all with the same upper half. */
struct mr_grid_near {
    uint16_t first, behind;
};

struct mr_grid {
    size_t cell_count;
    mr_hash_key *starts;       /* of the cells */
    uint64_t *start_his;       /* their upper halves */
    struct mr_grid_near *near; /* of each 1 / 2^MR_GRID_NEAR_BITS of the space */
    size_t
        division_count; /* division i has i + 1 equal shards; the one behind them is the stream's */
    uint32_t shard_count; /* of all divisions */
    struct mr_division divisions[MR_GRID_DIVISIONS_MAX];
};

/* stream_starts: where the open shards of a stream begin, in order; count 0: there is no stream.
 * Release with mr_grid_fini(). */
void mr_grid_init(struct mr_grid *grid, const mr_hash_key *stream_starts, size_t count);
void mr_grid_fini(struct mr_grid *grid);

/* On which side of a border a key is cannot be foreseen: no branch for the first one. */
static inline uint16_t mr_grid_cell(const struct mr_grid *grid, mr_hash_key key)
{
    struct mr_grid_near near = grid->near[key.hi >> (64 - MR_GRID_NEAR_BITS)];
    size_t cell = key.hi > grid->start_his[near.first + 1] ? near.behind : near.first;

    while (cell + 1 < grid->cell_count && key.hi >= grid->start_his[cell + 1] &&
           !mr_hash_key_below(key, grid->starts[cell + 1]))
        cell++;
    return (uint16_t)cell;
}

#endif
