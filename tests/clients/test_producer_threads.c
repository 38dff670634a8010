/*
 * Producers with their own thread, many threads that put, and real time: over an engine in this
 * process, which also says what was stored, and over a simulated stream that refuses.
 */
#include "millrace-producer.h"

#include "base/check.h"
#include "base/memory.h"
#include "os/thread.h"
#include "support/api.h"
#include "support/seed.h"
#include "support/sim_service.h"
#include "wire/aggregate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define PUTTERS 4
#define RECORDS 3000 /* of each putter */
#define KEYS 10      /* of each putter */

struct answers {
    _Atomic size_t good, bad;
    _Atomic uint32_t word;
    unsigned char seen[PUTTERS * RECORDS]; /* by the producer's thread only */
};

static void delivered(void *context, const mr_delivery *delivery)
{
    struct answers *answers = context;

    answers->seen[(size_t)delivery->token]++;
    if (delivery->status)
        answers->bad++;
    else
        answers->good++;
}

struct putter {
    mr_producer *producer;
    unsigned index;
    pthread_t thread;
};

/* Key and data: "p-k" and a count. */
static void *put_all(void *context)
{
    struct putter *putter = context;

    for (unsigned i = 0; i < RECORDS; i++) {
        char key[32], data[32];
        const mr_put put = {.partition_key = {key, (size_t)snprintf(key, sizeof key, "%u-%u",
                                                                    putter->index, i % KEYS)},
                            .data = {data, (size_t)snprintf(data, sizeof data, "%u", i / KEYS)}};
        void *token = (void *)(uintptr_t)(putter->index * RECORDS + i);
        mr_status status;

        while ((status = mr_producer_put(putter->producer, &put, token, NULL)) == MR_BUSY)
            mr_check(mr_producer_wait(putter->producer, 60000, NULL) == MR_OK);
        mr_check(status == MR_OK);
        if (i == RECORDS / 2)
            mr_check(mr_producer_flush(putter->producer, 60000, NULL) == MR_OK);
    }
    return NULL;
}

static void run_putters(struct mr_service *service, const char *stream, struct answers *answers,
                        bool aggregates)
{
    struct mr_producer_config config = MR_PRODUCER_CONFIG_DEFAULT;
    struct putter putters[PUTTERS];
    mr_producer *producer;
    mr_error error;

    config.service = service;
    config.stream = stream;
    config.delivered = delivered;
    config.delivered_context = answers;
    config.aggregates = aggregates;
    config.linger_ms = 2;
    config.retry_ms = 1;
    config.retry_ms_max = 4;
    config.rate_limit = 0;
    config.buffer_bytes = 100000;
    if (mr_producer_open(&producer, &config, &error))
        fail_msg("%s", error.message);
    for (unsigned i = 0; i < PUTTERS; i++) {
        putters[i] = (struct putter){.producer = producer, .index = i};
        putters[i].thread = mr_thread_start("put", put_all, &putters[i]);
    }
    for (unsigned i = 0; i < PUTTERS; i++)
        pthread_join(putters[i].thread, NULL);
    mr_producer_close(producer, 60000);
    assert_int_equal(answers->good, PUTTERS * RECORDS);
    assert_int_equal(answers->bad, 0);
    for (size_t i = 0; i < PUTTERS * RECORDS; i++)
        assert_int_equal(answers->seen[i], 1); /* P1 */
}

/* ---- what is stored ------------------------------------------------------------------------------ */

struct audit {
    unsigned next[PUTTERS][KEYS];
    size_t count;
};

/* The next of its key, or one seen before. P4 */
static void audit_record(struct audit *audit, mr_bytes key, mr_bytes data)
{
    unsigned putter = 0, number = 0, value;
    char text[64];

    mr_check(key.size + data.size < 60);
    snprintf(text, sizeof text, "%.*s", (int)key.size, (const char *)key.data);
    mr_check(sscanf(text, "%u-%u", &putter, &number) == 2 && putter < PUTTERS && number < KEYS);
    snprintf(text, sizeof text, "%.*s", (int)data.size, (const char *)data.data);
    value = (unsigned)strtoul(text, NULL, 10);
    assert_true(value <= audit->next[putter][number]);
    if (value == audit->next[putter][number]) {
        audit->next[putter][number]++;
        audit->count++;
    }
}

static void audit_shard(struct audit *audit, mr_engine *engine, mr_shard_id shard)
{
    const struct mr_reader_config from_start = {.from = {.start = MR_START_TRIM_HORIZON}};
    struct mr_aggregate_reader aggregate = {0};
    struct mr_user_record record;
    mr_reader *reader;
    mr_batch batch;

    assert_int_equal(mr_reader_open(&reader, engine, "s", shard, &from_start, NULL), MR_OK);
    while (!mr_reader_next(reader, 1000, 0, &batch, NULL) && batch.count > 0)
        for (size_t i = 0; i < batch.count; i++) {
            if (!mr_aggregate_open(&aggregate, batch.records[i].data)) {
                audit_record(audit, batch.records[i].partition_key, batch.records[i].data);
                continue;
            }
            while (mr_aggregate_next(&aggregate, &record))
                audit_record(audit, record.partition_key, record.data);
        }
    mr_aggregate_reader_fini(&aggregate);
    mr_reader_close(reader);
}

