/* How fast records become durable, against the journal alone and against the bare disk. */
#include "bench/bench.h"

#include "base/check.h"
#include "base/memory.h"
#include "log/log.h"
#include "os/thread.h"
#include "stream/stream.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define PRODUCERS 64
#define BATCH 100
#define SUBMITTERS 2
#define IN_FLIGHT 32 /* of each submitter */

/* ---- what is offered to an engine --------------------------------------------------------- */

/* One way of putting, and what its windows gave. */
struct offer {
    struct mr_engine *engine;
    const char *stream;
    const struct mr_bench_records *records;
    size_t batch;     /* records a put */
    uint32_t warm_ms; /* a window begins so much later */
    bool is_async;    /* SUBMITTERS x IN_FLIGHT outstanding puts, else PRODUCERS blocking threads */
    double p50_us[MR_BENCH_ROUNDS_MAX], p99_us[MR_BENCH_ROUNDS_MAX];
    double processor_ns[MR_BENCH_ROUNDS_MAX]; /* a record, of the whole process */
    unsigned round_count;
    double groups_per_s, records_per_group; /* of the last window */
};

struct window {
    struct offer *offer;
    atomic_bool stop, counts;
};

/* A producer's or a submitter's own part of a window. */
struct worker {
    struct window *window;
    unsigned index;
    pthread_t thread;
    _Alignas(64) _Atomic uint64_t record_count;
    struct mr_bench_spread spread;

    /* submitters */
    _Atomic(struct slot *) returned; /* slots whose puts are done, newest first */
    _Atomic uint32_t returned_word;
    atomic_bool sleeps;
};

/* One outstanding put of a submitter. */
struct slot {
    struct worker *worker;
    struct slot *next;
    uint64_t start_ns;
    mr_put_result result;
};

static void count(struct worker *worker, uint64_t records, uint64_t start_ns)
{
    /* One writer a worker: no need for a locked add. */
    atomic_store_explicit(&worker->record_count,
                          atomic_load_explicit(&worker->record_count, memory_order_relaxed) +
                              records,
                          memory_order_relaxed);
    if (atomic_load_explicit(&worker->window->counts, memory_order_relaxed))
        mr_bench_spread_add(&worker->spread, mr_bench_now_ns() - start_ns);
}

static void *produce(void *context)
{
    struct worker *worker = context;
    const struct offer *offer = worker->window->offer;
    size_t at = offer->records->count / PRODUCERS * worker->index;
    mr_put_result *results = mr_alloc(offer->batch * sizeof *results);
    mr_error error;

    while (!atomic_load_explicit(&worker->window->stop, memory_order_relaxed)) {
        uint64_t start_ns = mr_bench_now_ns();

        if (at + offer->batch > offer->records->count)
            at = 0;
        mr_bench_need(mr_put_records(offer->engine, offer->stream, offer->records->puts + at,
                                     offer->batch, results, &error),
                      &error);
        mr_check(results[0].status == MR_OK);
        count(worker, offer->batch, start_ns);
        at += offer->batch;
    }
    mr_free(results);
    return NULL;
}

static void put_done(void *context, mr_status status)
{
    struct slot *slot = context;
    struct worker *worker = slot->worker;

    mr_check(status == MR_OK && slot->result.status == MR_OK);
    count(worker, 1, slot->start_ns);
    slot->next = atomic_load(&worker->returned);
    while (!atomic_compare_exchange_weak(&worker->returned, &slot->next, slot))
        ;
    if (atomic_exchange(&worker->sleeps, false)) {
        atomic_fetch_add(&worker->returned_word, 1);
        mr_word_wake(&worker->returned_word, false);
    }
}

/* All slots whose puts are done; sleeps until there is one. */
static struct slot *take_returned(struct worker *worker)
{
    for (;;) {
        uint32_t seen = atomic_load(&worker->returned_word);
        struct slot *slot = atomic_exchange(&worker->returned, NULL);

        if (slot)
            return slot;
        atomic_store(&worker->sleeps, true);
        if (!atomic_load(&worker->returned))
            mr_word_wait(&worker->returned_word, seen, 1000);
        atomic_store(&worker->sleeps, false);
    }
}

/* What a thread of a server does: keeps many single puts outstanding, and a new one for each that
 * is done. */
