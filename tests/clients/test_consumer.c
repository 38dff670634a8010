/*
 * Consumers keep the promises of their header (C1-C9): workers share a stream that is split and
 * merged meanwhile, are killed, fenced, slow, and lose their store; nothing is lost, each key comes in
 * order, and what comes twice came after the last checkpoint.
 */
#include "support/consumer_world.h"
#include "support/seed.h"

#include "base/memory.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct mr_random random_numbers;

static void split(struct consumer_world *world, mr_shard_id shard)
{
    mr_error error;

    consumer_world_must(mr_shard_split(world->engine, WORLD_STREAM, shard, NULL, NULL, &error),
                        &error);
}

static void merge(struct consumer_world *world, mr_shard_id shard, mr_shard_id adjacent)
{
    mr_error error;

    consumer_world_must(mr_shard_merge(world->engine, WORLD_STREAM, shard, adjacent, NULL, &error),
                        &error);
}

/* ---- delivery ----------------------------------------------------------------------------- */

static void one_worker_reads_all_shards(void **state)
{
    struct consumer_world *world = *state;
    struct worker *worker;

    consumer_world_put(world, &random_numbers, 1000);
    worker = worker_start(world, "a");
    consumer_world_wait_all(world);
    consumer_world_put(world, &random_numbers, 1000);
    consumer_world_wait_all(world);
    worker_stop(worker);
    assert_int_equal(world->again_count, 0);
    assert_int_equal(world->started, 4);
    assert_int_equal(world->stopping, 4);
    assert_int_equal(world->done, 4);
}

/* C1 */
static void the_next_worker_goes_on_after_the_checkpoint(void **state)
{
    struct consumer_world *world = *state;

    for (int i = 0; i < 3; i++) {
        struct worker *worker = worker_start(world, i % 2 ? "a" : "b");

        consumer_world_put(world, &random_numbers, 500);
        consumer_world_wait_all(world);
        worker_stop(worker);
    }
    assert_int_equal(world->again_count, 0);
}

/* C4 */
static void children_come_after_their_parents(void **state)
{
    struct consumer_world *world = *state;
    struct worker *worker;

    consumer_world_put(world, &random_numbers, 500);
    split(world, 0);
    consumer_world_put(world, &random_numbers, 500);
    merge(world, 4, 5);
    split(world, 3);
    consumer_world_put(world, &random_numbers, 500);
    worker = worker_start(world, "a");
    consumer_world_wait_all(world);
    split(world, 6);
    consumer_world_put(world, &random_numbers, 500);
    consumer_world_wait_all(world);
    worker_stop(worker);
    assert_int_equal(world->again_count, 0);
    assert_int_equal(world->ended, 5); /* 0, 4, 5, 3, 6 */
}

/* The same over calls of the service, as one does from afar. */
static void go_remote(struct consumer_world *world, mr_retrieval retrieval)
{
    world->config.service = &world->fickle.base;
    world->config.retrieval = retrieval;
}

static void read_through_reshards(struct consumer_world *world)
{
    struct worker *worker = worker_start(world, "a");

    consumer_world_put(world, &random_numbers, 500);
    split(world, 1);
    consumer_world_put(world, &random_numbers, 500);
    merge(world, 4, 5);
    consumer_world_put(world, &random_numbers, 500);
    consumer_world_wait_all(world);
    worker_stop(worker);
    worker = worker_start(world, "b");
    consumer_world_put(world, &random_numbers, 100);
    consumer_world_wait_all(world);
    worker_stop(worker);
    assert_int_equal(world->again_count, 0);
    assert_int_equal(world->ended, 3);
}

static void polling_sees_every_record(void **state)
{
    struct consumer_world *world = *state;

    go_remote(world, MR_RETRIEVE_POLL);
    world->config.batch_count_max = 37;
    read_through_reshards(world);
}

static void fan_out_sees_every_record(void **state)
{
    struct consumer_world *world = *state;

    go_remote(world, MR_RETRIEVE_FAN_OUT);
    read_through_reshards(world);
    assert_true(world->fickle.calls[MR_ACTION_GET_RECORDS] == 0);
    assert_true(world->fickle.calls[MR_ACTION_REGISTER_STREAM_CONSUMER] >= 1);
}

