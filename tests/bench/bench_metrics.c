/*
 * What metrics cost: a scrape of 1,000 shards (the copy of what was counted, and its text), and the
 * counting of a PutRecords call against the processor time of the whole call.
 */
#include "bench/bench.h"
#include "server/metrics.h"

#include "base/check.h"
#include "os/thread.h"
#include "service/meter.h"

#include <stdio.h>
#include <string.h>

#define SHARD_COUNT 1000
#define RECORD_COUNT 500 /* of a call */
#define CALL_COUNT 40    /* so that hardly a shard is left out */
#define SCRAPE_COUNT 101
#define COUNT_ROUNDS 20000
#define PUT_ROUNDS 10

static mr_bytes text_of(const char *text)
{
    return (mr_bytes){text, strlen(text)};
}

static void done(struct mr_call *call)
{
    _Atomic uint32_t *is_done = call->context;

    mr_check(!call->refusal.type);
    atomic_store(is_done, 1);
    mr_word_wake(is_done, true);
}

static void put(mr_service *service)
{
    static struct mr_api_put_records_request_entry records[RECORD_COUNT];
    static char keys[RECORD_COUNT][16];
    const struct mr_api_put_records_request request = {
        .stream_name = text_of("many"), .records = records, .records_count = RECORD_COUNT};

    for (int call = 0; call < CALL_COUNT; call++) {
        struct mr_arena arena = MR_ARENA((size_t)64 << 20);
        _Atomic uint32_t is_done = 0;
        struct mr_call one;

        for (int i = 0; i < RECORD_COUNT; i++) {
            snprintf(keys[i], sizeof keys[i], "%d", call * RECORD_COUNT + i);
            records[i] = (struct mr_api_put_records_request_entry){
                .partition_key = text_of(keys[i]), .data = text_of("x")};
        }
        one = (struct mr_call){.action = MR_ACTION_PUT_RECORDS,
                               .request = (void *)(uintptr_t)&request,
                               .arena = &arena,
                               .done = done,
                               .context = &is_done};
        service->call(service, &one);
        while (!atomic_load(&is_done))
            mr_word_wait(&is_done, 0, UINT32_MAX);
        mr_arena_fini(&arena);
    }
}

static double scrape_ms(mr_service *service, size_t *bytes)
{
    static struct mr_latencies latencies;
    struct mr_arena arena = MR_ARENA((size_t)64 << 20);
    struct mr_pack text = MR_PACK((size_t)64 << 20);
    uint64_t began_ns = mr_bench_now_ns();
    double ms;

    mr_metrics_write(&text, mr_service_local_figures(service, &arena), &latencies);
    ms = (double)(mr_bench_now_ns() - began_ns) / 1e6;
    *bytes = text.size;
    mr_pack_fini(&text);
    mr_arena_fini(&arena);
    return ms;
}

/* As put.c counts a call of as many records: ns of a record. */
static double count_ns(void)
{
    uint64_t began_ns = mr_bench_now_ns();
    struct mr_meter meter;

    mr_meter_init(&meter);
    for (int call = 0; call < COUNT_ROUNDS; call++) {
        struct mr_stream_meter *stream = mr_meter_begin(&meter, "many");

        for (uint32_t i = 0; i < RECORD_COUNT; i++) {
            uint64_t *shard = mr_meter_shard(stream, i * 7919 % SHARD_COUNT);

            shard[MR_SHARD_INCOMING_RECORDS]++;
            shard[MR_SHARD_INCOMING_BYTES] += i;
        }
        mr_meter_stream(stream)[MR_STREAM_PUT_RECORDS_TOTAL] += RECORD_COUNT;
        mr_meter_end(&meter);
    }
    mr_meter_fini(&meter);
    return (double)(mr_bench_now_ns() - began_ns) / COUNT_ROUNDS / RECORD_COUNT;
}

/* Processor time of a record that is put, counting included. */
static double put_ns(mr_service *service)
{
    double began_s = mr_bench_processor_s();

    for (int i = 0; i < PUT_ROUNDS; i++)
        put(service);
    return (mr_bench_processor_s() - began_s) * 1e9 / PUT_ROUNDS / CALL_COUNT / RECORD_COUNT;
}

int main(int argc, char **argv)
{
    double times_ms[SCRAPE_COUNT], counted_ns, all_ns;
    mr_service *service;
    mr_engine *engine;
    mr_error error;
    size_t bytes = 0;

    (void)argc;
    mr_bench_begin(argv[0]);
    mr_bench_need(mr_engine_open(&engine, mr_bench_path("data"), NULL, &error), &error);
    mr_bench_need(mr_stream_create(engine, "many", SHARD_COUNT, &error), &error);
    mr_bench_need(mr_service_open(&service, engine, &error), &error);
    put(service);
    for (int i = 0; i < SCRAPE_COUNT; i++)
        times_ms[i] = scrape_ms(service, &bytes);
    mr_bench_value("scrape_1000_shards.text", (double)bytes / 1024, "KiB");
    mr_bench_value("scrape_1000_shards", mr_bench_median(times_ms, SCRAPE_COUNT), "ms");
    mr_bench_ratio("scrape_1000_shards", mr_bench_median(times_ms, SCRAPE_COUNT) / 10, "10_ms",
                   MR_BENCH_AT_MOST, 1);
    counted_ns = count_ns();
    all_ns = put_ns(service);
    mr_bench_value("counting.record", counted_ns, "ns");
    mr_bench_value("counting.put_record", all_ns, "ns");
    mr_bench_ratio("counting", counted_ns / all_ns, "put_record", MR_BENCH_AT_MOST, 0.03);
    mr_service_close(service);
    mr_engine_close(engine);
    return mr_bench_end();
}
