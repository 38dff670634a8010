/*
 * What millrace-producer.h promises, P1 to P8, over a simulated stream that throttles, loses answers,
 * answers in any order and is resharded on the way: each test by both doors of a service, texts and
 * batches. Time and chance are the test's own.
 */
#include "support/producer_world.h"
#include "support/seed.h"

#include "base/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ROUNDS 12

static bool takes_batches;

static struct producer_world *world_new(uint64_t seed, unsigned shard_count)
{
    struct producer_world *world = producer_world_new(seed, shard_count);

    if (takes_batches)
        sim_service_take_batches(&world->service);
    return world;
}

/* Random traffic through a hostile stream: some keys are busy. */
static void run_traffic(struct producer_world *world, size_t record_count, bool reshards)
{
    while (world->sent_count < record_count) {
        unsigned key =
            (unsigned)mr_random_below(&world->random, 1 + mr_random_below(&world->random, 100));

        producer_world_put(world, key, 10 + mr_random_below(&world->random, 200));
        if (mr_random_below(&world->random, 20) == 0)
            producer_world_pass(world, (unsigned)mr_random_below(&world->random, 30));
        if (mr_random_below(&world->random, 10) == 0)
            sim_service_answer(&world->service);
        if (reshards && mr_random_below(&world->random, 300) == 0)
            sim_service_reshard(&world->service);
    }
    producer_world_finish(world);
}

static struct producer_world *hostile_world(uint64_t seed, bool aggregates, bool is_ordered)
{
    struct producer_world *world = world_new(seed, 1 + (unsigned)(seed % 4));

    world->service.holds = true;
    world->service.throttled_percent = 20;
    world->service.lost_percent = 10;
    world->config.aggregates = aggregates;
    world->config.is_ordered = is_ordered;
    world->config.aggregate_bytes = 2000;
    world->config.request_count = 20;
    world->config.linger_ms = 20;
    world->config.record_timeout_ms = 3600000;
    world->config.buffer_bytes = (size_t)1 << 30;
    producer_world_open(world);
    return world;
}

/* ---- order ------------------------------------------------------------------------------------ */

/* P1, P2, P4, P5 */
static void check_all_is_kept(bool aggregates, bool reshards)
{
    uint64_t seed = seed_choose();

    for (unsigned round = 0; round < ROUNDS; round++) {
        struct producer_world *world = hostile_world(seed + round, aggregates, true);

        run_traffic(world, 3000, reshards);
        producer_world_check_answers(world);
        assert_int_equal(producer_world_count_status(world, MR_OK), world->sent_count);
        assert_int_equal(producer_world_count_lost(world), 0);
        assert_int_equal(producer_world_count_gaps(world), 0);
        producer_world_free(world);
    }
}

static void aggregates_keep_the_order_of_each_key_under_partial_failure(void **state)
{
    (void)state;
    check_all_is_kept(true, false);
}

static void plain_records_keep_the_order_of_each_key_under_partial_failure(void **state)
{
    (void)state;
    check_all_is_kept(false, false);
}

static void nothing_is_lost_or_passed_through_reshards(void **state)
{
    (void)state;
    check_all_is_kept(true, true);
    check_all_is_kept(false, true);
}

/* The same traffic, retried without lanes: the test above can see a difference. P4 */
static void without_lanes_retries_pass_each_other(void **state)
{
    uint64_t seed = seed_choose();
    size_t gaps = 0;
    (void)state;

    for (unsigned round = 0; round < ROUNDS; round++) {
        struct producer_world *world = hostile_world(seed + round, round % 2, false);

        run_traffic(world, 3000, false);
        producer_world_check_answers(world);
        assert_int_equal(producer_world_count_lost(world), 0);
        gaps += producer_world_count_gaps(world);
        producer_world_free(world);
    }
    assert_true(gaps > 0);
}

