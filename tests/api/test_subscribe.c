/* SubscribeToShard through the API: what is pushed, when, and how it ends (the spec's section 7). */
#include "support/api.h"

#include "base/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define LONG_MS 20000 /* much longer than anything takes */

struct world {
    struct api *api;
    char *consumer; /* its ARN */
};

static char *register_consumer(struct api *api, const char *name)
{
    api_callf(api, "RegisterStreamConsumer",
              "{\"StreamARN\":\"arn:aws:kinesis:us-east-1:000000000000:stream/s\","
              "\"ConsumerName\":\"%s\"}",
              name);
    return api_text(api, "ConsumerARN");
}

static int open_world(void **state)
{
    struct world *world = mr_new(struct world);

    world->api = api_open();
    api_must(world->api, "CreateStream", "{\"StreamName\":\"s\",\"ShardCount\":1}");
    world->consumer = register_consumer(world->api, "c");
    *state = world;
    return 0;
}

static int close_world(void **state)
{
    struct world *world = *state;

    api_close(world->api);
    mr_free(world->consumer);
    mr_free(world);
    return 0;
}

static const char *subscribe(struct world *world, const char *position)
{
    return api_callf(world->api, "SubscribeToShard",
                     "{\"ConsumerARN\":\"%s\",\"ShardId\":\"shardId-000000000000\","
                     "\"StartingPosition\":{%s}}",
                     world->consumer, position);
}

static void put(struct api *api, const char *data)
{
    api_callf(api, "PutRecord", "{\"StreamName\":\"s\",\"Data\":\"%s\",\"PartitionKey\":\"k\"}",
              data);
}

/* The next event that has records. */
static const char *next_records(struct api *api)
{
    const char *event;

    do
        event = api_event(api, LONG_MS);
    while (strstr(event, "{\"Records\":[],") == event && strstr(event, "Continuation"));
    return event;
}

static void records_are_pushed_as_they_come(void **state)
{
    struct world *world = *state;
    const char *event;

    put(world->api, "AAAA");
    assert_string_equal(subscribe(world, "\"Type\":\"TRIM_HORIZON\""), "");
    event = next_records(world->api);
    assert_non_null(strstr(event, "\"Data\":\"AAAA\""));
    assert_non_null(strstr(event, "\"ContinuationSequenceNumber\":\"4"));
    assert_non_null(strstr(event, "\"MillisBehindLatest\":0"));
    assert_string_equal(api_event(world->api, 0), "");
    put(world->api, "BBBB");
    event = next_records(world->api);
    assert_null(strstr(event, "AAAA"));
    assert_non_null(strstr(event, "\"Data\":\"BBBB\""));
}

static void a_first_event_comes_promptly_and_one_every_five_seconds(void **state)
{
    struct world *world = *state;
    const char *event;

    subscribe(world, "\"Type\":\"LATEST\"");
    event = api_event(world->api, LONG_MS);
    api_begins(event, "{\"Records\":[],\"ContinuationSequenceNumber\":\"4");
    assert_string_equal(api_event(world->api, 0), "");
    world->api->advance_ms += 5000;
    put(world->api, "AAAA");
    put(world->api, "BBBB");
    event = next_records(world->api);
    assert_non_null(strstr(event, "\"Data\":\"AAAA\""));
}

/* K4 */
static void one_goes_on_after_the_continuation(void **state)
{
    struct world *world = *state;
    char *from, position[200];

    subscribe(world, "\"Type\":\"LATEST\"");
    api_event(world->api, LONG_MS);
    from = api_text(world->api, "ContinuationSequenceNumber");
    put(world->api, "AAAA");
    snprintf(position, sizeof position,
             "\"Type\":\"AFTER_SEQUENCE_NUMBER\",\"SequenceNumber\":\"%s\"", from);
    assert_string_equal(subscribe(world, position), "");
    assert_non_null(strstr(next_records(world->api), "\"Data\":\"AAAA\""));
    mr_free(from);
}

