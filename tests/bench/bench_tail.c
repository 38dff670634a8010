/* Many readers follow one shard: does a put notice, and does everybody see everything? */
#include "bench/bench.h"

#include "base/check.h"
#include "base/endian.h"
#include "base/memory.h"
#include "os/thread.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define STREAM "followed"
#define DATA_BYTES 1024
#define READERS 50
#define TICK_NS 1000000u /* a batch each */
#define OUTSTANDING 256  /* batches: a quarter of a second */
#define BATCH_MAX 64
#define WARM_MS 200u

/* Data begins with the time of the put and the record's index, counted up without gaps. */
struct stamp {
    uint64_t sent_ns, index;
};

/* ---- producer ----------------------------------------------------------------------------- */

struct ticket {
    struct producer *producer;
    uint64_t start_ns;
    mr_put_result results[BATCH_MAX];
};

struct producer {
    struct mr_engine *engine;
    size_t batch;
    uint8_t data[BATCH_MAX][DATA_BYTES];
    mr_put puts[BATCH_MAX];
    uint64_t next_index; /* of the next record */
    uint64_t submitted;  /* batches */
    _Atomic uint64_t done;
    _Atomic uint32_t done_word;
    atomic_bool counts;
    uint64_t counted; /* records that became durable while counting */
    struct mr_bench_spread *spread;
    struct ticket tickets[OUTSTANDING];
};

static void put_done(void *context, mr_status status)
{
    struct ticket *ticket = context;
    struct producer *producer = ticket->producer;

    mr_check(status == MR_OK && ticket->results[0].status == MR_OK);
    if (atomic_load(&producer->counts)) {
        mr_bench_spread_add(producer->spread, mr_bench_now_ns() - ticket->start_ns);
        producer->counted += producer->batch;
    }
    atomic_fetch_add(&producer->done, 1);
    atomic_fetch_add(&producer->done_word, 1);
    mr_word_wake(&producer->done_word, true);
}

static void wait_outstanding(struct producer *producer, uint64_t at_most)
{
    for (;;) {
        uint32_t seen = atomic_load(&producer->done_word);

        if (producer->submitted - atomic_load(&producer->done) <= at_most)
            return;
        mr_word_wait(&producer->done_word, seen, 1000);
    }
}

static void put_batch(struct producer *producer)
{
    struct ticket *ticket = &producer->tickets[producer->submitted % OUTSTANDING];
    mr_error error;

    wait_outstanding(producer, OUTSTANDING - 1);
    ticket->producer = producer;
    ticket->start_ns = mr_bench_now_ns();
    for (size_t i = 0; i < producer->batch; i++) {
        mr_store64(producer->data[i], ticket->start_ns);
        mr_store64(producer->data[i] + 8, producer->next_index++);
    }
    producer->submitted++;
    mr_bench_need(mr_put_submit(producer->engine, STREAM, producer->puts, producer->batch,
                                ticket->results, put_done, ticket, &error),
                  &error);
}

/* Puts batches as fast as they are taken: records a second. */
static double find_capacity(struct producer *producer)
{
    uint64_t start = mr_bench_now_ns(), end = start + 700000000, first = producer->next_index;

    while (mr_bench_now_ns() < end)
        put_batch(producer);
    wait_outstanding(producer, 0);
    return (double)(producer->next_index - first) * 1e9 / (double)(mr_bench_now_ns() - start);
}

/* ---- readers ------------------------------------------------------------------------------ */

struct reader {
    struct mr_reader *reader;
    pthread_t thread;
    uint64_t next_index; /* the record that must come next */
    _Atomic uint64_t *end_index;
    struct mr_bench_spread *spread; /* of the oldest record of each batch */
};

