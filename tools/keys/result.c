#include "keys/result.h"

#include "base/json.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Enough where none do: what throttles at most so much more, of what all shards would save. */
#define KNEE 0.05

static double load_of(const struct mr_scheme_result *scheme, struct mr_load load)
{
    return (double)(scheme->by_bytes ? load.bytes : load.record_count);
}

static struct mr_band band(uint64_t a, uint64_t b)
{
    return a < b ? (struct mr_band){a, b} : (struct mr_band){b, a};
}

struct mr_band mr_result_throttled(const struct mr_scheme_result *scheme, size_t division,
                                   size_t shard)
{
    const struct mr_simulation *simulation = scheme->of->simulation;

    return band(mr_simulation_throttled(simulation, division, shard, MR_MODEL_BUCKET).record_count,
                mr_simulation_throttled(simulation, division, shard, MR_MODEL_WINDOW).record_count);
}

double mr_result_share(const struct mr_scheme_result *scheme, size_t division, size_t shard)
{
    const struct mr_simulation *simulation = scheme->of->simulation;
    double all = load_of(scheme, mr_simulation_total(simulation));

    return all > 0 ? load_of(scheme, mr_simulation_load(simulation, division, shard)) / all : 0;
}

static struct mr_outcome outcome_of(const struct mr_result *result,
                                    const struct mr_scheme_result *scheme, size_t division)
{
    const struct mr_simulation *simulation = scheme->of->simulation;
    struct mr_throttled bucket = mr_simulation_throttled_sum(simulation, division, MR_MODEL_BUCKET);
    struct mr_throttled window = mr_simulation_throttled_sum(simulation, division, MR_MODEL_WINDOW);
    uint32_t shard_count = result->analysis->grid.divisions[division].shard_count;
    double all = (double)mr_simulation_total(simulation).record_count, most = 0;
    double seconds = (double)result->seconds;
    struct mr_traffic traffic = result->plans;
    struct mr_outcome outcome = {
        .shard_count = shard_count,
        .records = band(bucket.record_count, window.record_count),
        .bytes = band(bucket.bytes, window.bytes),
        .busy = mr_simulation_busy(simulation, division),
        .order_lost = mr_order_lost(scheme->of->order, division),
    };

    for (size_t i = 0; i < shard_count; i++)
        most = fmax(most, mr_result_share(scheme, division, i));
    outcome.imbalance = most * shard_count;
    if (all > 0) {
        outcome.low = (double)outcome.records.low / all;
        outcome.high = (double)outcome.records.high / all;
    }
    traffic.put_units_per_s = (double)scheme->of->put_units / seconds;
    traffic.bytes_per_s = (double)mr_simulation_total(simulation).bytes / seconds;
    traffic.rounded_bytes_per_s = (double)scheme->of->rounded_bytes / seconds;
    outcome.dollars_a_month = mr_cost_provisioned(&traffic, shard_count);
    return outcome;
}

static struct mr_hottest hottest_of(const struct mr_result *result,
                                    const struct mr_scheme_result *scheme)
{
    const struct mr_limits *limits = &result->analysis->config.limits;
    const struct mr_top *tops[] = {&scheme->of->top_records, &scheme->of->top_bytes};
    const double per_s[] = {limits->write_records_per_s, limits->write_bytes_per_s};
    struct mr_hottest hottest = {.parts = 1};

    for (int by_bytes = 0; by_bytes < 2; by_bytes++)
        for (size_t i = 0; i < tops[by_bytes]->count; i++) {
            const struct mr_top_key *key = &tops[by_bytes]->keys[i];
            double peak = (double)key->peak / per_s[by_bytes];

            if (peak > hottest.peak)
                hottest = (struct mr_hottest){
                    .key = key,
                    .by_bytes = by_bytes,
                    .peak = peak,
                    .share = (double)(key->weight - key->error) / (double)tops[by_bytes]->sum,
                    .parts = (uint32_t)fmax(1, ceil(peak)),
                };
        }
    return hottest;
}

/* The fewest shards that keep the budget; and where the curve has its knee if none do. */
static void find_shards(const struct mr_result *result, struct mr_scheme_result *scheme)
{
    const struct mr_outcome *outcomes = scheme->outcomes;
    double most = outcomes[0].high, least = outcomes[MR_GRID_SHARDS_MAX - 1].high;

    scheme->needed = 0;
    for (uint32_t n = MR_GRID_SHARDS_MAX; n > 0 && outcomes[n - 1].high <= result->throttled_max;
         n--)
        scheme->needed = n; /* and none of those above it throttles more */
    scheme->suggested = scheme->needed;
    for (uint32_t n = 1; !scheme->suggested; n++)
        if (n == MR_GRID_SHARDS_MAX || outcomes[n - 1].high - least <= KNEE * (most - least))
            scheme->suggested = n;
}

