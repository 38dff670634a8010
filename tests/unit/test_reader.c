/* Readers: where they start, that they miss nothing and repeat nothing, and how they end. */
#include "base/random.h"
#include "log/log.h"
#include "support/seed.h"
#include "support/stream_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static mr_reader *open_at(struct stream_world *world, mr_shard_id shard, mr_position from)
{
    mr_reader *reader;

    assert_int_equal(mr_reader_open(&reader, world->engine, "s", shard,
                                    &(struct mr_reader_config){.from = from}, NULL),
                     MR_OK);
    return reader;
}

static mr_batch next(mr_reader *reader)
{
    mr_batch batch;

    assert_int_equal(mr_reader_next(reader, 100, 0, &batch, NULL), MR_OK);
    return batch;
}

/* All that is at hand. */
static size_t drain(mr_reader *reader)
{
    size_t all = 0, count;

    do {
        count = next(reader).count;
        all += count;
    } while (count > 0);
    return all;
}

static mr_position at(mr_start start, mr_sequence sequence)
{
    return (mr_position){.start = start, .sequence = sequence};
}

static mr_position at_time(int64_t time_ms)
{
    return (mr_position){.start = MR_START_AT_TIME, .time_ms = time_ms};
}

/* ---- positions ---------------------------------------------------------------------------- */

static void check_positions(struct stream_world *world, const mr_put_result put[4])
{
    mr_sequence start = {0}, beyond = put[3].sequence;

    beyond.number += 1000000;
    assert_string_equal(stream_world_read(world, "s", 0, FROM_START), "a b c d ");
    assert_string_equal(stream_world_read(world, "s", 0, at(MR_START_AT, start)), "a b c d ");
    assert_string_equal(stream_world_read(world, "s", 0, at(MR_START_AFTER, start)), "a b c d ");
    assert_string_equal(stream_world_read(world, "s", 0, at(MR_START_AT, put[1].sequence)),
                        "b c d ");
    assert_string_equal(stream_world_read(world, "s", 0, at(MR_START_AFTER, put[1].sequence)),
                        "c d ");
    assert_string_equal(stream_world_read(world, "s", 0, at(MR_START_AFTER, put[3].sequence)), "");
    assert_string_equal(stream_world_read(world, "s", 0, at(MR_START_AT, beyond)), "");
    beyond.number = INT64_MAX;
    assert_string_equal(stream_world_read(world, "s", 0, at(MR_START_AFTER, beyond)), "");
    assert_string_equal(stream_world_read(world, "s", 0, at(MR_START_LATEST, start)), "");
    assert_string_equal(stream_world_read(world, "s", 0, at_time(0)), "a b c d ");
    for (int i = 0; i < 4; i++) {
        static const char *const from[] = {"a b c d ", "b c d ", "c d ", "d "};

        assert_string_equal(stream_world_read(world, "s", 0, at_time(put[i].arrival_ms)), from[i]);
        assert_string_equal(stream_world_read(world, "s", 0, at_time(put[i].arrival_ms + 1)),
                            i < 3 ? from[i + 1] : "");
    }
}

static void each_start_finds_its_place_before_and_after_a_restart(void **state)
{
    struct stream_world *world = *state;
    mr_put_result put[4];
    char text[2] = "a";

    for (int i = 0; i < 4; i++, text[0]++) {
        sim_clock_advance(&world->clock, 1000);
        put[i] = stream_world_put(world, "s", "k", text);
    }
    check_positions(world, put);
    stream_world_reopen(world);
    check_positions(world, put);
    stream_world_crash(world);
    check_positions(world, put);
}

static void latest_is_fixed_when_the_reader_opens(void **state)
{
    struct stream_world *world = *state;
    mr_reader *reader, *empty = open_at(world, 0, (mr_position){.start = MR_START_LATEST});
    mr_batch batch;

    stream_world_put(world, "s", "k", "a");
    reader = open_at(world, 0, (mr_position){.start = MR_START_LATEST});
    stream_world_put(world, "s", "k", "b");
    batch = next(reader);
    assert_int_equal(batch.count, 1);
    assert_memory_equal(batch.records->data.data, "b", 1);
    assert_int_equal(drain(empty), 2);
    mr_reader_close(reader);
    mr_reader_close(empty);
}

