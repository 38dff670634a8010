/* bench.c - the disk itself, then the engine on it: durable puts for a few seconds. */
#include "base/fail.h"
#include "base/memory.h"
#include "base/random.h"
#include "command.h"
#include "disk.h"
#include "figures.h"
#include "json_line.h"
#include "os/clock.h"
#include "output.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KEY_COUNT 10000
#define TEXT_BYTES ((size_t)64 << 10) /* records are cut out of a text of that size, and more */

static uint64_t now_ns(void)
{
    struct mr_clock *clock = mr_clock_real();
    return clock->monotonic_ns(clock);
}

/* ---- the engine --------------------------------------------------------------------------- */

struct flight { /* a batch that is under way again and again */
    struct bench *bench;
    mr_put *puts;
    mr_put_result *results;
    uint64_t begun_ns;
};

struct bench {
    const struct mr_bench_options *options;
    mr_engine *engine;
    char (*keys)[16];
    char *text;
    struct mr_random random;
    struct mr_times latency; /* of batches */

    pthread_mutex_t lock; /* of all below */
    pthread_cond_t changed;
    struct flight **idle;
    size_t idle_count;
    uint64_t batch_count;
    mr_status status; /* the first failure */
};

static void land(void *context, mr_status status)
{
    struct flight *flight = context;
    struct bench *bench = flight->bench;

    pthread_mutex_lock(&bench->lock);
    if (!status)
        status = flight->results[0].status;
    if (status && !bench->status)
        bench->status = status;
    bench->batch_count++;
    mr_times_add(&bench->latency, now_ns() - flight->begun_ns);
    bench->idle[bench->idle_count++] = flight;
    pthread_cond_signal(&bench->changed);
    pthread_mutex_unlock(&bench->lock);
}

static struct flight *wait_for_idle(struct bench *bench)
{
    struct flight *flight;

    pthread_mutex_lock(&bench->lock);
    while (bench->idle_count == 0)
        pthread_cond_wait(&bench->changed, &bench->lock);
    flight = bench->idle[--bench->idle_count];
    pthread_mutex_unlock(&bench->lock);
    return flight;
}

static void fill(struct bench *bench, struct flight *flight)
{
    const struct mr_bench_options *options = bench->options;

    for (uint64_t i = 0; i < options->batch; i++) {
        const char *key = bench->keys[mr_random_below(&bench->random, KEY_COUNT)];
        const char *text = bench->text + mr_random_below(&bench->random, TEXT_BYTES);
        flight->puts[i] =
            (mr_put){.partition_key = {key, strlen(key)}, .data = {text, options->bytes}};
    }
}

/* Puts for so many seconds; returns the seconds until the last batch was durable. */
static double put_all(struct bench *bench, struct flight *flights, mr_error *error)
{
    const struct mr_bench_options *options = bench->options;
    uint64_t start_ns = now_ns(), end_ns = start_ns + options->seconds * 1000000000ull;
    mr_status status = MR_OK;

    for (uint64_t i = 0; i < options->in_flight; i++)
        bench->idle[bench->idle_count++] = &flights[i];
    while (!status && now_ns() < end_ns) {
        struct flight *flight = wait_for_idle(bench);

        fill(bench, flight);
        flight->begun_ns = now_ns();
        status = mr_put_submit(bench->engine, "bench", flight->puts, options->batch,
                               flight->results, land, flight, error);
        if (status) {
            pthread_mutex_lock(&bench->lock);
            bench->status = status;
            bench->idle[bench->idle_count++] = flight;
            pthread_mutex_unlock(&bench->lock);
        }
    }
    for (uint64_t i = 0; i < options->in_flight; i++)
        wait_for_idle(bench);
    return (double)(now_ns() - start_ns) / 1e9;
}

