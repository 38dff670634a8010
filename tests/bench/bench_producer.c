/*
 * How many records a producer makes durable in an engine of its own process: with aggregation, and
 * without it beside mr_put_records() with batches of the same size and as many of them under way.
 */
#include "bench/bench.h"

#include "base/check.h"
#include "base/memory.h"
#include "millrace-producer.h"
#include "os/thread.h"

#include <stdatomic.h>
#include <stdio.h>

#define STREAM "records"
#define SHARDS 16
#define RECORD_COUNT 200000
#define WARM_MS 300
#define IDLE_MS 100
#define BUFFER_BYTES ((size_t)8 << 20) /* a full one adds latency only, and leaves the cache */

static struct mr_bench_records records;

/* What a side left the engine to do in the background is not the next one's to pay. */
static void wait_until_idle(void)
{
    double before;

    do {
        before = mr_bench_processor_s();
        mr_bench_sleep_until(mr_bench_now_ns() + IDLE_MS * UINT64_C(1000000));
    } while (mr_bench_processor_s() - before > IDLE_MS / 1e3 / 10);
}

/* ---- a producer ------------------------------------------------------------------------------- */

struct offer {
    mr_service *service;
    bool aggregates;
    unsigned thread_count; /* that put */
    double processor_ns[MR_BENCH_ROUNDS_MAX];
    double latency_ms[MR_BENCH_ROUNDS_MAX]; /* the mean */
    double records_per_request, stream_records_per_request;
    unsigned round_count;
};

struct putter {
    mr_producer *producer;
    atomic_bool *stop;
    size_t at;
    size_t batch; /* records in a call */
    pthread_t thread;
};

static void delivered(void *context, const mr_delivery *delivery)
{
    (void)context;
    mr_check(delivery->status == MR_OK);
}

static void *put_all(void *context)
{
    struct putter *putter = context;
    size_t at = putter->at, accepted_count;
    mr_error error;

    while (!atomic_load_explicit(putter->stop, memory_order_relaxed)) {
        size_t left = records.count - at, batch = left < putter->batch ? left : putter->batch;
        mr_status status = mr_producer_put_many(putter->producer, records.puts + at, NULL, batch,
                                                &accepted_count, &error);

        if (status == MR_BUSY)
            mr_producer_wait(putter->producer, 1000, NULL);
        else
            mr_bench_need(status, &error);
        at = (at + accepted_count) % records.count;
    }
    return NULL;
}

static double offer_window(void *context, uint32_t window_ms)
{
    struct offer *offer = context;
    struct mr_producer_config config = MR_PRODUCER_CONFIG_DEFAULT;
    struct mr_producer_metrics before, after;
    struct putter putters[8];
    atomic_bool stop = false;
    double processor_s, seconds, count;
    uint64_t start_ns;
    mr_error error;
    mr_producer *producer;

    wait_until_idle();
    config.service = offer->service;
    config.stream = STREAM;
    config.delivered = delivered;
    config.aggregates = offer->aggregates;
    config.linger_ms = 5;
    config.buffer_bytes = BUFFER_BYTES;
    config.rate_limit = 0;
    mr_bench_need(mr_producer_open(&producer, &config, &error), &error);
    for (unsigned i = 0; i < offer->thread_count; i++) {
        putters[i] = (struct putter){producer, &stop, records.count / offer->thread_count * i,
                                     config.request_count, 0};
        putters[i].thread = mr_thread_start("put", put_all, &putters[i]);
    }
    mr_bench_sleep_until(mr_bench_now_ns() + WARM_MS * UINT64_C(1000000));
    mr_producer_metrics(producer, &before);
    processor_s = mr_bench_processor_s();
    start_ns = mr_bench_now_ns();
    mr_bench_sleep_until(start_ns + window_ms * UINT64_C(1000000));
    mr_producer_metrics(producer, &after);
    seconds = (double)(mr_bench_now_ns() - start_ns) / 1e9;
    processor_s = mr_bench_processor_s() - processor_s;
    atomic_store(&stop, true);
    for (unsigned i = 0; i < offer->thread_count; i++)
        pthread_join(putters[i].thread, NULL);
    mr_bench_need(mr_producer_flush(producer, 60000, &error), &error);
    mr_producer_close(producer, 60000);

    count = (double)(after.records_delivered - before.records_delivered);
    offer->processor_ns[offer->round_count] = processor_s * 1e9 / count;
    offer->latency_ms[offer->round_count++] =
        (double)(after.latency_us_sum - before.latency_us_sum) / 1e3 / count;
    offer->records_per_request = count / (double)(after.requests_sent - before.requests_sent);
    offer->stream_records_per_request =
        (double)(after.stream_records_sent - before.stream_records_sent) /
        (double)(after.requests_sent - before.requests_sent);
    return count / seconds;
}

/* ---- without one -------------------------------------------------------------------------------- */

struct raw {
    mr_engine *engine;
    unsigned thread_count;
    size_t batch;
    atomic_bool stop;
    _Atomic uint64_t count;
    double processor_ns[MR_BENCH_ROUNDS_MAX];
    unsigned round_count;
};