/* P4: no other key waits for it. */
static void a_key_that_fails_holds_back_itself_only(void **state)
{
    struct producer_world *world = world_new(1, 1);
    (void)state;

    world->config.aggregates = false;
    world->config.linger_ms = 5;
    world->service.throttled_key = "k0";
    producer_world_open(world);
    for (unsigned i = 0; i < 100; i++)
        producer_world_put(world, i % 10, 10);
    producer_world_pass(world, 1000);
    assert_int_equal(world->answered_count, 90);
    for (size_t i = 0; i < world->sent_count; i++)
        assert_int_equal(world->sent[i]->answer_count, strcmp(world->sent[i]->key, "k0") != 0);
    assert_int_equal(world->service.record_count, 90);
    world->service.throttled_key = NULL;
    producer_world_finish(world);
    producer_world_check_answers(world);
    assert_int_equal(producer_world_count_gaps(world), 0);
    producer_world_free(world);
}

/* ---- answers ------------------------------------------------------------------------------------ */

/* P1 */
static void says_where_each_record_is(void **state)
{
    struct producer_world *world = world_new(seed_choose(), 4);
    (void)state;

    producer_world_open(world);
    for (unsigned i = 0; i < 1000; i++)
        producer_world_put(world, i % 50, 100);
    producer_world_finish(world);
    producer_world_check_answers(world);
    for (size_t i = 0; i < world->sent_count; i++) {
        const mr_delivery *delivery = &world->sent[i]->delivery;
        const struct sim_record *found = NULL;

        for (size_t j = 0; j < world->service.record_count && !found; j++)
            if (world->service.records[j].number == delivery->sequence.number &&
                world->service.records[j].sub_sequence == delivery->sub_sequence)
                found = &world->service.records[j];
        assert_non_null(found);
        assert_string_equal(found->key, world->sent[i]->key);
        assert_int_equal(strtoul(found->data, NULL, 10), world->sent[i]->value);
        assert_int_equal(found->shard, delivery->sequence.shard);
        assert_int_equal(found->is_aggregated, delivery->is_aggregated);
        assert_int_equal(delivery->attempt_count, 1);
    }
    assert_true(world->service.stored_count < 100);
    producer_world_free(world);
}

/* P2: time to live, from put to answer, for records in every place. */
static void answers_late_records_with_a_timeout(void **state)
{
    uint64_t seed = seed_choose();
    (void)state;

    for (unsigned round = 0; round < ROUNDS; round++) {
        struct producer_world *world = hostile_world(seed + round, round % 2, true);

        world->producer->config.record_timeout_ms = 2000;
        world->service.holds = false;
        world->service.lost_percent = 0;
        world->service.throttled_percent = 100;
        for (unsigned i = 0; i < 500; i++) {
            producer_world_put(world, i % 20, 50);
            producer_world_pass(world, i % 4 == 0);
        }
        producer_world_finish(world);
        producer_world_check_answers(world);
        for (size_t i = 0; i < world->sent_count; i++) {
            const struct sent *sent = world->sent[i];

            assert_int_equal(sent->delivery.status, MR_TIMEOUT);
            assert_in_range(sent->answered_ms - sent->put_ms, 2000, 2101);
            assert_in_range(sent->delivery.latency_us / 1000, 2000, 2101);
        }
        producer_world_free(world);
    }
}

/* P6 */
static void retries_only_what_failed_and_waits_longer_each_time(void **state)
{
    struct producer_world *world = world_new(seed_choose(), 1);
    struct mr_producer_metrics metrics;
    const unsigned whole = takes_batches; /* requests refused for one record, and sent again */
    (void)state;

    world->config.aggregates = false;
    world->config.linger_ms = 1;
    world->service.throttled_key = "k0";
    producer_world_open(world);
    for (unsigned i = 0; i < 50; i++)
        producer_world_put(world, i, 10);
    producer_world_pass(world, 10);
    assert_int_equal(world->answered_count, 49);
    assert_int_equal(world->service.put_count, 1 + whole);
    /* 25..50, 50..100, 100..200, ... 1000..2000, 1000..2000 ms; the whole one counts as a try */
    producer_world_pass(world, 52 + 50 * whole);
    assert_int_equal(world->service.put_count, 2 + whole);
    producer_world_pass(world, 10000);
    assert_in_range(world->service.put_count, 2 + 5, 2 + 5 + 10);
    mr_producer_metrics(world->producer, &metrics);
    assert_int_equal(metrics.stream_records_sent, 49 * (1 + whole) + world->service.put_count);
    assert_int_equal(metrics.retries, 49 * whole + world->service.put_count);
    world->service.throttled_key = NULL;
    producer_world_finish(world);
    producer_world_check_answers(world);
    assert_int_equal(world->sent[0]->delivery.attempt_count, world->service.put_count);
    producer_world_free(world);
}

