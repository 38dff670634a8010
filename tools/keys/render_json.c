#include "keys/render.h"

#include "events/events.h"

static void put_real(struct mr_json_line *line, const char *name, double value)
{
    mr_json_name(line, name);
    mr_json_figure(line, value);
}

static void put_count(struct mr_json_line *line, const char *name, uint64_t value)
{
    mr_json_name(line, name);
    mr_json_count(line, value);
}

static void put_text(struct mr_json_line *line, const char *name, const char *text)
{
    mr_json_name(line, name);
    if (text)
        mr_json_text(line, text);
    else
        mr_json_null(line);
}

static void put_band(struct mr_json_line *line, const char *name, struct mr_band band)
{
    mr_json_name(line, name);
    mr_json_open(line, '[');
    mr_json_count(line, band.low);
    mr_json_count(line, band.high);
    mr_json_close(line, ']');
}

static void put_time(struct mr_json_line *line, const char *name, int64_t time_ms)
{
    char text[MR_EVENT_TIME_CHARS];

    mr_event_time_format(time_ms, text);
    mr_json_name(line, name);
    mr_json_string(line, (mr_bytes){text, sizeof text});
}

static void put_key(struct mr_json_line *line, const struct mr_top_key *key)
{
    char text[4 * MR_PARTITION_KEY_BYTES_MAX + 8];

    put_text(line, "key", mr_key_show(key, text, sizeof text));
}

static void put_top(struct mr_json_line *line, const char *name,
                    const struct mr_top_key *const *keys, size_t count, const struct mr_top *top)
{
    mr_json_name(line, name);
    mr_json_open(line, '[');
    for (size_t i = 0; i < count; i++) {
        mr_json_open(line, '{');
        put_key(line, keys[i]);
        put_count(line, "at_most", keys[i]->weight);
        put_count(line, "at_least", keys[i]->weight - keys[i]->error);
        put_real(line, "share", (double)keys[i]->weight / (double)top->sum);
        put_count(line, "peak_per_s", keys[i]->peak);
        mr_json_close(line, '}');
    }
    mr_json_close(line, ']');
}

static void put_outcome(struct mr_json_line *line, const struct mr_scheme_result *scheme,
                        size_t division)
{
    const struct mr_outcome *outcome = &scheme->outcomes[division];

    mr_json_open(line, '{');
    put_count(line, "shards", outcome->shard_count);
    put_band(line, "throttled_records", outcome->records);
    put_band(line, "throttled_bytes", outcome->bytes);
    put_real(line, "throttled_low", outcome->low);
    put_real(line, "throttled_high", outcome->high);
    put_real(line, "busy_p50", outcome->busy.p50);
    put_real(line, "busy_p99", outcome->busy.p99);
    put_real(line, "busy_max", outcome->busy.max);
    put_real(line, "over_part", outcome->busy.over_part);
    put_count(line, "over_seconds", outcome->busy.over_second_count);
    put_real(line, "imbalance", outcome->imbalance);
    put_real(line, "order_lost", outcome->order_lost);
    put_real(line, "dollars_a_month", outcome->dollars_a_month);
    mr_json_close(line, '}');
}

/* Each shard of a division: its load, what it throttles, and how busy it was over time. */
static void put_shards(struct mr_json_line *line, const struct mr_result *result,
                       const struct mr_scheme_result *scheme, size_t division)
{
    const struct mr_division *of = &result->analysis->grid.divisions[division];
    struct mr_timeline timeline = mr_simulation_timeline(scheme->of->simulation);

    mr_json_open(line, '{');
    put_count(line, "shards", of->shard_count);
    mr_json_name(line, "each");
    mr_json_open(line, '[');
    for (size_t i = 0; i < of->shard_count; i++) {
        const uint16_t *busy = timeline.shards + of->first_shard + i;
        mr_hash_key start = result->analysis->grid.starts[of->first_cells[i]];

        mr_json_open(line, '{');
        put_real(line, "from", (double)start.hi * 0x1p-64);
        put_real(line, "share", mr_result_share(scheme, division, i));
        put_band(line, "throttled_records", mr_result_throttled(scheme, division, i));
        mr_json_name(line, "busy");
        mr_json_open(line, '[');
        for (size_t c = 0; c < timeline.column_count; c++)
            mr_json_figure(line, busy[c * timeline.shard_count] / 1000.0);
        mr_json_close(line, ']');
        mr_json_close(line, '}');
    }
    mr_json_close(line, ']');
    mr_json_close(line, '}');
}

/* The divisions whose shards are told one by one: powers of two, what is suggested, the stream. */
static void put_divisions(struct mr_json_line *line, const struct mr_result *result,
                          const struct mr_scheme_result *scheme)
{
    mr_json_name(line, "divisions");
    mr_json_open(line, '[');
    for (size_t n = 1; n <= MR_GRID_SHARDS_MAX; n++)
        if ((n & (n - 1)) == 0 || n == scheme->suggested)
            put_shards(line, result, scheme, n - 1);
    mr_json_close(line, ']');
    mr_json_name(line, "stream");
    if (!result->stream) {
        mr_json_null(line);
        return;
    }
    mr_json_open(line, '{');
    mr_json_name(line, "outcome");
    put_outcome(line, scheme, MR_GRID_STREAM);
    mr_json_name(line, "division");
    put_shards(line, result, scheme, MR_GRID_STREAM);
    mr_json_close(line, '}');
}

