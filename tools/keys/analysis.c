#include "keys/analysis.h"

#include "base/check.h"
#include "base/fail.h"
#include "base/md5.h"
#include "base/memory.h"
#include "base/utf8.h"
#include "keys/limiter.h"

#include <stdio.h>
#include <xxhash.h>

#define PUT_UNIT_BYTES (25u << 10)
#define SPAN_MS_MAX INT64_C(9000000000000) /* 285 years: what fits as nanoseconds */

struct mr_analysis *mr_analysis_new(const struct mr_analysis_config *config,
                                    const struct mr_scheme *schemes, size_t scheme_count)
{
    struct mr_analysis *made = mr_new(struct mr_analysis);

    mr_check(scheme_count <= MR_ANALYSIS_SCHEMES_MAX);
    made->config = *config;
    made->scheme_count = scheme_count;
    mr_grid_init(&made->grid, config->stream_starts, config->stream_shard_count);
    for (size_t i = 0; i < scheme_count; i++) {
        struct mr_scheme_analysis *scheme = &made->schemes[i];

        scheme->scheme = schemes[i];
        scheme->simulation = mr_simulation_new(&made->grid, &config->limits);
        mr_top_init(&scheme->top_records, MR_ANALYSIS_TOP);
        mr_top_init(&scheme->top_bytes, MR_ANALYSIS_TOP);
        scheme->distinct = mr_new(struct mr_distinct);
        scheme->order = schemes[i].salt > 1 ? mr_new(struct mr_order) : NULL;
        scheme->random = mr_random_of(1); /* the same answer each time */
        if (config->by_hash)
            scheme->hash_parts = mr_alloc_zero(MR_HASH_PARTS, sizeof *scheme->hash_parts);
    }
    return made;
}

void mr_analysis_free(struct mr_analysis *analysis)
{
    if (!analysis)
        return;
    for (size_t i = 0; i < analysis->scheme_count; i++) {
        struct mr_scheme_analysis *scheme = &analysis->schemes[i];

        mr_simulation_free(scheme->simulation);
        mr_top_fini(&scheme->top_records);
        mr_top_fini(&scheme->top_bytes);
        mr_spread_fini(&scheme->spread);
        mr_free(scheme->distinct);
        mr_free(scheme->order);
        mr_free(scheme->hash_parts);
    }
    mr_grid_fini(&analysis->grid);
    mr_free(analysis->scratch);
    mr_free(analysis);
}

/* ---- a batch -------------------------------------------------------------------------------- */

/* One scheme's keys of a batch. */
struct batch {
    mr_bytes keys[MR_ANALYSIS_BATCH];
    mr_hash_key ids[MR_ANALYSIS_BATCH];
    size_t base_bytes[MR_ANALYSIS_BATCH];
    uint64_t times_ns[MR_ANALYSIS_BATCH], seconds[MR_ANALYSIS_BATCH];
    uint32_t bytes[MR_ANALYSIS_BATCH], ones[MR_ANALYSIS_BATCH];
};

static const char *why_not(mr_bytes key, bool is_placed)
{
    size_t chars;

    if (key.size == 0)
        return is_placed ? NULL : "the key is empty";
    chars = mr_utf8_chars(key);
    return chars == SIZE_MAX                    ? "the key is not UTF-8"
           : chars > MR_PARTITION_KEY_CHARS_MAX ? "the key has more than 256 characters"
                                                : NULL;
}

static bool is_recorded_key(const struct mr_analysis *analysis, const struct mr_scheme *scheme)
{
    return mr_scheme_is_plain(scheme) && scheme->parts[0].field == analysis->config.recorded_field;
}

/* Is the event good for every scheme? All of them must see the same events. */
static const char *check(struct mr_analysis *analysis, const struct mr_event *event)
{
    for (size_t i = 0; i < analysis->scheme_count; i++) {
        const struct mr_scheme *scheme = &analysis->schemes[i].scheme;
        const char *why = NULL;

        if (is_recorded_key(analysis, scheme)) {
            continue; /* who read it has looked */
        } else if (mr_scheme_is_plain(scheme)) {
            why = why_not(event->fields[scheme->parts[0].field], event->has_hash_key);
        } else if (mr_scheme_bytes(scheme, event) > MR_PARTITION_KEY_CHARS_MAX) {
            struct mr_random random = {{0, 0, 0, 1}};
            size_t base_bytes;

            mr_scratch(&analysis->scratch, &analysis->scratch_capacity,
                       mr_scheme_bytes(scheme, event));
            why = why_not(mr_scheme_key(scheme, event, &random, analysis->scratch, &base_bytes),
                          false);
        }
        if (why)
            return why;
    }
    return NULL;
}

static bool place_in_time(struct mr_analysis *analysis, const struct mr_event *event,
                          uint64_t *time_ns)
{
    int64_t past_ms;

    if (event->time_ms == MR_EVENT_NO_TIME) {
        if (!(analysis->config.rate > 0))
            return false;
        *time_ns = (uint64_t)((double)analysis->event_count * 1e9 / analysis->config.rate);
        return true;
    }
    if (!analysis->has_times) {
        int64_t into_second_ms = (event->time_ms % 1000 + 1000) % 1000;

        analysis->has_times = true;
        analysis->first_ms = analysis->last_ms = event->time_ms;
        analysis->base_ms = event->time_ms - into_second_ms;
    }
    if (event->time_ms > analysis->last_ms)
        analysis->last_ms = event->time_ms;
    past_ms = event->time_ms - analysis->base_ms;
    past_ms = past_ms < 0 ? 0 : past_ms > SPAN_MS_MAX ? SPAN_MS_MAX : past_ms;
    *time_ns = analysis->config.speed == 1
                   ? (uint64_t)past_ms * 1000000
                   : (uint64_t)((double)past_ms * 1e6 / analysis->config.speed);
    return true;
}

