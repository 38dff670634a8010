#include "labs/readers.h"

#include "base/memory.h"
#include "os/clock.h"
#include "os/thread.h"
#include "output.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define READERS_MAX 8
#define ROUND_MS 1500
#define PUT_EVERY_MS 20
#define POLL_EVERY_MS 200 /* five times a second: all that a shard gives to those that share it */

/* One reader: how often it was let in, how old records were when it had them. */
struct lab_reader {
    mr_reader *reader;
    bool polls;
    atomic_bool *stop;
    pthread_t thread;
    uint64_t call_count, throttled_count, record_count, delay_ms;
};

static uint64_t now_ns(void)
{
    struct mr_clock *clock = mr_clock_real();

    return clock->monotonic_ns(clock);
}

static void sleep_until(uint64_t at_ns)
{
    struct timespec at = {.tv_sec = (time_t)(at_ns / 1000000000),
                          .tv_nsec = (long)(at_ns % 1000000000)};

    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
}

static void note(struct lab_reader *reader, mr_status status, const mr_batch *batch)
{
    struct mr_clock *clock = mr_clock_real();

    reader->call_count++;
    reader->throttled_count += status == MR_THROTTLED;
    for (size_t i = 0; !status && i < batch->count; i++) {
        reader->record_count++;
        reader->delay_ms += (uint64_t)(clock->wall_ms(clock) - batch->records[i].arrival_ms);
    }
}

static void *read_on(void *context)
{
    struct lab_reader *reader = context;
    uint64_t next_ns = now_ns();
    mr_batch batch;

    while (!atomic_load(reader->stop)) {
        /* One asks at its times; the other is told as soon as there is something. */
        mr_status status =
            mr_reader_next(reader->reader, 1000, reader->polls ? 0 : 100, &batch, NULL);

        note(reader, status, &batch);
        if (reader->polls)
            sleep_until(next_ns += POLL_EVERY_MS * 1000000ull);
    }
    return NULL;
}

static void print(const struct lab_reader *readers, size_t count, bool polls)
{
    uint64_t call_count = 0, throttled_count = 0, record_count = 0, delay_ms = 0;

    for (size_t i = 0; i < count; i++) {
        call_count += readers[i].call_count;
        throttled_count += readers[i].throttled_count;
        record_count += readers[i].record_count;
        delay_ms += readers[i].delay_ms;
    }
    printf("%7zu  %-9s", count, polls ? "shared" : "fan-out");
    if (polls)
        printf(" %5.0f %%", 100.0 * (double)throttled_count / (double)(call_count + !call_count));
    else
        printf(" %7s", "-");
    printf("   %6.0f ms\n", record_count ? (double)delay_ms / (double)record_count : 0.0);
    fflush(stdout);
}

static mr_status measure(struct mr_cli *cli, size_t count, bool polls)
{
    struct mr_reader_config config = {.from.start = MR_START_LATEST, .limited = polls};
    struct lab_reader readers[READERS_MAX] = {{.reader = NULL}};
    mr_put put = {.partition_key = {"k", 1}, .data = {"reading", 7}};
    uint64_t end_ns = now_ns() + ROUND_MS * 1000000ull;
    atomic_bool stop = false;
    mr_put_result result;
    mr_status status = MR_OK;
    size_t opened;

    for (opened = 0; !status && opened < count; opened++) {
        readers[opened] = (struct lab_reader){.polls = polls, .stop = &stop};
        status =
            mr_reader_open(&readers[opened].reader, cli->engine, "lab", 0, &config, &cli->error);
    }
    for (size_t i = 0; !status && i < count; i++)
        readers[i].thread = mr_thread_start("reader", read_on, &readers[i]);
    for (uint64_t at_ns = now_ns(); !status && at_ns < end_ns && !mr_interrupted();
         sleep_until(at_ns += PUT_EVERY_MS * 1000000ull))
        mr_put_records(cli->engine, "lab", &put, 1, &result, NULL);
    atomic_store(&stop, true);
    for (size_t i = 0; i < opened; i++) {
        if (!status)
            pthread_join(readers[i].thread, NULL);
        mr_reader_close(readers[i].reader);
    }
    if (!status)
        print(readers, count, polls);
    return status;
}

enum mr_exit mr_lab_readers(struct mr_cli *cli)
{
    static const size_t counts[] = {1, 2, 5};
    struct mr_engine_config config = MR_ENGINE_CONFIG_DEFAULT;
    mr_status status;
    enum mr_exit code;

    config.limits = MR_LIMITS_KINESIS;
    code = mr_cli_open_as(cli, true, &config);
    if (code)
        return code;
    mr_interrupt_catch();
    status = mr_stream_create(cli->engine, "lab", 1, &cli->error);
    if (!status || status == MR_EXISTS)
        puts("readers  kind      refused   a record is seen after");
    for (size_t i = 0; i < 2 * (sizeof counts / sizeof *counts) && !mr_interrupted(); i++) {
        if ((status = measure(cli, counts[i / 2], i % 2 == 0)))
            return mr_cli_failed(cli, "lab");
    }
    return MR_EXIT_OK;
}