static void one_bad_record_fails_alone(void **state)
{
    struct producer_world *world = world_new(seed_choose(), 1);
    (void)state;

    world->config.aggregates = false;
    world->service.poison = "k77";
    producer_world_open(world);
    for (unsigned i = 0; i < 500; i++)
        producer_world_put(world, i, 10);
    producer_world_finish(world);
    producer_world_check_answers(world);
    for (size_t i = 0; i < 500; i++)
        assert_int_equal(world->sent[i]->delivery.status, i == 77 ? MR_INVALID : MR_OK);
    assert_in_range(world->service.put_count, 9, 40);
    producer_world_free(world);
}

static void says_what_no_retry_will_change(void **state)
{
    const struct {
        enum mr_exception refusal;
        mr_status status;
    } cases[] = {
        {MR_EXCEPTION_NOT_FOUND, MR_NOT_FOUND},    {MR_EXCEPTION_ACCESS_DENIED, MR_DENIED},
        {MR_EXCEPTION_VALIDATION, MR_INVALID},     {MR_EXCEPTION_INTERNAL_FAILURE, MR_TIMEOUT},
        {MR_EXCEPTION_LIMIT_EXCEEDED, MR_TIMEOUT}, {MR_EXCEPTION_SERVICE_UNAVAILABLE, MR_TIMEOUT},
        {MR_EXCEPTION_KMS_THROTTLING, MR_TIMEOUT}, {MR_EXCEPTION_EXPIRED_TOKEN, MR_TIMEOUT},
        {MR_EXCEPTION_KMS_NOT_FOUND, MR_DENIED},   {MR_EXCEPTION_IN_USE, MR_TIMEOUT},
    };
    (void)state;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct producer_world *world = world_new(i, 2);

        producer_world_open(world);
        world->service.refusal = cases[i].refusal;
        for (unsigned key = 0; key < 20; key++)
            producer_world_put(world, key, 10);
        producer_world_finish(world);
        producer_world_check_answers(world);
        assert_int_equal(producer_world_count_status(world, cases[i].status), 20);
        producer_world_free(world);
    }
}

/* ---- the buffer --------------------------------------------------------------------------------- */

/* P3 */
static void a_full_buffer_refuses_and_takes_again_when_there_is_room(void **state)
{
    struct producer_world *world = world_new(seed_choose(), 2);
    struct mr_producer_metrics metrics;
    size_t accepted;
    (void)state;

    world->service.holds = true;
    world->config.buffer_bytes = 65536;
    producer_world_open(world);
    while (producer_world_put(world, 1, 1000))
        continue;
    accepted = world->sent_count;
    assert_in_range(accepted, 55, 65);
    assert_null(producer_world_put(world, 1, 1000));
    mr_producer_metrics(world->producer, &metrics);
    assert_int_equal(metrics.records_refused, 2);
    assert_int_equal(metrics.records_buffered, accepted);
    assert_in_range(metrics.bytes_buffered, 60000, 65536);
    producer_world_finish(world);
    for (size_t i = 0; i < accepted; i++)
        assert_non_null(producer_world_put(world, 1, 1000));
    producer_world_finish(world);
    producer_world_check_answers(world);
    producer_world_free(world);
}

/* P3: those before the one that is not accepted are, in their order. */
static void many_are_accepted_up_to_the_first_that_cannot_be(void **state)
{
    struct producer_world *world = world_new(seed_choose(), 2);
    static const char data[1000] = "x";
    struct sent sent[100] = {{0}};
    void *tokens[100];
    mr_put puts[100];
    size_t accepted, rest;
    mr_error error;
    (void)state;

    world->config.buffer_bytes = 65536;
    producer_world_open(world);
    for (size_t i = 0; i < 100; i++) {
        sent[i].world = world;
        tokens[i] = &sent[i];
        puts[i] = (mr_put){.partition_key = {"k", 1}, .data = {data, sizeof data}};
    }
    puts[7].partition_key.size = 0;
    assert_int_equal(mr_producer_put_many(world->producer, puts, tokens, 10, &accepted, &error),
                     MR_INVALID);
    assert_int_equal(accepted, 7);
    puts[7].partition_key.size = 1;
    assert_int_equal(
        mr_producer_put_many(world->producer, puts + 7, tokens + 7, 93, &accepted, &error),
        MR_BUSY);
    assert_in_range(accepted, 40, 60);
    producer_world_finish(world);
    assert_int_equal(mr_producer_put_many(world->producer, puts + 7 + accepted,
                                          tokens + 7 + accepted, 93 - accepted, &rest, &error),
                     MR_OK);
    assert_int_equal(rest, 93 - accepted);
    producer_world_finish(world);
    for (size_t i = 0; i < 100; i++) {
        assert_int_equal(sent[i].answer_count, 1);
        assert_int_equal(sent[i].delivery.status, MR_OK);
    }
    producer_world_free(world);
}

