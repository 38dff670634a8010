/*
 * Consumers through what goes wrong together: workers that die while shards split and merge and calls
 * are refused, leases that somebody edits, clocks that jump (C1, C2, C6, C9).
 */
#include "support/consumer_world.h"
#include "support/seed.h"
#include "support/sim_clock.h"

#include "base/memory.h"
#include "base/u128.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <sched.h>

static struct mr_random random_numbers;

/* ---- all together ------------------------------------------------------------------------- */

struct open_shards {
    mr_shard shards[WORLD_SHARDS];
    size_t count;
};

static bool gather(void *context, const mr_shard *shard)
{
    struct open_shards *open = context;

    if (!shard->is_closed)
        open->shards[open->count++] = *shard;
    return true;
}

static void reshard(struct consumer_world *world)
{
    struct open_shards open = {.count = 0};
    mr_error error;
    size_t i, k;

    consumer_world_must(mr_shard_each(world->engine, WORLD_STREAM, gather, &open, &error), &error);
    i = (size_t)mr_random_below(&random_numbers, open.count);
    if (open.count < 6) {
        consumer_world_must(
            mr_shard_split(world->engine, WORLD_STREAM, open.shards[i].id, NULL, NULL, &error),
            &error);
        return;
    }
    for (k = 0; k < open.count; k++)
        if (mr_hash_key_below(open.shards[i].last_key, open.shards[k].first_key) &&
            mr_hash_key_equal(mr_hash_key_next(open.shards[i].last_key), open.shards[k].first_key))
            break;
    if (k < open.count)
        consumer_world_must(mr_shard_merge(world->engine, WORLD_STREAM, open.shards[i].id,
                                           open.shards[k].id, NULL, &error),
                            &error);
}

static void nothing_is_lost_through_kills_reshards_and_throttling(void **state)
{
    struct consumer_world *world = *state;
    struct worker *workers[3];
    char name[16];
    unsigned named = 0;

    world->config.lease_ms = 400;
    world->config.service = &world->fickle.base;
    world->fickle.refused_percent = 10;
    for (size_t i = 0; i < 3; i++) {
        snprintf(name, sizeof name, "w%u", named++);
        workers[i] = worker_start(world, name);
        workers[i]->checkpoint_every = 3;
    }
    for (unsigned round = 0; round < 12; round++) {
        size_t i = (size_t)mr_random_below(&random_numbers, 3);

        consumer_world_wait_for(world, &world->came_count, round * 1500);
        consumer_world_put(world, &random_numbers, 1000);
        if (round % 2 == 0)
            reshard(world);
        consumer_world_put(world, &random_numbers, 1000);
        if (round % 3 == 0) {
            if (round % 2)
                worker_stop(workers[i]);
            else
                worker_kill(workers[i]);
            snprintf(name, sizeof name, "w%u", named++);
            workers[i] = worker_start(world, name);
            workers[i]->checkpoint_every = 3;
        }
    }
    consumer_world_wait_all(world);
    for (size_t i = 0; i < 3; i++)
        worker_stop(workers[i]);
    consumer_world_check(world);
    print_message("%llu records, %llu of them again\n", (unsigned long long)world->came_count,
                  (unsigned long long)world->again_count);
    assert_int_equal(world->came_count - world->again_count, 24000);
}

/* ---- somebody edits ----------------------------------------------------------------------- */

static void edit(struct consumer_world *world, mr_shard_id shard, void (*how)(mr_lease *lease))
{
    mr_error error;
    mr_lease lease, edited;

    do {
        consumer_world_must(world->leases->get(world->leases, shard, &lease, &error), &error);
        edited = lease;
        how(&edited);
    } while (world->leases->update(world->leases, &lease, &edited, &error));
}

static void skip_counter(mr_lease *lease)
{
    lease->counter += 100;
}

