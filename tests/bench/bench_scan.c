/* How fast old records are read, against the decompression of the same blocks alone. */
#include "bench/bench.h"

#include "base/check.h"
#include "base/memory.h"
#include "log/block.h"
#include "log/segment.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <zstd.h>

#define STREAM "history"
#define SHARDS 8u

/* ---- reading through the engine ----------------------------------------------------------- */

/* One shard a window, the next in the next window. */
struct scan {
    struct mr_engine *engine;
    uint64_t record_count; /* read in all windows */
    mr_shard_id next;
    unsigned touched; /* the sum of what was read, so that it is read */
};

static uint64_t scan_shard(struct scan *scan, mr_shard_id shard)
{
    struct mr_reader_config config = {.from = {.start = MR_START_TRIM_HORIZON}};
    struct mr_reader *reader;
    struct mr_batch batch;
    uint64_t count = 0, last = 0;
    mr_error error;

    mr_bench_need(mr_reader_open(&reader, scan->engine, STREAM, shard, &config, &error), &error);
    for (;;) {
        mr_bench_need(mr_reader_next(reader, 10000, 0, &batch, &error), &error);
        if (batch.count == 0)
            break;
        for (size_t i = 0; i < batch.count; i++) {
            const mr_record *record = &batch.records[i];

            scan->touched += *(const uint8_t *)record->data.data;
            if (record->sequence.number <= last)
                mr_bench_wrong("shard %u goes back at %llu", shard, (unsigned long long)last);
            last = record->sequence.number;
        }
        count += batch.count;
    }
    mr_reader_close(reader);
    return count;
}

/* ---- decompressing alone ------------------------------------------------------------------ */

struct payload {
    struct mr_block block;
    uint8_t *bytes;
};

/* The payloads of all blocks, in memory, by shard: in a new directory shards and logs have the same
 * numbers. */
static struct payloads {
    struct payload *list;
    size_t count, capacity, compressed_count;
    double raw_bytes, stored_bytes;
    uint64_t record_count;
} payloads[SHARDS];

static void take_block(const struct mr_block *block, const uint8_t *bytes)
{
    struct payloads *of;
    struct payload *payload;

    mr_check(block->log < SHARDS && block->raw_bytes <= BLOCK_RAW_BYTES_GOOD * 2);
    of = &payloads[block->log];
    mr_grow(of->list, of->count, of->capacity);
    payload = &of->list[of->count++];
    payload->block = *block;
    payload->bytes = mr_alloc(block->stored_bytes);
    memcpy(payload->bytes, bytes, block->stored_bytes);
    of->raw_bytes += block->raw_bytes;
    of->stored_bytes += block->stored_bytes;
    of->compressed_count += block->is_compressed;
    of->record_count += block->record_count;
}

static int take_segment(const char *path, const struct stat *stat, int kind, struct FTW *place)
{
    size_t size = (size_t)stat->st_size, length = strlen(path);
    uint8_t *file;
    FILE *stream;

    (void)place;
    if (kind != FTW_F || length < 4 || strcmp(path + length - 4, ".seg") != 0)
        return 0;
    file = mr_alloc(size);
    stream = fopen(path, "rb");
    mr_check(stream && fread(file, 1, size, stream) == size);
    fclose(stream);
    for (size_t at = SEGMENT_HEADER_BYTES; at + BLOCK_HEADER_BYTES <= size;) {
        struct mr_block block;

        if (!mr_block_read_header(file + at, &block)) {
            at = (at / SEGMENT_PAGE_BYTES + 1) * SEGMENT_PAGE_BYTES; /* padding, or the index */
            continue;
        }
        mr_check(at + BLOCK_HEADER_BYTES + block.stored_bytes <= size);
        take_block(&block, file + at + BLOCK_HEADER_BYTES);
        at += BLOCK_HEADER_BYTES + block.stored_bytes;
    }
    mr_free(file);
    return 0;
}

static void payloads_free(void)
{
    for (size_t shard = 0; shard < SHARDS; shard++) {
        for (size_t i = 0; i < payloads[shard].count; i++)
            mr_free(payloads[shard].list[i].bytes);
        mr_free(payloads[shard].list);
        payloads[shard] = (struct payloads){0};
    }
}

/* ---- the two sides: MB/s before compression ------------------------------------------------ */

static double scan_window(void *context, uint32_t window_ms)
{
    struct scan *scan = context;
    const struct payloads *of = &payloads[scan->next];
    uint64_t start = mr_bench_now_ns(), count = scan_shard(scan, scan->next);
    double seconds = (double)(mr_bench_now_ns() - start) / 1e9;

    (void)window_ms;
    if (count != of->record_count)
        mr_bench_wrong("%llu records read of %llu", (unsigned long long)count,
                       (unsigned long long)of->record_count);
    scan->record_count += count;
    scan->next = (scan->next + 1) % SHARDS;
    return of->raw_bytes / seconds / 1e6;
}