static void *submit(void *context)
{
    struct worker *worker = context;
    const struct offer *offer = worker->window->offer;
    size_t at = offer->records->count / SUBMITTERS * worker->index;
    struct slot slots[IN_FLIGHT];
    unsigned outstanding = 0;
    mr_error error;
    struct slot *free_slots = NULL;

    for (unsigned i = 0; i < IN_FLIGHT; i++) {
        slots[i] = (struct slot){.worker = worker, .next = free_slots};
        free_slots = &slots[i];
    }
    for (;;) {
        bool stop = atomic_load_explicit(&worker->window->stop, memory_order_relaxed);

        while (free_slots && !stop) {
            struct slot *slot = free_slots;

            free_slots = slot->next;
            slot->start_ns = mr_bench_now_ns();
            mr_bench_need(mr_put_submit(offer->engine, offer->stream, offer->records->puts + at, 1,
                                        &slot->result, put_done, slot, &error),
                          &error);
            at = at + 1 < offer->records->count ? at + 1 : 0;
            outstanding++;
        }
        if (!outstanding)
            return NULL;
        free_slots = take_returned(worker);
        for (struct slot *slot = free_slots; slot; slot = slot->next)
            outstanding--;
    }
}

struct tally {
    uint64_t at_ns, record_count, group_count;
    double processor_s;
};

static struct tally tally(struct offer *offer, struct worker *workers, unsigned worker_count)
{
    struct mr_engine_stats stats;
    struct tally sum = {.at_ns = mr_bench_now_ns(), .processor_s = mr_bench_processor_s()};

    mr_engine_stats(offer->engine, &stats);
    sum.group_count = stats.group_count;
    for (unsigned i = 0; i < worker_count; i++)
        sum.record_count += atomic_load_explicit(&workers[i].record_count, memory_order_relaxed);
    return sum;
}

/* A side of a comparison: records a second that became durable. */
static double offer_window(void *context, uint32_t window_ms)
{
    struct offer *offer = context;
    unsigned worker_count = offer->is_async ? SUBMITTERS : PRODUCERS;
    struct worker *workers = mr_alloc_zero(worker_count, sizeof *workers);
    struct window window = {.offer = offer};
    struct mr_bench_spread *spread = mr_new(struct mr_bench_spread);
    struct tally before, after;
    uint64_t start = mr_bench_now_ns();
    double seconds;

    for (unsigned i = 0; i < worker_count; i++) {
        workers[i].window = &window;
        workers[i].index = i;
        workers[i].thread =
            mr_thread_start("offer", offer->is_async ? submit : produce, &workers[i]);
    }
    mr_bench_sleep_until(start + offer->warm_ms * (uint64_t)1000000);
    before = tally(offer, workers, worker_count);
    atomic_store(&window.counts, true);
    mr_bench_sleep_until(before.at_ns + window_ms * (uint64_t)1000000);
    after = tally(offer, workers, worker_count);
    atomic_store(&window.counts, false);
    atomic_store(&window.stop, true);
    for (unsigned i = 0; i < worker_count; i++) {
        pthread_join(workers[i].thread, NULL);
        mr_bench_spread_merge(spread, &workers[i].spread);
    }
    offer->p50_us[offer->round_count] = mr_bench_spread_us(spread, 50);
    offer->p99_us[offer->round_count] = mr_bench_spread_us(spread, 99);
    offer->processor_ns[offer->round_count++] = (after.processor_s - before.processor_s) * 1e9 /
                                                (double)(after.record_count - before.record_count);
    seconds = (double)(after.at_ns - before.at_ns) / 1e9;
    offer->groups_per_s = (double)(after.group_count - before.group_count) / seconds;
    offer->records_per_group = (double)(after.record_count - before.record_count) /
                               (double)(after.group_count - before.group_count);
    mr_free(spread);
    mr_free(workers);
    return (double)(after.record_count - before.record_count) / seconds;
}

/* ---- the bare disk ------------------------------------------------------------------------ */

/* Syncs as many bytes at a time as the groups of `beside` had in their last window. */
struct bare {
    struct mr_bench_disk disk;
    const struct offer *beside;
    double group_bytes;
};

static double bare_window(void *context, uint32_t window_ms)
{
    struct bare *bare = context;
    const mr_put *put = bare->beside->records->puts;
    double entry_bytes =
        (double)mr_frame_bytes(put) + 8; /* with type, time, log, counts, lengths */

    bare->group_bytes = 96 + bare->beside->records_per_group * entry_bytes;
    return bare->beside->records_per_group *
           mr_bench_disk_groups_per_s(&bare->disk, (size_t)bare->group_bytes, window_ms);
}

/* ---- engines ------------------------------------------------------------------------------ */

