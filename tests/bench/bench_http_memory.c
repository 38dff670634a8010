/* What millrace serve keeps in memory: with much stored, with many idle connections, and for the
 * largest requests. */
#include "bench/ask.h"
#include "bench/peer.h"

#include "base/check.h"
#include "base/memory.h"
#include "os/socket.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define STORED "stored"
#define SHARDS 16
#define BODY_BYTES ((size_t)16 << 20)

static void compare(const char *name, double measured, double bound, const char *unit)
{
    char line[96];

    mr_bench_value(name, measured, unit);
    snprintf(line, sizeof line, "%s.bound", name);
    mr_bench_value(line, bound, unit);
    mr_bench_ratio(name, measured / bound, line, MR_BENCH_AT_MOST, 1);
}

/* ---- much stored -------------------------------------------------------------------------- */

static void store(void *context)
{
    size_t count = *(const size_t *)context, batch = 10000;
    mr_put_result *results = mr_alloc(batch * sizeof *results);
    struct mr_bench_records records;
    mr_engine *engine;
    mr_error error;

    mr_bench_records_make(&records, 20 * batch, 100);
    mr_bench_need(mr_engine_open(&engine, mr_bench_path("much"), NULL, &error), &error);
    mr_bench_need(mr_stream_create(engine, STORED, SHARDS, &error), &error);
    for (size_t at = 0; at < count; at += batch)
        mr_bench_need(mr_put_records(engine, STORED, records.puts + at % records.count, batch,
                                     results, &error),
                      &error);
    mr_engine_close(engine);
}

/* Reads the oldest and puts the newest, from 64 connections. */
static void use(uint16_t port)
{
    mr_bytes requests[2 * SHARDS];
    struct mr_load load = {.port = port,
                           .connection_count = 64,
                           .thread_count = 1,
                           .requests = requests,
                           .request_count = 2 * SHARDS};
    struct mr_bench_records records;

    mr_bench_records_make(&records, 500, 100);
    for (unsigned i = 0; i < SHARDS; i++) {
        char iterator[512];
        struct mr_api_get_records_request get = {.shard_iterator.data = iterator,
                                                 .limit = MR_NUMBER(10000)};

        get.shard_iterator.size = mr_ask_iterator(port, STORED, i, iterator);
        requests[2 * i] = mr_ask_make(MR_ACTION_GET_RECORDS, &get);
        requests[2 * i + 1] = mr_ask_put_records(STORED, records.puts, 500);
    }
    mr_load_run(&load, 3000);
    for (unsigned i = 0; i < 2 * SHARDS; i++)
        mr_free((void *)(uintptr_t)requests[i].data);
    mr_bench_records_free(&records);
}

static void bench_stored(void)
{
    size_t count = (size_t)mr_bench_setting("MR_BENCH_RECORDS", 5e6);
    struct mr_peer server;
    uint64_t open_kb;
    char name[64];

    if (mr_bench_apart(store, &count) != 0)
        exit(1);
    mr_peer_start_millrace(&server, "much");
    open_kb = mr_peer_memory_kb(&server, "VmRSS");
    use(server.port);
    snprintf(name, sizeof name, "memory_%g_million_records", (double)count / 1e6);
    mr_bench_value("memory_opened", (double)open_kb / 1024, "MiB");
    compare(name, (double)mr_peer_memory_kb(&server, "VmHWM") / 1024, 300, "MiB");
    mr_peer_stop(&server);
}

/* ---- many connections --------------------------------------------------------------------- */

static void bench_connections(void)
{
    static const char health[] = "GET /health HTTP/1.1\r\nHost: x\r\n\r\n";
    unsigned count = (unsigned)mr_bench_setting("MR_BENCH_CONNECTIONS", 10000);
    int *fds = mr_alloc(count * sizeof *fds);
    struct mr_peer server;
    char answer[1024];

    mr_files_allow_most();
    mr_peer_start_millrace(&server, "connections");
    for (unsigned i = 0; i < count; i++) {
        fds[i] = mr_load_connect(server.port);
        mr_check(send(fds[i], health, sizeof health - 1, MSG_NOSIGNAL) == sizeof health - 1);
    }
    for (unsigned i = 0; i < count; i++)
        mr_check(recv(fds[i], answer, sizeof answer, 0) > 0);
    compare("memory_idle_connections", (double)mr_peer_memory_kb(&server, "VmRSS") / 1024, 200,
            "MiB");
    for (unsigned i = 0; i < count; i++)
        close(fds[i]);
    mr_free(fds);
    mr_peer_stop(&server);
}

