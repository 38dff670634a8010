/*
 * test_keys.c - what keys predicts is what an engine does: the flights are replayed into streams with
 * limits on, under a simulated clock, and each shard must refuse what was foretold.
 */
#include "../../tools/keys/advise.h"
#include "../../tools/keys/result.h"
#include "support/near.h"
#include "support/stream_world.h"

#include "base/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define FLIGHTS "tools/labs/data/flights.ndjson"
#define SPEED 2e6 /* three months in four seconds: up to 5,000 flights a second */

static const char *const keys[] = {"origin", "destination", "origin+destination"};
static const uint32_t shard_counts[] = {2, 4, 6};
enum { KEYS = 3, COUNTS = 3, SHARDS_MAX = 6, BATCH = 64 };

static void refuse_none(void *context, uint64_t line, const char *why)
{
    (void)context;
    fail_msg("line %llu: %s", (unsigned long long)line, why);
}

struct study {
    struct mr_events_config config;
    struct mr_scheme schemes[MR_ANALYSIS_SCHEMES_MAX];
    char names[256], *names_at;
    size_t scheme_count;
    struct mr_analysis *analysis;
    struct mr_result result;
};

static void study_key(struct study *study, const char *key)
{
    if (!study->names_at)
        study->names_at = study->names;
    assert_int_equal(mr_scheme_parse(&study->schemes[study->scheme_count++], key, study->names_at,
                                     &study->config, NULL),
                     MR_OK);
    study->names_at += strlen(key) + 1;
}

static void study_begin(struct study *study, struct mr_analysis_config how)
{
    how.limits = MR_LIMITS_KINESIS;
    how.recorded_field = SIZE_MAX;
    study->analysis = mr_analysis_new(&how, study->schemes, study->scheme_count);
}

static void study_end(struct study *study, const char *stream)
{
    mr_analysis_end(study->analysis);
    study->result = (struct mr_result){.analysis = study->analysis,
                                       .source = "test",
                                       .stream = stream,
                                       .throttled_max = 0.001,
                                       .plans = {.readers = 1, .retention_hours = 24}};
    mr_result_make(&study->result);
}

static void study_fini(struct study *study)
{
    mr_result_fini(&study->result);
    mr_analysis_free(study->analysis);
}

/* Events of which only keys, times and sizes matter. */
static void study_add(struct study *study, int64_t time_ms, const char *key, size_t data_bytes)
{
    struct mr_event event = {
        .line = 1, .time_ms = time_ms, .data = {NULL, data_bytes}, .fields = {{key, strlen(key)}}};

    assert_int_equal(mr_analysis_add(study->analysis, &event, 1, refuse_none, NULL, NULL), MR_OK);
}

/* ---- against an engine ---------------------------------------------------------------------- */

/* A stream for each number of shards, all with one scheme's keys. */
struct replay {
    struct stream_world world;
    const struct mr_scheme *scheme;
    uint64_t start_ns;
    uint64_t refused[COUNTS][SHARDS_MAX];
};

static const char *const streams[COUNTS] = {"a", "b", "c"};

static void begin_replay(struct replay *replay, const struct mr_scheme *scheme)
{
    *replay = (struct replay){.scheme = scheme};
    replay->world =
        (struct stream_world){.disk = sim_disk_new(1), .config = MR_ENGINE_CONFIG_DEFAULT};
    sim_clock_init(&replay->world.clock);
    replay->world.config.limits = MR_LIMITS_KINESIS; /* and a journal that holds all of it */
    stream_world_open(&replay->world);
    for (size_t c = 0; c < COUNTS; c++)
        assert_int_equal(mr_stream_create(replay->world.engine, streams[c], shard_counts[c], NULL),
                         MR_OK);
    sim_clock_advance(&replay->world.clock, 10000);
    replay->start_ns = atomic_load(&replay->world.clock.monotonic_ns);
}

