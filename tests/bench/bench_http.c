/* How fast millrace serve answers, beside a bare web server, another Kinesis and its own parts. */
#include "bench/ask.h"
#include "bench/peer.h"

#include "base/check.h"
#include "base/md5.h"
#include "base/memory.h"
#include "log/frame.h"
#include "wire/wire.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CONNECTIONS 64
#define BODIES 16 /* different requests */
#define BATCH 500
#define SHARDS 16
#define READ_COUNT 10000 /* records of one GetRecords */
#define READERS 4
#define STORED "stored" /* the stream that is on the disk before the server starts */

static struct {
    struct mr_peer millrace, nginx, kinesalite;
    bool has_nginx, has_kinesalite;
    unsigned round_count;
} bench;

/* ---- sides -------------------------------------------------------------------------------- */

/* Requests to one server, counted in records. */
struct side {
    struct mr_load load;
    struct mr_peer *peer;
    double records; /* of one request */
    bool is_cold;   /* what is stored is not in memory when a window begins */
    double processor_us[MR_BENCH_ROUNDS_MAX]; /* of the server, a request */
    unsigned round_count;
};

static int forget(const char *path, const struct stat *stat, int kind, struct FTW *place)
{
    int file = kind == FTW_F ? open(path, O_RDONLY | O_CLOEXEC) : -1;

    (void)stat, (void)place;
    if (file >= 0) {
        posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
        close(file);
    }
    return 0;
}

static double run_side(void *context, uint32_t window_ms)
{
    struct side *side = context;
    double before, rate;

    mr_peer_settle(side->peer);
    if (side->is_cold)
        nftw(mr_bench_path("served"), forget, 16, FTW_PHYS);
    before = mr_peer_processor_s(side->peer);
    rate = mr_load_run(&side->load, window_ms);
    side->processor_us[side->round_count++] =
        (mr_peer_processor_s(side->peer) - before) * 1e6 / (double)side->load.spread.count;
    return rate * side->records;
}

static struct mr_bench_side side_of(const char *name, struct side *side)
{
    return (struct mr_bench_side){.name = name, .run = run_side, .context = side};
}

static void print_side(const struct mr_bench_side *figure, const char *unit)
{
    const struct side *side = figure->context;
    char name[96];

    mr_bench_value(figure->name, mr_bench_side_median(figure), unit);
    if (side->peer != &bench.millrace)
        return;
    snprintf(name, sizeof name, "%s.p50", figure->name);
    mr_bench_value(name, mr_bench_spread_us(&side->load.spread, 50), "us");
    snprintf(name, sizeof name, "%s.p99", figure->name);
    mr_bench_value(name, mr_bench_spread_us(&side->load.spread, 99), "us");
    snprintf(name, sizeof name, "%s.server_processor", figure->name);
    mr_bench_value(name, mr_bench_median(side->processor_us, side->round_count), "us/request");
}

static void free_requests(mr_bytes *requests, size_t count)
{
    for (size_t i = 0; i < count; i++)
        mr_free((void *)(uintptr_t)requests[i].data);
}

/* ---- PutRecord ---------------------------------------------------------------------------- */

static void bench_put_record(void)
{
    struct mr_bench_records records;
    mr_bytes requests[BODIES * 8];
    size_t count = sizeof requests / sizeof *requests;
    struct mr_load load = {.connection_count = CONNECTIONS,
                           .thread_count = (unsigned)mr_bench_setting("MR_BENCH_THREADS", 1),
                           .warm_ms = 200,
                           .requests = requests,
                           .request_count = count,
                           .expected = "SequenceNumber"};
    struct side put = {.load = load, .peer = &bench.millrace, .records = 1},
                plain = {.load = load, .peer = &bench.nginx, .records = 1};
    struct mr_bench_side sides[] = {side_of("put_record", &put),
                                    side_of("nginx_return_200", &plain)};

    if (!mr_bench_wants("put_record"))
        return;
    mr_ask_stream(bench.millrace.port, "one", SHARDS);
    mr_bench_records_make(&records, count, 100);
    for (size_t i = 0; i < count; i++) {
        struct mr_api_put_record_request request = {.stream_name = MR_ASK_TEXT("one"),
                                                    .partition_key = records.puts[i].partition_key,
                                                    .data = records.puts[i].data};
        requests[i] = mr_ask_make(MR_ACTION_PUT_RECORD, &request);
    }
    put.load.port = bench.millrace.port;
    plain.load.port = bench.nginx.port;
    mr_bench_alternate(sides, bench.has_nginx ? 2 : 1, bench.round_count, 1200);
    print_side(&sides[0], "requests/s");
    if (bench.has_nginx) {
        print_side(&sides[1], "requests/s");
        mr_bench_ratio("put_record", mr_bench_side_ratio(&sides[0], &sides[1]), "nginx_return_200",
                       MR_BENCH_AT_LEAST, 0.6);
    }
    free_requests(requests, count);
    mr_bench_records_free(&records);
}