/* A record that stays keeps nothing but itself: the buffer has room for the others. P3, P4 */
static void a_key_that_fails_does_not_fill_the_buffer(void **state)
{
    struct producer_world *world = world_new(seed_choose(), 1);
    struct mr_producer_metrics metrics;
    (void)state;

    world->config.aggregates = false;
    world->config.linger_ms = 1;
    world->config.buffer_bytes = 1 << 20;
    world->service.throttled_key = "k0";
    producer_world_open(world);
    for (unsigned i = 0; i < 20000; i++) {
        assert_non_null(producer_world_put(world, i % 100, 100));
        if (i % 100 == 99)
            producer_world_pass(world, 2);
    }
    mr_producer_metrics(world->producer, &metrics);
    assert_int_equal(metrics.records_buffered, 200); /* one of each 100 */
    assert_in_range(metrics.bytes_buffered, 200 * 100, 200 * 300 + (64 << 10));
    world->service.throttled_key = NULL;
    producer_world_finish(world);
    producer_world_check_answers(world);
    assert_int_equal(producer_world_count_gaps(world), 0);
    producer_world_free(world);
}

static void refuses_what_no_stream_takes(void **state)
{
    struct producer_world *world = world_new(1, 1);
    char *large = mr_alloc_zero(1, 2u << 20);
    mr_status status;
    (void)state;

    producer_world_open(world);
    memset(large, 'x', 2u << 20);
    assert_null(producer_world_put_as(world, &(mr_put){.data = {large, 10}}, &status));
    assert_int_equal(status, MR_INVALID);
    assert_null(producer_world_put_as(world, &(mr_put){.partition_key = {large, 257}}, &status));
    assert_int_equal(status, MR_INVALID);
    assert_null(producer_world_put_as(world, &(mr_put){.partition_key = {large, 1025}}, &status));
    assert_int_equal(status, MR_LIMIT);
    assert_null(producer_world_put_as(world, &(mr_put){.partition_key = {"\xff", 1}}, &status));
    assert_int_equal(status, MR_INVALID);
    assert_null(producer_world_put_as(
        world, &(mr_put){.partition_key = {large, 256}, .data = {large, (1u << 20) - 255}},
        &status));
    assert_int_equal(status, MR_LIMIT);
    assert_null(producer_world_put_as(
        world, &(mr_put){.partition_key = {large, 1}, .data = {large, SIZE_MAX}}, &status));
    assert_int_equal(status, MR_LIMIT);
    assert_non_null(producer_world_put_as(
        world, &(mr_put){.partition_key = {large, 256}, .data = {large, (1u << 20) - 256}},
        &status));
    producer_world_finish(world);
    assert_int_equal(world->sent[0]->delivery.status, MR_OK);
    mr_free(large);
    producer_world_free(world);
}

/* ---- batches ------------------------------------------------------------------------------------ */

/* P7 */
static void waits_for_company_no_longer_than_the_linger(void **state)
{
    struct producer_world *world = world_new(1, 2);
    (void)state;

    producer_world_open(world);
    producer_world_put(world, 1, 10);
    producer_world_pass(world, 50);
    producer_world_put(world, 2, 10);
    producer_world_pass(world, 49);
    assert_int_equal(world->service.put_count, 0);
    producer_world_pass(world, 1);
    assert_int_equal(world->service.put_count, 1);
    producer_world_pass(world, 50); /* the second may be of another shard */
    assert_int_equal(world->answered_count, 2);
    producer_world_free(world);
}