/* Events of one moment go to all streams. */
static void put_moment(struct replay *replay, const struct mr_event *events, size_t count,
                       uint64_t time_ns)
{
    struct mr_random random = mr_random_of(1);
    mr_put_result results[BATCH];
    uint8_t text[BATCH][64];
    mr_put puts[BATCH];
    size_t base_bytes;

    atomic_store(&replay->world.clock.monotonic_ns, replay->start_ns + time_ns);
    for (size_t i = 0; i < count; i++)
        puts[i] = (mr_put){.partition_key = mr_scheme_key(replay->scheme, &events[i], &random,
                                                          text[i], &base_bytes),
                           .data = events[i].data};
    for (size_t c = 0; c < COUNTS; c++) {
        assert_int_equal(
            mr_put_records(replay->world.engine, streams[c], puts, count, results, NULL), MR_OK);
        for (size_t i = 0; i < count; i++) {
            if (results[i].status == MR_THROTTLED)
                replay->refused[c][results[i].sequence.shard]++;
            else
                assert_int_equal(results[i].status, MR_OK);
        }
    }
}

static void replay_flights(const struct mr_events_config *config, struct replay *replay)
{
    static struct mr_event batch[BATCH];
    struct mr_events *events;
    int64_t base_ms = 0;
    size_t count;

    assert_int_equal(mr_events_open(&events, config, NULL), MR_OK);
    while (!mr_events_read(events, batch, BATCH, &count, NULL) && count > 0) {
        base_ms = base_ms ? base_ms : batch[0].time_ms;
        for (size_t first = 0, end; first < count; first = end) {
            for (end = first + 1; end < count && batch[end].time_ms == batch[first].time_ms;)
                end++;
            put_moment(replay, batch + first, end - first,
                       (uint64_t)((double)(batch[first].time_ms - base_ms) * 1e6 / SPEED));
        }
    }
    mr_events_close(events);
}

static void study_flights(struct study *study)
{
    static struct mr_event batch[BATCH];
    struct mr_events *events;
    size_t count;

    study->config.path = FLIGHTS;
    assert_int_equal(mr_events_open(&events, &study->config, NULL), MR_OK);
    while (!mr_events_read(events, batch, BATCH, &count, NULL) && count > 0)
        assert_int_equal(mr_analysis_add(study->analysis, batch, count, refuse_none, NULL, NULL),
                         MR_OK);
    mr_events_close(events);
    study_end(study, NULL);
}

/* Within the band; and to the record what the bucket refuses, which is the engine's own model. */
static void agree(const struct replay *replay, const struct mr_scheme_result *scheme,
                  const char *key, uint64_t *all)
{
    for (size_t c = 0; c < COUNTS; c++)
        for (uint32_t shard = 0; shard < shard_counts[c]; shard++) {
            size_t division = shard_counts[c] - 1;
            struct mr_band band = mr_result_throttled(scheme, division, shard);
            uint64_t refused = replay->refused[c][shard];

            if (refused < band.low || refused > band.high)
                fail_msg("%s over %u shards: shard %u refused %llu, not %llu to %llu", key,
                         shard_counts[c], shard, (unsigned long long)refused,
                         (unsigned long long)band.low, (unsigned long long)band.high);
            assert_int_equal(refused, mr_simulation_throttled(scheme->of->simulation, division,
                                                              shard, MR_MODEL_BUCKET)
                                          .record_count);
            *all += refused;
        }
}

static void each_shard_refuses_what_was_foretold(void **state)
{
    static struct replay replay;
    struct study study = {0};
    uint64_t all = 0;

    (void)state;
    for (size_t k = 0; k < KEYS; k++)
        study_key(&study, keys[k]);
    study_begin(&study, (struct mr_analysis_config){.speed = SPEED});
    study_flights(&study);
    for (size_t k = 0; k < KEYS; k++) {
        begin_replay(&replay, &study.schemes[k]);
        replay_flights(&study.config, &replay);
        agree(&replay, &study.result.schemes[k], keys[k], &all);
        stream_world_fini(&replay.world);
    }
    assert_true(all > 10000); /* there was something to foretell */
    study_fini(&study);
}

/* ---- verdicts ------------------------------------------------------------------------------- */

static bool says(const struct mr_result *result, const char *words)
{
    for (size_t i = 0; i < result->sentence_count; i++)
        if (strstr(result->verdict[i], words))
            return true;
    return false;
}