/* K3 */
static void the_last_event_of_a_shard_names_its_children(void **state)
{
    struct world *world = *state;
    const char *event;

    put(world->api, "AAAA");
    subscribe(world, "\"Type\":\"TRIM_HORIZON\"");
    assert_non_null(strstr(next_records(world->api), "\"Data\":\"AAAA\""));
    api_must(world->api, "SplitShard",
             "{\"StreamName\":\"s\",\"ShardToSplit\":\"0\",\"NewStartingHashKey\":\"5\"}");
    event = next_records(world->api);
    assert_null(strstr(event, "Continuation"));
    assert_non_null(strstr(event, "\"ChildShards\":[{\"ShardId\":\"shardId-000000000001\","
                                  "\"ParentShards\":[\"shardId-000000000000\"]"));
    assert_string_equal(api_event(world->api, LONG_MS), "END");
}

static void it_ends_after_its_time(void **state)
{
    struct world *world = *state;

    subscribe(world, "\"Type\":\"LATEST\"");
    api_event(world->api, LONG_MS);
    world->api->advance_ms += 300000;
    put(world->api, "AAAA"); /* wakes it */
    assert_string_equal(api_event(world->api, LONG_MS), "END");
}

static void it_ends_with_its_consumer_and_with_its_stream(void **state)
{
    struct world *world = *state;

    subscribe(world, "\"Type\":\"LATEST\"");
    api_event(world->api, LONG_MS);
    assert_string_equal(api_event(world->api, 0), "");
    api_callf(world->api, "DeregisterStreamConsumer", "{\"ConsumerARN\":\"%s\"}", world->consumer);
    api_begins(api_event(world->api, LONG_MS), "ResourceNotFoundException: ");
    mr_free(world->consumer);
    world->consumer = register_consumer(world->api, "d");
    subscribe(world, "\"Type\":\"LATEST\"");
    api_event(world->api, LONG_MS);
    api_must(world->api, "DeleteStream", "{\"StreamName\":\"s\",\"EnforceConsumerDeletion\":true}");
    api_begins(api_event(world->api, LONG_MS), "ResourceNotFoundException: ");
}

static void a_second_one_within_five_seconds_is_refused_and_later_takes_over(void **state)
{
    struct world *world = *state;
    struct mr_subscription *first;

    world->api->config.limit_fan_out = true;
    api_reopen(world->api);
    assert_string_equal(subscribe(world, "\"Type\":\"LATEST\""), "");
    assert_string_equal(subscribe(world, "\"Type\":\"LATEST\""),
                        "ResourceInUseException: Another active subscription exists for this "
                        "consumer: 000000000000:s:shardId-000000000000:c");
    world->api->advance_ms += 5000;
    first = world->api->subscription;
    world->api->subscription = NULL;
    assert_string_equal(subscribe(world, "\"Type\":\"LATEST\""), "");
    first->close(first);
    put(world->api, "AAAA");
    assert_non_null(strstr(next_records(world->api), "AAAA"));
}

static void wrong_arguments_are_told(void **state)
{
    struct world *world = *state;
    char other[300];

    api_expect(world->api, "SubscribeToShard",
               "{\"ConsumerARN\":\"arn:aws:kinesis:us-east-1:000000000000:stream/s/consumer/x:1\","
               "\"ShardId\":\"0\",\"StartingPosition\":{\"Type\":\"LATEST\"}}",
               "ResourceNotFoundException: Consumer x, account 000000000000 not found.");
    snprintf(other, sizeof other,
             "{\"ConsumerARN\":\"%s\",\"ShardId\":\"5\",\"StartingPosition\":{\"Type\":"
             "\"LATEST\"}}",
             world->consumer);
    api_expect(world->api, "SubscribeToShard", other,
               "ResourceNotFoundException: Shard shardId-000000000005 in stream s under account "
               "000000000000 does not exist");
    assert_non_null(strstr(subscribe(world, "\"Type\":\"AT_SEQUENCE_NUMBER\""),
                           "InvalidArgumentException: Must either specify"));
}

