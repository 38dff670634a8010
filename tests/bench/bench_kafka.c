/*
 * How fast a bridge copies, beside librdkafka's own loops against the same broker: producing what the
 * bridge takes out of a stream, consuming what it puts into one. That loop keeps nothing, and a bridge
 * cannot be faster than the stream makes records durable: so the engine's own puts stand beside it.
 * MR_BENCH_KAFKA is a broker, HOST:PORT; run.sh starts one where it can have it.
 */
#include "bench/bench.h"
#include "kafka/bridge.h"

#include "base/check.h"
#include "base/memory.h"
#include "os/thread.h"
#include "streams.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SHARDS 4
#define PARTITIONS 4
#define LOOK_NS UINT64_C(5000000)

static struct mr_bench_records records;
static const char *brokers;
static struct mr_place place;
static unsigned topic_number; /* each round has its own */
static char topic[64];        /* the last that was filled */

static double per_s(uint64_t count, uint64_t start_ns)
{
    return (double)count * 1e9 / (double)(mr_bench_now_ns() - start_ns);
}

static void name_topic(void)
{
    snprintf(topic, sizeof topic, "bench-%u-%u", (unsigned)getpid(), topic_number++);
}

/* ---- librdkafka's loops ------------------------------------------------------------------- */

static void set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
    mr_check(rd_kafka_conf_set(conf, name, value, NULL, 0) == RD_KAFKA_CONF_OK);
}

static rd_kafka_t *client(rd_kafka_type_t type)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_t *kafka;

    set(conf, "bootstrap.servers", brokers);
    set(conf, "log_level", "0");
    if (type == RD_KAFKA_CONSUMER) {
        set(conf, "group.id", topic);
        set(conf, "auto.offset.reset", "earliest");
        set(conf, "enable.auto.commit", "false"); /* the next begins at the start, too */
    } else {
        set(conf, "linger.ms", "5");
    }
    kafka = rd_kafka_new(type, conf, NULL, 0);
    mr_check(kafka);
    return kafka;
}

static void make_topic(rd_kafka_t *kafka)
{
    rd_kafka_NewTopic_t *wanted = rd_kafka_NewTopic_new(topic, PARTITIONS, 1, NULL, 0);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(kafka);
    rd_kafka_event_t *event;

    rd_kafka_CreateTopics(kafka, &wanted, 1, NULL, queue);
    event = rd_kafka_queue_poll(queue, 30000);
    if (!event || rd_kafka_event_error(event))
        mr_bench_wrong("there is no topic %s", topic);
    rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
    rd_kafka_NewTopic_destroy(wanted);
}

/* From the first to the last that is acknowledged. */
static double produce(void *context, uint32_t window_ms)
{
    rd_kafka_t *kafka;
    rd_kafka_topic_t *target;
    const struct rd_kafka_metadata *metadata;
    uint64_t start_ns;
    double rate;
    (void)context;
    (void)window_ms;

    name_topic();
    kafka = client(RD_KAFKA_PRODUCER);
    make_topic(kafka);
    target = rd_kafka_topic_new(kafka, topic, NULL);
    mr_check(!rd_kafka_metadata(kafka, 0, target, &metadata, 30000));
    rd_kafka_metadata_destroy(metadata);
    start_ns = mr_bench_now_ns();
    for (size_t i = 0; i < records.count; i++) {
        const mr_put *put = &records.puts[i];

        while (rd_kafka_produce(target, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY,
                                (void *)(uintptr_t)put->data.data, put->data.size,
                                put->partition_key.data, put->partition_key.size, NULL))
            rd_kafka_poll(kafka, 10);
        if (i % 1000 == 0)
            rd_kafka_poll(kafka, 0);
    }
    while (rd_kafka_outq_len(kafka) > 0)
        rd_kafka_poll(kafka, 10);
    rate = per_s(records.count, start_ns);
    rd_kafka_topic_destroy(target);
    rd_kafka_destroy(kafka);
    return rate;
}

/* From the first tenth to the last, as of the bridge. */
static double consume(void *context, uint32_t window_ms)
{
    rd_kafka_t *kafka = client(RD_KAFKA_CONSUMER);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    uint64_t start_ns = 0, count = 0;
    double rate;
    (void)context;
    (void)window_ms;

    rd_kafka_poll_set_consumer(kafka);
    rd_kafka_topic_partition_list_add(list, topic, RD_KAFKA_PARTITION_UA);
    mr_check(!rd_kafka_subscribe(kafka, list));
    while (count < records.count) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(kafka, 100);

        if (!message)
            continue;
        if (!message->err && ++count == records.count / 10)
            start_ns = mr_bench_now_ns();
        rd_kafka_message_destroy(message);
    }
    rate = per_s(records.count - records.count / 10, start_ns);
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_consumer_close(kafka);
    rd_kafka_destroy(kafka);
    return rate;
}