static void give_to_nobody(mr_lease *lease)
{
    lease->counter += 1;
    lease->owner[0] = 0;
    lease->checkpoint = MR_MARK(TRIM_HORIZON);
}

static void edited_leases_are_lost_and_found_again(void **state)
{
    struct consumer_world *world = *state;
    struct worker *worker;

    world->config.lease_ms = 300;
    worker = worker_start(world, "a");
    consumer_world_wait_for(world, &world->started, 4);
    consumer_world_put(world, &random_numbers, 500);
    consumer_world_wait_all(world);
    edit(world, 0, skip_counter);
    edit(world, 1, give_to_nobody); /* it is read from the start once more */
    consumer_world_wait_for(world, &world->lost, 2);
    consumer_world_wait_for(world, &world->started, 6);
    consumer_world_put(world, &random_numbers, 500);
    consumer_world_wait_all(world);
    worker_stop(worker);
    assert_true(world->again_count > 0);
}

static void deleted_leases_are_restored_with_their_checkpoints(void **state)
{
    struct consumer_world *world = *state;
    struct worker *worker;
    mr_error error;
    mr_lease lease;

    world->config.lease_ms = 300;
    worker = worker_start(world, "a");
    consumer_world_wait_for(world, &world->started, 4);
    consumer_world_put(world, &random_numbers, 500);
    consumer_world_wait_all(world);
    do
        consumer_world_must(world->leases->get(world->leases, 2, &lease, &error), &error);
    while (world->leases->remove(world->leases, &lease, &error));
    while (world->leases->get(world->leases, 2, &lease, &error))
        sched_yield(); /* until it is back */
    consumer_world_put(world, &random_numbers, 500);
    consumer_world_wait_all(world);
    worker_stop(worker);
    /* At most what came since the row was last listed. */
    assert_true(world->again_count < 500);
}

/* ---- clocks ------------------------------------------------------------------------------- */

struct jumping {
    struct mr_clock clock;
    _Atomic int64_t wall_ms; /* added */
    _Atomic uint64_t monotonic_ns;
};

static int64_t wall_ms(struct mr_clock *clock)
{
    struct mr_clock *real = mr_clock_real();

    return real->wall_ms(real) + ((struct jumping *)(void *)clock)->wall_ms;
}

static uint64_t monotonic_ns(struct mr_clock *clock)
{
    struct mr_clock *real = mr_clock_real();

    return real->monotonic_ns(real) + ((struct jumping *)(void *)clock)->monotonic_ns;
}

/* C6 */
static void clocks_that_jump_lose_no_record(void **state)
{
    struct jumping clocks[2] = {{.clock = {.wall_ms = wall_ms, .monotonic_ns = monotonic_ns}},
                                {.clock = {.wall_ms = wall_ms, .monotonic_ns = monotonic_ns}}};
    struct consumer_world *world = *state;
    struct worker *workers[2];
    uint64_t lost;

    world->config.lease_ms = 500;
    for (size_t i = 0; i < 2; i++)
        workers[i] = worker_start_at(world, i ? "b" : "a", &clocks[i].clock);
    consumer_world_put(world, &random_numbers, 500);
    consumer_world_wait_all(world);
    /* Wall clocks: a year ahead, a year behind. No lease is lost. */
    clocks[0].wall_ms = INT64_C(31536000000);
    clocks[1].wall_ms = -INT64_C(31536000000);
    for (int i = 0; i < 20; i++)
        consumer_world_put(world, &random_numbers, 100);
    consumer_world_wait_all(world);
    lost = world->lost;
    assert_int_equal(lost, 0);
    /* A machine that slept: its worker finds everybody's leases old, its own as well. */
    clocks[0].monotonic_ns = UINT64_C(3600000000000);
    for (int i = 0; i < 20; i++)
        consumer_world_put(world, &random_numbers, 100);
    consumer_world_wait_all(world);
    for (size_t i = 0; i < 2; i++)
        worker_stop(workers[i]);
    consumer_world_check(world);
}

