/*
 * How fast records are replayed and made up, and how well a schedule is kept.
 *
 * The limit of replay is what `millrace put` does with the same records in batches: it reads them from a
 * file, too, in the form that costs it least (key, tab, data; a recording is JSON, with times, its data
 * escaped). What the engine takes of batches that stand in memory is printed beside it.
 */
#include "bench/bench.h"

#include "../../tools/events/events.h"
#include "../../tools/gen/template.h"
#include "../../tools/lines.h"
#include "../../tools/put_line.h"
#include "../../tools/replay/sender.h"
#include "base/check.h"
#include "base/memory.h"

#include <stdio.h>
#include <string.h>

#define RECORDS 200000
#define DATA_BYTES 100
#define SHARDS 16
#define BATCH MR_PUT_BATCH_RECORDS
#define EVENTS_A_READ 64 /* as the command does */
#define RATE 2000        /* records a second, of the schedule */
#define SIDES 4
#define SPEED_MIN 0.8
#define MADE_UP_PER_S 1e6

struct world {
    mr_engine *engine;
    struct mr_place place;
    struct mr_bench_records records;
    const char *recording, *lines; /* the same records in files */
};

static void reject(void *context, uint64_t line, const char *why)
{
    (void)context;
    mr_bench_wrong("record %llu was refused: %s", (unsigned long long)line, why);
}

/* A stream of its own for each window, so that the disk holds one at a time. */
static void renew(struct world *world)
{
    mr_error error;

    mr_stream_delete(world->engine, "bench", NULL);
    mr_bench_need(mr_stream_create(world->engine, "bench", SHARDS, &error), &error);
}

static void start(struct world *world, struct mr_sender *sender)
{
    renew(world);
    *sender = (struct mr_sender){.place = &world->place, .stream = "bench", .reject = reject};
    mr_sender_start(sender);
}

/* Waits for all; returns the records a second since start_ns. */
static double finish(struct mr_sender *sender, uint64_t start_ns)
{
    double seconds, stored;

    mr_sender_finish(sender);
    seconds = (double)(mr_bench_now_ns() - start_ns) / 1e9;
    stored = (double)sender->sent.stored_count;
    if (sender->sent.stored_count != sender->sent.count)
        mr_bench_wrong("not all that was sent was stored");
    mr_sender_fini(sender);
    return stored / seconds;
}

/* ---- the sides ---------------------------------------------------------------------------- */

static void play_file(struct world *world, struct mr_sender *sender, uint64_t end_ns)
{
    static struct mr_event batch[EVENTS_A_READ];
    struct mr_events_config config = {.path = world->recording, .reject = reject};
    struct mr_events *events;
    size_t count = 1;
    mr_error error;

    mr_bench_need(mr_events_open(&events, &config, &error), &error);
    while (count > 0 && mr_bench_now_ns() < end_ns) {
        mr_bench_need(mr_events_read(events, batch, EVENTS_A_READ, &count, &error), &error);
        for (size_t i = 0; i < count; i++) {
            struct mr_sending record = {
                .line = batch[i].line, .key = batch[i].key, .data = batch[i].data};

            mr_check(mr_sender_put(sender, &record, 0));
        }
    }
    mr_events_close(events);
}

static double replay(void *context, uint32_t window_ms)
{
    struct world *world = context;
    struct mr_sender sender;
    uint64_t start_ns, end_ns;

    start(world, &sender);
    start_ns = mr_bench_now_ns();
    end_ns = start_ns + (uint64_t)window_ms * 1000000;
    while (mr_bench_now_ns() < end_ns)
        play_file(world, &sender, end_ns);
    return finish(&sender, start_ns);
}

static void land(void *context, const struct mr_put_batch *batch)
{
    uint64_t *stored_count = context;

    for (size_t i = 0; i < batch->count; i++)
        *stored_count += !batch->status && !batch->results[i].status;
}

