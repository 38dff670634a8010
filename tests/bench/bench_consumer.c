/*
 * What the consumer library costs beside the engine's own reader, how soon a dead worker's shards go
 * on, what checkpoints cost, and how long a record takes to its processor with enhanced fan-out.
 */
#include "bench/bench.h"

#include "base/check.h"
#include "base/endian.h"
#include "base/memory.h"
#include "millrace-consumer.h"
#include "os/thread.h"
#include "support/consumer_world.h"

#include <stdio.h>
#include <string.h>

#define READ_STREAM "read"
#define READ_COUNT 2000000u
#define READ_BYTES 100
#define MANY_STREAM "many"
#define MANY_SHARDS 1000u
#define LEASE_MS 1000u

static mr_engine *engine;
static mr_service *service;

/* ---- a consumer in a thread --------------------------------------------------------------- */

struct running {
    mr_consumer *consumer;
    pthread_t thread;
};

static void *run(void *context)
{
    mr_error error;

    mr_bench_need(mr_consumer_run(context, &error), &error);
    return NULL;
}

static struct mr_consumer_config config_of(const char *stream, mr_lease_store *leases)
{
    struct mr_consumer_config config = MR_CONSUMER_CONFIG_DEFAULT;

    config.service = service;
    config.stream = stream;
    config.application = "bench";
    config.leases = leases;
    return config;
}

static struct running start(const struct mr_consumer_config *config)
{
    struct running running;
    mr_error error;

    mr_bench_need(mr_consumer_open(&running.consumer, config, &error), &error);
    running.thread = mr_thread_start("bench", run, running.consumer);
    return running;
}

static void stop(struct running *running)
{
    mr_consumer_stop(running->consumer);
    pthread_join(running->thread, NULL);
    mr_consumer_close(running->consumer);
}

/* Waits until a count is reached. */
static void wait_for(_Atomic uint64_t *count, uint64_t least, _Atomic uint32_t *word)
{
    for (uint32_t seen; seen = atomic_load(word), atomic_load(count) < least;)
        mr_word_wait(word, seen, 100);
}

/* ---- reading ------------------------------------------------------------------------------ */

static void put_records(void)
{
    struct mr_bench_records records;
    mr_put_result results[500];
    mr_error error;

    mr_bench_records_make(&records, 50000, READ_BYTES);
    for (size_t at = 0; at < READ_COUNT; at += 500)
        mr_bench_need(mr_put_records(engine, READ_STREAM, records.puts + at % records.count, 500,
                                     results, &error),
                      &error);
    mr_bench_records_free(&records);
}

struct reading {
    _Atomic uint64_t count;
    _Atomic uint32_t word;
    unsigned touched;
};

static double read_raw(void *context, uint32_t window_ms)
{
    struct mr_reader_config config = {.from = {.start = MR_START_TRIM_HORIZON}};
    uint64_t began_ns = mr_bench_now_ns(), count = 0;
    struct reading *reading = context;
    mr_reader *reader;
    mr_batch batch;
    mr_error error;
    (void)window_ms;

    mr_bench_need(mr_reader_open(&reader, engine, READ_STREAM, 0, &config, &error), &error);
    while (count < READ_COUNT) {
        mr_bench_need(mr_reader_next(reader, 10000, 0, &batch, &error), &error);
        for (size_t i = 0; i < batch.count; i++)
            reading->touched += *(const uint8_t *)batch.records[i].data.data;
        count += batch.count;
    }
    mr_reader_close(reader);
    return READ_COUNT * 1e9 / (double)(mr_bench_now_ns() - began_ns);
}

static void take(void *state, mr_shard_task *task, const mr_consumer_batch *batch)
{
    struct reading *reading = state;
    (void)task;

    for (size_t i = 0; i < batch->count; i++)
        reading->touched += *(const uint8_t *)batch->records[i].data.data;
    if (atomic_fetch_add(&reading->count, batch->count) + batch->count >= READ_COUNT)
        mr_word_change(&reading->word);
}

static double read_consumer(void *context, uint32_t window_ms)
{
    struct reading *reading = context;
    struct mr_consumer_config config;
    mr_lease_store *leases;
    struct running running;
    uint64_t began_ns;
    double figure;
    mr_error error;
    (void)window_ms;

    mr_bench_need(mr_lease_store_memory(&leases, &error), &error);
    config = config_of(READ_STREAM, leases);
    config.processor.records = take;
    config.processor_context = reading;
    atomic_store(&reading->count, 0);
    began_ns = mr_bench_now_ns();
    running = start(&config);
    wait_for(&reading->count, READ_COUNT, &reading->word);
    figure = READ_COUNT * 1e9 / (double)(mr_bench_now_ns() - began_ns);
    stop(&running);
    mr_lease_store_close(leases);
    return figure;
}