static void throttling_and_an_endpoint_that_is_away_lose_nothing(void **state)
{
    struct consumer_world *world = *state;
    const mr_retrieval ways[] = {MR_RETRIEVE_POLL, MR_RETRIEVE_FAN_OUT};

    for (size_t i = 0; i < 2; i++) {
        struct worker *worker;

        go_remote(world, ways[i]);
        world->fickle.refused_percent = ways[i] == MR_RETRIEVE_POLL ? 40 : 0;
        worker = worker_start(world, NULL);
        consumer_world_put(world, &random_numbers, 300);
        consumer_world_wait_all(world);
        world->fickle.is_away = true;
        consumer_world_put(world, &random_numbers, 300);
        while (ways[i] == MR_RETRIEVE_POLL && !atomic_load(&worker->consumer->read_failure_count))
            sched_yield();
        split(world, i == 0 ? 0 : 1);
        world->fickle.is_away = false;
        consumer_world_put(world, &random_numbers, 300);
        consumer_world_wait_all(world);
        worker_stop(worker);
    }
    assert_int_equal(world->again_count, 0);
}

/* 5 calls a second are what a shard allows: its readers keep apart. */
static void polling_keeps_its_distance(void **state)
{
    struct consumer_world *world = *state;
    struct mr_clock *clock = mr_clock_real();
    struct worker *worker;
    uint64_t began_ns, ms;

    go_remote(world, MR_RETRIEVE_POLL);
    world->config.call_ms = 40;
    world->config.poll_ms = 120;
    worker = worker_start(world, NULL);
    began_ns = clock->monotonic_ns(clock);
    consumer_world_put(world, &random_numbers, 2000);
    consumer_world_wait_all(world);
    while (world->fickle.calls[MR_ACTION_GET_RECORDS] < 24)
        sched_yield();
    ms = (clock->monotonic_ns(clock) - began_ns) / 1000000;
    worker_stop(worker);
    /* 4 shards: 6 calls each; the first at once, most of the rest where nothing came. */
    assert_true(ms >= 3 * 120);
}

/* ---- where it begins ---------------------------------------------------------------------- */

/* Forgets what was put: it is not to come. */
static void expect_only_what_comes(struct consumer_world *world)
{
    pthread_mutex_lock(&world->lock);
    memcpy(world->next, world->put, sizeof world->next);
    pthread_mutex_unlock(&world->lock);
}

static int64_t next_millisecond(void)
{
    struct mr_clock *clock = mr_clock_real();
    int64_t now_ms = clock->wall_ms(clock);

    while (clock->wall_ms(clock) <= now_ms)
        sched_yield();
    return now_ms + 1;
}

static void latest_begins_with_what_comes_and_then_skips_nothing(void **state)
{
    struct consumer_world *world = *state;
    struct worker *worker;

    world->config.from.start = MR_START_LATEST;
    consumer_world_put(world, &random_numbers, 500);
    expect_only_what_comes(world);
    next_millisecond();
    worker = worker_start(world, "a");
    worker->checkpoint_every = 0;
    consumer_world_wait_for(world, &world->started, 4);
    consumer_world_put(world, &random_numbers, 500);
    consumer_world_wait_all(world);
    worker_kill(worker); /* no checkpoint was ever made */
    assert_int_equal(world->again_count, 0);
    consumer_world_put(world, &random_numbers, 500);
    split(world, 2);
    consumer_world_put(world, &random_numbers, 500);
    worker = worker_start(world, "b");
    consumer_world_wait_all(world);
    worker_stop(worker);
    assert_int_equal(world->again_count, 500); /* C1 */
}

static void a_time_begins_there_in_children_too(void **state)
{
    struct consumer_world *world = *state;
    struct worker *worker;

    consumer_world_put(world, &random_numbers, 500);
    split(world, 0);
    consumer_world_put(world, &random_numbers, 500);
    world->config.from = (mr_position){.start = MR_START_AT_TIME, .time_ms = next_millisecond()};
    expect_only_what_comes(world);
    consumer_world_put(world, &random_numbers, 500);
    split(world, 1);
    consumer_world_put(world, &random_numbers, 500);
    worker = worker_start(world, "a");
    consumer_world_wait_all(world);
    worker_stop(worker);
    assert_int_equal(world->again_count, 0);
    assert_int_equal(world->came_count, 1000);
}

/* ---- callbacks ---------------------------------------------------------------------------- */

