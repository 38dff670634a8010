/* test_simulate.c - the simulation of all divisions at once refuses, record by record, what each
 * shard's limiter alone would refuse. */
#include "../../tools/keys/limiter.h"
#include "support/near.h"
#include "support/seed.h"

#include "base/limit.h"
#include "base/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

struct event {
    uint64_t time_ns;
    mr_hash_key key;
    uint32_t bytes;
};

/* One shard alone, by the engine's own buckets and by counting each second. */
struct plain {
    struct mr_bucket records, bytes;
    uint64_t second, window_records, window_bytes, throttled[MR_MODEL_COUNT], in_second, most;
};

static void take(struct plain *plain, const struct mr_limits *limits, const struct event *event)
{
    if (!mr_bucket_take(&plain->records, event->time_ns, limits->write_records_per_s, 1)) {
        plain->throttled[MR_MODEL_BUCKET]++;
    } else if (!mr_bucket_take(&plain->bytes, event->time_ns, limits->write_bytes_per_s,
                               event->bytes)) {
        mr_bucket_return(&plain->records, limits->write_records_per_s, 1);
        plain->throttled[MR_MODEL_BUCKET]++;
    }
    if (plain->second != event->time_ns / 1000000000) {
        plain->second = event->time_ns / 1000000000;
        plain->window_records = plain->window_bytes = plain->in_second = 0;
    }
    plain->in_second++;
    plain->most = plain->in_second > plain->most ? plain->in_second : plain->most;
    if (plain->window_records < limits->write_records_per_s &&
        (plain->window_bytes == 0 ||
         plain->window_bytes + event->bytes <= limits->write_bytes_per_s)) {
        plain->window_records++;
        plain->window_bytes += event->bytes;
    } else {
        plain->throttled[MR_MODEL_WINDOW]++;
    }
}

static void agrees(const struct mr_grid *grid, const struct mr_simulation *simulation,
                   const struct mr_limits *limits, const struct event *events, size_t count)
{
    struct plain *plain = mr_alloc(sizeof *plain * MR_GRID_SHARDS_MAX);

    for (size_t d = 0; d < grid->division_count; d++) {
        const struct mr_division *division = &grid->divisions[d];
        uint64_t most = 0;

        memset(plain, 0, sizeof *plain * MR_GRID_SHARDS_MAX);
        for (size_t i = 0; i < division->shard_count; i++)
            plain[i].second = UINT64_MAX;
        for (size_t i = 0; i < count; i++)
            take(&plain[division->shard_of[mr_grid_cell(grid, events[i].key)]], limits, &events[i]);
        for (size_t i = 0; i < division->shard_count; i++) {
            most = plain[i].most > most ? plain[i].most : most;
            for (enum mr_model m = 0; m < MR_MODEL_COUNT; m++)
                assert_int_equal(mr_simulation_throttled(simulation, d, i, m).record_count,
                                 plain[i].throttled[m]);
        }
        if (limits->write_records_per_s < 20) /* then records bind, not bytes */
            assert_true(mr_simulation_busy(simulation, d).max >=
                        0.999 * (double)most / limits->write_records_per_s);
    }
    mr_free(plain);
}

/* Simulates the events, and compares each shard with what it alone would do. */
static void simulate(const struct mr_grid *grid, const struct mr_limits *limits,
                     const struct event *events, size_t count)
{
    struct mr_simulation *simulation = mr_simulation_new(grid, limits);

    for (size_t i = 0; i < count; i++)
        mr_simulation_add(simulation, events[i].time_ns, mr_grid_cell(grid, events[i].key),
                          events[i].bytes);
    mr_simulation_end(simulation);
    agrees(grid, simulation, limits, events, count);
    mr_simulation_free(simulation);
}

/* Bursts, silences and hot keys, near the limits and far from them. */
static size_t make(struct mr_random *random, struct event *events, size_t count)
{
    mr_hash_key hot = {mr_random_next(random), mr_random_next(random)};
    uint64_t time_ns = mr_random_below(random, 3000000000);
    uint64_t gap_ns = UINT64_C(1000000) << mr_random_below(random, 8);

    for (size_t i = 0; i < count; i++) {
        if (mr_random_below(random, 400) == 0) {
            time_ns += mr_random_below(random, UINT64_C(5000000000));
            gap_ns = UINT64_C(1000000) << mr_random_below(random, 8);
        }
        time_ns += mr_random_below(random, gap_ns);
        events[i] = (struct event){
            .time_ns = time_ns,
            .key = mr_random_below(random, 3)
                       ? (mr_hash_key){mr_random_next(random), mr_random_next(random)}
                       : hot,
            .bytes = (uint32_t)mr_random_below(random, mr_random_below(random, 50) ? 60 : 2000)};
    }
    return count;
}