static void check_engine(bool aggregates)
{
    struct api *api = api_open();
    struct answers *answers = mr_new(struct answers);
    struct audit audit = {0};

    api_must(api, "CreateStream", "{\"StreamName\":\"s\",\"ShardCount\":3}");
    run_putters(api->service, "s", answers, aggregates);
    for (mr_shard_id shard = 0; shard < 3; shard++)
        audit_shard(&audit, api->engine, shard);
    assert_int_equal(audit.count, PUTTERS * RECORDS);
    mr_free(answers);
    api_close(api);
}

static void many_threads_put_aggregates_into_an_engine(void **state)
{
    (void)state;
    check_engine(true);
}

static void many_threads_put_plain_records_into_an_engine(void **state)
{
    (void)state;
    check_engine(false);
}

/* ---- a stream that refuses ------------------------------------------------------------------------ */

struct answerer {
    struct sim_service service;
    atomic_bool stop;
    pthread_t thread;
};

static void *answer_all(void *context)
{
    struct answerer *answerer = context;

    while (!atomic_load(&answerer->stop))
        if (!sim_service_answer(&answerer->service))
            sched_yield();
    return NULL;
}

static void many_threads_put_into_a_stream_that_refuses(void **state)
{
    struct answerer *answerer = mr_new(struct answerer);
    struct answers *answers = mr_new(struct answers);
    struct audit audit = {0};
    (void)state;

    sim_service_init(&answerer->service, seed_choose(), 2);
    answerer->service.holds = true;
    answerer->service.throttled_percent = 20;
    answerer->service.lost_percent = 5;
    answerer->thread = mr_thread_start("answer", answer_all, answerer);
    run_putters(&answerer->service.base, "s", answers, true);
    atomic_store(&answerer->stop, true);
    pthread_join(answerer->thread, NULL);
    for (size_t i = 0; i < answerer->service.record_count; i++) {
        const struct sim_record *record = &answerer->service.records[i];

        audit_record(&audit, (mr_bytes){record->key, strlen(record->key)},
                     (mr_bytes){record->data, record->data_bytes});
    }
    assert_int_equal(audit.count, PUTTERS * RECORDS);
    mr_free(answers);
    sim_service_fini(&answerer->service);
    mr_free(answerer);
}

/* ---- waiting -------------------------------------------------------------------------------------- */

static void flushing_and_waiting_end_in_time(void **state)
{
    struct mr_producer_config config = MR_PRODUCER_CONFIG_DEFAULT;
    struct answers *answers = mr_new(struct answers);
    const mr_put put = {.partition_key = {"k", 1}, .data = {answers->seen, 5000}};
    struct sim_service *service = mr_new(struct sim_service);
    mr_producer *producer;
    (void)state;

    sim_service_init(service, 1, 1);
    service->holds = true;
    config.service = &service->base;
    config.stream = "s";
    config.delivered = delivered;
    config.delivered_context = answers;
    config.linger_ms = 60000; /* only a flush sends */
    config.buffer_bytes = 65536;
    assert_int_equal(mr_producer_open(&producer, &config, NULL), MR_OK);
    assert_int_equal(mr_producer_flush(producer, 0, NULL), MR_OK); /* there is nothing */
    for (int i = 0; i < 8; i++)
        assert_int_equal(mr_producer_put(producer, &put, NULL, NULL), MR_OK);
    assert_int_equal(mr_producer_flush(producer, 20, NULL), MR_TIMEOUT);
    assert_int_equal(mr_producer_wait(producer, 1, NULL), MR_TIMEOUT);
    while (!sim_service_answer(service)) /* the flush has sent it */
        sched_yield();
    assert_int_equal(mr_producer_wait(producer, 60000, NULL), MR_OK);
    assert_int_equal(mr_producer_flush(producer, 60000, NULL), MR_OK);
    assert_int_equal(answers->good, 8);
    assert_int_equal(mr_producer_put(producer, &put, NULL, NULL), MR_OK);
    service->holds = false;
    mr_producer_close(producer, 60000);
    assert_int_equal(answers->good, 9);
    sim_service_fini(service);
    mr_free(service);
    mr_free(answers);
}

static void opening_says_what_is_wrong(void **state)
{
    struct mr_producer_config config = MR_PRODUCER_CONFIG_DEFAULT;
    struct api *api = api_open();
    mr_producer *producer;
    mr_error error;
    (void)state;

    assert_int_equal(mr_producer_open(&producer, &config, &error), MR_INVALID);
    config.service = api->service;
    config.stream = "nothing";
    config.delivered = delivered;
    assert_int_equal(mr_producer_open(&producer, &config, &error), MR_NOT_FOUND);
    assert_non_null(strstr(error.message, "nothing"));
    config.request_count = 501;
    assert_int_equal(mr_producer_open(&producer, &config, &error), MR_INVALID);
    assert_string_equal(error.message, "request_count is 501; it may be 1 to 500");
    config.request_count = 500;
    config.struct_bytes = 8;
    assert_int_equal(mr_producer_open(&producer, &config, &error), MR_INVALID);
    mr_producer_close(NULL, 0);
    api_close(api);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_threads_put_aggregates_into_an_engine),
        cmocka_unit_test(many_threads_put_plain_records_into_an_engine),
        cmocka_unit_test(many_threads_put_into_a_stream_that_refuses),
        cmocka_unit_test(flushing_and_waiting_end_in_time),
        cmocka_unit_test(opening_says_what_is_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