/* ---- PutRecords --------------------------------------------------------------------------- */

static void make_batches(mr_bytes requests[BODIES], const char *stream, size_t data_bytes)
{
    struct mr_bench_records records;

    mr_bench_records_make(&records, BODIES * BATCH, data_bytes);
    for (size_t i = 0; i < BODIES; i++)
        requests[i] = mr_ask_put_records(stream, records.puts + i * BATCH, BATCH);
    mr_bench_records_free(&records);
}

static struct mr_load batch_load(const struct mr_peer *peer, const mr_bytes *requests)
{
    return (struct mr_load){.port = peer->port,
                            .connection_count = CONNECTIONS,
                            .thread_count = 1,
                            .requests = requests,
                            .request_count = BODIES,
                            .expected = "SequenceNumber"};
}

static void bench_put_records_100b(void)
{
    mr_bytes requests[BODIES];
    struct side put = {.load = batch_load(&bench.millrace, requests),
                       .peer = &bench.millrace,
                       .records = BATCH},
                other = {.load = batch_load(&bench.kinesalite, requests),
                         .peer = &bench.kinesalite,
                         .records = BATCH};
    struct mr_bench_side sides[] = {side_of("put_records_100b", &put),
                                    side_of("kinesalite_put_records", &other)};

    if (!mr_bench_wants("put_records_100b"))
        return;
    make_batches(requests, "many", 100);
    mr_ask_stream(bench.millrace.port, "many", SHARDS);
    if (bench.has_kinesalite)
        mr_ask_stream(bench.kinesalite.port, "many", SHARDS);
    put.load.warm_ms = 200;
    other.load.connection_count = 16; /* while it computes it closes those that it does not hear */
    mr_bench_alternate(sides, bench.has_kinesalite ? 2 : 1, bench.round_count, 1500);
    print_side(&sides[0], "records/s");
    if (bench.has_kinesalite) {
        print_side(&sides[1], "records/s");
        mr_bench_ratio("put_records_100b", mr_bench_side_ratio(&sides[0], &sides[1]),
                       "kinesalite_put_records", MR_BENCH_AT_LEAST, 150);
    }
    free_requests(requests, BODIES);
}

/* ---- the unavoidable ---------------------------------------------------------------------- */

#define GROUP 4 /* requests made durable together */

/* What a PutRecords costs at least, on one thread: its JSON is read and its data decoded, keys are
 * hashed, and all is durable in a journal. */
struct unavoidable {
    struct mr_bench_disk disk;
    const mr_bytes *requests;
};

static size_t read_request(mr_bytes request, uint8_t *to)
{
    const uint8_t *body = (const uint8_t *)memmem(request.data, request.size, "\r\n\r\n", 4) + 4;
    mr_bytes text = {body, request.size - (size_t)(body - (const uint8_t *)request.data)};
    struct mr_arena arena = MR_ARENA(2 * text.size + (4u << 20));
    struct mr_refusal refusal = {0};
    struct mr_api_put_records_request *records;
    mr_hash_key keys[BATCH];
    uint8_t *at = to;
    void *structure;

    mr_check(mr_decode(MR_FORMAT_JSON, text, MR_SHAPE_put_records_request, &arena, &structure,
                       &refusal));
    records = structure;
    mr_check(records->records_count == BATCH);
    mr_hash_keys_of(&records->records[0].partition_key, sizeof *records->records, BATCH, keys);
    for (size_t i = 0; i < BATCH; i++) {
        memcpy(at, records->records[i].partition_key.data, records->records[i].partition_key.size);
        at += records->records[i].partition_key.size;
        memcpy(at, records->records[i].data.data, records->records[i].data.size);
        at += records->records[i].data.size;
    }
    mr_arena_fini(&arena);
    return (size_t)(at - to) + (size_t)(keys[0].hi & 1);
}