static mr_status measure_puts(struct bench *bench, const char *directory, double *seconds,
                              struct mr_engine_stats *stats, mr_error *error)
{
    const struct mr_bench_options *options = bench->options;
    struct flight *flights = mr_alloc_zero(options->in_flight, sizeof *flights);
    mr_status status = mr_engine_open(&bench->engine, directory, NULL, error);

    if (!status)
        status = mr_stream_create(bench->engine, "bench", (uint32_t)options->shards, error);
    for (uint64_t i = 0; i < options->in_flight; i++)
        flights[i] =
            (struct flight){.bench = bench,
                            .puts = mr_alloc_zero(options->batch, sizeof(mr_put)),
                            .results = mr_alloc_zero(options->batch, sizeof(mr_put_result))};
    if (!status) {
        *seconds = put_all(bench, flights, error);
        mr_engine_stats(bench->engine, stats);
        if (bench->status)
            status =
                mr_fail(error, bench->status, "putting failed: %s", mr_status_text(bench->status));
    }
    mr_engine_close(bench->engine);
    for (uint64_t i = 0; i < options->in_flight; i++) {
        mr_free(flights[i].puts);
        mr_free(flights[i].results);
    }
    mr_free(flights);
    return status;
}

/* ---- the command -------------------------------------------------------------------------- */

struct figures {
    double flush_s, flush_p99_s, flush_rate;
    double seconds, records_s, bytes_s, groups_s, batch_s, batch_p99_s;
};

static void print(const struct figures *f)
{
    char a[MR_FIGURE_BYTES], b[MR_FIGURE_BYTES], c[MR_FIGURE_BYTES];

    printf("the disk     one flush of 4 KiB at a time: %s (p99 %s), %s a second\n",
           mr_duration_format(f->flush_s, a), mr_duration_format(f->flush_p99_s, b),
           mr_count_format((uint64_t)f->flush_rate, c));
    if (f->flush_s < 10e-6)
        printf(
            "             that is no disk's time: this is memory, or a disk that does not flush\n");
    printf("durable puts %s records/s, %s/s\n", mr_count_format((uint64_t)f->records_s, a),
           mr_size_format((uint64_t)f->bytes_s, b));
    printf("             a batch takes %s (p99 %s); %s flushes a second\n",
           mr_duration_format(f->batch_s, a), mr_duration_format(f->batch_p99_s, b),
           mr_count_format((uint64_t)f->groups_s, c));
}

static void print_json(const struct figures *f)
{
    struct mr_json_line line = MR_JSON_LINE;

    mr_json_open(&line, '{');
#define X(name, value)                                                                             \
    mr_json_name(&line, name);                                                                     \
    mr_json_real(&line, value);
    X("flush_us", f->flush_s * 1e6)
    X("flush_p99_us", f->flush_p99_s * 1e6)
    X("flushes_per_s", f->flush_rate)
    X("records_per_s", f->records_s)
    X("bytes_per_s", f->bytes_s)
    X("groups_per_s", f->groups_s)
    X("batch_us", f->batch_s * 1e6)
    X("batch_p99_us", f->batch_p99_s * 1e6)
#undef X
    mr_json_close(&line, '}');
    mr_json_print(&line, stdout);
    mr_pack_fini(&line.pack);
}

static void remove_tree(const char *path);

static bool remove_entry(void *context, const char *name)
{
    char path[MR_PATH_BYTES];

    snprintf(path, sizeof path, "%s/%s", (const char *)context, name);
    if (unlink(path) && (errno == EISDIR || errno == EPERM))
        remove_tree(path);
    return true;
}

static void remove_tree(const char *path)
{
    struct mr_fs *fs = mr_fs_posix();

    /* The context is only read. */
    fs->list(fs, path, remove_entry, (void *)(uintptr_t)path, NULL);
    rmdir(path);
}

static mr_status measure(const struct mr_bench_options *options, const char *directory,
                         struct figures *f, mr_error *error)
{
    struct bench bench = {.options = options, .random = mr_random_of(1)};
    struct mr_engine_stats stats = {0};
    struct mr_times disk = {.count = 0};
    char data_directory[MR_PATH_BYTES];
    mr_status status;

