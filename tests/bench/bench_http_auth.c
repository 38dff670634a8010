/* What checking signatures costs: the same requests to a server that checks and to one that does not. */
#include "bench/ask.h"
#include "bench/peer.h"

#include "base/check.h"
#include "base/memory.h"
#include "os/clock.h"
#include "os/thread.h"
#include "wire/sign.h"
#include "wire/wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define ID "AKIDBENCH"
#define SECRET "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
#define HOST "kinesis.us-east-1.amazonaws.com"
#define CONNECTIONS 64
#define SMALL_COUNT 128
#define LARGE_COUNT 8
#define LARGE_BYTES 700000
#define BYTES_MAX ((size_t)64 << 20)
#define THREADS_MAX 64

static struct mr_peer guarded, open_to_all;

/* ---- requests ----------------------------------------------------------------------------- */

/* Signed now, and good for five minutes: longer than this takes. */
static mr_bytes make(enum mr_action action, const void *structure)
{
    struct mr_pack body = MR_PACK(BYTES_MAX), whole = MR_PACK(BYTES_MAX),
                   authorization = MR_PACK(BYTES_MAX);
    char target[80], time[MR_SIGN_TIME_BYTES], head[1200];
    struct mr_sign_field fields[] = {{"content-type", MR_ASK_TEXT("application/x-amz-json-1.1")},
                                     {"host", MR_ASK_TEXT(HOST)},
                                     {"x-amz-date", {0}},
                                     {"x-amz-target", {0}}};
    struct mr_sign sign = {.access_key_id = ID,
                           .secret = SECRET,
                           .region = "us-east-1",
                           .service = "kinesis",
                           .time = time,
                           .method = "POST",
                           .path = "/",
                           .query = "",
                           .fields = fields,
                           .field_count = 4};
    int size;

    mr_encode(MR_FORMAT_JSON, mr_actions[action].request, structure, &body);
    snprintf(target, sizeof target, "Kinesis_20131202.%s", mr_actions[action].name);
    mr_sign_time(mr_clock_real()->wall_ms(mr_clock_real()), time);
    fields[2].value = MR_ASK_TEXT(time);
    fields[3].value = MR_ASK_TEXT(target);
    sign.body = (mr_bytes){body.data, body.size};
    mr_sign(&sign, &authorization);
    size = snprintf(
        head, sizeof head,
        "POST / HTTP/1.1\r\nHost: " HOST "\r\nContent-Type: application/x-amz-json-1.1\r\n"
        "X-Amz-Target: %s\r\nX-Amz-Date: %s\r\nAuthorization: %.*s\r\n"
        "Amz-Sdk-Invocation-Id: 3f1c5b52-7b0c-4d6e-9a55-0f6f2f5a7c11\r\n"
        "Amz-Sdk-Request: attempt=1; max=3\r\nContent-Length: %zu\r\n\r\n",
        target, time, (int)authorization.size, (const char *)authorization.data, body.size);
    mr_check(size > 0 && (size_t)size < sizeof head);
    mr_pack_bytes(&whole, (mr_bytes){head, (size_t)size});
    mr_pack_bytes(&whole, sign.body);
    mr_pack_fini(&body);
    mr_pack_fini(&authorization);
    return (mr_bytes){whole.data, whole.size};
}

static void free_requests(mr_bytes *requests, size_t count)
{
    for (size_t i = 0; i < count; i++)
        mr_free((void *)(uintptr_t)requests[i].data);
}

static void make_puts(mr_bytes *requests, size_t count, size_t data_bytes)
{
    struct mr_bench_records records;

    mr_bench_records_make(&records, count, data_bytes);
    for (size_t i = 0; i < count; i++) {
        const struct mr_api_put_record_request request = {.stream_name = MR_ASK_TEXT("one"),
                                                          .partition_key =
                                                              records.puts[i].partition_key,
                                                          .data = records.puts[i].data};

        requests[i] = make(MR_ACTION_PUT_RECORD, &request);
    }
    mr_bench_records_free(&records);
}

static void create_stream(const struct mr_peer *peer)
{
    const struct mr_api_create_stream_request request = {.stream_name = MR_ASK_TEXT("one"),
                                                         .shard_count = MR_NUMBER(16)};
    mr_bytes whole = make(MR_ACTION_CREATE_STREAM, &request);

    mr_load_call(peer->port, whole);
    mr_free((void *)(uintptr_t)whole.data);
}

/* ---- sides -------------------------------------------------------------------------------- */

struct side {
    struct mr_load load;
    struct mr_peer *peer;
    double processor_us[MR_BENCH_ROUNDS_MAX]; /* of the server, a request */
    unsigned round_count;
};

static double run_side(void *context, uint32_t window_ms)
{
    struct side *side = context;
    double before, rate;

    mr_peer_settle(side->peer);
    before = mr_peer_processor_s(side->peer);
    rate = mr_load_run(&side->load, window_ms);
    side->processor_us[side->round_count++] =
        (mr_peer_processor_s(side->peer) - before) * 1e6 / (double)side->load.spread.count;
    return rate;
}

static struct side side_to(struct mr_peer *peer, const mr_bytes *requests, size_t count,
                           unsigned connection_count)
{
    return (struct side){.load = {.port = peer->port,
                                  .connection_count = connection_count,
                                  .thread_count = 1,
                                  .warm_ms = 200,
                                  .requests = requests,
                                  .request_count = count,
                                  .expected = "SequenceNumber"},
                         .peer = peer};
}