static double run_unavoidable(void *context, uint32_t window_ms)
{
    struct unavoidable *work = context;
    struct mr_bench_disk *disk = &work->disk;
    uint64_t start_ns = mr_bench_now_ns(), now_ns = start_ns;
    double record_count = 0;

    for (size_t next = 0; now_ns < start_ns + window_ms * UINT64_C(1000000);) {
        size_t size = 0;

        for (size_t i = 0; i < GROUP; i++)
            size += read_request(work->requests[next++ % BODIES], disk->buffer + size);
        size = (size + 4095) / 4096 * 4096;
        if (disk->at + size > disk->file_bytes)
            disk->at = 0;
        mr_check(pwrite(disk->file, disk->buffer, size, (off_t)disk->at) == (ssize_t)size &&
                 fdatasync(disk->file) == 0);
        disk->at += size;
        record_count += GROUP * BATCH;
        now_ns = mr_bench_now_ns();
    }
    return record_count * 1e9 / (double)(now_ns - start_ns);
}

static void bench_put_records_1kib(void)
{
    mr_bytes requests[BODIES];
    struct unavoidable work = {.requests = requests};
    struct side put = {
        .load = batch_load(&bench.millrace, requests), .peer = &bench.millrace, .records = BATCH};
    struct mr_bench_side sides[] = {
        side_of("put_records_1kib", &put),
        {.name = "one_core_unavoidable", .run = run_unavoidable, .context = &work}};

    if (!mr_bench_wants("put_records_1kib"))
        return;
    make_batches(requests, "large", 1024);
    mr_ask_stream(bench.millrace.port, "large", SHARDS);
    mr_bench_disk_open(&work.disk, "journal", (uint64_t)256 << 20);
    put.load.warm_ms = 200;
    mr_bench_alternate(sides, 2, bench.round_count, 1500);
    print_side(&sides[0], "records/s");
    mr_bench_value(sides[1].name, mr_bench_side_median(&sides[1]), "records/s");
    mr_bench_ratio("put_records_1kib", mr_bench_side_ratio(&sides[0], &sides[1]),
                   "one_core_unavoidable", MR_BENCH_AT_LEAST, 0.5);
    mr_bench_disk_close(&work.disk);
    free_requests(requests, BODIES);
}

/* ---- GetRecords --------------------------------------------------------------------------- */

static mr_bytes get_request(mr_bytes iterator)
{
    struct mr_api_get_records_request request = {.shard_iterator = iterator,
                                                 .limit = MR_NUMBER(READ_COUNT)};

    return mr_ask_make(MR_ACTION_GET_RECORDS, &request);
}

/* Requests for all that a shard has, READ_COUNT records each. */
static size_t make_gets(uint16_t port, const char *stream, unsigned shard, mr_bytes *requests,
                        size_t count_max)
{
    struct mr_arena arena = MR_ARENA((size_t)64 << 20);
    char text[512];
    mr_bytes iterator = {text, mr_ask_iterator(port, stream, shard, text)};
    size_t count = 0;

    while (count < count_max) {
        struct mr_api_get_records_request request = {.shard_iterator = iterator,
                                                     .limit = MR_NUMBER(READ_COUNT)};
        const struct mr_api_get_records_response *response =
            mr_ask(port, MR_ACTION_GET_RECORDS, &request, &arena);

        if (response->records_count < READ_COUNT)
            break;
        requests[count++] = get_request(iterator);
        iterator.size = response->next_shard_iterator.size;
        mr_check(iterator.size <= sizeof text);
        memcpy(text, response->next_shard_iterator.data, iterator.size);
        mr_arena_reset(&arena);
    }
    mr_arena_fini(&arena);
    return count;
}

/* READ_COUNT records in a stream of one shard. */
static void put_for_reading(uint16_t port)
{
    struct mr_bench_records records;

    mr_ask_stream(port, "read", 1);
    mr_bench_records_make(&records, READ_COUNT, 100);
    for (size_t i = 0; i < READ_COUNT; i += BATCH) {
        mr_bytes request = mr_ask_put_records("read", records.puts + i, BATCH);

        mr_load_call(port, request);
        mr_free((void *)(uintptr_t)request.data);
    }
    mr_bench_records_free(&records);
}