static void *put_batches(void *context)
{
    struct raw *raw = context;
    mr_put_result *results = mr_alloc(raw->batch * sizeof *results);
    size_t at = mr_bench_now_ns() % (records.count - raw->batch);
    mr_error error;

    while (!atomic_load_explicit(&raw->stop, memory_order_relaxed)) {
        mr_bench_need(
            mr_put_records(raw->engine, STREAM, records.puts + at, raw->batch, results, &error),
            &error);
        mr_check(results[0].status == MR_OK);
        atomic_fetch_add(&raw->count, raw->batch);
        at = at + 2 * raw->batch <= records.count ? at + raw->batch : 0;
    }
    mr_free(results);
    return NULL;
}

static double raw_window(void *context, uint32_t window_ms)
{
    struct raw *raw = context;
    pthread_t threads[64];
    double processor_s, seconds, count;
    uint64_t start_ns, before;

    wait_until_idle();
    atomic_store(&raw->stop, false);
    for (unsigned i = 0; i < raw->thread_count; i++)
        threads[i] = mr_thread_start("raw", put_batches, raw);
    mr_bench_sleep_until(mr_bench_now_ns() + WARM_MS * UINT64_C(1000000));
    before = atomic_load(&raw->count);
    processor_s = mr_bench_processor_s();
    start_ns = mr_bench_now_ns();
    mr_bench_sleep_until(start_ns + window_ms * UINT64_C(1000000));
    count = (double)(atomic_load(&raw->count) - before);
    seconds = (double)(mr_bench_now_ns() - start_ns) / 1e9;
    processor_s = mr_bench_processor_s() - processor_s;
    atomic_store(&raw->stop, true);
    for (unsigned i = 0; i < raw->thread_count; i++)
        pthread_join(threads[i], NULL);
    raw->processor_ns[raw->round_count++] = processor_s * 1e9 / count;
    return count / seconds;
}

/* ---- the claims --------------------------------------------------------------------------------- */

static void print_offer(const char *name, const struct mr_bench_side *side,
                        const struct offer *offer)
{
    char line[128];

    mr_bench_value(name, mr_bench_side_median(side), "records/s");
    snprintf(line, sizeof line, "%s.processor", name);
    mr_bench_value(line, mr_bench_median(offer->processor_ns, offer->round_count), "ns/record");
    snprintf(line, sizeof line, "%s.latency", name);
    mr_bench_value(line, mr_bench_median(offer->latency_ms, offer->round_count), "ms");
    snprintf(line, sizeof line, "%s.request", name);
    mr_bench_value(line, offer->records_per_request, "records/request");
    snprintf(line, sizeof line, "%s.request_stream", name);
    mr_bench_value(line, offer->stream_records_per_request, "stream_records/request");
}

int main(int argc, char **argv)
{
    struct mr_producer_config config = MR_PRODUCER_CONFIG_DEFAULT;
    struct mr_engine_config engine_config = MR_ENGINE_CONFIG_DEFAULT;
    struct offer aggregated = {.aggregates = true, .thread_count = 1}, plain = {.thread_count = 1};
    struct raw raw = {.thread_count = config.requests_max, .batch = config.request_count};
    struct mr_bench_side sides[] = {{.run = offer_window, .context = &aggregated},
                                    {.run = offer_window, .context = &plain},
                                    {.run = raw_window, .context = &raw}};
    mr_service *service;
    mr_error error;

    (void)argc;
    mr_bench_begin(argv[0]);
    engine_config.journal_prewrite = true;
    mr_bench_need(mr_engine_open(&raw.engine, mr_bench_path("engine"), &engine_config, &error),
                  &error);
    mr_bench_need(mr_stream_create(raw.engine, STREAM, SHARDS, &error), &error);
    mr_bench_need(mr_service_open(&service, raw.engine, &error), &error);
    aggregated.service = plain.service = service;
    mr_bench_records_make(&records, RECORD_COUNT, 100);
    mr_bench_alternate(sides, 3, (unsigned)mr_bench_setting("MR_BENCH_ROUNDS", 5), 1500);

    print_offer("producer_aggregated", &sides[0], &aggregated);
    print_offer("producer_plain", &sides[1], &plain);
    mr_bench_value("producer_plain.raw", mr_bench_side_median(&sides[2]), "records/s");
    mr_bench_value("producer_plain.raw.processor",
                   mr_bench_median(raw.processor_ns, raw.round_count), "ns/record");
    mr_bench_value("producer_aggregated.two_cores", 1500000, "records/s");
    mr_bench_ratio("producer_aggregated", mr_bench_side_median(&sides[0]) / 1500000,
                   "producer_aggregated.two_cores", MR_BENCH_AT_LEAST, 1);
    mr_bench_ratio("producer_plain", mr_bench_side_ratio(&sides[1], &sides[2]),
                   "producer_plain.raw", MR_BENCH_AT_LEAST, 0.7);
    mr_bench_records_free(&records);
    mr_service_close(service);
    mr_engine_close(raw.engine);
    return mr_bench_end();
}