static void says_into_how_many_a_hot_key_must_be_salted(void **state)
{
    struct study study = {0};
    char key[16];

    (void)state;
    study_key(&study, "id");
    study_key(&study, "id#rand(4)");
    study_begin(&study, (struct mr_analysis_config){.speed = 1});
    for (int second = 0; second < 20; second++)
        for (int i = 0; i < 3000; i++) {
            snprintf(key, sizeof key, i % 5 < 4 ? "hot" : "cold-%d", i);
            study_add(&study, second * 1000 + i / 3, key, 10);
        }
    study_end(&study, NULL);
    assert_int_equal(study.result.schemes[0].needed, 0);
    assert_int_equal(study.result.schemes[0].hottest.parts, 3);
    assert_true(says(&study.result, "the key hot alone brings 2,400 records"));
    assert_true(says(&study.result, "no number of shards helps"));
    assert_true(says(&study.result, "Salt this key into 3 (hot#0 to hot#2)"));
    assert_int_equal(study.result.best, 1);
    assert_true(study.result.schemes[1].needed > 0);
    assert_true(mr_result_keeps_budget(&study.result));
    /* Of two that follow each other, 3 in 4 have another salt; not always another shard. */
    assert_near(study.result.schemes[1].outcomes[63].order_lost, 0.8 * 0.75, 0.16);
    assert_near(study.result.schemes[1].outcomes[0].order_lost, 0, 0);
    study_fini(&study);
}

static void counts_what_aws_charges_for(void **state)
{
    struct mr_traffic traffic = {.put_units_per_s = 1000,
                                 .bytes_per_s = 1048576,
                                 .rounded_bytes_per_s = 2097152,
                                 .readers = 2,
                                 .fan_out = 1,
                                 .retention_hours = 24};
    const double hours = 730, gib = 1048576.0 * 3600 * hours / 1073741824;

    (void)state;
    assert_near(mr_cost_provisioned(&traffic, 2),
                2 * hours * 0.015 + 1e-3 * 3600 * hours * 0.014 + 2 * hours * 0.015 + gib * 0.013,
                0.01);
    assert_near(mr_cost_on_demand(&traffic),
                hours * 0.04 + 2 * gib * 0.08 + 2 * gib * 0.04 + gib * 0.05, 0.01);
    traffic.fan_out = 0;
    traffic.retention_hours = 168 + 24; /* a day beyond the week */
    assert_near(mr_cost_provisioned(&traffic, 2),
                2 * hours * 0.035 + 1e-3 * 3600 * hours * 0.014 + 84.375 * 0.023, 0.01);
}

