/*
 * Consumers keep the promises of their header (C1-C9): workers share a stream that is split and
 * merged meanwhile, are killed, fenced, slow, and lose their store; nothing is lost, each key comes in
 * order, and what comes twice came after the last checkpoint.
 */
#include "support/consumer_world.h"
#include "support/seed.h"

#include "base/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct mr_random random_numbers;

static int open_world(void **state)
{
    struct consumer_world *world = mr_new(struct consumer_world);

    world_open(world, 4);
    *state = world;
    return 0;
}

static int close_world(void **state)
{
    world_close(*state);
    mr_free(*state);
    return 0;
}

static void must(mr_status status, const mr_error *error)
{
    if (status)
        fail_msg("%s: %s", mr_status_name(status), error->message);
}

static void split(struct consumer_world *world, mr_shard_id shard)
{
    mr_error error;

    must(mr_shard_split(world->engine, WORLD_STREAM, shard, NULL, NULL, &error), &error);
}

static void merge(struct consumer_world *world, mr_shard_id shard, mr_shard_id adjacent)
{
    mr_error error;

    must(mr_shard_merge(world->engine, WORLD_STREAM, shard, adjacent, NULL, &error), &error);
}

/* ---- delivery ----------------------------------------------------------------------------- */

static void one_worker_reads_all_shards(void **state)
{
    struct consumer_world *world = *state;
    struct worker *worker;

    world_put(world, &random_numbers, 1000);
    worker = worker_start(world, "a");
    world_wait_all(world);
    world_put(world, &random_numbers, 1000);
    world_wait_all(world);
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

        world_put(world, &random_numbers, 500);
        world_wait_all(world);
        worker_stop(worker);
    }
    assert_int_equal(world->again_count, 0);
}

/* C4 */
static void children_come_after_their_parents(void **state)
{
    struct consumer_world *world = *state;
    struct worker *worker;

    world_put(world, &random_numbers, 500);
    split(world, 0);
    world_put(world, &random_numbers, 500);
    merge(world, 4, 5);
    split(world, 3);
    world_put(world, &random_numbers, 500);
    worker = worker_start(world, "a");
    world_wait_all(world);
    split(world, 6);
    world_put(world, &random_numbers, 500);
    world_wait_all(world);
    worker_stop(worker);
    assert_int_equal(world->again_count, 0);
    assert_int_equal(world->ended, 5); /* 0, 4, 5, 3, 6 */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_worker_reads_all_shards, open_world, close_world),
        cmocka_unit_test_setup_teardown(the_next_worker_goes_on_after_the_checkpoint, open_world,
                                        close_world),
        cmocka_unit_test_setup_teardown(children_come_after_their_parents, open_world, close_world),
    };

    random_numbers = seed_random();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
