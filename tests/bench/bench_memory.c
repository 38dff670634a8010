/* What the engine keeps in memory while much is put and read, at few and at many shards. */
#include "bench/bench.h"

#include "base/check.h"
#include "base/memory.h"
#include "os/thread.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define STREAM "measured"
#define PRODUCERS 8
#define FOLLOWERS 4 /* that read the newest */
#define SCANNERS 2  /* that read everything */
#define BATCH 100
#define DATA_BYTES 1000

/* One measurement; shared with the process that makes it. */
struct measured {
    char directory[3200];
    uint32_t shard_count;
    double gigabytes;
    uint64_t before_kb, peak_kb, record_memory_bytes; /* out */
};

struct work {
    struct mr_engine *engine;
    struct mr_bench_records records;
    uint32_t shard_count;
    uint64_t batch_count;
    _Atomic uint64_t next_batch, read_count;
    _Atomic uint32_t next_reader;
    atomic_bool stop;
};

static void *produce(void *context)
{
    struct work *work = context;
    mr_put_result results[BATCH];
    mr_error error;

    for (;;) {
        uint64_t batch = atomic_fetch_add(&work->next_batch, 1);

        if (batch >= work->batch_count)
            return NULL;
        mr_bench_need(mr_put_records(work->engine, STREAM,
                                     work->records.puts + batch * BATCH % work->records.count,
                                     BATCH, results, &error),
                      &error);
    }
}

/* Reads a shard until it is told to stop; scanners go on to the next shard at the end of each. */
static void *read_shards(void *context)
{
    struct work *work = context;
    unsigned index = atomic_fetch_add(&work->next_reader, 1);
    bool scans = index < SCANNERS;
    mr_shard_id shard = index % work->shard_count;
    struct mr_batch batch;
    mr_error error;

    while (!atomic_load(&work->stop)) {
        struct mr_reader_config config = {
            .from = {.start = scans ? MR_START_TRIM_HORIZON : MR_START_LATEST}};
        struct mr_reader *reader;

        mr_bench_need(mr_reader_open(&reader, work->engine, STREAM, shard, &config, &error),
                      &error);
        do {
            mr_bench_need(mr_reader_next(reader, 10000, 10, &batch, &error), &error);
            atomic_fetch_add(&work->read_count, batch.count);
        } while (!atomic_load(&work->stop) && (!scans || batch.count > 0));
        mr_reader_close(reader);
        shard = (shard + SCANNERS) % work->shard_count;
    }
    return NULL;
}

/* In a process of its own, so that its peak is its own. */
static void put_and_read(void *context)
{
    struct measured *measured = context;
    struct work work = {.shard_count = measured->shard_count,
                        .batch_count = (uint64_t)(measured->gigabytes * 1e9 / DATA_BYTES / BATCH)};
    pthread_t producers[PRODUCERS], readers[FOLLOWERS + SCANNERS];
    struct mr_engine_stats stats;
    mr_error error;

    mr_bench_records_make(&work.records, (size_t)BATCH * 80, DATA_BYTES);
    measured->before_kb = mr_bench_memory_peak_kb();
    mr_bench_need(mr_engine_open(&work.engine, measured->directory, NULL, &error), &error);
    mr_bench_need(mr_stream_create(work.engine, STREAM, work.shard_count, &error), &error);
    for (unsigned i = 0; i < FOLLOWERS + SCANNERS; i++)
        readers[i] = mr_thread_start("read", read_shards, &work);
    for (unsigned i = 0; i < PRODUCERS; i++)
        producers[i] = mr_thread_start("produce", produce, &work);
    for (unsigned i = 0; i < PRODUCERS; i++)
        pthread_join(producers[i], NULL);
    mr_engine_stats(work.engine, &stats);
    measured->record_memory_bytes = stats.memory_bytes;
    atomic_store(&work.stop, true);
    for (unsigned i = 0; i < FOLLOWERS + SCANNERS; i++)
        pthread_join(readers[i], NULL);
    if (atomic_load(&work.read_count) == 0)
        mr_bench_wrong("nothing was read");
    mr_engine_close(work.engine);
    measured->peak_kb = mr_bench_memory_peak_kb();
}

static void bench_memory(uint32_t shard_count, double gigabytes)
{
    struct measured *measured = mr_bench_share(sizeof *measured);
    double limit_mib = 64 + 64.0 / 1024 * shard_count, peak_mib;
    char name[64], line[128];

    snprintf(name, sizeof name, "memory_%u_shards_%g_gb", shard_count, gigabytes);
    if (!mr_bench_wants(name))
        return;
    snprintf(measured->directory, sizeof measured->directory, "%s", mr_bench_path(name));
    measured->shard_count = shard_count;
    measured->gigabytes = gigabytes;
    if (mr_bench_apart(put_and_read, measured) != 0)
        exit(1);
    /* Without what the benchmark itself takes: its records and its code. */
    peak_mib = (double)(measured->peak_kb - measured->before_kb) / 1024;
    mr_bench_value(name, peak_mib, "MiB");
    snprintf(line, sizeof line, "%s.records_in_memory", name);
    mr_bench_value(line, (double)measured->record_memory_bytes / (1 << 20), "MiB");
    snprintf(line, sizeof line, "%s.bound", name);
    mr_bench_value(line, limit_mib, "MiB");
    mr_bench_ratio(name, peak_mib / limit_mib, line, MR_BENCH_AT_MOST, 1);
}

int main(int argc, char **argv)
{
    double gigabytes = mr_bench_setting("MR_BENCH_GB", 2);

    (void)argc;
    mr_bench_begin(argv[0]);
    bench_memory(16, gigabytes / 8);
    bench_memory(16, gigabytes / 2);
    bench_memory(4096, gigabytes / 8);
    bench_memory(4096, gigabytes / 2);
    return mr_bench_end();
}
