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
#define SHARDS 4u

/* ---- reading through the engine ----------------------------------------------------------- */

struct scan {
    struct mr_engine *engine;
    uint64_t record_count; /* what must be found */
    double raw_bytes;      /* of all blocks before compression: both sides are shown as this */
    double records_per_s;
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

/* One pass over all records: MB/s before compression. */
static double scan_window(void *context, uint32_t window_ms)
{
    struct scan *scan = context;
    uint64_t start = mr_bench_now_ns(), count = 0;
    double seconds;

    (void)window_ms;
    for (mr_shard_id shard = 0; shard < SHARDS; shard++)
        count += scan_shard(scan, shard);
    seconds = (double)(mr_bench_now_ns() - start) / 1e9;
    if (count != scan->record_count)
        mr_bench_wrong("%llu records read of %llu", (unsigned long long)count,
                       (unsigned long long)scan->record_count);
    scan->records_per_s = (double)count / seconds;
    return scan->raw_bytes / seconds / 1e6;
}

/* ---- decompressing alone ------------------------------------------------------------------ */

/* The payloads of all blocks of all segments, in memory. */
static struct payloads {
    struct {
        struct mr_block block;
        uint8_t *bytes;
    } * list;
    size_t count, capacity;
    double raw_bytes, stored_bytes;
    size_t compressed_count;
} payloads;

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

        if (!mr_block_read_header(file + at, &block))
            break; /* the index of a sealed segment */
        mr_check(at + BLOCK_HEADER_BYTES + block.stored_bytes <= size);
        mr_grow(payloads.list, payloads.count, payloads.capacity);
        payloads.list[payloads.count].block = block;
        payloads.list[payloads.count].bytes = mr_alloc(block.stored_bytes);
        memcpy(payloads.list[payloads.count].bytes, file + at + BLOCK_HEADER_BYTES,
               block.stored_bytes);
        payloads.count++;
        payloads.raw_bytes += block.raw_bytes;
        payloads.stored_bytes += block.stored_bytes;
        payloads.compressed_count += block.is_compressed;
        at += BLOCK_HEADER_BYTES + block.stored_bytes;
    }
    mr_free(file);
    return 0;
}

static void payloads_free(void)
{
    for (size_t i = 0; i < payloads.count; i++)
        mr_free(payloads.list[i].bytes);
    mr_free(payloads.list);
    payloads = (struct payloads){0};
}

static double decompress_window(void *context, uint32_t window_ms)
{
    ZSTD_DCtx *decompress = ZSTD_createDCtx();
    uint8_t *raw = mr_alloc(BLOCK_RAW_BYTES_MAX);
    uint64_t start = mr_bench_now_ns();
    double seconds;

    (void)context, (void)window_ms;
    for (size_t i = 0; i < payloads.count; i++) {
        const struct mr_block *block = &payloads.list[i].block;

        if (block->is_compressed)
            mr_check(ZSTD_decompressDCtx(decompress, raw, block->raw_bytes, payloads.list[i].bytes,
                                         block->stored_bytes) == block->raw_bytes);
    }
    seconds = (double)(mr_bench_now_ns() - start) / 1e9;
    mr_free(raw);
    ZSTD_freeDCtx(decompress);
    return payloads.raw_bytes / seconds / 1e6;
}

/* ---- the claim ---------------------------------------------------------------------------- */

/* One producer: slowly enough that every block is compressed as in quiet times. */
static struct mr_engine *fill(const char *directory, size_t data_bytes, uint64_t *record_count)
{
    struct mr_bench_records records;
    struct mr_engine *engine;
    size_t batch = data_bytes < 512 ? 200 : 40;
    mr_put_result results[200];
    mr_error error;

    mr_bench_records_make(&records, (32u << 20) / data_bytes / batch * batch, data_bytes);
    mr_bench_need(mr_engine_open(&engine, directory, NULL, &error), &error);
    mr_bench_need(mr_stream_create(engine, STREAM, SHARDS, &error), &error);
    *record_count = 0;
    for (unsigned pass = 0; pass < 6; pass++)
        for (size_t at = 0; at < records.count; at += batch) {
            mr_bench_need(mr_put_records(engine, STREAM, records.puts + at, batch, results, &error),
                          &error);
            *record_count += batch;
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
    struct mr_bench_side sides[] = {{.run = scan_window, .context = &scan},
                                    {.run = decompress_window}};
    char line[128], limit[128];

    if (!mr_bench_wants(name))
        return;
    scan.engine = fill(mr_bench_path(name), data_bytes, &scan.record_count);
    nftw(mr_bench_path(name), take_segment, 16, FTW_PHYS);
    mr_check(payloads.count > 0);
    scan.raw_bytes = payloads.raw_bytes;
    mr_bench_alternate(sides, 2, (unsigned)mr_bench_setting("MR_BENCH_ROUNDS", 9), 0);

    mr_bench_value(name, mr_bench_side_median(&sides[0]), "MB/s");
    snprintf(line, sizeof line, "%s.records", name);
    mr_bench_value(
        line, mr_bench_side_median(&sides[0]) * 1e6 / scan.raw_bytes * (double)scan.record_count,
        "records/s");
    snprintf(line, sizeof line, "%s.compression", name);
    mr_bench_value(line, payloads.raw_bytes / payloads.stored_bytes, "x");
    snprintf(line, sizeof line, "%s.blocks_compressed", name);
    mr_bench_value(line, 100 * (double)payloads.compressed_count / (double)payloads.count, "%");
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