static void refuses_what_each_shard_alone_would(void **state)
{
    enum { COUNT = 6000 };
    static struct event events[COUNT];
    struct mr_random random = seed_random();
    mr_hash_key starts[3] = {{0, 0}, {UINT64_C(1) << 60, 7}, {UINT64_C(3) << 61, 0}};

    (void)state;
    for (int round = 0; round < 12; round++) {
        struct mr_limits limits = {
            .write_bytes_per_s = (uint32_t)(200 + mr_random_below(&random, 4000)),
            .write_records_per_s = (uint32_t)(5 + mr_random_below(&random, 60))};
        struct mr_grid grid;

        make(&random, events, COUNT);
        mr_grid_init(&grid, starts, round % 2 ? 3 : 0);
        simulate(&grid, &limits, events, COUNT);
        mr_grid_fini(&grid);
    }
}

/* Seconds whose records come in up to three bursts, short or long, in all about what `shard_count`
 * shards take: what decides is when they come, and what came when in the second before. */
static size_t make_tight(struct mr_random *random, const struct mr_limits *limits,
                         uint64_t shard_count, struct event *events, size_t room)
{
    size_t count = 0;

    for (uint64_t second = 0; second < 6; second++) {
        uint64_t left =
            shard_count * limits->write_records_per_s * (850 + mr_random_below(random, 200)) / 1000;
        uint64_t at_ns = 0;

        for (uint64_t burst = mr_random_below(random, 3); left > 0; burst--) {
            uint64_t size = burst == 0 ? left : mr_random_below(random, left + 1);
            uint64_t room_ns = 1000000000 - at_ns;
            uint64_t start_ns = mr_random_below(random, room_ns) >> mr_random_below(random, 4);
            uint64_t span_ns = mr_random_below(random, room_ns - start_ns);

            span_ns >>= mr_random_below(random, 8);
            for (uint64_t i = 0; i < size && count < room; i++)
                events[count++] = (struct event){
                    .time_ns = second * 1000000000 + at_ns + start_ns + span_ns * i / size,
                    .key = {mr_random_next(random), mr_random_next(random)},
                    .bytes = (uint32_t)mr_random_below(random, 200),
                };
            left -= size;
            at_ns += start_ns + span_ns;
        }
    }
    return count;
}

/* Most shards here are near the border between those that are followed and those that need not be. */
static void follows_whatever_can_matter(void **state)
{
    enum { ROOM = 2000, ROUNDS = 250 };
    static struct event events[ROOM];
    struct mr_random random = seed_random();
    struct mr_grid grid;

    (void)state;
    mr_grid_init(&grid, NULL, 0);
    for (int round = 0; round < ROUNDS; round++) {
        bool by_bytes = mr_random_below(&random, 3) == 0; /* a record has 100 of them */
        uint32_t most = (uint32_t)(8 + mr_random_below(&random, 40));
        struct mr_limits limits = {.write_records_per_s = most,
                                   .write_bytes_per_s = most * (by_bytes ? 90 : 1000)};
        uint64_t shard_count = 1 + mr_random_below(&random, 3);
        size_t count = make_tight(&random, &limits, shard_count, events, ROOM);

        simulate(&grid, &limits, events, count);
    }
    mr_grid_fini(&grid);
}

/* More records in a second than are held at a time. */
static void follows_a_crowded_second(void **state)
{
    enum { COUNT = 700000 };
    struct event *events = mr_alloc(COUNT * sizeof *events);
    struct mr_limits limits = MR_LIMITS_KINESIS;
    struct mr_random random = seed_random();
    struct mr_grid grid;
    uint64_t time_ns = 0;

    (void)state;
    mr_grid_init(&grid, NULL, 0);
    for (size_t i = 0; i < COUNT; i++) {
        time_ns += i < 5000 ? 200000 : i < COUNT - 5000 ? 1000 : 200000;
        events[i] = (struct event){time_ns,
                                   {mr_random_next(&random), mr_random_next(&random)},
                                   (uint32_t)mr_random_below(&random, 1500)};
    }
    simulate(&grid, &limits, events, COUNT);
    mr_grid_fini(&grid);
    mr_free(events);
}