static struct mr_engine *engine_new(const char *name, mr_sync sync, bool journal_only)
{
    struct mr_engine_config config = MR_ENGINE_CONFIG_DEFAULT;
    struct mr_engine_world world = {.journal_only = journal_only};
    struct mr_engine *engine;
    mr_error error;

    config.key_file = mr_bench_path("keys");
    config.sync = sync;
    config.journal_prewrite = true;
    mr_bench_need(mr_engine_open_with(&engine, mr_bench_path(name), &config, &world, &error),
                  &error);
    mr_bench_need(mr_stream_create(engine, "narrow", 16, &error), &error);
    mr_bench_need(mr_stream_create(engine, "wide", 4096, &error), &error);
    mr_bench_need(mr_stream_create(engine, "secret", 16, &error), &error);
    mr_bench_need(mr_stream_encrypt(engine, "secret", true, &error), &error);
    return engine;
}

/* ---- the claims --------------------------------------------------------------------------- */

static void print_offer(const char *name, const struct mr_bench_side *side,
                        const struct offer *offer)
{
    char line[128];

    mr_bench_value(name, mr_bench_side_median(side), "records/s");
    snprintf(line, sizeof line, "%s.p50", name);
    mr_bench_value(line, mr_bench_median(offer->p50_us, offer->round_count), "us");
    snprintf(line, sizeof line, "%s.p99", name);
    mr_bench_value(line, mr_bench_median(offer->p99_us, offer->round_count), "us");
    snprintf(line, sizeof line, "%s.processor", name);
    mr_bench_value(line, mr_bench_median(offer->processor_ns, offer->round_count), "ns/record");
}

static void bench_batches(struct mr_engine *durable, struct mr_engine *journal_only,
                          size_t data_bytes, const char *name, double target)
{
    struct mr_bench_records records;
    struct offer all = {.engine = durable,
                        .stream = "narrow",
                        .records = &records,
                        .batch = BATCH,
                        .warm_ms = 300}; /* memory fills up first */
    struct offer only = all;
    struct mr_bench_side sides[] = {{.run = offer_window, .context = &all},
                                    {.run = offer_window, .context = &only}};
    struct mr_engine_stats before, after;
    char limit[128], line[128];

    if (!mr_bench_wants(name))
        return;
    only.engine = journal_only;
    mr_bench_records_make(&records, (size_t)PRODUCERS * BATCH * (data_bytes < 512 ? 16 : 8),
                          data_bytes);
    mr_engine_stats(durable, &before);
    mr_bench_alternate(sides, 2, (unsigned)mr_bench_setting("MR_BENCH_ROUNDS", 5), 1500);
    mr_bench_settle();
    mr_engine_stats(durable, &after);
    snprintf(limit, sizeof limit, "%s.journal_only", name);
    print_offer(name, &sides[0], &all);
    print_offer(limit, &sides[1], &only);
    snprintf(line, sizeof line, "%s.compression", name);
    if (after.segment_stored_bytes > before.segment_stored_bytes)
        mr_bench_value(line,
                       (double)(after.segment_raw_bytes - before.segment_raw_bytes) /
                           (double)(after.segment_stored_bytes - before.segment_stored_bytes),
                       "x");
    mr_bench_ratio(name, mr_bench_side_ratio(&sides[0], &sides[1]), limit, MR_BENCH_AT_LEAST,
                   target);
    if (data_bytes == 100) {
        snprintf(limit, sizeof limit, "%s.quiet_machine", name);
        mr_bench_value(limit, 1500000, "records/s");
        mr_bench_ratio(name, mr_bench_side_median(&sides[0]) / 1500000, limit, MR_BENCH_AT_LEAST,
                       1);
    }
    mr_bench_records_free(&records);
}

