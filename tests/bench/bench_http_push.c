/* SubscribeToShard: how much reaches one subscriber and fifty, and how soon after its put. */
#include "bench/ask.h"
#include "bench/peer.h"

#include "base/base64.h"
#include "base/check.h"
#include "base/memory.h"
#include "os/thread.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define STORED "stored"
#define SHARDS 5
#define CONSUMERS 10 /* of a stream; each subscribes to all shards */
#define SUBSCRIBERS (SHARDS * CONSUMERS)
#define ROOM_BYTES ((size_t)256 << 10)
#define PUT_EVERY_NS UINT64_C(4000000)

static struct mr_peer millrace;

/* ---- consumers ---------------------------------------------------------------------------- */

static void register_consumer(const char *stream, unsigned number, char arn[2048])
{
    struct mr_arena arena = MR_ARENA((size_t)64 << 20);
    char name[32];
    struct mr_api_describe_stream_summary_request describe = {.stream_name = MR_ASK_TEXT(stream)};
    const struct mr_api_describe_stream_summary_response *described =
        mr_ask(millrace.port, MR_ACTION_DESCRIBE_STREAM_SUMMARY, &describe, &arena);
    struct mr_api_register_stream_consumer_request request = {
        .stream_arn = described->stream_description_summary->stream_arn};
    const struct mr_api_register_stream_consumer_response *registered;

    snprintf(name, sizeof name, "consumer-%u", number);
    request.consumer_name = MR_ASK_TEXT(name);
    registered = mr_ask(millrace.port, MR_ACTION_REGISTER_STREAM_CONSUMER, &request, &arena);
    snprintf(arn, 2048, "%.*s", (int)registered->consumer->consumer_arn.size,
             (const char *)registered->consumer->consumer_arn.data);
    mr_arena_fini(&arena);
}

/* A connection on which a shard's events come. */
static int subscribe(const char *consumer_arn, unsigned shard, const char *from)
{
    char id[MR_SHARD_TEXT_BYTES];
    struct mr_api_starting_position position = {.type = MR_ASK_TEXT(from)};
    struct mr_api_subscribe_to_shard_request request = {.consumer_arn = MR_ASK_TEXT(consumer_arn),
                                                        .starting_position = &position};
    int fd = mr_load_connect(millrace.port);
    mr_bytes whole;

    snprintf(id, sizeof id, "shardId-%012u", shard);
    request.shard_id = MR_ASK_TEXT(id);
    whole = mr_ask_make(MR_ACTION_SUBSCRIBE_TO_SHARD, &request);
    mr_check(send(fd, whole.data, whole.size, MSG_NOSIGNAL) == (ssize_t)whole.size);
    mr_free((void *)(uintptr_t)whole.data);
    return fd;
}

/* ---- how much ----------------------------------------------------------------------------- */

/* A side: so many subscribers that read what is stored, from the beginning. */
struct reading {
    unsigned subscriber_count;
    char (*arns)[2048];
};

static double read_window(void *context, uint32_t window_ms)
{
    const struct reading *reading = context;
    uint64_t start_ns, now_ns, last_ns, bytes = 0;
    struct epoll_event events[SUBSCRIBERS];
    int epoll = epoll_create1(EPOLL_CLOEXEC), fds[SUBSCRIBERS];

    mr_peer_settle(&millrace);
    start_ns = now_ns = last_ns = mr_bench_now_ns();
    for (unsigned i = 0; i < reading->subscriber_count; i++) {
        struct epoll_event event = {.events = EPOLLIN};

        event.data.fd = fds[i] = subscribe(reading->arns[i / SHARDS], i % SHARDS, "TRIM_HORIZON");
        mr_check(epoll_ctl(epoll, EPOLL_CTL_ADD, fds[i], &event) == 0);
    }
    while (now_ns < start_ns + window_ms * UINT64_C(1000000)) {
        int count = epoll_wait(epoll, events, SUBSCRIBERS, 100);

        now_ns = mr_bench_now_ns();
        for (int i = 0; i < count; i++) {
            /* Not looked at, so not copied. */
            ssize_t size = recv(events[i].data.fd, NULL, ROOM_BYTES, MSG_TRUNC | MSG_DONTWAIT);

            mr_check(size > 0);
            bytes += (uint64_t)size;
            last_ns = now_ns;
        }
    }
    for (unsigned i = 0; i < reading->subscriber_count; i++)
        close(fds[i]);
    close(epoll);
    /* Whoever has read everything waits: that time is not counted. */
    return (double)bytes * 1e3 / (double)(last_ns - start_ns);
}

static void store(void *context)
{
    size_t count = (size_t)mr_bench_setting("MR_BENCH_STORED", 1.2e6), batch = 1000;
    mr_put_result *results = mr_alloc(batch * sizeof *results);
    struct mr_bench_records records;
    mr_engine *engine;
    mr_error error;

    (void)context;
    mr_bench_records_make(&records, 20 * batch, 1024);
    mr_bench_need(mr_engine_open(&engine, mr_bench_path("served"), NULL, &error), &error);
    mr_bench_need(mr_stream_create(engine, STORED, SHARDS, &error), &error);
    for (size_t at = 0; at < count; at += batch)
        mr_bench_need(mr_put_records(engine, STORED, records.puts + at % records.count, batch,
                                     results, &error),
                      &error);
    mr_engine_close(engine);
}