static double processor_us(const struct side *side)
{
    return mr_bench_median(side->processor_us, side->round_count);
}

static void print_sides(const struct mr_bench_side sides[2])
{
    for (int i = 0; i < 2; i++) {
        char name[96];

        mr_bench_value(sides[i].name, mr_bench_side_median(&sides[i]), "requests/s");
        snprintf(name, sizeof name, "%s.server_processor", sides[i].name);
        mr_bench_value(name, processor_us(sides[i].context), "us/request");
    }
}

static void bench_small(unsigned round_count)
{
    mr_bytes requests[SMALL_COUNT];
    struct side with = side_to(&guarded, requests, SMALL_COUNT, CONNECTIONS),
                without = side_to(&open_to_all, requests, SMALL_COUNT, CONNECTIONS);
    struct mr_bench_side sides[] = {
        {.name = "put_record_auth", .run = run_side, .context = &with},
        {.name = "put_record_no_auth", .run = run_side, .context = &without}};

    if (!mr_bench_wants("put_record_auth"))
        return;
    make_puts(requests, SMALL_COUNT, 100);
    mr_bench_alternate(sides, 2, round_count, 1200);
    print_sides(sides);
    mr_bench_ratio("put_record_auth", mr_bench_side_ratio(&sides[0], &sides[1]),
                   "put_record_no_auth", MR_BENCH_AT_LEAST, 0.75);
    free_requests(requests, SMALL_COUNT);
}

struct hashing {
    mr_bytes bytes;
    double us; /* of processor, a hash */
};

static double thread_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static void *hash(void *context)
{
    struct hashing *hashing = context;
    double start_us = thread_us(), used_us = 0, count = 0;
    char hex[MR_SIGN_HEX_BYTES];

    for (; used_us < 300000; used_us = thread_us() - start_us, count++)
        mr_sign_hash(hashing->bytes, hex);
    hashing->us = used_us / count;
    return NULL;
}

/* How long the hash of a body takes by itself, with all processors at it: as the server's loops are, and
 * two that share a core are slower than one. */
static double hash_us(mr_bytes request)
{
    const uint8_t *body = (const uint8_t *)memmem(request.data, request.size, "\r\n\r\n", 4) + 4;
    mr_bytes bytes = {body, request.size - (size_t)(body - (const uint8_t *)request.data)};
    struct hashing hashings[THREADS_MAX];
    pthread_t threads[THREADS_MAX];
    unsigned count = mr_core_count() < THREADS_MAX ? mr_core_count() : THREADS_MAX;
    double sum_us = 0;

    for (unsigned i = 0; i < count; i++) {
        hashings[i] = (struct hashing){.bytes = bytes};
        threads[i] = mr_thread_start("hash", hash, &hashings[i]);
    }
    for (unsigned i = 0; i < count; i++) {
        pthread_join(threads[i], NULL);
        sum_us += hashings[i].us;
    }
    return sum_us / count;
}

static void bench_large(unsigned round_count)
{
    mr_bytes requests[LARGE_COUNT];
    struct side with = side_to(&guarded, requests, LARGE_COUNT, 8),
                without = side_to(&open_to_all, requests, LARGE_COUNT, 8);
    struct mr_bench_side sides[] = {
        {.name = "put_700kb_auth", .run = run_side, .context = &with},
        {.name = "put_700kb_no_auth", .run = run_side, .context = &without}};
    double sha256_us;

    if (!mr_bench_wants("put_700kb_auth"))
        return;
    make_puts(requests, LARGE_COUNT, LARGE_BYTES);
    mr_bench_alternate(sides, 2, round_count, 1200);
    print_sides(sides);
    sha256_us = hash_us(requests[0]);
    mr_bench_value("sha256_of_700kb", sha256_us, "us");
    mr_bench_ratio("put_700kb_auth.more",
                   (processor_us(&with) - processor_us(&without)) / sha256_us, "sha256_of_700kb",
                   MR_BENCH_AT_MOST, 1.25);
    free_requests(requests, LARGE_COUNT);
}

static const char *write_users(void)
{
    const char *path = mr_bench_path("users.json");
    FILE *file = fopen(path, "w");

    mr_check(file && fprintf(file, "{\"users\":[{\"name\":\"bench\",\"keys\":[{\"id\":\"" ID
                                   "\",\"secret\":\"" SECRET
                                   "\"}],\"policies\":[{\"Statement\":{\"Effect\":\"Allow\","
                                   "\"Action\":\"kinesis:*\",\"Resource\":"
                                   "\"arn:aws:kinesis:us-east-1:*:stream/*\"}}]}]}") > 0);
    mr_check(fclose(file) == 0 && chmod(path, 0600) == 0);
    return path;
}

int main(int argc, char **argv)
{
    unsigned round_count;

    (void)argc;
    mr_bench_begin(argv[0]);
    round_count = (unsigned)mr_bench_setting("MR_BENCH_ROUNDS", 5);
    mr_peer_start_guarded(&guarded, "guarded", write_users());
    mr_peer_start_millrace(&open_to_all, "open");
    create_stream(&guarded);
    create_stream(&open_to_all);
    bench_small(round_count);
    bench_large(round_count);
    mr_peer_stop(&guarded);
    mr_peer_stop(&open_to_all);
    return mr_bench_end();
}