static double decompress_window(void *context, uint32_t window_ms)
{
    mr_shard_id *next = context;
    const struct payloads *of = &payloads[*next];
    ZSTD_DCtx *decompress = ZSTD_createDCtx();
    uint8_t *raw = mr_alloc_zero(1, BLOCK_RAW_BYTES_GOOD * 2);
    uint64_t start = mr_bench_now_ns();
    double seconds;

    (void)window_ms;
    for (size_t i = 0; i < of->count; i++) {
        const struct mr_block *block = &of->list[i].block;

        if (block->is_compressed)
            mr_check(ZSTD_decompressDCtx(decompress, raw, BLOCK_RAW_BYTES_GOOD * 2,
                                         of->list[i].bytes,
                                         block->stored_bytes) == block->raw_bytes);
        else
            memcpy(raw, of->list[i].bytes, block->stored_bytes);
    }
    seconds = (double)(mr_bench_now_ns() - start) / 1e9;
    mr_free(raw);
    ZSTD_freeDCtx(decompress);
    *next = (*next + 1) % SHARDS;
    return of->raw_bytes / seconds / 1e6;
}

/* ---- the claim ---------------------------------------------------------------------------- */

/* Waits until segments hold all but 8 MiB of what was put, so that the engine is never under the
 * pressure that makes it compress less. */
static void wait_for_segments(struct mr_engine *engine)
{
    struct mr_engine_stats stats;
    uint64_t end = mr_bench_now_ns() + 10000000000;

    do {
        mr_engine_stats(engine, &stats);
        if (stats.segment_raw_bytes + ((uint64_t)8 << 20) >= stats.record_bytes)
            return;
        mr_bench_sleep_until(mr_bench_now_ns() + 1000000);
    } while (mr_bench_now_ns() < end);
    mr_bench_wrong("the engine does not flush");
}

static struct mr_engine *fill(const char *directory, size_t data_bytes, uint64_t *record_count)
{
    enum { BATCH = 200 };
    struct mr_bench_records records;
    struct mr_engine *engine;
    mr_put_result results[BATCH];
    mr_error error;
    size_t at = 0, waited_at = 0;

    mr_bench_records_make(&records, ((size_t)32 << 20) / data_bytes / BATCH * BATCH, data_bytes);
    mr_bench_need(mr_engine_open(&engine, directory, NULL, &error), &error);
    mr_bench_need(mr_stream_create(engine, STREAM, SHARDS, &error), &error);
    for (size_t bytes = 0; bytes < (size_t)192 << 20; bytes += BATCH * data_bytes) {
        mr_bench_need(mr_put_records(engine, STREAM, records.puts + at, BATCH, results, &error),
                      &error);
        *record_count += BATCH;
        at = (at + BATCH) % records.count;
        if (bytes - waited_at >= (size_t)1 << 20) {
            waited_at = bytes;
            wait_for_segments(engine);
        }
    }
    mr_bench_records_free(&records);
    /* A closed engine keeps nothing in memory: all is in segments, and those in the page cache. */
    mr_engine_close(engine);
    mr_bench_need(mr_engine_open(&engine, directory, NULL, &error), &error);
    return engine;
}

static void bench_scan(const char *name, size_t data_bytes)
{
    struct scan scan = {0};
    mr_shard_id next = 0;
    struct mr_bench_side sides[] = {{.run = scan_window, .context = &scan},
                                    {.run = decompress_window, .context = &next}};
    struct payloads all = {0};
    uint64_t record_count = 0;
    char line[128], limit[128];

    if (!mr_bench_wants(name))
        return;
    scan.engine = fill(mr_bench_path(name), data_bytes, &record_count);
    nftw(mr_bench_path(name), take_segment, 16, FTW_PHYS);
    for (size_t shard = 0; shard < SHARDS; shard++) {
        all.count += payloads[shard].count;
        all.compressed_count += payloads[shard].compressed_count;
        all.raw_bytes += payloads[shard].raw_bytes;
        all.stored_bytes += payloads[shard].stored_bytes;
        all.record_count += payloads[shard].record_count;
    }
    if (all.record_count != record_count)
        mr_bench_wrong("%llu records in segments of %llu", (unsigned long long)all.record_count,
                       (unsigned long long)record_count);
    mr_bench_alternate(sides, 2, SHARDS * (unsigned)mr_bench_setting("MR_BENCH_ROUNDS", 4), 0);

    mr_bench_value(name, mr_bench_side_median(&sides[0]), "MB/s");
    snprintf(line, sizeof line, "%s.records", name);
    mr_bench_value(line,
                   mr_bench_side_median(&sides[0]) * 1e6 / all.raw_bytes * (double)record_count,
                   "records/s");
    snprintf(line, sizeof line, "%s.compression", name);
    mr_bench_value(line, all.raw_bytes / all.stored_bytes, "x");
    snprintf(line, sizeof line, "%s.blocks_compressed", name);
    mr_bench_value(line, 100 * (double)all.compressed_count / (double)all.count, "%");
    snprintf(limit, sizeof limit, "%s.zstd_alone", name);
    mr_bench_value(limit, mr_bench_side_median(&sides[1]), "MB/s");
    mr_bench_ratio(name, mr_bench_side_ratio(&sides[0], &sides[1]), limit, MR_BENCH_AT_LEAST, 0.8);
    mr_engine_close(scan.engine);
    payloads_free();
}

int main(int argc, char **argv)
{
    (void)argc;
    mr_bench_begin(argv[0]);
    bench_scan("scan_100b", 100);
    bench_scan("scan_1kib", 1024);
    return mr_bench_end();
}