static void make_scheme(const struct mr_result *result, struct mr_scheme_result *scheme)
{
    const struct mr_scheme_analysis *of = scheme->of;
    const struct mr_limits *limits = &result->analysis->config.limits;
    struct mr_load total = mr_simulation_total(of->simulation);
    struct mr_traffic traffic = result->plans;
    double seconds = (double)result->seconds;

    scheme->by_bytes = (double)total.bytes / limits->write_bytes_per_s >
                       (double)total.record_count / limits->write_records_per_s;
    scheme->key_count_is_exact = of->spread.level == 0;
    scheme->key_count =
        scheme->key_count_is_exact ? (double)of->spread.count : mr_distinct_count(of->distinct);
    mr_spread_measure(&of->spread, scheme->by_bytes ? &of->top_bytes : &of->top_records,
                      scheme->by_bytes, scheme->key_count, &scheme->evenness);
    scheme->top_record_count = mr_top_list(&of->top_records, scheme->top_records, MR_TOP_SHOWN);
    scheme->top_byte_count = mr_top_list(&of->top_bytes, scheme->top_bytes, MR_TOP_SHOWN);
    scheme->hottest = hottest_of(result, scheme);
    for (size_t d = 0; d < result->outcome_count; d++)
        scheme->outcomes[d] = outcome_of(result, scheme, d);
    find_shards(result, scheme);
    traffic.bytes_per_s = (double)total.bytes / seconds;
    traffic.rounded_bytes_per_s = (double)of->rounded_bytes / seconds;
    scheme->dollars_on_demand = mr_cost_on_demand(&traffic);
}

/* Is a to be taken before b? The budget first, then the fewer shards, then order, then evenness. */
static bool is_better(const struct mr_scheme_result *a, const struct mr_scheme_result *b)
{
    const struct mr_outcome *x = &a->outcomes[a->suggested - 1],
                            *y = &b->outcomes[b->suggested - 1];

    if (!a->needed != !b->needed)
        return a->needed > 0;
    if (!a->needed)
        return a->outcomes[MR_GRID_SHARDS_MAX - 1].high < b->outcomes[MR_GRID_SHARDS_MAX - 1].high;
    if (a->suggested != b->suggested)
        return a->suggested < b->suggested;
    if ((a->of->order != NULL) != (b->of->order != NULL))
        return b->of->order != NULL;
    return x->busy.max < y->busy.max;
}

void mr_result_make(struct mr_result *result)
{
    const struct mr_analysis *analysis = result->analysis;

    result->arena = MR_ARENA((size_t)1 << 20);
    result->scheme_count = analysis->scheme_count;
    result->outcome_count = analysis->grid.division_count;
    result->seconds = mr_simulation_seconds(analysis->schemes[0].simulation);
    for (size_t i = 0; i < result->scheme_count; i++) {
        result->schemes[i].of = &analysis->schemes[i];
        make_scheme(result, &result->schemes[i]);
        if (is_better(&result->schemes[i], &result->schemes[result->best]))
            result->best = i;
    }
    mr_result_judge(result);
}

void mr_result_fini(struct mr_result *result)
{
    mr_arena_fini(&result->arena);
}

bool mr_result_keeps_budget(const struct mr_result *result)
{
    const struct mr_scheme_result *best = &result->schemes[result->best];

    return result->stream ? best->outcomes[MR_GRID_STREAM].high <= result->throttled_max
                          : best->needed > 0;
}

const char *mr_key_show(const struct mr_top_key *key, char *text, size_t capacity)
{
    bool is_text = mr_utf8_is_valid((mr_bytes){key->text, key->text_bytes});
    size_t used = 0;

    for (size_t i = 0; i < key->text_bytes && used + 5 < capacity; i++) {
        uint8_t byte = key->text[i];

        if (byte < 0x20 || byte == 0x7f || (byte >= 0x80 && !is_text))
            used += (size_t)snprintf(text + used, capacity - used, "\\x%02x", byte);
        else
            text[used++] = (char)byte;
    }
    text[used] = 0;
    return text;
}