/* ---- large requests ----------------------------------------------------------------------- */

/* A body of one piece again and again, between two others: an absurd request. */
static mr_bytes repeated(const char *first, const char *piece, const char *last)
{
    static const char head[] = "POST / HTTP/1.1\r\nHost: x\r\n"
                               "Content-Type: application/x-amz-json-1.1\r\n"
                               "X-Amz-Target: Kinesis_20131202.PutRecords\r\nX-Amz-Date: x\r\n"
                               "Authorization: AWS4-HMAC-SHA256 Credential=A/1/r/kinesis/r, "
                               "SignedHeaders=a, Signature=b\r\nContent-Length: %zu\r\n\r\n";
    size_t piece_size = strlen(piece),
           count = (BODY_BYTES - strlen(first) - strlen(last)) / piece_size,
           body = strlen(first) + count * piece_size + strlen(last);
    char *whole = mr_alloc(sizeof head + 32 + body), *at = whole;

    at += snprintf(at, sizeof head + 32, head, body);
    at = mempcpy(at, first, strlen(first));
    for (size_t i = 0; i < count; i++)
        at = mempcpy(at, piece, piece_size);
    at = mempcpy(at, last, strlen(last));
    return (mr_bytes){whole, (size_t)(at - whole)};
}

/* The answer is not of interest here; that there is one is. */
static void ask_absurd(uint16_t port, mr_bytes request)
{
    int fd = mr_load_connect(port);
    char answer[4096];

    for (size_t at = 0; at < request.size;) {
        ssize_t size = send(fd, (const char *)request.data + at, request.size - at, MSG_NOSIGNAL);

        mr_check(size > 0);
        at += (size_t)size;
    }
    if (recv(fd, answer, sizeof answer, 0) <= 0)
        mr_bench_wrong("a large request has no answer");
    close(fd);
}

static void bench_large(const char *name, mr_bytes request)
{
    struct mr_peer server;
    uint64_t before_kb;

    mr_peer_start_millrace(&server, "large");
    mr_ask_stream(server.port, name, 1);
    before_kb = mr_peer_memory_kb(&server, "VmRSS");
    ask_absurd(server.port, request);
    /* A small multiple, whatever it says. */
    compare(name, (double)(mr_peer_memory_kb(&server, "VmHWM") - before_kb) * 1024 / BODY_BYTES, 6,
            "times");
    mr_free((void *)(uintptr_t)request.data);
    mr_peer_stop(&server);
}

static mr_bytes large_put(const char *stream)
{
    struct mr_bench_records records;
    mr_bytes request;

    mr_bench_records_make(&records, 10, (1 << 20) - 16);
    request = mr_ask_put_records(stream, records.puts, records.count);
    mr_bench_records_free(&records);
    return request;
}

int main(int argc, char **argv)
{
    (void)argc;
    mr_bench_begin(argv[0]);
    if (mr_bench_wants("memory_stored"))
        bench_stored();
    if (mr_bench_wants("memory_idle_connections"))
        bench_connections();
    if (mr_bench_wants("memory_large")) {
        bench_large("memory_large_put", large_put("memory_large_put"));
        bench_large("memory_large_records",
                    repeated("{\"StreamName\":\"s\",\"Records\":[{}", ",{}", "]}"));
        bench_large("memory_large_nesting", repeated("{\"x\":", "[", ""));
        bench_large("memory_large_escapes", repeated("{\"StreamName\":\"", "\\u00e9", "\"}"));
        bench_large("memory_large_members", repeated("{\"a\":1", ",\"a\":1", "}"));
    }
    return mr_bench_end();
}
