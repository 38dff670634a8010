/*
 * The stages of a producer one by one: lanes against a model, the size that a unit is thought to
 * have against the bytes written, the heap of held units, requests cut at every limit.
 */
#include "support/producer_world.h"
#include "support/seed.h"

#include "base/check.h"
#include "base/memory.h"
#include "base/u128.h"
#include "wire/aggregate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* ---- lanes ---------------------------------------------------------------------------------- */

static void a_lane_is_found_by_its_key_until_it_is_dropped(void **state)
{
    struct mr_random random = seed_random();
    struct mr_lane *model[2000] = {0};
    struct mr_lanes lanes = {0};
    size_t count = 0;
    (void)state;

    for (int i = 0; i < 50000; i++) {
        size_t key = mr_random_below(&random, 2000);
        /* Few values of the bits that choose the bucket, so that buckets are shared. */
        mr_hash_key hash = {.hi = key, .lo = key % 7};

        if (model[key] && mr_random_below(&random, 2)) {
            mr_lane_drop(&lanes, model[key]);
            model[key] = NULL;
            count--;
            continue;
        }
        mr_lanes_prefetch(&lanes, &hash, 1);
        if (model[key]) {
            assert_ptr_equal(mr_lane_get(&lanes, hash), model[key]);
            continue;
        }
        model[key] = mr_lane_get(&lanes, hash);
        assert_true(mr_hash_key_equal(model[key]->hash, hash));
        assert_null(model[key]->unit); /* fresh, also if it was used before */
        model[key]->unit = (struct mr_unit *)1;
        assert_int_equal(lanes.count, ++count);
    }
    for (size_t key = 0; key < 2000; key++)
        if (model[key])
            mr_lane_drop(&lanes, model[key]);
    assert_int_equal(lanes.count, 0);
    mr_lanes_fini(&lanes);
}

/* ---- aggregate ------------------------------------------------------------------------------ */

static void put_random(struct producer_world *world, unsigned keys)
{
    static const char bytes[3000] = "x";
    char key[64];
    const mr_hash_key explicit_key = {mr_random_below(&world->random, 3), 0};
    const mr_put put = {
        .partition_key = {key, (size_t)snprintf(key, sizeof key, "key-%u",
                                                (unsigned)mr_random_below(&world->random, keys))},
        .data = {bytes,
                 mr_random_below(&world->random, mr_random_below(&world->random, 5) ? 50 : 3000)},
        .explicit_hash_key = mr_random_below(&world->random, 3) ? NULL : &explicit_key};
    mr_status status;

    mr_check(producer_world_put_as(world, &put, &status));
}

/* So many bytes are reserved, and no unit of several records is over its limit. */
static void a_unit_is_as_large_as_it_was_counted(void **state)
{
    uint64_t seed = seed_choose();
    (void)state;

    for (unsigned round = 0; round < 30; round++) {
        struct producer_world *world = producer_world_new(seed + round, 1);
        struct mr_pack out = {0};
        size_t units = 0;

        world->config.is_ordered = round % 2;
        world->config.aggregate_bytes = 64 + (uint32_t)mr_random_below(&world->random, 20000);
        world->config.aggregate_count = 1 + (uint32_t)mr_random_below(&world->random, 300);
        world->config.request_bytes = 10u << 20;
        world->config.buffer_bytes = (size_t)1 << 30;
        world->config.requests_max = 1;
        producer_world_open(world);
        world->producer->under_way_count = 1; /* so that nothing is sent */
        for (unsigned i = 0; i < 1000; i++)
            put_random(world, 300);
        producer_world_pass(world, 0);
        for (struct mr_unit *unit = world->producer->ready.first; unit; unit = unit->next) {
            struct mr_aggregate_reader reader = {0};

            out.size = 0;
            mr_stage_aggregate_write(unit, &out);
            mr_aggregate_sign(&out.data, &out.size, 1);
            assert_int_equal(out.size, unit->bytes);
            assert_true(unit->record_count <= world->config.aggregate_count);
            assert_true(unit->record_count == 1 || unit->bytes <= world->config.aggregate_bytes);
            assert_true(mr_aggregate_open(&reader, (mr_bytes){out.data, out.size}));
            assert_int_equal(reader.record_count, unit->record_count);
            assert_int_equal(reader.key_count, unit->key_count);
            mr_aggregate_reader_fini(&reader);
            units++;
        }
        assert_true(units > 0);
        world->producer->under_way_count = 0;
        producer_world_finish(world);
        producer_world_check_answers(world);
        mr_pack_fini(&out);
        producer_world_free(world);
    }
}

/* ---- collect -------------------------------------------------------------------------------- */

static void requests_hold_what_they_may_and_no_more(void **state)
{
    uint64_t seed = seed_choose();
    (void)state;

    for (unsigned round = 0; round < 30; round++) {
        struct producer_world *world = producer_world_new(seed + round, 1);
        const struct sim_service *service = &world->service;

        world->service.holds = true;
        world->config.aggregates = round % 2;
        world->config.request_count = 1 + (uint32_t)mr_random_below(&world->random, 50);
        world->config.request_bytes = 1024 + (uint32_t)mr_random_below(&world->random, 20000);
        world->config.requests_max = 1000;
        producer_world_open(world);
        for (unsigned i = 0; i < 500; i++)
            put_random(world, 1000);
        producer_world_pass(world, 100);
        for (size_t i = 0; i < service->held_count; i++) {
            const struct mr_api_put_records_request *request = service->held[i].call->request;
            size_t bytes = 0;

            for (size_t j = 0; j < request->records_count; j++)
                bytes += request->records[j].partition_key.size + request->records[j].data.size;
            assert_true(request->records_count <= world->config.request_count);
            assert_true(request->records_count == 1 || bytes <= world->config.request_bytes);
        }
        producer_world_finish(world);
        producer_world_check_answers(world);
        producer_world_free(world);
    }
}

/* ---- retry ---------------------------------------------------------------------------------- */

static void held_units_go_on_in_the_order_of_their_moments(void **state)
{
    struct producer_world *world = producer_world_new(seed_choose(), 4);
    uint64_t last_ns = 0;
    size_t held;
    (void)state;

    world->config.aggregates = false;
    world->config.linger_ms = 0;
    world->service.throttled_percent = 100;
    producer_world_open(world);
    for (unsigned i = 0; i < 500; i++)
        producer_world_put(world, i, 10);
    producer_world_pass(world, 0);
    held = world->producer->held_count;
    assert_int_equal(held, 500);
    for (size_t i = 1; i < held; i++) /* a heap */
        assert_true(world->producer->held[(i - 1) / 2]->held_until_ns <=
                    world->producer->held[i]->held_until_ns);
    world->service.throttled_percent = 0;
    while (world->producer->held_count > 0) {
        uint64_t next_ns = world->producer->held[0]->held_until_ns;

        assert_true(next_ns >= last_ns);
        last_ns = next_ns;
        world->clock.monotonic_ns = next_ns;
        mr_producer_step(world->producer);
        assert_true(world->producer->held_count < held);
        held = world->producer->held_count;
    }
    producer_world_finish(world);
    producer_world_check_answers(world);
    producer_world_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lane_is_found_by_its_key_until_it_is_dropped),
        cmocka_unit_test(a_unit_is_as_large_as_it_was_counted),
        cmocka_unit_test(requests_hold_what_they_may_and_no_more),
        cmocka_unit_test(held_units_go_on_in_the_order_of_their_moments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