static struct mr_load get_load(const struct mr_peer *peer, const mr_bytes *requests, size_t count)
{
    return (struct mr_load){.port = peer->port,
                            .connection_count = READERS,
                            .thread_count = 1,
                            .requests = requests,
                            .request_count = count,
                            .expected = "SequenceNumber"};
}

static void bench_get_records(void)
{
    static mr_bytes stored[4096];
    mr_bytes newest, others = {0};
    size_t stored_count = 0;
    struct side memory = {.peer = &bench.millrace, .records = READ_COUNT}, disk = memory,
                other = {.peer = &bench.kinesalite, .records = READ_COUNT};
    struct mr_bench_side sides[] = {side_of("get_records_memory", &memory),
                                    side_of("get_records_disk", &disk),
                                    side_of("kinesalite_get_records", &other)};

    if (!mr_bench_wants("get_records"))
        return;
    put_for_reading(bench.millrace.port);
    mr_check(make_gets(bench.millrace.port, "read", 0, &newest, 1) == 1);
    for (unsigned shard = 0; shard < SHARDS; shard++)
        stored_count += make_gets(bench.millrace.port, STORED, shard, stored + stored_count,
                                  sizeof stored / sizeof *stored - stored_count);
    mr_check(stored_count > 0);
    memory.load = get_load(&bench.millrace, &newest, 1);
    disk.load = get_load(&bench.millrace, stored, stored_count);
    disk.is_cold = true;
    if (bench.has_kinesalite) {
        put_for_reading(bench.kinesalite.port);
        mr_check(make_gets(bench.kinesalite.port, "read", 0, &others, 1) == 1);
        other.load = get_load(&bench.kinesalite, &others, 1);
    }
    mr_bench_alternate(sides, bench.has_kinesalite ? 3 : 2, bench.round_count, 1500);
    for (size_t i = 0; i < (bench.has_kinesalite ? 3 : 2); i++)
        print_side(&sides[i], "records/s");
    for (size_t i = 0; i < 2 && bench.has_kinesalite; i++)
        mr_bench_ratio(sides[i].name, mr_bench_side_ratio(&sides[i], &sides[2]), sides[2].name,
                       MR_BENCH_AT_LEAST, 100);
    free_requests(stored, stored_count);
    free_requests(&newest, 1);
    free_requests(&others, 1);
}

/* ---- all ---------------------------------------------------------------------------------- */

/* Records that are on the disk only: put by another process, before the server starts. */
static void store(void *context)
{
    size_t count = (size_t)mr_bench_setting("MR_BENCH_STORED", 4e6), batch = 10000;
    mr_put_result *results = mr_alloc(batch * sizeof *results);
    struct mr_bench_records records;
    mr_engine *engine;
    mr_error error;

    (void)context;
    mr_bench_records_make(&records, 10 * batch, 100);
    mr_bench_need(mr_engine_open(&engine, mr_bench_path("served"), NULL, &error), &error);
    mr_bench_need(mr_stream_create(engine, STORED, SHARDS, &error), &error);
    for (size_t at = 0; at < count; at += batch)
        mr_bench_need(mr_put_records(engine, STORED, records.puts + at % records.count, batch,
                                     results, &error),
                      &error);
    mr_engine_close(engine);
}

int main(int argc, char **argv)
{
    (void)argc;
    mr_bench_begin(argv[0]);
    bench.round_count = (unsigned)mr_bench_setting("MR_BENCH_ROUNDS", 5);
    if (mr_bench_wants("get_records") && mr_bench_apart(store, NULL) != 0)
        return 1;
    mr_peer_start_millrace(&bench.millrace, "served");
    bench.has_nginx = mr_bench_wants("put_record") && mr_peer_start_nginx(&bench.nginx);
    bench.has_kinesalite = mr_peer_start_kinesalite(&bench.kinesalite);
    bench_put_record();
    bench_put_records_100b();
    bench_put_records_1kib();
    bench_get_records();
    mr_peer_stop(&bench.kinesalite);
    mr_peer_stop(&bench.nginx);
    mr_peer_stop(&bench.millrace);
    return mr_bench_end();
}