static void *follow(void *context)
{
    struct reader *reader = context;
    uint64_t last_ns = mr_bench_now_ns();
    struct mr_batch batch;
    mr_error error;

    while (reader->next_index < atomic_load(reader->end_index)) {
        uint64_t now_ns;

        mr_bench_need(mr_reader_next(reader->reader, 10000, 100, &batch, &error), &error);
        now_ns = mr_bench_now_ns();
        if (batch.count == 0) {
            if (now_ns - last_ns > 10000000000) {
                mr_bench_wrong("a reader waits in vain for record %llu",
                               (unsigned long long)reader->next_index);
                break;
            }
            continue;
        }
        last_ns = now_ns;
        mr_bench_spread_add(reader->spread, now_ns - mr_load64(batch.records[0].data.data));
        for (size_t i = 0; i < batch.count; i++) {
            uint64_t index = mr_load64((const uint8_t *)batch.records[i].data.data + 8);

            if (index != reader->next_index)
                mr_bench_wrong("a reader got record %llu instead of %llu",
                               (unsigned long long)index, (unsigned long long)reader->next_index);
            reader->next_index = index + 1;
        }
    }
    return NULL;
}

/* ---- windows ------------------------------------------------------------------------------ */

/* A side: the same load, followed by so many readers. Its figure: records a second. */
struct following {
    struct producer *producer;
    unsigned reader_count;
    double p50_us[MR_BENCH_ROUNDS_MAX], p99_us[MR_BENCH_ROUNDS_MAX];
    double read_p50_us[MR_BENCH_ROUNDS_MAX], read_p99_us[MR_BENCH_ROUNDS_MAX];
    unsigned round_count;
};

static double follow_window(void *context, uint32_t window_ms)
{
    struct following *side = context;
    struct producer *producer = side->producer;
    struct reader readers[READERS];
    struct reader_figures {
        struct mr_bench_spread all, each[READERS];
    } *figures = mr_new(struct reader_figures);
    _Atomic uint64_t end_index = UINT64_MAX;
    uint64_t tick_count = ((uint64_t)WARM_MS + window_ms) * 1000000 / TICK_NS, start,
             counted_ns = 0;
    double seconds;
    mr_error error;

    for (unsigned i = 0; i < side->reader_count; i++) {
        struct mr_reader_config config = {.from = {.start = MR_START_LATEST}};

        readers[i] = (struct reader){.next_index = producer->next_index,
                                     .end_index = &end_index,
                                     .spread = &figures->each[i]};
        mr_bench_need(
            mr_reader_open(&readers[i].reader, producer->engine, STREAM, 0, &config, &error),
            &error);
        readers[i].thread = mr_thread_start("follow", follow, &readers[i]);
    }
    *producer->spread = (struct mr_bench_spread){0};
    producer->counted = 0;
    start = mr_bench_now_ns();
    for (uint64_t tick = 0; tick < tick_count; tick++) {
        mr_bench_sleep_until(start + tick * TICK_NS);
        if (tick == WARM_MS * (uint64_t)1000000 / TICK_NS) {
            atomic_store(&producer->counts, true);
            counted_ns = mr_bench_now_ns();
        }
        put_batch(producer);
    }
    wait_outstanding(producer, 0);
    seconds = (double)(mr_bench_now_ns() - counted_ns) / 1e9;
    atomic_store(&producer->counts, false);
    atomic_store(&end_index, producer->next_index);
    for (unsigned i = 0; i < side->reader_count; i++) {
        pthread_join(readers[i].thread, NULL);
        mr_reader_close(readers[i].reader);
        mr_bench_spread_merge(&figures->all, &figures->each[i]);
    }
    side->p50_us[side->round_count] = mr_bench_spread_us(producer->spread, 50);
    side->p99_us[side->round_count] = mr_bench_spread_us(producer->spread, 99);
    side->read_p50_us[side->round_count] = mr_bench_spread_us(&figures->all, 50);
    side->read_p99_us[side->round_count++] = mr_bench_spread_us(&figures->all, 99);
    mr_free(figures);
    return (double)producer->counted / seconds;
}

/* ---- the claim ---------------------------------------------------------------------------- */