static void bench_reading(void)
{
    struct reading readings[2] = {{.touched = 0}};
    struct mr_bench_side sides[] = {{.run = read_raw, .context = &readings[0]},
                                    {.run = read_consumer, .context = &readings[1]}};

    put_records();
    mr_bench_alternate(sides, 2, (unsigned)mr_bench_setting("MR_BENCH_ROUNDS", 5), 500);
    mr_bench_value("consumer_raw_reader", mr_bench_side_median(&sides[0]), "records/s");
    mr_bench_value("consumer_embedded", mr_bench_side_median(&sides[1]), "records/s");
    mr_bench_ratio("consumer_embedded", mr_bench_side_ratio(&sides[1], &sides[0]),
                   "consumer_raw_reader", MR_BENCH_AT_LEAST, 0.6);
}

/* ---- many shards -------------------------------------------------------------------------- */

struct many {
    _Atomic uint64_t started, came;
    _Atomic uint32_t word;
    bool checkpoints;
};

static void *begin(void *context, mr_shard_task *task, const mr_mark *from)
{
    struct many *many = context;
    (void)task;
    (void)from;

    atomic_fetch_add(&many->started, 1);
    mr_word_change(&many->word);
    return many;
}

static void note(void *state, mr_shard_task *task, const mr_consumer_batch *batch)
{
    struct many *many = state;
    mr_error error;

    if (many->checkpoints)
        mr_bench_need(mr_checkpoint(task, NULL, &error), &error);
    atomic_fetch_add(&many->came, batch->count);
    mr_word_change(&many->word);
}

static struct running start_many(struct many *many, mr_lease_store *leases, uint32_t lease_ms)
{
    struct mr_consumer_config config = config_of(MANY_STREAM, leases);

    config.lease_ms = lease_ms;
    config.from.start = MR_START_LATEST;
    config.processor.started = begin;
    config.processor.records = note;
    config.processor_context = many;
    return start(&config);
}

/* A record for each shard, spread over a second. Returns the processor time of it all. */
static double put_a_second(struct many *many)
{
    uint64_t began_ns = mr_bench_now_ns(), came = atomic_load(&many->came);
    double processor_s = mr_bench_processor_s();
    mr_error error;

    for (uint64_t i = 0; i < MANY_SHARDS; i += 20) {
        mr_hash_key keys[20];
        mr_put puts[20];
        mr_put_result results[20];

        for (uint64_t k = 0; k < 20; k++) {
            keys[k] = (mr_hash_key){UINT64_MAX / MANY_SHARDS * (i + k) + 1000, 0};
            puts[k] = (mr_put){.partition_key = {"k", 1}, .explicit_hash_key = &keys[k]};
        }
        mr_bench_need(mr_put_records(engine, MANY_STREAM, puts, 20, results, &error), &error);
        mr_bench_sleep_until(began_ns + (i + 20) * 1000000);
    }
    wait_for(&many->came, came + MANY_SHARDS, &many->word);
    return mr_bench_processor_s() - processor_s;
}

static void bench_checkpoints(void)
{
    struct many many = {.checkpoints = false};
    double without[5], with[5];
    mr_lease_store *leases;
    struct running running;
    mr_error error;

    mr_bench_need(mr_lease_store_engine(&leases, engine, MANY_STREAM, "checkpoints", &error),
                  &error);
    running = start_many(&many, leases, 10000);
    wait_for(&many.started, MANY_SHARDS, &many.word);
    mr_bench_settle();
    for (int i = 0; i < 5; i++) {
        many.checkpoints = false;
        without[i] = put_a_second(&many);
        many.checkpoints = true;
        with[i] = put_a_second(&many) - without[i];
    }
    stop(&running);
    mr_lease_store_close(leases);
    mr_bench_value("consumer_1000_shards", mr_bench_median(without, 5) * 100, "% of a core");
    mr_bench_ratio("consumer_1000_checkpoints_a_second", mr_bench_median(with, 5), "a core",
                   MR_BENCH_AT_MOST, 0.05);
}

