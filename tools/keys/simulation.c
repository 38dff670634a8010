/* What a simulation is asked when it has ended. */
#include "keys/simulation.h"

#include <math.h>

uint64_t mr_simulation_seconds(const struct mr_simulation *simulation)
{
    return simulation->newest_ns / MR_LIMITER_SECOND_NS + 1;
}

struct mr_load mr_simulation_total(const struct mr_simulation *simulation)
{
    return simulation->total;
}

struct mr_load mr_simulation_peak(const struct mr_simulation *simulation)
{
    return simulation->peak;
}

struct mr_load mr_simulation_load(const struct mr_simulation *simulation, size_t division,
                                  size_t shard)
{
    const uint16_t *first_cells = simulation->grid->divisions[division].first_cells;
    struct mr_load load = {0};

    for (size_t c = first_cells[shard]; c < first_cells[shard + 1]; c++) {
        load.record_count += simulation->cells[c].record_count;
        load.bytes += simulation->cells[c].bytes;
    }
    return load;
}

struct mr_throttled mr_simulation_throttled(const struct mr_simulation *simulation, size_t division,
                                            size_t shard, enum mr_model model)
{
    return simulation->divisions[division].limiters[shard].throttled[model];
}

struct mr_throttled mr_simulation_throttled_sum(const struct mr_simulation *simulation,
                                                size_t division, enum mr_model model)
{
    struct mr_throttled sum = {0};

    for (size_t i = 0; i < simulation->grid->divisions[division].shard_count; i++) {
        struct mr_throttled one = mr_simulation_throttled(simulation, division, i, model);

        sum.record_count += one.record_count;
        sum.bytes += one.bytes;
    }
    return sum;
}

double mr_simulation_shard_busy(const struct mr_simulation *simulation, size_t shard, double part)
{
    return mr_bins_quantile(simulation->stream_bins + shard * MR_BIN_COUNT,
                            mr_simulation_seconds(simulation), part);
}

struct mr_busy mr_simulation_busy(const struct mr_simulation *simulation, size_t division)
{
    const struct division *own = &simulation->divisions[division];
    uint64_t sample_count =
        mr_simulation_seconds(simulation) * simulation->grid->divisions[division].shard_count;

    return (struct mr_busy){
        .p50 = fmin(mr_bins_quantile(own->bins, sample_count, 0.5), (double)own->max),
        .p99 = fmin(mr_bins_quantile(own->bins, sample_count, 0.99),
                    (double)own->max), /* bins are 3 % wide */
        .max = (double)own->max,
        .over_part = (double)own->over_count / (double)sample_count,
        .over_second_count = own->over_second_count};
}

struct mr_timeline mr_simulation_timeline(const struct mr_simulation *simulation)
{
    const struct mr_timeline_columns *columns = &simulation->timeline;

    return (struct mr_timeline){.column_count = columns->column_count,
                                .column_s = UINT64_C(1) << columns->shift,
                                .rows = columns->rows,
                                .shards = columns->shards,
                                .shard_count = columns->shard_count};
}