static void bench_singles(struct mr_engine *durable, struct mr_engine *interval)
{
    struct mr_bench_records records;
    struct offer async = {.engine = durable,
                          .stream = "narrow",
                          .records = &records,
                          .batch = 1,
                          .warm_ms = 50,
                          .is_async = true};
    struct offer wide = async, blocking = async, lazy = async;
    struct bare bare = {.beside = &async};
    struct mr_bench_side sides[] = {
        {.run = offer_window, .context = &async},    {.run = bare_window, .context = &bare},
        {.run = offer_window, .context = &wide},     {.run = offer_window, .context = &lazy},
        {.run = offer_window, .context = &blocking},
    };

    wide.stream = "wide";
    blocking.is_async = false;
    lazy.engine = interval;
    if (!mr_bench_wants("put_single"))
        return;
    mr_bench_records_make(&records, 100000, 100);
    mr_bench_disk_open(&bare.disk, "bare", (uint64_t)256 << 20);
    /* The disk changes its mind often: what is compared stands close together. */
    mr_bench_alternate(sides, 5, 3 * (unsigned)mr_bench_setting("MR_BENCH_ROUNDS", 5), 250);

    print_offer("put_single", &sides[0], &async);
    mr_bench_value("put_single.groups", async.groups_per_s, "groups/s");
    mr_bench_value("put_single.records_per_group", async.records_per_group, "records");
    mr_bench_value("put_single.group_bytes", bare.group_bytes, "bytes");
    mr_bench_value("put_single.bare_disk", mr_bench_side_median(&sides[1]), "records/s");
    mr_bench_ratio("put_single", mr_bench_side_ratio(&sides[0], &sides[1]), "put_single.bare_disk",
                   MR_BENCH_AT_LEAST, 0.75);
    mr_bench_value("put_single.p99_limit", 1000, "us");
    mr_bench_ratio("put_single.p99", mr_bench_median(async.p99_us, async.round_count) / 1000,
                   "put_single.p99_limit", MR_BENCH_AT_MOST, 1);
    print_offer("put_single_blocking", &sides[4], &blocking);
    mr_bench_ratio("put_single_blocking", mr_bench_side_ratio(&sides[4], &sides[0]), "put_single",
                   MR_BENCH_AT_LEAST, 0.333);
    print_offer("put_single_4096_shards", &sides[2], &wide);
    mr_bench_ratio("put_single_4096_shards", mr_bench_side_ratio(&sides[2], &sides[0]),
                   "put_single", MR_BENCH_AT_LEAST, 0.7);
    print_offer("put_single_every_50ms", &sides[3], &lazy);
    mr_bench_ratio("put_single_every_50ms", mr_bench_side_ratio(&sides[3], &sides[0]), "put_single",
                   MR_BENCH_AT_LEAST, 1.2);
    mr_bench_disk_close(&bare.disk);
    mr_bench_records_free(&records);
}

/* What encryption costs: the same puts to a stream that is encrypted, and to one that is not. */
static void bench_encrypted(struct mr_engine *durable, size_t data_bytes, size_t batch,
                            const char *name)
{
    struct mr_bench_records records;
    struct offer plain = {.engine = durable,
                          .stream = "narrow",
                          .records = &records,
                          .batch = batch,
                          .warm_ms = batch > 1 ? 300 : 50,
                          .is_async = batch == 1};
    struct offer secret = plain;
    struct mr_bench_side sides[] = {{.run = offer_window, .context = &secret},
                                    {.run = offer_window, .context = &plain}};
    unsigned rounds = (unsigned)mr_bench_setting("MR_BENCH_ROUNDS", 5);
    char limit[128];

    if (!mr_bench_wants(name))
        return;
    secret.stream = "secret";
    mr_bench_records_make(&records, (size_t)PRODUCERS * BATCH * 8, data_bytes);
    mr_bench_alternate(sides, 2, batch > 1 ? rounds : 3 * rounds, batch > 1 ? 1500 : 250);
    mr_bench_settle();
    snprintf(limit, sizeof limit, "%s.off", name);
    print_offer(name, &sides[0], &secret);
    print_offer(limit, &sides[1], &plain);
    mr_bench_ratio(name, mr_bench_side_ratio(&sides[0], &sides[1]), limit, MR_BENCH_AT_LEAST, 0.85);
    mr_bench_records_free(&records);
}

int main(int argc, char **argv)
{
    struct mr_engine *durable, *journal_only, *interval;

    (void)argc;
    mr_bench_begin(argv[0]);
    durable = engine_new("durable", MR_SYNC_EACH, false);
    journal_only = engine_new("journal_only", MR_SYNC_EACH, true);
    interval = engine_new("interval", MR_SYNC_INTERVAL, false);
    bench_singles(durable, interval);
    bench_encrypted(durable, 100, 1, "put_single_encrypted");
    bench_encrypted(durable, 100, BATCH, "put_batch_100b_encrypted");
    bench_batches(durable, journal_only, 100, "put_batch_100b", 0.45);
    bench_batches(durable, journal_only, 1024, "put_batch_1kib", 0.65);
    mr_engine_close(durable);
    mr_engine_close(journal_only);
    mr_engine_close(interval);
    return mr_bench_end();
}