static void a_reader_that_stops_anywhere_goes_on_without_loss_or_repetition(void **state) /* L2 */
{
    struct stream_world *world = *state;
    struct mr_random random = seed_random();
    uint32_t put_count = 0, read_count = 0;
    mr_sequence position = {0};

    for (int round = 0; round < 400; round++) {
        mr_reader *reader;
        mr_batch batch;

        for (uint64_t i = mr_random_below(&random, 60); i > 0; i--) {
            char text[100] = {0};

            snprintf(text, sizeof text, "%099u", put_count++);
            stream_world_put(world, "s", "k", text);
        }
        if (mr_random_below(&random, 20) == 0)
            stream_world_reopen(world);
        if (mr_random_below(&random, 20) == 0)
            stream_world_work(world);
        reader = open_at(world, 0, at(MR_START_AFTER, position));
        for (uint64_t i = mr_random_below(&random, 4); i > 0; i--) {
            assert_int_equal(
                mr_reader_next(reader, 1 + mr_random_below(&random, 50), 0, &batch, NULL), MR_OK);
            for (size_t j = 0; j < batch.count; j++, read_count++) {
                char text[100] = {0};

                memcpy(text, batch.records[j].data.data, batch.records[j].data.size);
                assert_int_equal(strtoul(text, NULL, 10), read_count);
            }
        }
        position = mr_reader_position(reader);
        mr_reader_close(reader);
    }
    assert_true(read_count > 1000);
}

static void a_position_is_a_sequence_that_can_be_shown_and_read(void **state)
{
    struct stream_world *world = *state;
    mr_put_result put = stream_world_put(world, "s", "k", "a");
    mr_reader *reader = open_at(world, 0, FROM_START);
    char text[MR_SEQUENCE_TEXT_BYTES];
    mr_sequence position = mr_reader_position(reader), back;

    assert_true(position.number < put.sequence.number);
    assert_int_equal(position.time_s, position.created_s);
    next(reader);
    position = mr_reader_position(reader);
    assert_int_equal(position.number, put.sequence.number);
    assert_int_equal(position.time_s, put.sequence.time_s);
    mr_sequence_format(&position, text);
    assert_int_equal(mr_sequence_parse(text, &back, NULL), MR_OK);
    assert_int_equal(back.number, put.sequence.number);
    assert_int_equal(back.shard, put.sequence.shard);
    assert_int_equal(back.created_s, put.sequence.created_s);
    assert_int_equal(back.time_s, put.sequence.time_s);
    mr_reader_close(reader);
}

static void bad_readers_are_refused(void **state)
{
    struct stream_world *world = *state;
    struct mr_reader_config config = {.from = FROM_START};
    mr_reader *reader;
    mr_batch batch;
    mr_error error;

    assert_int_equal(mr_reader_open(&reader, world->engine, "ghost", 0, &config, &error),
                     MR_NOT_FOUND);
    assert_non_null(strstr(error.message, "ghost"));
    assert_int_equal(mr_reader_open(&reader, world->engine, "s", 1, &config, &error), MR_NOT_FOUND);
    assert_non_null(strstr(error.message, "shardId-000000000001"));
    config.from.start = (mr_start)99;
    assert_int_equal(mr_reader_open(&reader, world->engine, "s", 0, &config, &error), MR_INVALID);
    reader = open_at(world, 0, FROM_START);
    assert_int_equal(mr_reader_next(reader, 0, 0, &batch, &error), MR_INVALID);
    assert_int_equal(mr_reader_next(reader, 10001, 0, &batch, &error), MR_INVALID);
    assert_int_equal(mr_reader_next(reader, 10000, 0, &batch, &error), MR_OK);
    mr_reader_close(reader);
}

static void behind_says_how_old_the_place_reached_is(void **state)
{
    struct stream_world *world = *state;
    mr_reader *reader = open_at(world, 0, FROM_START);
    mr_batch batch;

    for (int i = 0; i < 3; i++) {
        stream_world_put(world, "s", "k", "x");
        sim_clock_advance(&world->clock, 1000);
    }
    assert_int_equal(mr_reader_next(reader, 1, 0, &batch, NULL), MR_OK);
    assert_int_equal(batch.behind_ms, 3000);
    assert_int_equal(mr_reader_next(reader, 1, 0, &batch, NULL), MR_OK);
    assert_int_equal(batch.behind_ms, 2000);
    assert_int_equal(mr_reader_next(reader, 1, 0, &batch, NULL), MR_OK);
    assert_int_equal(batch.behind_ms, 0);
    assert_int_equal(next(reader).behind_ms, 0);
    mr_reader_close(reader);
}

/* ---- ends --------------------------------------------------------------------------------- */