static void fills_requests_by_count_and_by_bytes(void **state)
{
    struct producer_world *world = world_new(1, 1);
    (void)state;

    world->config.aggregates = false;
    world->config.request_count = 50;
    world->config.request_bytes = 10000;
    producer_world_open(world);
    for (unsigned i = 0; i < 49; i++)
        producer_world_put(world, i, 10);
    producer_world_pass(world, 0);
    assert_int_equal(world->service.put_count, 0);
    producer_world_put(world, 49, 10);
    producer_world_pass(world, 0);
    assert_int_equal(world->service.put_count, 1);
    assert_int_equal(world->service.largest_request, 50);
    for (unsigned i = 0; i < 20; i++)
        producer_world_put(world, 10 + i, 997);
    producer_world_pass(world, 0);
    assert_int_equal(world->service.put_count, 3);
    assert_int_equal(world->answered_count, 70 - 20 + 20);
    producer_world_free(world);
}

static void has_no_more_requests_under_way_than_allowed(void **state)
{
    struct producer_world *world = world_new(1, 4);
    (void)state;

    world->service.holds = true;
    world->config.aggregates = false;
    world->config.request_count = 1;
    world->config.requests_max = 3;
    world->config.is_ordered = false; /* else one without a place would hold back the others */
    producer_world_open(world);
    for (unsigned i = 0; i < 100; i++)
        producer_world_put(world, i, 10);
    producer_world_pass(world, 200);
    assert_int_equal(world->service.held_count, 3);
    producer_world_finish(world);
    assert_int_equal(world->service.most_held, 3);
    producer_world_check_answers(world);
    producer_world_free(world);
}

/* P8 */
static void goes_no_faster_than_its_share_of_a_shard(void **state)
{
    struct producer_world *world = world_new(1, 1);
    (void)state;

    world->config.aggregates = false;
    world->config.rate_limit = 150;
    world->config.linger_ms = 0;
    world->config.is_ordered = false;
    producer_world_open(world);
    for (unsigned i = 0; i < 10000; i++)
        producer_world_put(world, i % 1000, 10);
    producer_world_pass(world, 0);
    assert_in_range(world->answered_count, 1400, 1501); /* a second's worth at once */
    producer_world_pass(world, 2000);
    assert_in_range(world->answered_count, 4400, 4520);
    producer_world_finish(world);
    producer_world_check_answers(world);
    assert_int_equal(producer_world_count_status(world, MR_OK), 10000);

    /* by bytes */
    for (unsigned i = 0; i < 100; i++)
        producer_world_put(world, i, 100000);
    producer_world_pass(world, 1000);
    assert_in_range(world->answered_count, 10000 + 28, 10000 + 33);
    producer_world_finish(world);
    producer_world_free(world);
}

static void keeps_explicit_hash_keys(void **state)
{
    const mr_hash_key last = {UINT64_MAX, UINT64_MAX}, first = {0, 0};
    struct producer_world *world = world_new(1, 4);
    mr_status status;
    (void)state;

    producer_world_open(world);
    for (int i = 0; i < 10; i++) {
        const mr_put put = {.partition_key = {"k5", 2},
                            .data = {"0", 1},
                            .explicit_hash_key = i % 2 ? &last : &first};

        producer_world_put_as(world, &put, &status);
    }
    producer_world_finish(world);
    for (size_t i = 0; i < 10; i++) {
        assert_int_equal(world->sent[i]->delivery.sequence.shard, i % 2 ? 3 : 0);
        assert_true(world->sent[i]->delivery.is_aggregated);
    }
    assert_int_equal(world->service.record_count, 10);
    assert_int_equal(world->service.dropped_count, 0);
    producer_world_free(world);
}

/* Such a stream places records itself: aggregates would be in no shard's range. */
static void does_not_aggregate_where_the_stream_places_records(void **state)
{
    struct producer_world *world = world_new(1, 2);
    (void)state;

    world->service.is_auto = true;
    producer_world_open(world);
    for (unsigned i = 0; i < 100; i++)
        producer_world_put(world, i, 10);
    producer_world_finish(world);
    assert_int_equal(world->service.stored_count, 100);
    producer_world_free(world);
}