/* ---- the engine's own puts ---------------------------------------------------------------- */

#define PUT_BYTES ((size_t)4 << 20)
#define PUT_COUNT_MAX 4000

struct writer {
    const char *stream;
    unsigned id; /* of PARTITIONS */
};

/* As the bridge does: a batch at a time of a partition's messages, with where they come from. */
static void *write_part(void *context)
{
    const struct writer *writer = context;
    size_t end = records.count * (writer->id + 1) / PARTITIONS, count;
    mr_put_result *results = mr_alloc(PUT_COUNT_MAX * sizeof *results);
    char name[32];
    mr_error error;

    snprintf(name, sizeof name, "writer/%u", writer->id);
    for (size_t i = records.count * writer->id / PARTITIONS; i < end; i += count) {
        size_t most = PUT_BYTES / (records.puts[i].data.size + records.puts[i].partition_key.size);
        mr_origin origin = {.name = name, .from = i};

        count = most < PUT_COUNT_MAX ? most : PUT_COUNT_MAX;
        if (count > end - i)
            count = end - i;
        origin.to = i + count;
        mr_bench_need(mr_put_from(place.engine, writer->stream, &origin, &records.puts[i], count,
                                  results, 60000, NULL, NULL, &error),
                      &error);
    }
    mr_free(results);
    return NULL;
}

static double put(void *context, uint32_t window_ms)
{
    struct writer writers[PARTITIONS];
    pthread_t threads[PARTITIONS];
    uint64_t start_ns;
    char stream[64];
    mr_error error;
    double rate;
    (void)context;
    (void)window_ms;

    snprintf(stream, sizeof stream, "put-%u", topic_number++);
    mr_bench_need(mr_stream_create(place.engine, stream, SHARDS, &error), &error);
    start_ns = mr_bench_now_ns();
    for (unsigned i = 0; i < PARTITIONS; i++) {
        writers[i] = (struct writer){stream, i};
        threads[i] = mr_thread_start("writer", write_part, &writers[i]);
    }
    for (unsigned i = 0; i < PARTITIONS; i++)
        pthread_join(threads[i], NULL);
    rate = per_s(records.count, start_ns);
    mr_bench_need(mr_stream_delete(place.engine, stream, &error), &error);
    return rate;
}

/* ---- bridges ------------------------------------------------------------------------------ */

static void *run_bridge(void *context)
{
    mr_error error;

    mr_bench_need(mr_bridge_run(context, &error), &error);
    return NULL;
}

static double bridge(struct mr_bridge_config *config)
{
    struct mr_bridge_figures figures = {0};
    uint64_t start_ns = 0, first = 0;
    struct mr_bridge *bridge;
    pthread_t thread;
    mr_error error;
    double rate;

    mr_bench_need(mr_bridge_open(&bridge, config, &error), &error);
    mr_bench_need(mr_service_open(&config->service, place.engine, &error), &error);
    thread = mr_thread_start("bridge", run_bridge, bridge);
    while (figures.record_count < records.count) {
        mr_bridge_look(bridge, &figures);
        if (!start_ns && figures.record_count >= records.count / 10) {
            start_ns = mr_bench_now_ns();
            first = figures.record_count;
        }
        mr_bench_sleep_until(mr_bench_now_ns() + LOOK_NS);
    }
    rate = per_s(records.count - first, start_ns);
    pthread_join(thread, NULL);
    mr_bridge_close(bridge);
    mr_service_close(config->service);
    mr_free(figures.lanes);
    return rate;
}

static struct mr_bridge_config config_of(const char *stream)
{
    return (struct mr_bridge_config){.place = &place,
                                     .name = topic,
                                     .stream = stream,
                                     .brokers = brokers,
                                     .topic = topic,
                                     .create_count = PARTITIONS,
                                     .state_topic = "bench-positions",
                                     .memory_bytes = UINT64_C(64) << 20,
                                     .is_once = true};
}

static double outward(bool at_least_once)
{
    struct mr_bridge_config config;

    name_topic();
    config = config_of("full");
    config.is_outward = true;
    config.at_least_once = at_least_once;
    return bridge(&config);
}

static double outward_once(void *context, uint32_t window_ms)
{
    (void)context;
    (void)window_ms;
    return outward(false);
}

static double outward_again(void *context, uint32_t window_ms)
{
    (void)context;
    (void)window_ms;
    return outward(true);
}