/* As the command reads its standard input. */
static void put_lines(struct world *world, struct mr_put_pipe *pipe, uint64_t end_ns)
{
    struct mr_put_rules rules = {.key_separator = "\t"};
    struct mr_put_batch *batch = mr_put_pipe_take(pipe);
    FILE *file = fopen(world->lines, "r");
    struct mr_lines lines;
    mr_bytes line;

    mr_check(file);
    mr_lines_init(&lines, fileno(file));
    while (mr_bench_now_ns() < end_ns) {
        enum mr_line kind = mr_lines_next(&lines, &line);

        if (kind == MR_LINE_NONE || !mr_put_batch_fits(batch, line.size)) {
            mr_put_pipe_submit(pipe, batch);
            batch = mr_put_pipe_take(pipe);
        }
        if (kind == MR_LINE_NONE) {
            if (!mr_lines_fill(&lines))
                break;
            continue;
        }
        mr_check(mr_put_batch_fits(batch, line.size));
        if (mr_put_line_read(&rules, line, &batch->scratch_at, &batch->puts[batch->count],
                             &batch->hash_keys[batch->count]) != MR_PUT_LINE_GOOD)
            mr_bench_wrong("line %llu: %s", (unsigned long long)lines.number, rules.why);
        batch->bytes += line.size;
        batch->count++;
    }
    mr_put_pipe_submit(pipe, batch);
    mr_lines_fini(&lines);
    fclose(file);
}

static void put_memory(struct world *world, struct mr_put_pipe *pipe, uint64_t end_ns)
{
    for (size_t at = 0; at + BATCH <= RECORDS && mr_bench_now_ns() < end_ns; at += BATCH) {
        struct mr_put_batch *batch = mr_put_pipe_take(pipe);

        memcpy(batch->puts, &world->records.puts[at], sizeof batch->puts);
        batch->count = BATCH;
        mr_put_pipe_submit(pipe, batch);
    }
}

typedef void put_fn(struct world *world, struct mr_put_pipe *pipe, uint64_t end_ns);

static double put(struct world *world, put_fn *put_round, uint32_t window_ms)
{
    struct mr_put_pipe *pipe = mr_new(struct mr_put_pipe);
    uint64_t stored_count = 0, start_ns, end_ns;

    renew(world);
    pipe->engine = world->engine;
    pipe->stream = "bench";
    pipe->acknowledge = land;
    pipe->context = &stored_count;
    mr_put_pipe_start(pipe);
    start_ns = mr_bench_now_ns();
    end_ns = start_ns + (uint64_t)window_ms * 1000000;
    while (mr_bench_now_ns() < end_ns)
        put_round(world, pipe, end_ns);
    mr_put_pipe_finish(pipe);
    mr_free(pipe);
    return (double)stored_count / ((double)(mr_bench_now_ns() - start_ns) / 1e9);
}

static double put_file(void *context, uint32_t window_ms)
{
    return put(context, put_lines, window_ms);
}

static double put_from_memory(void *context, uint32_t window_ms)
{
    return put(context, put_memory, window_ms);
}

static double make_up(void *context, uint32_t window_ms)
{
    static const char key_text[] = "key-{{key}}";
    struct world *world = context;
    const char *text = mr_template_named("sensors");
    struct mr_random random = mr_random_of(1);
    struct mr_template *data, *key;
    struct mr_sender sender;
    uint64_t start_ns, end_ns;
    uint8_t *out;
    mr_error error;

    mr_bench_need(mr_template_compile(&data, (mr_bytes){text, strlen(text)}, &error), &error);
    mr_bench_need(mr_template_compile(&key, (mr_bytes){key_text, sizeof key_text - 1}, &error),
                  &error);
    out = mr_alloc(mr_template_bytes_max(data) + mr_template_bytes_max(key));
    start(world, &sender);
    start_ns = mr_bench_now_ns();
    end_ns = start_ns + (uint64_t)window_ms * 1000000;
    for (uint64_t i = 0; i % 64 || mr_bench_now_ns() < end_ns; i++) {
        struct mr_draw draw = {.index = i,
                               .key = mr_random_below(&random, 10000),
                               .time_ms = INT64_C(1700000000000),
                               .random = &random};
        uint8_t *end = mr_template_render(data, &draw, out);
        struct mr_sending record = {
            .data = {out, (size_t)(end - out)},
            .key = {end, (size_t)(mr_template_render(key, &draw, end) - end)}};

        mr_check(mr_sender_put(&sender, &record, 0));
    }
    mr_free(out);
    mr_template_free(data);
    mr_template_free(key);
    return finish(&sender, start_ns);
}