static void a_closed_shard_ends_after_its_last_record(void **state)
{
    struct stream_world *world = *state;
    mr_reader *reader = open_at(world, 0, FROM_START);

    stream_world_put(world, "s", "k", "a");
    assert_false(next(reader).end_of_shard);
    assert_false(next(reader).end_of_shard);
    assert_int_equal(mr_shard_split(world->engine, "s", 0, NULL, NULL, NULL), MR_OK);
    assert_true(next(reader).end_of_shard);
    assert_true(next(reader).end_of_shard); /* and stays so */
    mr_reader_close(reader);

    reader = open_at(world, 0, (mr_position){.start = MR_START_LATEST});
    assert_true(next(reader).end_of_shard);
    mr_reader_close(reader);
    assert_string_equal(stream_world_read(world, "s", 0, FROM_START), "a !");
    stream_world_crash(world);
    assert_string_equal(stream_world_read(world, "s", 0, FROM_START), "a !");
}

static void count_answer(void *context, mr_status status)
{
    *(int *)context += status == MR_OK;
}

static void what_is_not_durable_is_not_seen(void **state) /* L3 */
{
    struct stream_world *world = *state;
    mr_put put = {.partition_key = {"k", 1}, .data = {"late", 4}};
    mr_reader *reader = open_at(world, 0, FROM_START);
    struct mr_log *log = mr_engine_log(world->engine);
    mr_put_result result;
    int answers = 0;

    assert_int_equal(
        mr_put_submit(world->engine, "s", &put, 1, &result, count_answer, &answers, NULL), MR_OK);
    assert_int_equal(next(reader).count, 0);
    assert_true(mr_log_step(log, MR_LOG_STEP_COMMIT));
    assert_int_equal(answers, 0);
    assert_true(mr_log_step(log, MR_LOG_STEP_PUBLISH));
    assert_int_equal(answers, 1);
    assert_int_equal(next(reader).count, 1);
    mr_reader_close(reader);
}

static void a_deleted_stream_closes_its_readers(void **state)
{
    struct stream_world *world = *state;
    mr_reader *reader = open_at(world, 0, FROM_START);
    mr_batch batch;

    stream_world_put(world, "s", "k", "a");
    assert_int_equal(mr_stream_delete(world->engine, "s", NULL), MR_OK);
    assert_int_equal(mr_reader_next(reader, 1, 0, &batch, NULL), MR_CLOSED);
    assert_int_equal(mr_stream_create(world->engine, "s", 1, NULL), MR_OK);
    stream_world_put(world, "s", "k", "of another");
    assert_int_equal(mr_reader_next(reader, 1, 0, &batch, NULL), MR_CLOSED);
    mr_reader_close(reader);
    assert_string_equal(stream_world_read(world, "s", 0, FROM_START), "of another ");
}

/* ---- watching ----------------------------------------------------------------------------- */

static void count_call(void *context)
{
    ++*(int *)context;
}

static void a_watch_calls_once_when_there_is_something(void **state)
{
    struct stream_world *world = *state;
    mr_reader *reader = open_at(world, 0, FROM_START);
    int calls = 0, others = 0;

    mr_reader_watch(reader, count_call, &calls);
    stream_world_work(world);
    assert_int_equal(calls, 0);
    stream_world_put(world, "s", "k", "a");
    stream_world_put(world, "s", "k", "b");
    stream_world_work(world);
    assert_int_equal(calls, 1);
    stream_world_put(world, "s", "k", "c");
    stream_world_work(world);
    assert_int_equal(calls, 1); /* once is once */

    mr_reader_watch(reader, count_call, &calls); /* there is something already */
    stream_world_work(world);
    assert_int_equal(calls, 2);
    assert_int_equal(drain(reader), 3);
    mr_reader_watch(reader, count_call, &calls);
    mr_reader_watch(reader, count_call, &others); /* takes its place */
    stream_world_put(world, "s", "k", "d");
    stream_world_work(world);
    assert_int_equal(calls, 2);
    assert_int_equal(others, 1);
    next(reader);
    mr_reader_watch(reader, count_call, &calls);
    mr_reader_watch(reader, NULL, NULL);
    stream_world_put(world, "s", "k", "e");
    stream_world_work(world);
    assert_int_equal(calls, 2);
    mr_reader_close(reader);
}

