/* Retention: hides to the millisecond, forgets segments and shards, and brings nothing back. */
#include "base/memory.h"
#include "support/stream_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define HOUR_MS UINT64_C(3600000)

static void put_hourly(struct stream_world *world)
{
    char text[2] = "a";

    for (int i = 0; i < 4; i++, text[0]++) {
        stream_world_put(world, "s", "k", text);
        sim_clock_advance(&world->clock, HOUR_MS);
    }
}

static void a_record_is_hidden_when_it_is_older_than_the_retention(void **state) /* L8 */
{
    struct stream_world *world = *state;

    put_hourly(world); /* the first is 4 hours old */
    sim_clock_advance(&world->clock, 20 * HOUR_MS);
    assert_string_equal(stream_world_read(world, "s", 0, FROM_START), "a b c d ");
    sim_clock_advance(&world->clock, 1);
    assert_string_equal(stream_world_read(world, "s", 0, FROM_START), "b c d ");
    assert_string_equal(
        stream_world_read(world, "s", 0, (mr_position){.start = MR_START_AT_TIME, .time_ms = 0}),
        "b c d ");
    assert_string_equal(
        stream_world_read(world, "s", 0, (mr_position){.start = MR_START_AT, .sequence = {0}}),
        "b c d ");
    stream_world_crash(world);
    assert_string_equal(stream_world_read(world, "s", 0, FROM_START), "b c d ");
    sim_clock_advance(&world->clock, 3 * HOUR_MS);
    assert_string_equal(stream_world_read(world, "s", 0, FROM_START), "");
}

static void a_longer_retention_starts_now(void **state)
{
    struct stream_world *world = *state;
    struct mr_stream_info info;

    put_hourly(world);
    sim_clock_advance(&world->clock, 21 * HOUR_MS + 1); /* a, b are hidden */
    assert_int_equal(mr_stream_retain(world->engine, "s", 8760, NULL), MR_OK);
    assert_string_equal(stream_world_read(world, "s", 0, FROM_START), "c d ");
    sim_clock_advance(&world->clock, 100 * HOUR_MS);
    stream_world_reopen(world);
    assert_string_equal(stream_world_read(world, "s", 0, FROM_START), "c d ");
    assert_int_equal(mr_stream_describe(world->engine, "s", &info, NULL), MR_OK);
    assert_int_equal(info.retention_hours, 8760);
    assert_int_equal(mr_stream_retain(world->engine, "s", 24, NULL), MR_OK);
    assert_string_equal(stream_world_read(world, "s", 0, FROM_START), "");
    assert_int_equal(mr_stream_retain(world->engine, "s", 23, NULL), MR_INVALID);
    assert_int_equal(mr_stream_retain(world->engine, "s", 8761, NULL), MR_INVALID);
    assert_int_equal(mr_stream_retain(world->engine, "t", 24, NULL), MR_NOT_FOUND);
}

static void a_clock_that_is_set_back_hides_no_less_than_was_trimmed(void **state)
{
    struct stream_world *world = *state;

    put_hourly(world);
    sim_clock_advance(&world->clock, 21 * HOUR_MS + 1);
    assert_int_equal(mr_stream_retain(world->engine, "s", 48, NULL), MR_OK);
    sim_clock_set_wall(&world->clock, SIM_CLOCK_START_MS);
    assert_string_equal(stream_world_read(world, "s", 0, FROM_START), "c d ");
}