static double inward(bool at_least_once)
{
    char stream[64];
    struct mr_bridge_config config;
    double rate;
    mr_error error;

    snprintf(stream, sizeof stream, "back-%u", topic_number++);
    config = config_of(stream);
    config.name = stream;
    config.create_count = SHARDS;
    config.at_least_once = at_least_once;
    rate = bridge(&config);
    mr_bench_need(mr_stream_delete(place.engine, stream, &error), &error);
    return rate;
}

static double inward_once(void *context, uint32_t window_ms)
{
    (void)context;
    (void)window_ms;
    return inward(false);
}

static double inward_again(void *context, uint32_t window_ms)
{
    (void)context;
    (void)window_ms;
    return inward(true);
}

/* ---- the run ------------------------------------------------------------------------------ */

static void fill(void)
{
    mr_put_result *results = mr_alloc(1000 * sizeof *results);
    mr_error error;

    mr_bench_need(mr_stream_create(place.engine, "full", SHARDS, &error), &error);
    for (size_t i = 0; i < records.count; i += 1000)
        mr_bench_need(mr_put_records(place.engine, "full", &records.puts[i], 1000, results, &error),
                      &error);
    mr_free(results);
}

static void say(const char *size, const struct mr_bench_side *side,
                const struct mr_bench_side *limit, double target)
{
    char name[64], limit_name[64];

    snprintf(name, sizeof name, "%s_%s", side->name, size);
    snprintf(limit_name, sizeof limit_name, "%s_%s", limit->name, size);
    mr_bench_ratio(name, mr_bench_side_ratio(side, limit), limit_name, MR_BENCH_AT_LEAST, target);
}

static void run_sides(const char *size, struct mr_bench_side *sides, size_t count)
{
    char name[64];

    mr_bench_alternate(sides, count, (unsigned)mr_bench_setting("MR_BENCH_ROUNDS", 5), 1);
    for (size_t i = 0; i < count; i++) {
        snprintf(name, sizeof name, "%s_%s", sides[i].name, size);
        mr_bench_value(name, mr_bench_side_median(&sides[i]), "records/s");
    }
}

static void measure_outward(const char *size)
{
    enum { PRODUCE, ONCE, AGAIN, SIDES };
    struct mr_bench_side sides[SIDES] = {
        [PRODUCE] = {.name = "rdkafka_produce", .run = produce},
        [ONCE] = {.name = "stream_to_kafka", .run = outward_once},
        [AGAIN] = {.name = "stream_to_kafka_at_least_once", .run = outward_again}};
    mr_error error;

    fill();
    run_sides(size, sides, SIDES);
    say(size, &sides[ONCE], &sides[PRODUCE], 0.7);
    say(size, &sides[ONCE], &sides[AGAIN], 0.6);
    mr_bench_need(mr_stream_delete(place.engine, "full", &error), &error);
}

static void measure_inward(const char *size)
{
    enum { CONSUME, PUT, ONCE, AGAIN, SIDES };
    struct mr_bench_side sides[SIDES] = {
        [CONSUME] = {.name = "rdkafka_consume", .run = consume},
        [PUT] = {.name = "engine_put", .run = put},
        [ONCE] = {.name = "kafka_to_stream", .run = inward_once},
        [AGAIN] = {.name = "kafka_to_stream_at_least_once", .run = inward_again}};

    produce(NULL, 0);
    run_sides(size, sides, SIDES);
    say(size, &sides[ONCE], &sides[CONSUME], 0.7);
    say(size, &sides[ONCE], &sides[AGAIN], 0.6);
}

static void measure(const char *size, size_t count, size_t data_bytes)
{
    char name[64];

    mr_bench_records_make(&records, count, data_bytes);
    snprintf(name, sizeof name, "stream_to_kafka_%s", size);
    if (mr_bench_wants(name))
        measure_outward(size);
    snprintf(name, sizeof name, "kafka_to_stream_%s", size);
    if (mr_bench_wants(name))
        measure_inward(size);
    mr_bench_records_free(&records);
}

int main(int argument_count, char **arguments)
{
    struct mr_engine_config config = MR_ENGINE_CONFIG_DEFAULT;
    mr_error error;
    (void)argument_count;

    brokers = getenv("MR_BENCH_KAFKA");
    if (!brokers) {
        printf("# MR_BENCH_KAFKA names no broker: left out\n");
        return 0;
    }
    mr_bench_begin(arguments[0]);
    mr_bench_need(mr_engine_open(&place.engine, mr_bench_path("data"), &config, &error), &error);
    measure("100B", 500000, 100);
    measure("1KiB", 200000, 1024);
    mr_bench_value("peak_memory", (double)mr_bench_memory_peak_kb() / 1024, "MiB");
    mr_engine_close(place.engine);
    return mr_bench_end();
}