/* ---- aggregates --------------------------------------------------------------------------- */

struct collected {
    pthread_mutex_t lock;
    char text[4096];
    uint64_t stop_after; /* checkpoints the n-th, and stops */
    uint64_t count;
    mr_consumer *consumer;
};

static void collect(void *state, mr_shard_task *task, const mr_consumer_batch *batch)
{
    struct collected *collected = state;

    for (size_t i = 0; i < batch->count; i++) {
        const mr_consumer_record *record = &batch->records[i];

        if (collected->count >= collected->stop_after)
            return;
        snprintf(collected->text + strlen(collected->text), 64, "%.*s/%llu ",
                 (int)record->data.size, (const char *)record->data.data,
                 (unsigned long long)record->mark.sub_sequence);
        if (++collected->count == collected->stop_after) {
            mr_error error;

            consumer_world_must(mr_checkpoint(task, &record->mark, &error), &error);
            assert_int_equal(mr_checkpoint(task, &batch->records[0].mark, &error),
                             i == 0 ? MR_OK : MR_INVALID);
            mr_consumer_stop(collected->consumer);
        }
    }
}

static void put_aggregate(struct consumer_world *world, const char *key, char first, int count)
{
    struct mr_pack pack = {0};
    mr_error error;
    mr_put put = {.partition_key = mr_bytes_of(key)};
    mr_put_result result;

    mr_aggregate_begin(&pack);
    mr_aggregate_add_key(&pack, mr_bytes_of(key));
    for (int i = 0; i < count; i++) {
        char data = (char)(first + i);

        mr_aggregate_add_record(&pack, 0, MR_NO_EXPLICIT_KEY, (mr_bytes){&data, 1});
    }
    mr_aggregate_end(&pack, 0);
    put.data = (mr_bytes){pack.data, pack.size};
    consumer_world_must(mr_put_records(world->engine, WORLD_STREAM, &put, 1, &result, &error),
                        &error);
    mr_pack_fini(&pack);
}

/* C2: at every user record one may stop, and go on behind it. */
static void aggregates_are_opened_and_gone_on_within(void **state)
{
    for (uint64_t stop = 1; stop < 9; stop++) {
        struct collected collected = {.stop_after = stop};
        struct consumer_world *world = *state;
        struct mr_consumer_config config = world->config;
        mr_error error;

        if (stop == 1) {
            put_aggregate(world, "k", 'a', 4);
            consumer_world_must(mr_put_records(world->engine, WORLD_STREAM,
                                               &(mr_put){.partition_key = mr_bytes_of("k"),
                                                         .data = mr_bytes_of("\xf3\x89\x9a\xc2"
                                                                             "no aggregate")},
                                               1, &(mr_put_result){0}, &error),
                                &error);
            put_aggregate(world, "k", 'e', 4);
        }
        config.leases = world->leases;
        config.processor.records = collect;
        config.processor_context = &collected;
        for (int again = 0; again < 2; again++) {
            collected.stop_after = again ? 9 : stop;
            consumer_world_must(mr_consumer_open(&collected.consumer, &config, &error), &error);
            consumer_world_must(mr_consumer_run(collected.consumer, &error), &error);
            mr_consumer_close(collected.consumer);
        }
        assert_string_equal(collected.text, "a/0 b/1 c/2 d/3 \xf3\x89\x9a\xc2"
                                            "no aggregate/0 "
                                            "e/0 f/1 g/2 h/3 ");
        mr_lease_store_close(world->leases);
        consumer_world_must(mr_lease_store_memory(&world->leases, &error), &error);
    }
}

/* ---- what it says ------------------------------------------------------------------------- */