static void make_keys(struct mr_analysis *analysis, struct mr_scheme_analysis *own,
                      const struct mr_event *const *events, size_t count, struct batch *batch)
{
    const struct mr_scheme *scheme = &own->scheme;
    size_t bytes = 0;

    if (mr_scheme_is_plain(scheme)) {
        for (size_t i = 0; i < count; i++)
            batch->keys[i] = events[i]->fields[scheme->parts[0].field];
    } else {
        uint8_t *at;

        for (size_t i = 0; i < count; i++)
            bytes += mr_scheme_bytes(scheme, events[i]);
        at = mr_scratch(&analysis->scratch, &analysis->scratch_capacity, bytes);
        for (size_t i = 0; i < count; i++) {
            batch->keys[i] =
                mr_scheme_key(scheme, events[i], &own->random, at, &batch->base_bytes[i]);
            at += batch->keys[i].size;
        }
    }
    mr_hash_keys_of(batch->keys, sizeof *batch->keys, count, batch->ids);
    for (size_t i = 0; i < count; i++)
        batch->bytes[i] = (uint32_t)(batch->keys[i].size + events[i]->data.size);
}

static void add_top(struct mr_scheme_analysis *own, size_t count, const struct batch *batch)
{
    struct mr_top_batch top = {count, batch->ids, batch->keys, batch->seconds};

    mr_top_add_batch(&own->top_records, &top, batch->ones);
    mr_top_add_batch(&own->top_bytes, &top, batch->bytes);
}

/* Those in the sample are picked without a branch: it could not be foreseen. */
static void add_spread(struct mr_scheme_analysis *own, size_t count, const struct batch *batch)
{
    size_t picked[MR_ANALYSIS_BATCH], picked_count = 0;

    for (size_t i = 0; i < count; i++) {
        picked[picked_count] = i;
        picked_count += mr_spread_keeps(&own->spread, batch->ids[i].lo);
    }
    for (size_t p = 0; p < picked_count; p++) {
        size_t i = picked[p];

        mr_spread_add(&own->spread, batch->ids[i], batch->bytes[i]);
    }
}

/* The cells of the hash space, and what is counted of each. */
static void add_places(struct mr_analysis *analysis, struct mr_scheme_analysis *own,
                       const struct mr_event *const *events, size_t count, struct batch *batch)
{
    uint16_t cells[MR_ANALYSIS_BATCH];
    mr_hash_key *places = batch->ids;

    if (is_recorded_key(analysis, &own->scheme)) {
        for (size_t i = 0; i < count; i++)
            if (events[i]->has_hash_key)
                places[i] = events[i]->hash_key;
    }
    for (size_t i = 0; i < count; i++)
        cells[i] = mr_grid_cell(&analysis->grid, places[i]);
    mr_simulation_add_batch(own->simulation, count, batch->times_ns, cells, batch->bytes);
    for (size_t i = 0; own->order && i < count; i++)
        mr_order_add(own->order, &analysis->grid,
                     XXH3_64bits(batch->keys[i].data, batch->base_bytes[i]), cells[i]);
    for (size_t i = 0; own->hash_parts && i < count; i++) {
        own->hash_parts[places[i].hi >> 48].record_count++;
        own->hash_parts[places[i].hi >> 48].bytes += batch->bytes[i];
    }
}

/* A statistic after the other: what each needs stays in the nearest memory meanwhile. */
static void add_scheme(struct mr_analysis *analysis, struct mr_scheme_analysis *own,
                       const struct mr_event *const *events, size_t count, struct batch *batch)
{
    make_keys(analysis, own, events, count, batch);
    add_top(own, count, batch);
    add_spread(own, count, batch);
    for (size_t i = 0; i < count; i++)
        mr_distinct_add(own->distinct, batch->ids[i]);
    for (size_t i = 0; i < count; i++) {
        uint32_t bytes = batch->bytes[i];

        own->put_units += bytes <= PUT_UNIT_BYTES ? 1 : (bytes - 1) / PUT_UNIT_BYTES + 1;
        own->rounded_bytes += (uint64_t)(bytes + 1023) & ~UINT64_C(1023);
    }
    add_places(analysis, own, events, count, batch); /* changes ids: the last */
}

mr_status mr_analysis_add(struct mr_analysis *analysis, const struct mr_event *events, size_t count,
                          void (*reject)(void *context, uint64_t line, const char *why),
                          void *context, mr_error *error)
{
    const struct mr_event *good[MR_ANALYSIS_BATCH];
    struct batch batch;
    size_t good_count = 0;

    mr_check(count <= MR_ANALYSIS_BATCH);
    for (size_t i = 0; i < count; i++) {
        const char *why = check(analysis, &events[i]);

        if (why) {
            analysis->rejected_count++;
            reject(context, events[i].line, why);
            continue;
        }
        if (!place_in_time(analysis, &events[i], &batch.times_ns[good_count]))
            return mr_fail(error, MR_INVALID,
                           "line %llu has no time: name it with --time-field, or give --rate N to "
                           "assume N records a second",
                           (unsigned long long)events[i].line);
        batch.seconds[good_count] = batch.times_ns[good_count] / MR_LIMITER_SECOND_NS;
        batch.ones[good_count] = 1;
        good[good_count++] = &events[i];
        analysis->event_count++;
    }
    for (size_t i = 0; i < analysis->scheme_count; i++)
        add_scheme(analysis, &analysis->schemes[i], good, good_count, &batch);
    return MR_OK;
}

void mr_analysis_end(struct mr_analysis *analysis)
{
    for (size_t i = 0; i < analysis->scheme_count; i++)
        mr_simulation_end(analysis->schemes[i].simulation);
}