/* ---- the map ------------------------------------------------------------------------------------ */

/* P5 */
static void asks_again_when_a_reshard_shows_and_only_then(void **state)
{
    struct producer_world *world = world_new(seed_choose(), 2);
    (void)state;

    world->service.page = 1;
    producer_world_open(world);
    for (unsigned i = 0; i < 100; i++) {
        producer_world_put(world, i, 10);
        producer_world_pass(world, 100);
    }
    assert_int_equal(world->service.list_count, 2); /* pages */
    sim_service_split(&world->service, 0);
    sim_service_split(&world->service, 1);
    for (unsigned i = 0; i < 1000; i++)
        producer_world_put(world, i % 1000, 10);
    producer_world_finish(world);
    producer_world_check_answers(world);
    assert_int_equal(producer_world_count_lost(world), 0);
    assert_int_equal(world->producer->map.count, 4);
    assert_true(world->service.dropped_count > 0); /* and were put again */
    producer_world_free(world);
}

/* P4, P5: an engine refuses what a reshard has moved; lanes keep the order, and are soon gone again,
 * while more and more is put. */
static void a_request_that_a_reshard_moved_goes_through_lanes_for_a_moment(void **state)
{
    struct producer_world *world = producer_world_new(seed_choose(), 2);
    (void)state;

    sim_service_take_batches(&world->service);
    producer_world_open(world);
    for (unsigned i = 0; i < 20; i++)
        producer_world_put(world, i, 10);
    producer_world_pass(world, 200);
    assert_true(world->producer->is_trusting);
    assert_int_equal(world->answered_count, 20);
    sim_service_split(&world->service, 0);
    for (unsigned ms = 0; ms < 200; ms++) {
        for (unsigned i = 0; i < 20; i++)
            producer_world_put(world, i, 10);
        producer_world_pass(world, 1);
    }
    assert_int_equal(world->service.astray_count, 1);
    assert_true(world->producer->is_trusting);
    assert_int_equal(world->producer->map.count, 3);
    producer_world_finish(world);
    producer_world_check_answers(world);
    assert_int_equal(producer_world_count_lost(world), 0);
    assert_int_equal(producer_world_count_gaps(world), 0);
    producer_world_free(world);
}

static void goes_on_while_the_map_cannot_be_had(void **state)
{
    struct producer_world *world = world_new(seed_choose(), 2);
    (void)state;

    world->config.aggregates = false;
    world->config.rate_limit = 10000; /* else nobody needs a map */
    producer_world_open(world);
    sim_service_merge(&world->service, 0, 1);
    world->service.list_refusal = MR_EXCEPTION_LIMIT_EXCEEDED;
    for (unsigned i = 0; i < 100; i++)
        producer_world_put(world, i, 10);
    producer_world_pass(world, 10000);
    producer_world_check_answers(world);
    assert_in_range(world->service.list_count, 2 + 8, 2 + 11); /* once a second */
    world->service.list_refusal = MR_EXCEPTION_NONE;
    producer_world_pass(world, 1001);
    assert_int_equal(world->producer->map.count, 1);
    producer_world_free(world);
}

/* ---- the end ------------------------------------------------------------------------------------ */

static void closing_answers_everything_in_time(void **state)
{
    uint64_t seed = seed_choose();
    (void)state;

    for (unsigned round = 0; round < ROUNDS; round++) {
        struct producer_world *world = hostile_world(seed + round, round % 2, true);
        size_t held;
        mr_status status;

        world->service.throttled_percent = 90;
        for (unsigned i = 0; i < 1000; i++) {
            producer_world_put(world, i % 50, 50);
            producer_world_pass(world, i % 10 == 0);
            if (i % 20 == 0)
                sim_service_answer(&world->service);
        }
        mr_producer_begin_close(world->producer, 500);
        assert_null(producer_world_put_as(world, &(mr_put){.partition_key = {"k", 1}}, &status));
        assert_int_equal(status, MR_CLOSED);
        producer_world_pass(world, 501);
        held = world->service.held_count;
        while (sim_service_answer(&world->service))
            continue;
        producer_world_pass(world, 1); /* only requests under way were waited for */
        assert_true(mr_producer_is_idle(world->producer));
        producer_world_check_answers(world);
        assert_true(held > 0);
        assert_true(producer_world_count_status(world, MR_CLOSED) > 0);
        assert_int_equal(producer_world_count_lost(world), 0);
        producer_world_free(world);
    }
}

