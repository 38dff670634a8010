/*
 * What `millrace keys` does a second, on one core: a recording of MR_BENCH_KEYS records (10 million) is
 * read, hashed and simulated for 1 to 64 shards in one pass. Its memory must not grow with the file.
 */
#include "bench/bench.h"

#include "../../tools/keys/result.h"
#include "base/memory.h"
#include "base/random.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define KEYS_PER_S_MIN 5e6
#define MEMORY_MAX (256.0 * 1024 * 1024)
#define USERS 100000
#define RECORDS_PER_S 2500

/* Users of whom user i is as busy as 1 / (i + 1), 2,500 records a second of about 60 bytes. */
static void write_recording(const char *path, uint64_t count)
{
    struct mr_random random = mr_random_of(1);
    struct mr_pack out = MR_PACK((size_t)1 << 30);
    FILE *file = fopen(path, "w");
    double whole = log(USERS + 1);

    for (uint64_t i = 0; file && i < count; i++) {
        double part = (double)(mr_random_next(&random) >> 11) * 0x1p-53;
        char key[32], data[80];
        struct mr_event event = {.time_ms =
                                     INT64_C(1700000000000) + (int64_t)(i * 1000 / RECORDS_PER_S),
                                 .key = {key, 0},
                                 .data = {data, 0}};

        event.key.size =
            (size_t)snprintf(key, sizeof key, "user-%u", (unsigned)exp(part * whole) - 1);
        event.data.size =
            (size_t)snprintf(data, sizeof data, "GET /items/%u from 10.0.%u.%u took %u ms 200 OK",
                             (unsigned)mr_random_below(&random, 100000), (unsigned)(i >> 8 & 255),
                             (unsigned)(i & 255), (unsigned)mr_random_below(&random, 900));
        mr_event_write(&out, &event);
        if (out.size > 1 << 20 || i + 1 == count) {
            fwrite(out.data, 1, out.size, file);
            out.size = 0;
        }
    }
    mr_pack_fini(&out);
    if (!file || fclose(file))
        mr_bench_wrong("cannot write %s", path);
}

struct outcome {
    double keys_per_s, bytes_per_s, memory_bytes;
};

static struct outcome *outcome; /* shared with the process that works */

static void reject(void *context, uint64_t line, const char *why)
{
    (void)context;
    mr_bench_wrong("line %llu: %s", (unsigned long long)line, why);
}

static void study(void *context)
{
    static struct mr_event batch[MR_ANALYSIS_BATCH];
    struct mr_analysis_config how = {.limits = MR_LIMITS_KINESIS, .speed = 1};
    struct mr_events_config config = {.path = context, .reject = reject};
    struct mr_events_totals totals;
    struct mr_scheme scheme;
    struct mr_analysis *analysis;
    struct mr_result result;
    struct mr_events *events;
    double before_s = mr_bench_processor_s(), took_s;
    mr_error error;
    size_t count = 1;
    char names[8];

    mr_bench_need(mr_scheme_parse(&scheme, "$key", names, &config, &error), &error);
    analysis = mr_analysis_new(&how, &scheme, 1);
    mr_bench_need(mr_events_open(&events, &config, &error), &error);
    while (count > 0) {
        mr_bench_need(mr_events_read(events, batch, MR_ANALYSIS_BATCH, &count, &error), &error);
        mr_bench_need(mr_analysis_add(analysis, batch, count, reject, NULL, &error), &error);
    }
    mr_events_totals(events, &totals);
    mr_analysis_end(analysis);
    result = (struct mr_result){.analysis = analysis, .throttled_max = 0.001};
    mr_result_make(&result);
    took_s = mr_bench_processor_s() - before_s;
    outcome->keys_per_s = (double)totals.event_count / took_s;
    outcome->bytes_per_s = (double)totals.read_bytes / took_s;
    outcome->memory_bytes = (double)mr_bench_memory_peak_kb() * 1024;
    mr_result_fini(&result);
    mr_analysis_free(analysis);
    mr_events_close(events);
}

int main(int argc, char **argv)
{
    uint64_t count = (uint64_t)mr_bench_setting("MR_BENCH_KEYS", 1e7);
    char path[1024];

    (void)argc;
    mr_bench_begin(argv[0]);
    outcome = mr_bench_share(sizeof *outcome);
    snprintf(path, sizeof path, "%s", mr_bench_path("recording"));
    write_recording(path, count);
    if (mr_bench_apart(study, path))
        mr_bench_wrong("the analysis failed");
    mr_bench_value("keys", outcome->keys_per_s, "keys/s");
    mr_bench_value("keys.read", outcome->bytes_per_s, "bytes/s");
    mr_bench_value("keys.memory", outcome->memory_bytes, "bytes");
    mr_bench_ratio("keys", outcome->keys_per_s / KEYS_PER_S_MIN, "5,000,000 keys/s",
                   MR_BENCH_AT_LEAST, 1);
    mr_bench_ratio("keys.memory", outcome->memory_bytes / MEMORY_MAX, "256 MiB", MR_BENCH_AT_MOST,
                   1);
    return mr_bench_end();
}