static void knows_how_busy_the_shards_were(void **state)
{
    struct mr_limits limits = {.write_bytes_per_s = 1000, .write_records_per_s = 10};
    struct mr_simulation *simulation;
    struct mr_grid grid;
    struct mr_timeline timeline;

    (void)state;
    mr_grid_init(&grid, NULL, 0);
    simulation = mr_simulation_new(&grid, &limits);
    /* 100 seconds with one record of 100 bytes, a tenth of both limits, in the lower half; in the
     * last one 30 records. */
    for (uint64_t second = 0; second < 100; second++)
        for (int i = 0; i < (second == 99 ? 30 : 1); i++)
            mr_simulation_add(simulation, second * 1000000000, 0, 100);
    mr_simulation_end(simulation);
    assert_int_equal(mr_simulation_seconds(simulation), 100);
    assert_int_equal(mr_simulation_total(simulation).record_count, 129);
    assert_int_equal(mr_simulation_peak(simulation).bytes, 3000);
    assert_near(mr_simulation_busy(simulation, 0).p50, 0.1, 0.002);
    assert_near(mr_simulation_busy(simulation, 0).max, 3, 0.001);
    assert_near(mr_simulation_busy(simulation, 1).p50, 0, 0);
    assert_near(mr_simulation_busy(simulation, 1).over_part, 0.005, 1e-9);
    assert_int_equal(mr_simulation_busy(simulation, 1).over_second_count, 1);
    assert_int_equal(mr_simulation_load(simulation, 1, 0).bytes, 12900);
    assert_int_equal(mr_simulation_load(simulation, 1, 1).bytes, 0);
    assert_int_equal(mr_simulation_throttled_sum(simulation, 1, MR_MODEL_WINDOW).record_count, 20);
    timeline = mr_simulation_timeline(simulation);
    assert_int_equal(timeline.column_count, 100);
    assert_near(timeline.rows[99][0], 3, 0.001);
    assert_int_equal(timeline.shards[99 * timeline.shard_count], 3000);
    mr_simulation_free(simulation);
    mr_grid_fini(&grid);
}

/* However long it takes, the columns stay few, and nothing in them is lost. */
static void folds_a_long_time_into_few_columns(void **state)
{
    struct mr_limits limits = MR_LIMITS_KINESIS;
    struct mr_simulation *simulation;
    struct mr_grid grid;
    struct mr_timeline timeline;
    double sum = 0;

    (void)state;
    mr_grid_init(&grid, NULL, 0);
    simulation = mr_simulation_new(&grid, &limits);
    for (uint64_t i = 0; i < 20000; i++)
        mr_simulation_add(simulation, i * 77 * 1000000000, (uint16_t)(i % grid.cell_count), 10);
    mr_simulation_end(simulation);
    timeline = mr_simulation_timeline(simulation);
    assert_true(timeline.column_count <= 2 * MR_TIMELINE_COLUMNS);
    assert_true(timeline.column_s * timeline.column_count >= 20000 * 77 - 77);
    for (size_t c = 0; c < timeline.column_count; c++)
        for (size_t r = 0; r < MR_TIMELINE_ROWS; r++)
            sum += (double)timeline.rows[c][r];
    assert_near(sum, 20, 0.01);
    mr_simulation_free(simulation);
    mr_grid_fini(&grid);
}

/* Where a multiplication stands for a division. */
static void a_rate_s_worth_is_exact(void **state)
{
    struct mr_random random = seed_random();

    (void)state;
    for (int i = 0; i < 300000; i++) {
        uint32_t per_s = (uint32_t)(mr_random_next(&random) >> (32 + mr_random_below(&random, 32)));
        uint32_t amount =
            (uint32_t)(mr_random_next(&random) >> (32 + mr_random_below(&random, 32)));
        uint64_t multiple = (uint64_t)(per_s += per_s == 0) * mr_random_below(&random, 5);

        if (i % 2 && multiple <= UINT32_MAX) /* where the quotient steps */
            amount = (uint32_t)multiple - (i % 4 == 1);
        if (i == 0)
            per_s = amount = UINT32_MAX;
        assert_int_equal(mr_bucket_rate_ns(mr_bucket_rate_of(per_s), amount),
                         mr_bucket_worth_ns(per_s, amount));
    }
}

/* Every cell's start, and the keys around it, belong to the shards they would in Kinesis. */
static void cuts_the_space_as_kinesis_does(void **state)
{
    struct mr_grid grid;

    (void)state;
    mr_grid_init(&grid, NULL, 0);
    for (uint32_t n = 1; n <= MR_GRID_SHARDS_MAX; n++)
        for (uint32_t i = 1; i < n; i++) {
            mr_u128 width = n == 1 ? 0 : (~(mr_u128)0 / n + (~(mr_u128)0 % n == n - 1));
            mr_hash_key start = mr_hash_key_narrow(width * i);
            const uint16_t *shard_of = grid.divisions[n - 1].shard_of;

            assert_int_equal(shard_of[mr_grid_cell(&grid, start)], i);
            assert_int_equal(shard_of[mr_grid_cell(&grid, mr_hash_key_previous(start))], i - 1);
        }
    assert_int_equal(mr_grid_cell(&grid, MR_HASH_KEY_MAX), grid.cell_count - 1);
    mr_grid_fini(&grid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_what_each_shard_alone_would),
        cmocka_unit_test(follows_whatever_can_matter),
        cmocka_unit_test(follows_a_crowded_second),
        cmocka_unit_test(knows_how_busy_the_shards_were),
        cmocka_unit_test(folds_a_long_time_into_few_columns),
        cmocka_unit_test(a_rate_s_worth_is_exact),
        cmocka_unit_test(cuts_the_space_as_kinesis_does),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