    pthread_mutex_init(&bench.lock, NULL);
    pthread_cond_init(&bench.changed, NULL);
    bench.keys = mr_alloc(KEY_COUNT * sizeof *bench.keys);
    for (unsigned i = 0; i < KEY_COUNT; i++)
        snprintf(bench.keys[i], sizeof bench.keys[i], "key-%u", i);
    bench.text = mr_alloc(TEXT_BYTES + options->bytes);
    for (size_t i = 0; i < TEXT_BYTES + options->bytes; i++) /* about as compressible as a log */
        bench.text[i] = "abcdefghijklmnopqrstuvwxyz :=,01"[mr_random_below(&bench.random, 32)];
    bench.idle = mr_alloc(options->in_flight * sizeof(struct flight *));

    snprintf(data_directory, sizeof data_directory, "%.*s/data", MR_PATH_BYTES - 8, directory);
    status = mr_disk_measure(&disk, directory, error);
    if (!status)
        status = measure_puts(&bench, data_directory, &f->seconds, &stats, error);
    if (!status) {
        double records = (double)bench.batch_count * (double)options->batch;

        f->flush_s = mr_times_quantile_s(&disk, 0.5);
        f->flush_p99_s = mr_times_quantile_s(&disk, 0.99);
        f->flush_rate = (double)disk.count / MR_DISK_MEASURE_SECONDS;
        f->records_s = records / f->seconds;
        f->bytes_s = f->records_s * (double)options->bytes;
        f->groups_s = (double)stats.group_count / f->seconds;
        f->batch_s = mr_times_quantile_s(&bench.latency, 0.5);
        f->batch_p99_s = mr_times_quantile_s(&bench.latency, 0.99);
    }
    pthread_cond_destroy(&bench.changed);
    pthread_mutex_destroy(&bench.lock);
    mr_free(bench.keys);
    mr_free(bench.text);
    mr_free(bench.idle);
    mr_times_fini(&bench.latency);
    mr_times_fini(&disk);
    return status;
}

enum mr_exit mr_command_bench(struct mr_cli *cli)
{
    const struct mr_bench_options *options = cli->options;
    char directory[MR_PATH_BYTES];
    struct figures f = {0};
    enum mr_exit code;
    mr_status status;

    if (options->seconds < 1 || options->seconds > 3600)
        return mr_cli_misused(cli, "--seconds is 1 to 3600");
    if (options->batch < 1 || options->batch > 10000 || options->bytes > MR_RECORD_BYTES_MAX ||
        options->batch * (options->bytes + 80) > MR_BATCH_BYTES_MAX)
        return mr_cli_misused(cli, "a batch is 1 to 10000 records and at most 12 MiB");
    if (options->in_flight < 1 || options->in_flight > 4096)
        return mr_cli_misused(cli, "--in-flight is 1 to 4096");
    if (options->shards < 1 || options->shards > 100000)
        return mr_cli_misused(cli, "--shards is 1 to 100000");
    code = mr_cli_place(cli);
    if (code)
        return code;
    snprintf(directory, sizeof directory, "%.*s.bench-XXXXXX", MR_PATH_BYTES - 16, cli->directory);
    if (!mkdtemp(directory)) {
        mr_fail_os(&cli->error, errno, "cannot make the folder %s", directory);
        return mr_cli_failed(cli, NULL);
    }
    mr_say("measuring beside %s, %llu batches of %llu x %llu B under way, %llu shards ...",
           cli->directory, (unsigned long long)options->in_flight,
           (unsigned long long)options->batch, (unsigned long long)options->bytes,
           (unsigned long long)options->shards);
    status = measure(options, directory, &f, &cli->error);
    remove_tree(directory);
    if (status)
        return mr_cli_failed(cli, NULL);
    if (cli->common->json)
        print_json(&f);
    else
        print(&f);
    return MR_EXIT_OK;
}