static void metrics_add_up(void **state)
{
    struct producer_world *world = hostile_world(seed_choose(), true, true);
    struct mr_producer_metrics metrics;
    uint64_t counted = 0;
    char *text;
    size_t size;
    (void)state;

    run_traffic(world, 2000, true);
    mr_producer_metrics(world->producer, &metrics);
    assert_int_equal(metrics.records_put, 2000);
    assert_int_equal(metrics.records_delivered, 2000);
    assert_int_equal(metrics.bytes_delivered, metrics.bytes_put);
    assert_int_equal(metrics.records_buffered, 0);
    assert_int_equal(metrics.bytes_buffered, 0);
    assert_int_equal(metrics.requests_under_way, 0);
    assert_int_equal(metrics.requests_sent, world->service.put_count);
    assert_true(metrics.throttled > 0);
    assert_true(metrics.retries >= metrics.throttled);
    for (size_t i = 0; i < MR_PRODUCER_LATENCY_BUCKETS; i++)
        counted += metrics.latency_counts[i];
    assert_int_equal(counted, 2000);

    size = mr_producer_metrics_text(world->producer, NULL, 0);
    text = mr_alloc(size + 1);
    assert_int_equal(mr_producer_metrics_text(world->producer, text, size + 1), size);
    assert_int_equal(strlen(text), size);
    assert_non_null(
        strstr(text, "\nmillrace_producer_records_put_total{stream=\"stream\"} 2000\n"));
    assert_non_null(strstr(text, "_bucket{stream=\"stream\",le=\"+Inf\"} 2000\n"));
    assert_non_null(strstr(text, "# TYPE millrace_producer_records_buffered gauge\n"));
    assert_int_equal(mr_producer_metrics_text(world->producer, text, 10), size);
    assert_int_equal(strlen(text), 9);
    mr_free(text);
    producer_world_free(world);
}

static int take_batches(void **state)
{
    (void)state;
    takes_batches = true;
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(aggregates_keep_the_order_of_each_key_under_partial_failure),
        cmocka_unit_test(plain_records_keep_the_order_of_each_key_under_partial_failure),
        cmocka_unit_test(nothing_is_lost_or_passed_through_reshards),
        cmocka_unit_test(without_lanes_retries_pass_each_other),
        cmocka_unit_test(a_key_that_fails_holds_back_itself_only),
        cmocka_unit_test(says_where_each_record_is),
        cmocka_unit_test(answers_late_records_with_a_timeout),
        cmocka_unit_test(retries_only_what_failed_and_waits_longer_each_time),
        cmocka_unit_test(one_bad_record_fails_alone),
        cmocka_unit_test(says_what_no_retry_will_change),
        cmocka_unit_test(a_full_buffer_refuses_and_takes_again_when_there_is_room),
        cmocka_unit_test(many_are_accepted_up_to_the_first_that_cannot_be),
        cmocka_unit_test(a_key_that_fails_does_not_fill_the_buffer),
        cmocka_unit_test(refuses_what_no_stream_takes),
        cmocka_unit_test(waits_for_company_no_longer_than_the_linger),
        cmocka_unit_test(fills_requests_by_count_and_by_bytes),
        cmocka_unit_test(has_no_more_requests_under_way_than_allowed),
        cmocka_unit_test(goes_no_faster_than_its_share_of_a_shard),
        cmocka_unit_test(keeps_explicit_hash_keys),
        cmocka_unit_test(does_not_aggregate_where_the_stream_places_records),
        cmocka_unit_test(asks_again_when_a_reshard_shows_and_only_then),
        cmocka_unit_test(a_request_that_a_reshard_moved_goes_through_lanes_for_a_moment),
        cmocka_unit_test(goes_on_while_the_map_cannot_be_had),
        cmocka_unit_test(closing_answers_everything_in_time),
        cmocka_unit_test(metrics_add_up),
    };
    int failed_count = cmocka_run_group_tests_name("in texts", tests, NULL, NULL);

    return failed_count + cmocka_run_group_tests_name("in batches", tests, take_batches, NULL);
}