/* C5 */
static void a_slow_shard_slows_only_itself(void **state)
{
    struct consumer_world *world = *state;
    struct worker *slow[3];
    uint64_t came;

    world->config.thread_count_max = 8;
    slow[0] = worker_start(world, "a");
    consumer_world_wait_for(world, &world->started, 4);
    slow[0]->hold_shard = 2;
    consumer_world_put(world, &random_numbers, 2000);
    /* All of the other shards come, though shard 2 does not. */
    for (size_t key = 0; key < WORLD_KEYS; key++) {
        char text[16];
        mr_shard shard;
        mr_error error;

        snprintf(text, sizeof text, "%zu", key);
        consumer_world_must(
            mr_shard_where(world->engine, WORLD_STREAM, mr_bytes_of(text), &shard, NULL, &error),
            &error);
        if (shard.id != 2)
            consumer_world_wait_for(world, &world->next[key], world->put[key]);
        else
            assert_true(world->next[key] == 0);
    }
    pthread_mutex_lock(&world->lock);
    came = world->came_count;
    pthread_mutex_unlock(&world->lock);
    assert_true(came < 2000);
    slow[0]->hold_shard = MR_NO_SHARD;
    consumer_world_wait_all(world);
    worker_stop(slow[0]);
}

/* A processor that holds all of its shards, each in a thread of its own. */
struct crowd {
    _Atomic uint32_t inside, most, word;
};

static void stay(void *state, mr_shard_task *task, const mr_consumer_batch *batch)
{
    struct crowd *crowd = state;
    uint32_t now = atomic_fetch_add(&crowd->inside, 1) + 1;
    (void)task;
    (void)batch;

    if (now > atomic_load(&crowd->most))
        atomic_store(&crowd->most, now);
    mr_word_change(&crowd->word);
    while (atomic_load(&crowd->most) < 16)
        mr_word_wait(&crowd->word, atomic_load(&crowd->word), 50);
    atomic_fetch_sub(&crowd->inside, 1);
}

static void *run_consumer(void *consumer)
{
    mr_error error;

    return mr_consumer_run(consumer, &error) ? consumer : NULL;
}

/* C5 */
static void many_slow_shards_have_a_thread_each(void **state)
{
    struct consumer_world *world = *state;
    struct mr_consumer_config config = world->config;
    struct crowd crowd = {0};
    mr_consumer *consumer;
    pthread_t thread;
    mr_error error;

    consumer_world_must(mr_stream_scale(world->engine, WORLD_STREAM, 16, &error), &error);
    for (uint64_t i = 0; i < 16; i++)
        consumer_world_must(
            mr_put_records(world->engine, WORLD_STREAM,
                           &(mr_put){.partition_key = mr_bytes_of("k"),
                                     .explicit_hash_key = &(mr_hash_key){i << 60 | 5, 0}},
                           1, &(mr_put_result){0}, &error),
            &error);
    config.leases = world->leases;
    config.processor = (struct mr_processor){.records = stay};
    config.processor_context = &crowd;
    consumer_world_must(mr_consumer_open(&consumer, &config, &error), &error);
    thread = mr_thread_start("crowd", run_consumer, consumer);
    while (atomic_load(&crowd.most) < 16)
        mr_word_wait(&crowd.word, atomic_load(&crowd.word), 50);
    mr_consumer_stop(consumer);
    pthread_join(thread, NULL);
    mr_consumer_close(consumer);
}

static _Atomic uint32_t restarts;

static void fail_twice(void *state, mr_shard_task *task, const mr_consumer_batch *batch)
{
    uint64_t *came = state;

    if (atomic_fetch_add(&restarts, 1) < 2)
        mr_shard_task_restart(task);
    else
        *came += batch->count;
}

static void a_processor_that_fails_begins_again_at_its_checkpoint(void **state)
{
    struct consumer_world *world = *state;
    struct mr_consumer_config config = world->config;
    struct mr_consumer_metrics metrics;
    mr_consumer *consumer;
    uint64_t came = 0;
    pthread_t thread;
    mr_error error;

    consumer_world_must(
        mr_put_records(world->engine, WORLD_STREAM,
                       &(mr_put){.partition_key = mr_bytes_of("k"), .data = mr_bytes_of("x")}, 1,
                       &(mr_put_result){0}, &error),
        &error);
    config.leases = world->leases;
    config.processor = (struct mr_processor){.records = fail_twice};
    config.processor_context = &came;
    consumer_world_must(mr_consumer_open(&consumer, &config, &error), &error);
    thread = mr_thread_start("restart", run_consumer, consumer);
    while (atomic_load(&restarts) < 3)
        sched_yield();
    mr_consumer_stop(consumer);
    pthread_join(thread, NULL);
    mr_consumer_metrics(consumer, &metrics);
    assert_int_equal(metrics.record_count, 3);
    mr_consumer_close(consumer);
    assert_int_equal(came, 1);
}

