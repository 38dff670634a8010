/* How long opening takes after a SIGKILL under load, with little and with much stored. */
#include "bench/bench.h"

#include "base/check.h"
#include "base/memory.h"
#include "base/random.h"
#include "os/thread.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STREAM "stored"
#define SHARDS 16
#define PRODUCERS 8
#define BATCH 100
#define BIG_BYTES (1u << 20)
#define JOURNAL_BYTES_WANTED (64u << 20)

/* What a child tells its parent, in memory they share: it outlives the child. */
struct told {
    _Atomic uint64_t record_count; /* acknowledged */
};

struct child {
    struct mr_engine *engine;
    struct told *told;
    struct mr_bench_records records;
    size_t batch;
    _Atomic unsigned next_index;
};

struct victim {
    const char *name, *directory;
    double gigabytes; /* stored before the first window */
    size_t batch;     /* records a put, of the load under which it dies */
    struct told *told;
    struct mr_random random;
    uint64_t dies_after_ms;

    /* what the windows gave */
    double journal_mib[MR_BENCH_ROUNDS_MAX], recovered_count[MR_BENCH_ROUNDS_MAX];
    unsigned round_count;
    double stored_bytes;
};

/* ---- storing ------------------------------------------------------------------------------ */

/* Large records of noise: they fill a disk fastest, for there is nothing to compress. */
static void store(void *context)
{
    static const char *const keys[] = {"anna", "ben",  "cleo", "dan", "eva", "finn",
                                       "gina", "hugo", "ines", "jan", "kim", "leo"};
    struct victim *victim = context;
    struct mr_random random = mr_random_of(3);
    uint8_t *noise = mr_alloc(BIG_BYTES + 4096);
    struct mr_engine *engine;
    mr_put puts[8];
    mr_put_result results[8];
    mr_error error;

    for (size_t i = 0; i < BIG_BYTES + 4096; i += 8)
        memcpy(noise + i, &(uint64_t){mr_random_next(&random)}, 8);
    mr_bench_need(mr_engine_open(&engine, victim->directory, NULL, &error), &error);
    mr_bench_need(mr_stream_create(engine, STREAM, SHARDS, &error), &error);
    for (double left = victim->gigabytes * 1e9; left > 0; left -= 8.0 * BIG_BYTES) {
        for (unsigned i = 0; i < 8; i++) {
            const char *key = keys[mr_random_below(&random, sizeof keys / sizeof *keys)];

            puts[i] = (mr_put){.partition_key = {key, strlen(key)},
                               .data = {noise + mr_random_below(&random, 4096), BIG_BYTES}};
        }
        mr_bench_need(mr_put_records(engine, STREAM, puts, 8, results, &error), &error);
        atomic_fetch_add(&victim->told->record_count, 8);
    }
    mr_engine_close(engine);
    mr_free(noise);
}

/* ---- dying under load --------------------------------------------------------------------- */

static void *produce(void *context)
{
    struct child *child = context;
    unsigned index = atomic_fetch_add(&child->next_index, 1);
    size_t at = child->records.count / PRODUCERS * index;
    mr_put_result results[BATCH];
    mr_error error;

    for (;;) {
        if (at + child->batch > child->records.count)
            at = 0;
        mr_bench_need(mr_put_records(child->engine, STREAM, child->records.puts + at, child->batch,
                                     results, &error),
                      &error);
        atomic_fetch_add(&child->told->record_count, child->batch);
        at += child->batch;
    }
    return NULL;
}

static void die_under_load(void *context)
{
    const struct victim *victim = context;
    struct child *child = mr_new(struct child);
    mr_error error;

    child->told = victim->told;
    child->batch = victim->batch;
    mr_bench_records_make(&child->records, (size_t)PRODUCERS * BATCH * 16, 500);
    mr_bench_need(mr_engine_open(&child->engine, victim->directory, NULL, &error), &error);
    for (unsigned i = 0; i < PRODUCERS; i++)
        mr_thread_start("produce", produce, child);
    mr_bench_sleep_until(mr_bench_now_ns() + victim->dies_after_ms * 1000000);
    /* Dies when much is to be recovered, and about as much each time. */
    for (unsigned i = 0; i < 5000; i++) {
        struct mr_engine_stats stats;

        mr_engine_stats(child->engine, &stats);
        if (stats.journal_used_bytes >= JOURNAL_BYTES_WANTED)
            break;
        mr_bench_sleep_until(mr_bench_now_ns() + 1000000);
    }
    kill(getpid(), SIGKILL);
}

