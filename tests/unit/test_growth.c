/* Streams on demand get shards as they need them, and nobody else does (the spec's 6.1). */
#include "base/memory.h"
#include "service/inside.h"
#include "support/api.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define LOOK_MS 5000

static int open_api(void **state)
{
    *state = api_open();
    return 0;
}

static int close_api(void **state)
{
    api_close(*state);
    return 0;
}

static void put(struct api *api, const char *stream, size_t mib)
{
    static uint8_t data[1000000];
    mr_put_result result;

    for (size_t i = 0; i < mib; i++) {
        const mr_hash_key place = {i << 60, 0};
        const mr_put one = {
            .partition_key = {"k", 1}, .data = {data, sizeof data}, .explicit_hash_key = &place};

        assert_int_equal(mr_put_records(api->engine, stream, &one, 1, &result, NULL), MR_OK);
        assert_int_equal(result.status, MR_OK);
    }
}

/* A look by the service after so long; how many open shards the stream has then. */
static uint32_t look(struct api *api, const char *stream, int64_t after_ms)
{
    struct mr_local *local = (struct mr_local *)(void *)api->service;
    struct mr_stream_info info;

    api->advance_ms += after_ms;
    pthread_mutex_lock(&local->changing);
    mr_local_grow(local);
    pthread_mutex_unlock(&local->changing);
    assert_int_equal(mr_stream_describe(api->engine, stream, &info, NULL), MR_OK);
    return info.open_shard_count;
}

static void create_on_demand(struct api *api)
{
    api_must(api, "CreateStream",
             "{\"StreamName\":\"s\",\"StreamModeDetails\":{\"StreamMode\":\"ON_DEMAND\"}}");
}

static void it_grows_to_twice_what_was_put(void **state)
{
    struct api *api = *state;

    create_on_demand(api);
    assert_int_equal(look(api, "s", 0), 4);
    put(api, "s", 10); /* 2 MB/s need 4 shards at most */
    assert_int_equal(look(api, "s", LOOK_MS), 4);
    put(api, "s", 18); /* 3.6 MB/s: 6.9 MiB/s is room for twice that */
    assert_int_equal(look(api, "s", LOOK_MS), 6);
    api_expect_part(api, "DescribeStreamSummary", "{\"StreamName\":\"s\"}", "\"OpenShardCount\":6");
}

static void it_grows_to_twice_its_shards_at_most_and_does_not_shrink(void **state)
{
    struct api *api = *state;

    create_on_demand(api);
    assert_int_equal(look(api, "s", 0), 4);
    put(api, "s", 60);
    assert_int_equal(look(api, "s", LOOK_MS), 8);
    assert_int_equal(look(api, "s", LOOK_MS), 8);
    assert_int_equal(look(api, "s", 3600000), 8);
}

static void what_was_put_before_it_was_opened_does_not_count(void **state)
{
    struct api *api = *state;

    create_on_demand(api);
    put(api, "s", 60);
    api_reopen(api);
    assert_int_equal(look(api, "s", LOOK_MS), 4);
    assert_int_equal(look(api, "s", LOOK_MS), 4);
}

static void a_look_too_soon_changes_nothing(void **state)
{
    struct api *api = *state;

    create_on_demand(api);
    assert_int_equal(look(api, "s", 0), 4);
    put(api, "s", 20);
    assert_int_equal(look(api, "s", 10), 4); /* a burst of 10 ms is no rate */
    assert_int_equal(look(api, "s", LOOK_MS), 7);
}

static void a_provisioned_stream_stays_as_it_is(void **state)
{
    struct api *api = *state;

    api_must(api, "CreateStream", "{\"StreamName\":\"s\",\"ShardCount\":1}");
    assert_int_equal(look(api, "s", 0), 1);
    put(api, "s", 20);
    assert_int_equal(look(api, "s", LOOK_MS), 1);
}

static void a_stream_that_is_not_active_waits(void **state)
{
    struct api *api = *state;

    create_on_demand(api);
    assert_int_equal(look(api, "s", 0), 4);
    api->config.state_delay_ms = 60000;
    api_reopen(api);
    assert_int_equal(look(api, "s", LOOK_MS), 4);
    api_must(api, "IncreaseStreamRetentionPeriod",
             "{\"StreamName\":\"s\",\"RetentionPeriodHours\":48}");
    put(api, "s", 20);
    assert_int_equal(look(api, "s", LOOK_MS), 4);
    put(api, "s", 200);
    assert_int_equal(look(api, "s", 60000), 6);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, open_api, close_api)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(it_grows_to_twice_what_was_put),
        CASE(it_grows_to_twice_its_shards_at_most_and_does_not_shrink),
        CASE(what_was_put_before_it_was_opened_does_not_count),
        CASE(a_look_too_soon_changes_nothing),
        CASE(a_provisioned_stream_stays_as_it_is),
        CASE(a_stream_that_is_not_active_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