/* For what nobody wakes us. */
static void look_again_soon(void)
{
    _Atomic uint32_t never = 0;

    mr_word_wait(&never, 0, 2);
}

/* ---- leases ------------------------------------------------------------------------------- */

static uint32_t count_open(struct worker *worker)
{
    uint32_t count = 0;

    for (size_t i = 0; i < WORLD_SHARDS; i++)
        count += worker->is_open[i];
    return count;
}

/* Waits until each has that many shards. */
static void wait_shares(struct worker **workers, const uint32_t *shares, size_t count)
{
    for (size_t i = 0; i < count; i++)
        while (count_open(workers[i]) != shares[i])
            look_again_soon();
}

/* C7 */
static void a_second_worker_gets_its_share_handed_over(void **state)
{
    struct consumer_world *world = *state;
    struct worker *workers[2];

    workers[0] = worker_start(world, "a");
    workers[0]->checkpoint_every = 0; /* only when asked to stop */
    consumer_world_wait_for(world, &world->started, 4);
    consumer_world_put(world, &random_numbers, 1000);
    consumer_world_wait_all(world);
    workers[1] = worker_start(world, "b");
    wait_shares(workers, (uint32_t[]){2, 2}, 2);
    consumer_world_put(world, &random_numbers, 1000);
    consumer_world_wait_all(world);
    assert_int_equal(world->again_count, 0);
    assert_int_equal(world->stopping, 2);
    assert_int_equal(world->lost, 0);
    worker_stop(workers[0]);
    wait_shares(&workers[1], (uint32_t[]){4}, 1);
    worker_stop(workers[1]);
    assert_int_equal(world->again_count, 0);
}

static void stolen_without_a_handover_leases_are_lost(void **state)
{
    struct consumer_world *world = *state;
    struct worker *workers[2];

    world->config.handover_ms = 0;
    workers[0] = worker_start(world, "a");
    workers[0]->checkpoint_every = 0;
    consumer_world_wait_for(world, &world->started, 4);
    consumer_world_put(world, &random_numbers, 1000);
    consumer_world_wait_all(world);
    workers[1] = worker_start(world, "b");
    wait_shares(workers, (uint32_t[]){2, 2}, 2);
    consumer_world_wait_for(world, &world->lost, 2);
    worker_stop(workers[0]);
    worker_stop(workers[1]);
    consumer_world_check(world);
    assert_int_equal(world->lost, 2);
}

/* C8 */
static void a_dead_workers_shards_are_taken_within_one_and_a_half_lease_times(void **state)
{
    struct consumer_world *world = *state;
    struct mr_clock *clock = mr_clock_real();
    struct worker *workers[2];
    uint64_t died_ns, ms;

    workers[0] = worker_start(world, "a");
    workers[1] = worker_start(world, "b");
    wait_shares(workers, (uint32_t[]){2, 2}, 2);
    consumer_world_put(world, &random_numbers, 500);
    consumer_world_wait_all(world);
    atomic_store(&workers[0]->is_dead, true);
    atomic_store(&workers[0]->store.is_away, true);
    died_ns = clock->monotonic_ns(clock);
    while (count_open(workers[1]) < 4)
        look_again_soon();
    ms = (clock->monotonic_ns(clock) - died_ns) / 1000000;
    worker_kill(workers[0]);
    consumer_world_put(world, &random_numbers, 500);
    consumer_world_wait_all(world);
    worker_stop(workers[1]);
    print_message("taken over after %llu ms of %u\n", (unsigned long long)ms,
                  world->config.lease_ms);
    assert_true(ms <= world->config.lease_ms * 3 / 2);
}