/* ---- the claim ---------------------------------------------------------------------------- */

/* A side: seconds that opening takes. */
static double recover_window(void *context, uint32_t window_ms)
{
    struct victim *victim = context;
    struct mr_engine_stats stats;
    struct mr_engine *engine;
    double seconds;
    uint64_t start;
    mr_error error;

    victim->dies_after_ms = window_ms + mr_random_below(&victim->random, window_ms);
    if (mr_bench_apart(die_under_load, victim) != SIGKILL)
        mr_bench_wrong("the child ended before it was killed");
    start = mr_bench_now_ns();
    mr_bench_need(mr_engine_open(&engine, victim->directory, NULL, &error), &error);
    seconds = (double)(mr_bench_now_ns() - start) / 1e9;
    mr_engine_stats(engine, &stats);
    if (!stats.recovered)
        mr_bench_wrong("the engine did not notice that it was killed");
    if (stats.record_count < atomic_load(&victim->told->record_count))
        mr_bench_wrong("%llu records of %llu that were acknowledged",
                       (unsigned long long)stats.record_count,
                       (unsigned long long)atomic_load(&victim->told->record_count));
    /* What was written but not acknowledged is there, too. */
    atomic_store(&victim->told->record_count, stats.record_count);
    victim->journal_mib[victim->round_count] = (double)stats.recovered_journal_bytes / (1 << 20);
    victim->recovered_count[victim->round_count++] = (double)stats.recovered_record_count;
    victim->stored_bytes = (double)stats.segment_stored_bytes;
    mr_engine_close(engine);
    return seconds;
}

static void make(struct victim *victim)
{
    victim->directory = mr_bench_path(victim->name);
    victim->told = mr_bench_share(sizeof *victim->told);
    if (mr_bench_apart(store, victim) != 0)
        exit(1);
}

static void print_victim(const struct victim *victim, const struct mr_bench_side *side)
{
    char line[128];

    mr_bench_value(victim->name, mr_bench_side_median(side), "s");
    snprintf(line, sizeof line, "%s.stored", victim->name);
    mr_bench_value(line, victim->stored_bytes / 1e9, "GB");
    snprintf(line, sizeof line, "%s.journal", victim->name);
    mr_bench_value(line, mr_bench_median(victim->journal_mib, victim->round_count), "MiB");
    snprintf(line, sizeof line, "%s.records", victim->name);
    mr_bench_value(line, mr_bench_median(victim->recovered_count, victim->round_count), "records");
}

int main(int argc, char **argv)
{
    struct victim few = {.name = "recovery_little_stored",
                         .gigabytes = 0.05,
                         .batch = BATCH,
                         .random = mr_random_of(11)};
    struct victim lot = {.name = "recovery_much_stored",
                         .gigabytes = mr_bench_setting("MR_BENCH_GB", 2),
                         .batch = BATCH,
                         .random = mr_random_of(11)};
    /* As much journal, of very many groups. */
    struct victim singles = {
        .name = "recovery_small_groups", .gigabytes = 0.05, .batch = 1, .random = mr_random_of(11)};
    struct mr_bench_side sides[] = {{.run = recover_window, .context = &few},
                                    {.run = recover_window, .context = &lot},
                                    {.run = recover_window, .context = &singles}};

    (void)argc;
    mr_bench_begin(argv[0]);
    make(&few);
    make(&lot);
    make(&singles);
    mr_bench_alternate(sides, 3, (unsigned)mr_bench_setting("MR_BENCH_ROUNDS", 5), 700);
    print_victim(&few, &sides[0]);
    print_victim(&lot, &sides[1]);
    mr_bench_value("recovery_much_stored.two_seconds", 2, "s");
    mr_bench_ratio("recovery_much_stored", mr_bench_side_median(&sides[1]) / 2,
                   "recovery_much_stored.two_seconds", MR_BENCH_AT_MOST, 1);
    mr_bench_ratio("recovery_much_stored", mr_bench_side_ratio(&sides[1], &sides[0]),
                   "recovery_little_stored", MR_BENCH_AT_MOST, 1.3);
    print_victim(&singles, &sides[2]);
    mr_bench_value("recovery_small_groups.two_seconds", 2, "s");
    mr_bench_ratio("recovery_small_groups", mr_bench_side_median(&sides[2]) / 2,
                   "recovery_small_groups.two_seconds", MR_BENCH_AT_MOST, 1);
    return mr_bench_end();
}