/* The ring of hash keys over time. */
static void put_heat(struct mr_json_line *line, const struct mr_scheme_result *scheme)
{
    struct mr_timeline timeline = mr_simulation_timeline(scheme->of->simulation);

    mr_json_name(line, "heat");
    mr_json_open(line, '[');
    for (size_t c = 0; c < timeline.column_count; c++) {
        mr_json_open(line, '[');
        for (size_t r = 0; r < MR_TIMELINE_ROWS; r++)
            mr_json_figure(line, (double)timeline.rows[c][r]);
        mr_json_close(line, ']');
    }
    mr_json_close(line, ']');
    put_count(line, "column_s", timeline.column_s);
}

static void put_hottest(struct mr_json_line *line, const struct mr_hottest *hottest)
{
    mr_json_name(line, "hottest");
    if (!hottest->key) {
        mr_json_null(line);
        return;
    }
    mr_json_open(line, '{');
    put_key(line, hottest->key);
    put_text(line, "by", hottest->by_bytes ? "bytes" : "records");
    put_real(line, "share", hottest->share);
    put_real(line, "peak_of_a_shard", hottest->peak);
    put_count(line, "salt_into", hottest->parts);
    mr_json_close(line, '}');
}

static void put_scheme(struct mr_json_line *line, const struct mr_result *result,
                       const struct mr_scheme_result *scheme)
{
    mr_json_open(line, '{');
    put_text(line, "key", scheme->of->scheme.text);
    put_count(line, "salt", scheme->of->scheme.salt);
    put_real(line, "keys", scheme->key_count);
    put_real(line, "keys_error", scheme->key_count_is_exact ? 0 : MR_DISTINCT_ERROR);
    put_real(line, "effective_keys", scheme->evenness.effective_keys);
    put_real(line, "gini", scheme->evenness.gini);
    put_text(line, "bound_by", scheme->by_bytes ? "bytes" : "records");
    put_count(line, "shards_needed", scheme->needed);
    put_count(line, "shards_suggested", scheme->suggested);
    put_real(line, "dollars_on_demand", scheme->dollars_on_demand);
    put_hottest(line, &scheme->hottest);
    put_top(line, "top_by_records", scheme->top_records, scheme->top_record_count,
            &scheme->of->top_records);
    put_top(line, "top_by_bytes", scheme->top_bytes, scheme->top_byte_count,
            &scheme->of->top_bytes);
    mr_json_name(line, "lorenz");
    mr_json_open(line, '[');
    for (size_t i = 0; i < MR_LORENZ_POINTS; i++)
        mr_json_figure(line, scheme->evenness.lorenz[i]);
    mr_json_close(line, ']');
    mr_json_name(line, "outcomes");
    mr_json_open(line, '[');
    for (size_t d = 0; d < MR_GRID_SHARDS_MAX; d++)
        put_outcome(line, scheme, d);
    mr_json_close(line, ']');
    put_divisions(line, result, scheme);
    put_heat(line, scheme);
    mr_json_close(line, '}');
}

static void put_input(struct mr_json_line *line, const struct mr_result *result)
{
    const struct mr_analysis *analysis = result->analysis;
    const struct mr_simulation *simulation = analysis->schemes[0].simulation;

    put_text(line, "source", result->source);
    put_text(line, "stream", result->stream);
    put_count(line, "records", mr_simulation_total(simulation).record_count);
    put_count(line, "bytes", mr_simulation_total(simulation).bytes);
    put_count(line, "seconds", result->seconds);
    put_real(line, "speed", analysis->config.speed);
    if (analysis->has_times) {
        put_time(line, "first_time", analysis->first_ms);
        put_time(line, "last_time", analysis->last_ms);
    }
    put_count(line, "lines", result->line_count);
    put_count(line, "rejected", result->rejected_count);
    put_count(line, "skipped", result->skipped_count);
    put_count(line, "backwards", result->backward_count);
    put_count(line, "peak_records_per_s", mr_simulation_peak(simulation).record_count);
    put_count(line, "peak_bytes_per_s", mr_simulation_peak(simulation).bytes);
    put_count(line, "shard_records_per_s", analysis->config.limits.write_records_per_s);
    put_count(line, "shard_bytes_per_s", analysis->config.limits.write_bytes_per_s);
    put_real(line, "throttled_max", result->throttled_max);
    put_text(line, "prices_date", mr_prices_date());
    put_text(line, "prices_region", mr_prices_region());
    put_text(line, "prices_source", mr_prices_source());
}

void mr_result_json(struct mr_json_line *line, const struct mr_result *result)
{
    mr_json_open(line, '{');
    mr_json_name(line, "verdict");
    mr_json_open(line, '[');
    for (size_t i = 0; i < result->sentence_count; i++)
        mr_json_text(line, result->verdict[i]);
    mr_json_close(line, ']');
    put_text(line, "best", result->schemes[result->best].of->scheme.text);
    put_input(line, result);
    mr_json_name(line, "schemes");
    mr_json_open(line, '[');
    for (size_t i = 0; i < result->scheme_count; i++)
        put_scheme(line, result, &result->schemes[i]);
    mr_json_close(line, ']');
    mr_json_close(line, '}');
}