static void print_side(const char *name, const struct mr_bench_side *side)
{
    const struct following *following = side->context;
    unsigned count = following->round_count;
    char line[128];

    mr_bench_value(name, mr_bench_side_median(side), "records/s");
    snprintf(line, sizeof line, "%s.p50", name);
    mr_bench_value(line, mr_bench_median(following->p50_us, count), "us");
    snprintf(line, sizeof line, "%s.p99", name);
    mr_bench_value(line, mr_bench_median(following->p99_us, count), "us");
    if (following->reader_count == 0)
        return;
    snprintf(line, sizeof line, "%s.put_to_read_p50", name);
    mr_bench_value(line, mr_bench_median(following->read_p50_us, count), "us");
    snprintf(line, sizeof line, "%s.put_to_read_p99", name);
    mr_bench_value(line, mr_bench_median(following->read_p99_us, count), "us");
}

/* The median of how the latencies of two sides compare, round by round. */
static double latency_ratio(const struct following *side, const struct following *limit)
{
    double ratios[MR_BENCH_ROUNDS_MAX];

    for (unsigned i = 0; i < side->round_count; i++)
        ratios[i] = side->p50_us[i] / limit->p50_us[i];
    return mr_bench_median(ratios, side->round_count);
}

int main(int argc, char **argv)
{
    struct mr_engine_config config = MR_ENGINE_CONFIG_DEFAULT;
    struct producer *producer = mr_new(struct producer);
    struct following none = {.producer = producer}, one = none, many = none;
    struct mr_bench_side sides[] = {{.run = follow_window, .context = &none},
                                    {.run = follow_window, .context = &one},
                                    {.run = follow_window, .context = &many}};
    struct mr_bench_records records;
    double capacity, load;
    mr_error error;

    (void)argc;
    mr_bench_begin(argv[0]);
    one.reader_count = 1;
    many.reader_count = READERS;
    config.journal_prewrite = true;
    mr_bench_need(mr_engine_open(&producer->engine, mr_bench_path("tail"), &config, &error),
                  &error);
    mr_bench_need(mr_stream_create(producer->engine, STREAM, 1, &error), &error);
    mr_bench_records_make(&records, BATCH_MAX, DATA_BYTES);
    producer->spread = mr_new(struct mr_bench_spread);
    for (size_t i = 0; i < BATCH_MAX; i++) {
        memcpy(producer->data[i], records.puts[i].data.data, DATA_BYTES);
        producer->puts[i] = (mr_put){.partition_key = records.puts[i].partition_key,
                                     .data = {producer->data[i], DATA_BYTES}};
    }

    producer->batch = BATCH_MAX;
    capacity = find_capacity(producer);
    load = capacity * 0.3 < 64000 ? capacity * 0.3 : 64000;
    producer->batch = load < 1000 ? 1 : (size_t)(load / 1000);
    mr_bench_value("tail.capacity_without_readers", capacity, "records/s");
    mr_bench_value("tail.offered", (double)producer->batch * 1e9 / TICK_NS, "records/s");
    mr_bench_alternate(sides, 3, (unsigned)mr_bench_setting("MR_BENCH_ROUNDS", 5), 1200);

    print_side("tail_none", &sides[0]);
    print_side("tail_one", &sides[1]);
    print_side("tail_50", &sides[2]);
    mr_bench_value("tail_50.delivered", mr_bench_side_median(&sides[2]) * READERS, "records/s");
    mr_bench_ratio("tail_50", mr_bench_side_ratio(&sides[2], &sides[0]), "tail_none",
                   MR_BENCH_AT_LEAST, 0.9);
    mr_bench_ratio("tail_one.p50", latency_ratio(&one, &none), "tail_none.p50", MR_BENCH_AT_MOST,
                   1.1);
    mr_bench_ratio("tail_50.p50", latency_ratio(&many, &none), "tail_none.p50", MR_BENCH_AT_MOST,
                   1.1);
    mr_engine_close(producer->engine);
    mr_bench_records_free(&records);
    mr_free(producer->spread);
    mr_free(producer);
    return mr_bench_end();
}