static void a_closed_shard_is_forgotten_with_its_last_record(void **state)
{
    struct stream_world *world = *state;
    struct mr_reader_config config = {.from = FROM_START};
    struct mr_engine_stats stats;
    mr_reader *reader;
    mr_batch batch;

    stream_world_put(world, "s", "k", "a");
    assert_int_equal(mr_shard_split(world->engine, "s", 0, NULL, NULL, NULL), MR_OK);
    assert_int_equal(mr_shard_merge(world->engine, "s", 1, 2, NULL, NULL), MR_OK);
    assert_string_equal(stream_world_shards(world, "s"), "[0] [1<0] [2<0] 3<1+2 ");
    sim_clock_advance(&world->clock, 24 * HOUR_MS);
    stream_world_housekeep(world);
    assert_string_equal(stream_world_shards(world, "s"), "[0] [1<0] [2<0] 3<1+2 ");
    assert_int_equal(mr_reader_open(&reader, world->engine, "s", 0, &config, NULL), MR_OK);

    sim_clock_advance(&world->clock, 1);
    stream_world_housekeep(world);
    assert_string_equal(stream_world_shards(world, "s"), "3 "); /* its parents are forgotten */
    assert_int_equal(mr_reader_next(reader, 1, 0, &batch, NULL), MR_OK);
    assert_int_equal(batch.count, 0);
    assert_true(batch.end_of_shard);
    mr_reader_close(reader);
    assert_int_equal(mr_reader_open(&reader, world->engine, "s", 0, &config, NULL), MR_NOT_FOUND);
    mr_engine_stats(world->engine, &stats);
    assert_int_equal(stats.shard_count, 1);
    stream_world_crash(world);
    assert_string_equal(stream_world_shards(world, "s"), "3 ");
}

static void only_streams_past_their_retention_are_touched(void **state)
{
    struct stream_world *world = *state;

    assert_int_equal(mr_stream_create(world->engine, "t", 2, NULL), MR_OK);
    assert_int_equal(mr_stream_create(world->engine, "u", 2, NULL), MR_OK);
    assert_int_equal(mr_stream_retain(world->engine, "t", 48, NULL), MR_OK);
    assert_int_equal(mr_shard_merge(world->engine, "t", 0, 1, NULL, NULL), MR_OK);
    assert_int_equal(mr_shard_merge(world->engine, "u", 0, 1, NULL, NULL), MR_OK);
    sim_clock_advance(&world->clock, 24 * HOUR_MS + 1);
    assert_int_equal(mr_engine_trim(world->engine, NULL), MR_OK);
    assert_string_equal(stream_world_shards(world, "s"), "0 ");
    assert_string_equal(stream_world_shards(world, "t"), "[0] [1] 2<0+1 ");
    assert_string_equal(stream_world_shards(world, "u"), "2 ");
}

static void trimming_frees_the_segments_that_are_past(void **state) /* L8 */
{
    struct stream_world *world = *state;
    char *data = mr_alloc_zero(1, 100001);
    struct mr_stream_info info;
    uint64_t used;

    memset(data, 'x', 100000);
    for (int i = 0; i < 100000; i += 7)
        data[i] = (char)('a' + i % 23);
    for (int i = 0; i < 100; i++) {
        data[i * 7] = 'y';
        stream_world_put(world, "s", "k", data);
        sim_clock_advance(&world->clock, 1000);
    }
    assert_int_equal(mr_engine_trim(world->engine, NULL), MR_OK); /* flushes */
    assert_int_equal(mr_stream_describe(world->engine, "s", &info, NULL), MR_OK);
    assert_true(info.segment_count >= 1);
    assert_int_equal(info.record_count, 100);
    used = sim_disk_used(world->disk);
    sim_clock_advance(&world->clock, 25 * HOUR_MS);
    stream_world_put(world, "s", "k", "young");
    assert_int_equal(mr_engine_trim(world->engine, NULL), MR_OK);
    assert_true(sim_disk_used(world->disk) < used);
    assert_int_equal(mr_stream_describe(world->engine, "s", &info, NULL), MR_OK);
    assert_int_equal(info.segment_count, 1);
    assert_int_equal(info.record_count, 101); /* ever put */
    assert_string_equal(stream_world_read(world, "s", 0, FROM_START), "young ");
    stream_world_reopen(world);
    assert_string_equal(stream_world_read(world, "s", 0, FROM_START), "young ");
    mr_free(data);
}

#define WORLD_TEST(name)                                                                           \
    cmocka_unit_test_setup_teardown(name, stream_world_set_up_stream, stream_world_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(a_record_is_hidden_when_it_is_older_than_the_retention),
        WORLD_TEST(a_longer_retention_starts_now),
        WORLD_TEST(a_clock_that_is_set_back_hides_no_less_than_was_trimmed),
        WORLD_TEST(a_closed_shard_is_forgotten_with_its_last_record),
        WORLD_TEST(only_streams_past_their_retention_are_touched),
        WORLD_TEST(trimming_frees_the_segments_that_are_past),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