static void metrics_tell_what_was_done(void **state)
{
    struct consumer_world *world = *state;
    struct mr_consumer_metrics metrics;
    struct worker *worker = worker_start(world, "a \"quoted\" worker");
    char text[16384];
    size_t size;

    consumer_world_wait_for(world, &world->started, 4);
    consumer_world_put(world, &random_numbers, 500);
    consumer_world_wait_all(world);
    do
        mr_consumer_metrics(worker->consumer, &metrics);
    while (metrics.record_count < 500);
    assert_int_equal(metrics.record_count, 500);
    assert_int_equal(metrics.our_lease_count, 4);
    assert_int_equal(metrics.lease_count, 4);
    assert_int_equal(metrics.worker_count, 1);
    assert_int_equal(metrics.taken_count, 4);
    size = mr_consumer_metrics_text(worker->consumer, text, sizeof text);
    assert_true(size == strlen(text));
    assert_non_null(strstr(text, "millrace_consumer_records_total{application=\"app\","
                                 "stream=\"s\"} 500\n"));
    assert_non_null(strstr(text, "shard=\"shardId-000000000003\",owner=\"a \\\"quoted\\\" "
                                 "worker\"} 1\n"));
    assert_int_equal(mr_consumer_metrics_text(worker->consumer, NULL, 0) > 1000, true);
    worker_stop(worker);
}

static void a_stream_that_is_not_there_ends_the_run(void **state)
{
    struct consumer_world *world = *state;
    struct mr_consumer_config config = world->config;
    mr_consumer *consumer;
    mr_error error;

    config.leases = world->leases;
    config.stream = "none";
    consumer_world_must(mr_consumer_open(&consumer, &config, &error), &error);
    assert_int_equal(mr_consumer_run(consumer, &error), MR_NOT_FOUND);
    assert_non_null(strstr(error.message, "none"));
    mr_consumer_close(consumer);
}

static void configs_that_cannot_work_are_refused(void **state)
{
    struct consumer_world *world = *state;
    struct mr_consumer_config good = world->config, bad[9];
    mr_consumer *consumer;
    mr_error error;

    good.leases = world->leases;
    for (size_t i = 0; i < 9; i++)
        bad[i] = good;
    bad[0].struct_bytes = 8;
    bad[1].leases = NULL;
    bad[2].application = "a b";
    bad[3].lease_ms = 1;
    bad[4].batch_count_max = 0;
    bad[5].from.start = MR_START_AFTER;
    bad[6].worker = "";
    bad[7].thread_count_max = 0;
    bad[8].stream = "";
    for (size_t i = 0; i < 9; i++)
        assert_int_equal(mr_consumer_open(&consumer, &bad[i], &error), MR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nothing_is_lost_through_kills_reshards_and_throttling,
                                        consumer_world_set_up, consumer_world_tear_down),
        cmocka_unit_test_setup_teardown(edited_leases_are_lost_and_found_again,
                                        consumer_world_set_up, consumer_world_tear_down),
        cmocka_unit_test_setup_teardown(deleted_leases_are_restored_with_their_checkpoints,
                                        consumer_world_set_up, consumer_world_tear_down),
        cmocka_unit_test_setup_teardown(clocks_that_jump_lose_no_record, consumer_world_set_up,
                                        consumer_world_tear_down),
        cmocka_unit_test_setup_teardown(aggregates_are_opened_and_gone_on_within,
                                        consumer_world_set_up, consumer_world_tear_down),
        cmocka_unit_test_setup_teardown(metrics_tell_what_was_done, consumer_world_set_up,
                                        consumer_world_tear_down),
        cmocka_unit_test_setup_teardown(a_stream_that_is_not_there_ends_the_run,
                                        consumer_world_set_up, consumer_world_tear_down),
        cmocka_unit_test_setup_teardown(configs_that_cannot_work_are_refused, consumer_world_set_up,
                                        consumer_world_tear_down),
    };

    random_numbers = seed_random();
    cmocka_set_test_filter(getenv("MR_TEST")); /* a pattern; all if it is not set */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