static void reads_expressions_of_keys(void **state)
{
    static const char *const bad[] = {
        "", "a+", "a#rand(1)", "a#rand(x)", "a#rand(3", "a#rand(3)x", "a#rand(200)#rand(200)"};
    struct mr_events_config config = {0};
    struct mr_scheme scheme;
    struct mr_random random = mr_random_of(1);
    struct mr_event event = {.fields = {{"ATL", 3}, {"7", 1}}};
    char names[64];
    uint8_t out[64];
    size_t base_bytes;
    mr_bytes key;

    (void)state;
    assert_int_equal(mr_scheme_parse(&scheme, "origin+user.id#rand(8)", names, &config, NULL),
                     MR_OK);
    assert_int_equal(config.field_count, 2);
    assert_string_equal(config.fields[1], "user.id");
    assert_int_equal(scheme.salt, 8);
    for (int i = 0; i < 100; i++) {
        key = mr_scheme_key(&scheme, &event, &random, out, &base_bytes);
        assert_int_equal(key.size, 7);
        assert_memory_equal(key.data, "ATL+7#", 6);
        assert_in_range(out[6], '0', '7');
        assert_int_equal(base_bytes, 5);
        assert_true(mr_scheme_bytes(&scheme, &event) >= key.size);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(mr_scheme_parse(&scheme, bad[i], names, &config, NULL), MR_INVALID);
}

/* ---- advice --------------------------------------------------------------------------------- */

static mr_shard shard_of(mr_shard_id id, mr_hash_key first, mr_hash_key last)
{
    return (mr_shard){.id = id, .first_key = first, .last_key = last};
}

/* A key whose hash lies in that 1/256 of the space. */
static void key_in(uint8_t part, char key[16])
{
    for (int i = 0;; i++) {
        snprintf(key, 16, "k%d", i);
        if (mr_hash_key_of((mr_bytes){key, strlen(key)}).hi >> 56 == part)
            return;
    }
}

/* Shard 0 of 3 has two hot keys near its start, shards 1 and 2 have nearly nothing. */
static void splits_between_hot_keys_and_merges_the_cold(void **state)
{
    const mr_hash_key starts[] = {{0, 0}, {UINT64_C(1) << 63, 0}, {UINT64_C(3) << 62, 0}};
    const mr_shard shards[] = {
        shard_of(4, starts[0], mr_hash_key_previous(starts[1])),
        shard_of(6, starts[1], mr_hash_key_previous(starts[2])),
        shard_of(7, starts[2], MR_HASH_KEY_MAX),
    };
    struct study study = {0};
    struct mr_advice advice;
    char low[16], high[16], cold[16];

    (void)state;
    key_in(3, low);
    key_in(5, high);
    key_in(200, cold);
    study_key(&study, "id");
    study_begin(&study,
                (struct mr_analysis_config){
                    .speed = 1, .stream_starts = starts, .stream_shard_count = 3, .by_hash = true});
    for (int ms = 0; ms < 20000; ms++) {
        study_add(&study, ms, ms % 2 ? low : high, 10);
        if (ms % 100 == 0)
            study_add(&study, ms, cold, 10);
    }
    study_end(&study, "s");
    mr_advise(&advice, &study.result, &study.result.schemes[0], shards, 8);
    assert_int_equal(advice.step_count, 2);
    assert_int_equal(advice.single_count, 0);
    assert_true(advice.steps[0].is_merge);
    assert_int_equal(advice.steps[0].shard, 6);
    assert_int_equal(advice.steps[0].adjacent, 7);
    assert_int_equal(advice.steps[0].children[0], 8);
    assert_false(advice.steps[1].is_merge);
    assert_int_equal(advice.steps[1].shard, 4);
    assert_int_equal(advice.steps[1].children[0], 9);
    assert_near(advice.steps[1].part, 0.5, 0.01);
    assert_true(
        mr_hash_key_below(mr_hash_key_of((mr_bytes){low, strlen(low)}), advice.steps[1].at));
    assert_false(
        mr_hash_key_below(mr_hash_key_of((mr_bytes){high, strlen(high)}), advice.steps[1].at));
    mr_advice_fini(&advice);
    study_fini(&study);
}

static void knows_that_one_hot_key_cannot_be_split(void **state)
{
    const mr_hash_key starts[] = {{0, 0}};
    const mr_shard shards[] = {shard_of(0, starts[0], MR_HASH_KEY_MAX)};
    struct study study = {0};
    struct mr_advice advice;

    (void)state;
    study_key(&study, "id");
    study_begin(&study,
                (struct mr_analysis_config){
                    .speed = 1, .stream_starts = starts, .stream_shard_count = 1, .by_hash = true});
    for (int ms = 0; ms < 20000; ms++)
        study_add(&study, ms, ms % 20 ? "hot" : "cold", 10);
    study_end(&study, "s");
    mr_advise(&advice, &study.result, &study.result.schemes[0], shards, 1);
    assert_int_equal(advice.step_count, 0);
    assert_int_equal(advice.single_count, 1);
    mr_advice_fini(&advice);
    study_fini(&study);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_shard_refuses_what_was_foretold),
        cmocka_unit_test(says_into_how_many_a_hot_key_must_be_salted),
        cmocka_unit_test(counts_what_aws_charges_for),
        cmocka_unit_test(reads_expressions_of_keys),
        cmocka_unit_test(splits_between_hot_keys_and_merges_the_cold),
        cmocka_unit_test(knows_that_one_hot_key_cannot_be_split),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
