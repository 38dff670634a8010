/* A service whose journal is full: callers are not held up, and nothing is lost or out of order. */
#include "service/service.h"
#include "support/stream_world.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define PUT_COUNT 24
#define DATA_BYTES 1000000

struct put {
    struct mr_call call; /* first */
    struct mr_api_put_record_request request;
    struct mr_arena arena;
    _Atomic bool is_done;
};

static void done(struct mr_call *call)
{
    atomic_store(&((struct put *)(void *)call)->is_done, true);
}

static void create(struct mr_service *service)
{
    struct mr_arena arena = MR_ARENA((size_t)1 << 20);
    struct mr_api_create_stream_request request = {.stream_name = {"s", 1},
                                                   .shard_count = MR_NUMBER(1)};
    struct put create = {
        .call = {
            .action = MR_ACTION_CREATE_STREAM, .request = &request, .arena = &arena, .done = done}};

    service->call(service, &create.call);
    while (!atomic_load(&create.is_done))
        sched_yield();
    assert_int_equal(create.call.refusal.type, MR_EXCEPTION_NONE);
    mr_arena_fini(&arena);
}

static void puts_wait_without_their_caller_and_in_order(void **state)
{
    static uint8_t data[DATA_BYTES];
    static struct put puts[PUT_COUNT];
    struct mr_service_config config = MR_SERVICE_CONFIG_DEFAULT;
    struct stream_world world;
    struct mr_service *service;
    char before[64] = "";

    (void)state;
    stream_world_init(&world);
    config.clock = &world.clock.base;
    config.state_delay_ms = 0;
    assert_int_equal(mr_service_local_open(&service, world.engine, &config, NULL), MR_OK);
    create(service);

    /* Nobody commits: the first ones fill the open group, whoever waited now would wait in vain and
     * be refused. */
    for (int i = 0; i < PUT_COUNT; i++) {
        puts[i].arena = MR_ARENA((size_t)4 << 20);
        puts[i].request = (struct mr_api_put_record_request){
            .stream_name = {"s", 1}, .partition_key = {"k", 1}, .data = {data, sizeof data}};
        puts[i].call = (struct mr_call){.action = MR_ACTION_PUT_RECORD,
                                        .request = &puts[i].request,
                                        .arena = &puts[i].arena,
                                        .done = done};
        service->call(service, &puts[i].call);
    }
    for (int i = 0; i < PUT_COUNT; i++)
        assert_false(atomic_load(&puts[i].is_done));

    for (int i = 0; i < PUT_COUNT; i++) {
        const struct mr_api_put_record_response *response;
        char number[64];

        while (!atomic_load(&puts[i].is_done))
            stream_world_work(&world);
        assert_int_equal(puts[i].call.refusal.type, MR_EXCEPTION_NONE);
        response = puts[i].call.response;
        snprintf(number, sizeof number, "%.*s", (int)response->sequence_number.size,
                 (const char *)response->sequence_number.data);
        assert_true(strcmp(number, before) > 0);
        memcpy(before, number, sizeof before);
        mr_arena_fini(&puts[i].arena);
    }
    service->close(service);
    stream_world_fini(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(puts_wait_without_their_caller_and_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
