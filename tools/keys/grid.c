#include "keys/grid.h"

#include "base/check.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

#define NEAR_COUNT ((size_t)1 << MR_GRID_NEAR_BITS)

/* Where shard index of count equal ones begins, as Kinesis divides. */
static mr_hash_key uniform_start(uint32_t count, uint32_t index)
{
    mr_u128 most = ~(mr_u128)0, width = most / count + (most % count == count - 1);

    return mr_hash_key_narrow(count == 1 ? 0 : width * index);
}

static int compare(const void *a, const void *b)
{
    return mr_hash_key_compare(*(const mr_hash_key *)a, *(const mr_hash_key *)b);
}

static void cut(struct mr_grid *grid, const mr_hash_key *stream_starts, size_t count)
{
    size_t all = MR_GRID_SHARDS_MAX * (MR_GRID_SHARDS_MAX + 1) / 2 + count, used = 0;

    mr_check(count <= MR_GRID_STREAM_SHARDS_MAX);
    grid->starts = mr_alloc(all * sizeof *grid->starts);
    for (uint32_t n = 1; n <= MR_GRID_SHARDS_MAX; n++)
        for (uint32_t i = 0; i < n; i++)
            grid->starts[used++] = uniform_start(n, i);
    for (size_t i = 0; i < count; i++)
        grid->starts[used++] = stream_starts[i];
    qsort(grid->starts, used, sizeof *grid->starts, compare);
    for (size_t i = 0; i < used; i++)
        if (i == 0 || !mr_hash_key_equal(grid->starts[i], grid->starts[grid->cell_count - 1]))
            grid->starts[grid->cell_count++] = grid->starts[i];
}

static size_t find(const struct mr_grid *grid, mr_hash_key start)
{
    const mr_hash_key *found =
        bsearch(&start, grid->starts, grid->cell_count, sizeof start, compare);

    mr_check(found);
    return (size_t)(found - grid->starts);
}

static void divide(struct mr_grid *grid, const mr_hash_key *stream_starts, uint32_t shard_count)
{
    struct mr_division *division = &grid->divisions[grid->division_count++];

    division->shard_count = shard_count;
    division->first_shard = grid->shard_count;
    division->first_cells = mr_alloc((shard_count + 1) * sizeof *division->first_cells);
    division->shard_of = mr_alloc(grid->cell_count * sizeof *division->shard_of);
    for (uint32_t i = 0; i < shard_count; i++)
        division->first_cells[i] =
            (uint16_t)find(grid, stream_starts ? stream_starts[i] : uniform_start(shard_count, i));
    division->first_cells[shard_count] = (uint16_t)grid->cell_count;
    for (uint32_t i = 0; i < shard_count; i++)
        for (size_t c = division->first_cells[i]; c < division->first_cells[i + 1]; c++)
            division->shard_of[c] = (uint16_t)i;
    grid->shard_count += shard_count;
}

static void find_near(struct mr_grid *grid)
{
    size_t cell = 0;

    grid->near = mr_alloc(NEAR_COUNT * sizeof *grid->near);
    grid->start_his = mr_alloc((grid->cell_count + 1) * sizeof *grid->start_his);
    for (size_t c = 0; c < grid->cell_count; c++)
        grid->start_his[c] = grid->starts[c].hi;
    grid->start_his[grid->cell_count] = UINT64_MAX; /* no key is above it */
    for (size_t i = 0; i < NEAR_COUNT; i++) {
        mr_hash_key at = {.hi = (uint64_t)i << (64 - MR_GRID_NEAR_BITS)};
        size_t behind;

        while (cell + 1 < grid->cell_count && !mr_hash_key_below(at, grid->starts[cell + 1]))
            cell++;
        behind = cell + 1;
        while (behind + 1 < grid->cell_count &&
               grid->start_his[behind + 1] == grid->start_his[cell + 1])
            behind++;
        grid->near[i] = (struct mr_grid_near){(uint16_t)cell, (uint16_t)behind};
    }
}

void mr_grid_init(struct mr_grid *grid, const mr_hash_key *stream_starts, size_t count)
{
    *grid = (struct mr_grid){0};
    cut(grid, stream_starts, count);
    find_near(grid);
    for (uint32_t n = 1; n <= MR_GRID_SHARDS_MAX; n++)
        divide(grid, NULL, n);
    if (count)
        divide(grid, stream_starts, (uint32_t)count);
}

void mr_grid_fini(struct mr_grid *grid)
{
    for (size_t i = 0; i < grid->division_count; i++) {
        mr_free(grid->divisions[i].first_cells);
        mr_free(grid->divisions[i].shard_of);
    }
    mr_free(grid->starts);
    mr_free(grid->start_his);
    mr_free(grid->near);
}