/* C3: a worker that has slept through its lease is refused. */
static void a_stale_worker_can_never_checkpoint(void **state)
{
    struct consumer_world *world = *state;
    struct worker *workers[2];

    world->config.lease_ms = 400;
    workers[0] = worker_start(world, "a");
    consumer_world_wait_for(world, &world->started, 4);
    workers[0]->hold_shard = 1;
    consumer_world_put(world, &random_numbers, 1000);
    atomic_store(&workers[0]->store.is_away, true); /* no renewals */
    workers[1] = worker_start(world, "b");
    while (count_open(workers[1]) < 4)
        look_again_soon();
    consumer_world_wait_all(world);
    atomic_store(&workers[0]->store.is_away, false);
    workers[0]->hold_shard = MR_NO_SHARD; /* it wakes, and wants to checkpoint */
    while (atomic_load(&workers[0]->fenced_count) == 0)
        look_again_soon();
    worker_stop(workers[0]);
    worker_stop(workers[1]);
    consumer_world_check(world);
}

/* Every call of the store fails in turn, once before it does anything, once after. */
static void each_call_of_the_store_fails_in_turn(void **state)
{
    struct consumer_world *world = *state;
    uint64_t calls = 0;

    world->config.lease_ms = 300;
    for (int after = 0; after < 2; after++)
        for (int64_t at = 0; at == 0 || (uint64_t)at < calls; at += 1 + at / 24) {
            struct worker *worker;

            mr_lease_store_close(world->leases);
            consumer_world_must(mr_lease_store_memory(&world->leases, NULL), NULL);
            expect_only_what_comes(world);
            world->config.from.start = MR_START_LATEST;
            worker = worker_start(world, "a");
            worker->store.fails_after = after;
            worker->store.fails_at = at;
            consumer_world_wait_for(world, &world->started, world->done + 1);
            consumer_world_put(world, &random_numbers, 100);
            if (at == 0)
                consumer_world_wait_for(world, &world->started, world->done + 4);
            calls = worker->store.count > calls ? worker->store.count : calls;
            worker_stop(worker);
        }
    consumer_world_check(world);
    assert_true(calls > 10);
}
int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_worker_reads_all_shards, consumer_world_set_up,
                                        consumer_world_tear_down),
        cmocka_unit_test_setup_teardown(the_next_worker_goes_on_after_the_checkpoint,
                                        consumer_world_set_up, consumer_world_tear_down),
        cmocka_unit_test_setup_teardown(children_come_after_their_parents, consumer_world_set_up,
                                        consumer_world_tear_down),
        cmocka_unit_test_setup_teardown(polling_sees_every_record, consumer_world_set_up,
                                        consumer_world_tear_down),
        cmocka_unit_test_setup_teardown(fan_out_sees_every_record, consumer_world_set_up,
                                        consumer_world_tear_down),
        cmocka_unit_test_setup_teardown(throttling_and_an_endpoint_that_is_away_lose_nothing,
                                        consumer_world_set_up, consumer_world_tear_down),
        cmocka_unit_test_setup_teardown(polling_keeps_its_distance, consumer_world_set_up,
                                        consumer_world_tear_down),
        cmocka_unit_test_setup_teardown(latest_begins_with_what_comes_and_then_skips_nothing,
                                        consumer_world_set_up, consumer_world_tear_down),
        cmocka_unit_test_setup_teardown(a_time_begins_there_in_children_too, consumer_world_set_up,
                                        consumer_world_tear_down),
        cmocka_unit_test_setup_teardown(a_slow_shard_slows_only_itself, consumer_world_set_up,
                                        consumer_world_tear_down),
        cmocka_unit_test_setup_teardown(many_slow_shards_have_a_thread_each, consumer_world_set_up,
                                        consumer_world_tear_down),
        cmocka_unit_test_setup_teardown(a_processor_that_fails_begins_again_at_its_checkpoint,
                                        consumer_world_set_up, consumer_world_tear_down),
        cmocka_unit_test_setup_teardown(a_second_worker_gets_its_share_handed_over,
                                        consumer_world_set_up, consumer_world_tear_down),
        cmocka_unit_test_setup_teardown(stolen_without_a_handover_leases_are_lost,
                                        consumer_world_set_up, consumer_world_tear_down),
        cmocka_unit_test_setup_teardown(
            a_dead_workers_shards_are_taken_within_one_and_a_half_lease_times,
            consumer_world_set_up, consumer_world_tear_down),
        cmocka_unit_test_setup_teardown(a_stale_worker_can_never_checkpoint, consumer_world_set_up,
                                        consumer_world_tear_down),
        cmocka_unit_test_setup_teardown(each_call_of_the_store_fails_in_turn, consumer_world_set_up,
                                        consumer_world_tear_down),
    };

    random_numbers = seed_random();
    cmocka_set_test_filter(getenv("MR_TEST")); /* a pattern; all if it is not set */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