static void a_burst_is_cut_into_events(void **state)
{
    struct world *world = *state;
    size_t digits = 400000, count = 0;
    char *body = mr_alloc(digits + 200);
    const char *event;

    size_t head = (size_t)sprintf(body, "{\"StreamName\":\"s\",\"PartitionKey\":\"k\",\"Data\":\"");

    memset(body + head, 'A', digits);
    memcpy(body + head + digits, "\"}", 3);
    for (int i = 0; i < 10; i++)
        api_must(world->api, "PutRecord", body);
    subscribe(world, "\"Type\":\"TRIM_HORIZON\"");
    while (count < 10) {
        event = next_records(world->api);
        assert_true(strlen(event) < 2500000);
        for (; (event = strstr(event, "\"Data\"")); event++)
            count++;
    }
    assert_int_equal(count, 10);
    mr_free(body);
}

static void an_idle_one_gets_an_empty_event_every_five_seconds(void **state)
{
    struct world *world = *state;
    char name[24], *other, *from;
    const char *event;

    put(world->api, "AAAA");
    subscribe(world, "\"Type\":\"TRIM_HORIZON\"");
    next_records(world->api);
    from = api_text(world->api, "ContinuationSequenceNumber");
    for (int i = 0; i < 3; i++) {
        assert_string_equal(api_event(world->api, 0), "");
        world->api->advance_ms += 5000;
        snprintf(name, sizeof name, "other%d", i);
        other = register_consumer(world->api, name);
        /* One that goes makes all look: they need not wait for the real five seconds. */
        api_callf(world->api, "DeregisterStreamConsumer", "{\"ConsumerARN\":\"%s\"}", other);
        mr_free(other);
        event = api_event(world->api, LONG_MS);
        api_begins(event, "{\"Records\":[],\"ContinuationSequenceNumber\":\"");
        assert_non_null(strstr(event, from)); /* it goes on from where it is */
    }
    mr_free(from);
}

static void two_mebibytes_a_second_are_pushed_when_that_is_the_limit(void **state)
{
    enum { COUNT = 8, BYTES = 1020000 };
    struct world *world = *state;
    struct mr_put_result result;
    uint8_t *data = mr_alloc_zero(1, BYTES);
    const struct mr_put one = {.partition_key = {"k", 1}, .data = {data, BYTES}};
    int64_t advanced_ms = 0;
    size_t count = 0;

    for (int i = 0; i < COUNT; i++)
        assert_int_equal(mr_put_records(world->api->engine, "s", &one, 1, &result, NULL), MR_OK);
    world->api->config.limit_fan_out = true;
    api_reopen(world->api);
    subscribe(world, "\"Type\":\"TRIM_HORIZON\"");
    while (count < COUNT) {
        const char *event = api_event(world->api, 50);

        if (!*event) { /* none is due by the world's clock, or this machine is slow */
            world->api->advance_ms += 250;
            advanced_ms += 250;
        }
        for (; (event = strstr(event, "\"Data\"")); event++)
            count++;
        /* A second's worth is there at first, and one event may be begun with little. */
        assert_true((int64_t)count * BYTES <=
                    ((int64_t)2 << 20) * (1000 + advanced_ms) / 1000 + 2 * BYTES);
    }
    assert_true(advanced_ms > 0);
    mr_free(data);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(records_are_pushed_as_they_come),
        CASE(a_first_event_comes_promptly_and_one_every_five_seconds),
        CASE(one_goes_on_after_the_continuation),
        CASE(the_last_event_of_a_shard_names_its_children),
        CASE(it_ends_after_its_time),
        CASE(it_ends_with_its_consumer_and_with_its_stream),
        CASE(a_second_one_within_five_seconds_is_refused_and_later_takes_over),
        CASE(wrong_arguments_are_told),
        CASE(a_burst_is_cut_into_events),
        CASE(an_idle_one_gets_an_empty_event_every_five_seconds),
        CASE(two_mebibytes_a_second_are_pushed_when_that_is_the_limit),
    };
    return api_run_group(tests);
}