/* ---- a schedule --------------------------------------------------------------------------- */

static void measure_schedule(struct world *world)
{
    struct mr_schedule schedule = MR_SCHEDULE(1);
    struct mr_sender sender;
    uint64_t start_ns;
    double p50_us, p99_us;

    start(world, &sender);
    start_ns = mr_bench_now_ns();
    for (uint64_t i = 0; i < 2 * RATE; i++) {
        const mr_put *from = &world->records.puts[i % RECORDS];
        struct mr_sending record = {.key = from->partition_key, .data = from->data};
        uint64_t due_ns = mr_schedule_due_ns(&schedule, (int64_t)(i * 1000 / RATE), start_ns);

        mr_check(mr_sender_put(&sender, &record, due_ns));
    }
    p50_us = (double)mr_lateness_quantile_ns(&sender.sent.lateness, 0.5) / 1e3;
    p99_us = (double)mr_lateness_quantile_ns(&sender.sent.lateness, 0.99) / 1e3;
    finish(&sender, start_ns);
    mr_bench_value("replay.late_p50", p50_us, "us");
    mr_bench_value("replay.late_p99", p99_us, "us");
}

/* ---- all ---------------------------------------------------------------------------------- */

static void write_files(const struct world *world)
{
    struct mr_pack out = MR_PACK((size_t)1 << 20);
    FILE *recording = fopen(world->recording, "w"), *lines = fopen(world->lines, "w");

    for (size_t i = 0; recording && lines && i < RECORDS; i++) {
        const mr_put *put = &world->records.puts[i];
        struct mr_event event = {.time_ms = INT64_C(1700000000000) + (int64_t)i,
                                 .key = put->partition_key,
                                 .data = put->data};

        out.size = 0;
        mr_event_write(&out, &event);
        fwrite(out.data, 1, out.size, recording);
        fprintf(lines, "%.*s\t%.*s\n", (int)put->partition_key.size,
                (const char *)put->partition_key.data, (int)put->data.size,
                (const char *)put->data.data);
    }
    mr_pack_fini(&out);
    if (!recording || !lines || fclose(recording) || fclose(lines))
        mr_bench_wrong("cannot write %s", world->recording);
}

int main(void)
{
    struct world world = {.engine = NULL};
    struct mr_bench_side sides[SIDES] = {
        {.name = "replay", .run = replay, .context = &world},
        {.name = "replay.put", .run = put_file, .context = &world},
        {.name = "replay.memory", .run = put_from_memory, .context = &world},
        {.name = "gen", .run = make_up, .context = &world}};
    char recording[MR_PATH_BYTES], lines[MR_PATH_BYTES];
    mr_error error;

    mr_bench_begin("bench_replay");
    mr_bench_records_make(&world.records, RECORDS, DATA_BYTES);
    snprintf(recording, sizeof recording, "%s", mr_bench_path("recording"));
    snprintf(lines, sizeof lines, "%s", mr_bench_path("lines"));
    world.recording = recording;
    world.lines = lines;
    write_files(&world);
    mr_bench_need(mr_engine_open(&world.engine, mr_bench_path("data"), NULL, &error), &error);
    world.place.engine = world.engine;

    mr_bench_alternate(sides, SIDES, (unsigned)mr_bench_setting("MR_BENCH_ROUNDS", 5), 1000);
    for (size_t i = 0; i < SIDES; i++)
        mr_bench_value(sides[i].name, mr_bench_side_median(&sides[i]), "records/s");
    mr_bench_ratio("replay", mr_bench_side_ratio(&sides[0], &sides[1]), "replay.put",
                   MR_BENCH_AT_LEAST, SPEED_MIN);
    mr_bench_value("gen.wanted", MADE_UP_PER_S, "records/s");
    mr_bench_ratio("gen", mr_bench_side_median(&sides[3]) / MADE_UP_PER_S, "gen.wanted",
                   MR_BENCH_AT_LEAST, 1);
    measure_schedule(&world);

    mr_engine_close(world.engine);
    mr_bench_records_free(&world.records);
    return mr_bench_end();
}