static void bench_reading(unsigned round_count)
{
    static char arns[CONSUMERS][2048];
    struct reading one = {1, arns}, many = {SUBSCRIBERS, arns};
    struct mr_bench_side sides[] = {{.name = "subscribe_one", .run = read_window, .context = &one},
                                    {.name = "subscribe_50", .run = read_window, .context = &many}};

    for (unsigned i = 0; i < CONSUMERS; i++)
        register_consumer(STORED, i, arns[i]);
    mr_bench_alternate(sides, 2, round_count, 1000);
    for (size_t i = 0; i < 2; i++)
        mr_bench_value(sides[i].name, mr_bench_side_median(&sides[i]), "MB/s");
}

/* ---- how soon ----------------------------------------------------------------------------- */

struct listener {
    int fd;
    atomic_bool stop;
    struct mr_bench_spread spread;
};

/* Reads events; the data of each record begins with the moment of its put. */
static void *listen_to(void *context)
{
    static const char mark[] = "\"Data\":\"";
    struct listener *listener = context;
    char *room = mr_alloc(ROOM_BYTES);
    size_t size = 0;

    while (!atomic_load(&listener->stop)) {
        ssize_t got = recv(listener->fd, room + size, ROOM_BYTES - size, 0);
        uint64_t now_ns = mr_bench_now_ns();
        char *at = room, *next;

        if (got <= 0)
            break;
        size += (size_t)got;
        while ((next = memmem(at, size - (size_t)(at - room), mark, sizeof mark - 1)) &&
               size - (size_t)(next - room) >= sizeof mark - 1 + 12) {
            uint64_t words[8];
            size_t decoded;

            at = next + sizeof mark - 1;
            mr_check(mr_base64_decode((mr_bytes){at, 12}, (uint8_t *)words, &decoded));
            mr_bench_spread_add(&listener->spread, now_ns - words[0]);
        }
        size -= (size_t)((next ? next : room + size) - room);
        memmove(room, next, next ? size : 0);
    }
    mr_free(room);
    return NULL;
}

static void bench_latency(unsigned round_count)
{
    double p50_us[MR_BENCH_ROUNDS_MAX], p99_us[MR_BENCH_ROUNDS_MAX];
    char arn[2048];

    mr_ask_stream(millrace.port, "live", 1);
    register_consumer("live", 0, arn);
    for (unsigned round = 0; round < round_count; round++) {
        struct listener listener = {.fd = subscribe(arn, 0, "LATEST")};
        char head[2048];
        uint8_t data[100] = {0};
        struct mr_api_put_record_request request = {.stream_name = MR_ASK_TEXT("live"),
                                                    .partition_key = MR_ASK_TEXT("key"),
                                                    .data = {data, sizeof data}};
        int fd = mr_load_connect(millrace.port);
        pthread_t thread;
        uint64_t start_ns;

        mr_peer_settle(&millrace);
        mr_check(recv(listener.fd, head, sizeof head, MSG_PEEK) > 0); /* it has begun */
        thread = mr_thread_start("listen", listen_to, &listener);
        start_ns = mr_bench_now_ns();
        for (unsigned i = 0; i < 400; i++) {
            uint64_t now_ns;
            mr_bytes whole;

            mr_bench_sleep_until(start_ns + i * PUT_EVERY_NS);
            now_ns = mr_bench_now_ns();
            memcpy(data, &now_ns, sizeof now_ns);
            whole = mr_ask_make(MR_ACTION_PUT_RECORD, &request);
            mr_check(send(fd, whole.data, whole.size, MSG_NOSIGNAL) == (ssize_t)whole.size);
            mr_free((void *)(uintptr_t)whole.data);
            mr_check(recv(fd, head, sizeof head, 0) > 0);
        }
        mr_bench_sleep_until(mr_bench_now_ns() + 100000000); /* the last event */
        atomic_store(&listener.stop, true);
        shutdown(listener.fd, SHUT_RDWR);
        pthread_join(thread, NULL);
        close(listener.fd);
        close(fd);
        if (listener.spread.count != 400)
            mr_bench_wrong("%llu of 400 records were pushed",
                           (unsigned long long)listener.spread.count);
        p50_us[round] = mr_bench_spread_us(&listener.spread, 50);
        p99_us[round] = mr_bench_spread_us(&listener.spread, 99);
    }
    mr_bench_value("put_to_push.p50", mr_bench_median(p50_us, round_count), "us");
    mr_bench_value("put_to_push.p99", mr_bench_median(p99_us, round_count), "us");
    mr_bench_value("put_to_push.goal", 2000, "us");
    mr_bench_ratio("put_to_push.p99", mr_bench_median(p99_us, round_count) / 2000,
                   "put_to_push.goal", MR_BENCH_AT_MOST, 1);
}

int main(int argc, char **argv)
{
    unsigned round_count = (unsigned)mr_bench_setting("MR_BENCH_ROUNDS", 5);

    (void)argc;
    mr_bench_begin(argv[0]);
    if (mr_bench_wants("subscribe") && mr_bench_apart(store, NULL) != 0)
        return 1;
    mr_peer_start_millrace(&millrace, "served");
    if (mr_bench_wants("subscribe"))
        bench_reading(round_count);
    if (mr_bench_wants("put_to_push"))
        bench_latency(round_count);
    mr_peer_stop(&millrace);
    return mr_bench_end();
}