static void bench_take_over(void)
{
    struct many lives = {.checkpoints = false}, dies = {.checkpoints = false};
    struct fickle_store fickle;
    mr_lease_store *leases;
    struct running workers[2];
    uint64_t died_ns, before;
    double ms;
    mr_error error;

    mr_bench_need(mr_lease_store_memory(&leases, &error), &error);
    memset(&fickle, 0, sizeof fickle);
    fickle_store_init(&fickle, leases);
    workers[0] = start_many(&dies, &fickle.base, LEASE_MS);
    wait_for(&dies.started, MANY_SHARDS, &dies.word);
    died_ns = mr_bench_now_ns();
    workers[1] = start_many(&lives, leases, LEASE_MS);
    mr_bench_sleep_until(died_ns + 3 * (uint64_t)LEASE_MS * 1000000); /* it has stolen some */
    before = atomic_load(&lives.started);
    atomic_store(&fickle.is_away, true);
    died_ns = mr_bench_now_ns();
    wait_for(&lives.started, MANY_SHARDS > before ? MANY_SHARDS : before, &lives.word);
    ms = (double)(mr_bench_now_ns() - died_ns) / 1e6;
    stop(&workers[0]);
    stop(&workers[1]);
    mr_lease_store_close(leases);
    mr_bench_value("consumer_taken_over", (double)(MANY_SHARDS - before), "shards");
    mr_bench_value("consumer_take_over", ms, "ms");
    mr_bench_ratio("consumer_take_over", ms / LEASE_MS, "lease_ms", MR_BENCH_AT_MOST, 1.5);
}

/* ---- latency ------------------------------------------------------------------------------ */

struct latency {
    struct mr_bench_spread spread;
    _Atomic uint64_t started, came;
    _Atomic uint32_t word;
};

static void *begin_latency(void *context, mr_shard_task *task, const mr_mark *from)
{
    struct latency *latency = context;
    (void)task;
    (void)from;

    atomic_fetch_add(&latency->started, 1);
    mr_word_change(&latency->word);
    return latency;
}

static void measure(void *state, mr_shard_task *task, const mr_consumer_batch *batch)
{
    struct latency *latency = state;
    uint64_t now_ns = mr_bench_now_ns();
    (void)task;

    for (size_t i = 0; i < batch->count; i++)
        mr_bench_spread_add(&latency->spread, now_ns - mr_load64(batch->records[i].data.data));
    atomic_fetch_add(&latency->came, batch->count);
    mr_word_change(&latency->word);
}

static void bench_latency(mr_retrieval retrieval, const char *name)
{
    struct latency *latency = mr_new(struct latency);
    struct mr_consumer_config config;
    mr_lease_store *leases;
    struct running running;
    uint64_t began_ns, count = 1000;
    char line[64];
    mr_error error;

    mr_bench_need(mr_lease_store_memory(&leases, &error), &error);
    config = config_of("latency", leases);
    config.retrieval = retrieval;
    config.from.start = MR_START_LATEST;
    config.processor.started = begin_latency;
    config.processor.records = measure;
    config.processor_context = latency;
    running = start(&config);
    wait_for(&latency->started, 1, &latency->word);
    mr_bench_settle();
    began_ns = mr_bench_now_ns();
    for (uint64_t i = 0; i < count; i++) {
        uint8_t data[8];
        mr_put_result result;
        mr_put put = {.partition_key = {"k", 1}, .data = {data, sizeof data}};

        mr_bench_sleep_until(began_ns + i * 4000000);
        mr_store64(data, mr_bench_now_ns());
        mr_bench_need(mr_put_records(engine, "latency", &put, 1, &result, &error), &error);
    }
    wait_for(&latency->came, count, &latency->word);
    stop(&running);
    mr_lease_store_close(leases);
    snprintf(line, sizeof line, "%s.p50", name);
    mr_bench_value(line, mr_bench_spread_us(&latency->spread, 50), "us");
    snprintf(line, sizeof line, "%s.p99", name);
    mr_bench_value(line, mr_bench_spread_us(&latency->spread, 99), "us");
    mr_bench_ratio(line, mr_bench_spread_us(&latency->spread, 99) / 3000, "3 ms", MR_BENCH_AT_MOST,
                   1);
    mr_free(latency);
}

int main(int argc, char **argv)
{
    struct mr_engine_config config = MR_ENGINE_CONFIG_DEFAULT;
    mr_error error;

    (void)argc;
    mr_bench_begin(argv[0]);
    config.journal_prewrite = true;
    mr_bench_need(mr_engine_open(&engine, mr_bench_path("consumer"), &config, &error), &error);
    mr_bench_need(mr_stream_create(engine, READ_STREAM, 1, &error), &error);
    mr_bench_need(mr_stream_create(engine, MANY_STREAM, MANY_SHARDS, &error), &error);
    mr_bench_need(mr_stream_create(engine, "latency", 1, &error), &error);
    mr_bench_need(mr_service_open(&service, engine, &error), &error);
    if (mr_bench_wants("latency")) {
        bench_latency(MR_RETRIEVE_FAN_OUT, "consumer_fan_out_latency");
        bench_latency(MR_RETRIEVE_POLL, "consumer_embedded_latency");
    }
    if (mr_bench_wants("checkpoints"))
        bench_checkpoints();
    if (mr_bench_wants("take_over"))
        bench_take_over();
    if (mr_bench_wants("embedded"))
        bench_reading();
    mr_service_close(service);
    mr_engine_close(engine);
    return mr_bench_end();
}