static void a_watch_calls_at_the_end_of_the_shard_and_of_the_stream(void **state)
{
    struct stream_world *world = *state;
    mr_reader *reader = open_at(world, 0, FROM_START), *child;
    int calls = 0;

    mr_reader_watch(reader, count_call, &calls);
    assert_int_equal(mr_shard_split(world->engine, "s", 0, NULL, NULL, NULL), MR_OK);
    stream_world_work(world);
    assert_int_equal(calls, 1);
    mr_reader_watch(reader, count_call, &calls); /* closed before */
    stream_world_work(world);
    assert_int_equal(calls, 2);

    child = open_at(world, 1, FROM_START);
    mr_reader_watch(child, count_call, &calls);
    assert_int_equal(mr_stream_delete(world->engine, "s", NULL), MR_OK);
    stream_world_work(world);
    assert_int_equal(calls, 3);
    mr_reader_watch(child, count_call, &calls); /* gone before */
    stream_world_work(world);
    assert_int_equal(calls, 4);
    mr_reader_close(child);
    mr_reader_close(reader);
}

/* ---- limits ------------------------------------------------------------------------------- */

static void limited_readers_share_the_limits_of_their_shard(void **state)
{
    struct stream_world *world = *state;
    struct mr_reader_config config = {.from = FROM_START, .limited = true};
    mr_reader *a, *b, *free = open_at(world, 0, FROM_START);
    mr_batch batch;

    mr_engine_limit(world->engine, &(struct mr_limits){.read_calls_per_s = 5});
    assert_int_equal(mr_reader_open(&a, world->engine, "s", 0, &config, NULL), MR_OK);
    assert_int_equal(mr_reader_open(&b, world->engine, "s", 0, &config, NULL), MR_OK);
    for (int i = 0; i < 5; i++)
        assert_int_equal(mr_reader_next(i % 2 ? a : b, 1, 0, &batch, NULL), MR_OK);
    assert_int_equal(mr_reader_next(a, 1, 0, &batch, NULL), MR_THROTTLED);
    assert_int_equal(mr_reader_next(b, 1, 0, &batch, NULL), MR_THROTTLED);
    assert_int_equal(mr_reader_next(free, 1, 0, &batch, NULL), MR_OK);
    sim_clock_advance(&world->clock, 200);
    assert_int_equal(mr_reader_next(a, 1, 0, &batch, NULL), MR_OK);
    assert_int_equal(mr_reader_next(b, 1, 0, &batch, NULL), MR_THROTTLED);
    mr_reader_close(a);
    mr_reader_close(b);
    mr_reader_close(free);
}

static void a_limited_reader_pays_for_what_it_read(void **state)
{
    struct stream_world *world = *state;
    struct mr_reader_config config = {.from = FROM_START, .limited = true};
    char data[3001] = {0};
    mr_reader *reader;
    mr_batch batch;

    memset(data, 'x', 3000);
    stream_world_put(world, "s", "k", data);
    mr_engine_limit(world->engine, &(struct mr_limits){.read_bytes_per_s = 1000});
    assert_int_equal(mr_reader_open(&reader, world->engine, "s", 0, &config, NULL), MR_OK);
    assert_int_equal(mr_reader_next(reader, 1, 0, &batch, NULL), MR_OK);
    assert_int_equal(batch.count, 1);
    sim_clock_advance(&world->clock, 2000);
    assert_int_equal(mr_reader_next(reader, 1, 0, &batch, NULL), MR_THROTTLED);
    sim_clock_advance(&world->clock, 2); /* one byte was the key */
    assert_int_equal(mr_reader_next(reader, 1, 0, &batch, NULL), MR_OK);
    mr_reader_close(reader);
}

#define WORLD_TEST(name)                                                                           \
    cmocka_unit_test_setup_teardown(name, stream_world_set_up_stream, stream_world_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(each_start_finds_its_place_before_and_after_a_restart),
        WORLD_TEST(latest_is_fixed_when_the_reader_opens),
        WORLD_TEST(a_reader_that_stops_anywhere_goes_on_without_loss_or_repetition),
        WORLD_TEST(a_position_is_a_sequence_that_can_be_shown_and_read),
        WORLD_TEST(bad_readers_are_refused),
        WORLD_TEST(behind_says_how_old_the_place_reached_is),
        WORLD_TEST(a_closed_shard_ends_after_its_last_record),
        WORLD_TEST(what_is_not_durable_is_not_seen),
        WORLD_TEST(a_deleted_stream_closes_its_readers),
        WORLD_TEST(a_watch_calls_once_when_there_is_something),
        WORLD_TEST(a_watch_calls_at_the_end_of_the_shard_and_of_the_stream),
        WORLD_TEST(limited_readers_share_the_limits_of_their_shard),
        WORLD_TEST(a_limited_reader_pays_for_what_it_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
