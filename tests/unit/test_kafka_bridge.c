/*
 * test_kafka_bridge.c - bridges between an engine's streams and librdkafka's mock cluster: all is copied
 * once and in order, they go on where they stopped, and failures have their way out. What only a real
 * broker does - aborted transactions that nobody sees, rebalances - is tried in tests/interop.
 */
#include "kafka/bridge.h"

#include "streams.h"

#include "base/memory.h"
#include "os/thread.h"

#include <librdkafka/rdkafka_mock.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TOPIC "t"
#define PARTITIONS 3

struct world {
    char directory[64];
    mr_engine *engine;
    mr_service *service;
    struct mr_place place;
    rd_kafka_t *kafka; /* holds the cluster */
    rd_kafka_mock_cluster_t *cluster;
    struct mr_kafka_properties properties;
    struct mr_bridge_config config;
    mr_error error;
};

/* librdkafka waits for things, where brokers are far. */
static const char *const impatience[] = {"topic.metadata.refresh.fast.interval.ms=10",
                                         "reconnect.backoff.ms=10", "log_level=3"};

static int set_up(void **state)
{
    struct world *world = mr_new(struct world);
    rd_kafka_conf_t *conf;
    char detail[200];

    snprintf(world->directory, sizeof world->directory, "%.40s/bridge-XXXXXX",
             getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    assert_non_null(mkdtemp(world->directory));
    assert_int_equal(mr_engine_open(&world->engine, world->directory, NULL, &world->error), MR_OK);
    assert_int_equal(mr_stream_create(world->engine, "s", 2, &world->error), MR_OK);
    assert_int_equal(mr_stream_create(world->engine, "back", 2, &world->error), MR_OK);
    assert_int_equal(mr_service_open(&world->service, world->engine, &world->error), MR_OK);
    world->place.engine = world->engine;
    conf = rd_kafka_conf_new();
    rd_kafka_conf_set(conf, "bootstrap.servers", "127.0.0.1:1", NULL, 0);
    rd_kafka_conf_set(conf, "log_level", "0", NULL, 0);
    world->kafka = rd_kafka_new(RD_KAFKA_PRODUCER, conf, detail, sizeof detail);
    assert_non_null(world->kafka);
    world->cluster = rd_kafka_mock_cluster_new(world->kafka, 1);
    rd_kafka_mock_topic_create(world->cluster, TOPIC, PARTITIONS, 1);
    rd_kafka_mock_topic_create(world->cluster, "state", 1, 1);
    rd_kafka_mock_topic_create(world->cluster, "dead", 1, 1);
    world->config = (struct mr_bridge_config){
        .place = &world->place,
        .service = world->service,
        .name = "test",
        .stream = "s",
        .topic = TOPIC,
        .brokers = rd_kafka_mock_cluster_bootstraps(world->cluster),
        .is_outward = true,
        .properties = &world->properties,
        .state_topic = "state",
        .memory_bytes = 16u << 20,
        .is_once = true,
    };
    for (size_t i = 0; i < sizeof impatience / sizeof *impatience; i++)
        assert_int_equal(mr_kafka_property_add(&world->properties, impatience[i], &world->error),
                         MR_OK);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    char command[96];

    rd_kafka_mock_cluster_destroy(world->cluster);
    rd_kafka_destroy(world->kafka);
    mr_kafka_properties_fini(&world->properties);
    mr_service_close(world->service);
    mr_engine_close(world->engine);
    snprintf(command, sizeof command, "rm -rf '%s'", world->directory);
    assert_int_equal(system(command), 0);
    mr_free(world);
    return 0;
}

static void put(struct world *world, unsigned first, unsigned count)
{
    for (unsigned i = first; i < first + count; i++) {
        char key[16], data[16];
        mr_put put = {.partition_key = {key, (size_t)snprintf(key, sizeof key, "k%u", i % 7)},
                      .data = {data, (size_t)snprintf(data, sizeof data, "%u", i)}};
        mr_put_result result;

        assert_int_equal(mr_put_records(world->engine, "s", &put, 1, &result, &world->error),
                         MR_OK);
        assert_int_equal(result.status, MR_OK);
    }
}

static mr_status run(struct world *world)
{
    struct mr_bridge *bridge;
    mr_status status = mr_bridge_open(&bridge, &world->config, &world->error);

    assert_int_equal(status, MR_OK);
    status = mr_bridge_run(bridge, &world->error);
    mr_bridge_close(bridge);
    return status;
}

/* The data of a stream's records by key, each key's in their order: "k0:0,7,14 k1:1,8". */
struct seen {
    unsigned counts[7];
    unsigned last[7];
    unsigned out_of_order, repeated;
};

static void see(struct seen *seen, mr_bytes key, mr_bytes data)
{
    char text[32];
    unsigned k, value;

    snprintf(text, sizeof text, "%.*s", (int)key.size, (const char *)key.data);
    assert_int_equal(sscanf(text, "k%u", &k), 1);
    assert_true(k < 7);
    snprintf(text, sizeof text, "%.*s", (int)data.size, (const char *)data.data);
    value = (unsigned)strtoul(text, NULL, 10);
    if (seen->counts[k] > 0 && value == seen->last[k])
        seen->repeated++;
    else if (seen->counts[k] > 0 && value < seen->last[k])
        seen->out_of_order++;
    seen->last[k] = value;
    seen->counts[k]++;
}

static unsigned total(const struct seen *seen)
{
    unsigned count = 0;

    for (int k = 0; k < 7; k++)
        count += seen->counts[k];
    return count;
}

static bool see_shard(void *context, const mr_shard *shard)
{
    mr_shard *shards = context;

    shards[shard->id] = *shard;
    return true;
}

/* A key of this test is in one open shard, for "back" is never resharded. */
static void see_stream(struct world *world, struct seen *seen)
{
    struct mr_reader_config config = {.from = {.start = MR_START_TRIM_HORIZON}};
    mr_shard shards[8];

    *seen = (struct seen){0};
    assert_int_equal(mr_shard_each(world->engine, "back", see_shard, shards, &world->error), MR_OK);
    for (mr_shard_id id = 0; id < 2; id++) {
        mr_reader *reader;
        mr_batch batch;

        assert_int_equal(mr_reader_open(&reader, world->engine, "back", id, &config, &world->error),
                         MR_OK);
        do {
            assert_int_equal(mr_reader_next(reader, 1000, 0, &batch, &world->error), MR_OK);
            for (size_t i = 0; i < batch.count; i++)
                see(seen, batch.records[i].partition_key, batch.records[i].data);
        } while (batch.count > 0);
        mr_reader_close(reader);
    }
}

/* All that committed transactions have left in the topic. */
static void see_topic(struct world *world, struct seen *seen)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(PARTITIONS);
    const struct rd_kafka_metadata *metadata;
    char detail[200];
    rd_kafka_t *kafka;

    *seen = (struct seen){0};
    rd_kafka_conf_set(conf, "bootstrap.servers", world->config.brokers, NULL, 0);
    rd_kafka_conf_set(conf, "group.id", "test", NULL, 0);
    rd_kafka_conf_set(conf, "enable.partition.eof", "true", NULL, 0);
    rd_kafka_conf_set(conf, "fetch.wait.max.ms", "10", NULL, 0);
    rd_kafka_conf_set(conf, "topic.metadata.refresh.fast.interval.ms", "10", NULL, 0);
    kafka = rd_kafka_new(RD_KAFKA_CONSUMER, conf, detail, sizeof detail);
    assert_non_null(kafka);
    assert_int_equal(rd_kafka_metadata(kafka, 1, NULL, &metadata, 10000), 0);
    rd_kafka_metadata_destroy(metadata);
    for (int32_t id = 0; id < PARTITIONS; id++)
        rd_kafka_topic_partition_list_add(list, TOPIC, id)->offset = 0;
    assert_int_equal(rd_kafka_assign(kafka, list), 0);
    for (int ends = 0; ends < PARTITIONS;) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(kafka, 1000);

        if (!message)
            continue;
        if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
            ends++;
        else if (!message->err)
            see(seen, (mr_bytes){message->key, message->key_len},
                (mr_bytes){message->payload, message->len});
        rd_kafka_message_destroy(message);
    }
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_destroy(kafka);
}

static void turn_back(struct world *world)
{
    world->config.is_outward = false;
    world->config.stream = "back";
}

/* ---- both ways ---------------------------------------------------------------------------- */

static void copies_all_once_and_in_order_there_and_back(void **state) /* R1, R3, R4 */
{
    struct world *world = *state;
    struct seen seen;

    put(world, 0, 700);
    assert_int_equal(run(world), MR_OK);
    turn_back(world);
    assert_int_equal(run(world), MR_OK);
    see_stream(world, &seen);
    assert_int_equal(total(&seen), 700);
    assert_int_equal(seen.out_of_order + seen.repeated, 0);
}

static void goes_on_where_it_stopped(void **state) /* R1 */
{
    struct world *world = *state;
    struct seen seen;

    for (unsigned round = 0; round < 3; round++) {
        put(world, round * 100, 100);
        assert_int_equal(run(world), MR_OK);
    }
    see_topic(world, &seen);
    assert_int_equal(total(&seen), 300);
    assert_int_equal(seen.out_of_order + seen.repeated, 0);
}

static void keys_keep_their_order_through_splits_and_merges(void **state) /* R3 */
{
    struct world *world = *state;
    mr_shard_id children[2], child;
    struct seen seen;

    put(world, 0, 350);
    assert_int_equal(mr_shard_split(world->engine, "s", 0, NULL, children, &world->error), MR_OK);
    put(world, 350, 350);
    assert_int_equal(run(world), MR_OK); /* a position of an ended shard, too */
    assert_int_equal(mr_shard_merge(world->engine, "s", children[1], 1, &child, &world->error),
                     MR_OK);
    put(world, 700, 350);
    assert_int_equal(run(world), MR_OK);
    see_topic(world, &seen);
    assert_int_equal(total(&seen), 1050);
    assert_int_equal(seen.out_of_order + seen.repeated, 0);
}

static void works_without_transactions(void **state)
{
    struct world *world = *state;
    struct seen seen;

    world->config.at_least_once = true;
    put(world, 0, 100);
    assert_int_equal(run(world), MR_OK);
    put(world, 100, 100);
    assert_int_equal(run(world), MR_OK);
    see_topic(world, &seen);
    assert_int_equal(total(&seen), 200);
    assert_int_equal(seen.out_of_order + seen.repeated, 0);
}

/* A group that knows nothing, as if the bridge were killed before each commit: all comes again. */
static void forget_commits(struct world *world)
{
    assert_int_equal(mr_kafka_property_add(&world->properties, "group.id=new", &world->error),
                     MR_OK);
}

/* And the stream takes little at a time. */
static void what_comes_again_is_not_stored_again(void **state) /* R7 */
{
    struct world *world = *state;
    struct mr_limits limits = {.write_records_per_s = 400};
    struct seen seen;

    put(world, 0, 700);
    assert_int_equal(run(world), MR_OK);
    mr_engine_limit(world->engine, &limits);
    turn_back(world);
    assert_int_equal(run(world), MR_OK);
    forget_commits(world);
    assert_int_equal(run(world), MR_OK);
    see_stream(world, &seen);
    assert_int_equal(total(&seen), 700);
    assert_int_equal(seen.out_of_order + seen.repeated, 0);
}

struct second {
    struct world *world;
    struct mr_bridge_config config;
    mr_status status;
    mr_error error;
};

static void *run_second(void *context)
{
    struct second *second = context;
    struct mr_bridge *bridge;

    second->status = mr_bridge_open(&bridge, &second->config, &second->error);
    if (second->status)
        return NULL;
    second->status = mr_bridge_run(bridge, &second->error);
    mr_bridge_close(bridge);
    return NULL;
}

static void two_of_one_name_share_the_work_and_both_end(void **state) /* R7 */
{
    struct world *world = *state;
    struct second second = {.world = world};
    struct seen seen;
    pthread_t thread;

    put(world, 0, 700);
    assert_int_equal(run(world), MR_OK);
    turn_back(world);
    second.config = world->config;
    thread = mr_thread_start("second", run_second, &second);
    assert_int_equal(run(world), MR_OK);
    pthread_join(thread, NULL);
    assert_int_equal(second.status, MR_OK);
    see_stream(world, &seen);
    assert_int_equal(total(&seen), 700);
    assert_int_equal(seen.out_of_order + seen.repeated, 0);
}

/* ---- trouble ------------------------------------------------------------------------------ */

static void says_that_there_is_no_topic(void **state)
{
    struct world *world = *state;

    turn_back(world);
    world->config.topic = "nowhere";
    world->config.dead_letters = NULL;
    rd_kafka_mock_topic_set_error(world->cluster, "nowhere",
                                  RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
    assert_int_equal(run(world), MR_NOT_FOUND);
    assert_non_null(strstr(world->error.message, "nowhere"));
}

static void a_topic_made_anew_is_not_taken_for_the_old_one(void **state) /* R7 */
{
    struct world *world = *state;
    const mr_origin origin = {"test/" TOPIC "/1", 0, 1000};
    const mr_put put = {.partition_key = {"k1", 2}, .data = {"1", 1}};
    mr_put_result result;

    assert_int_equal(mr_put_from(world->engine, "back", &origin, &put, 1, &result, 1000, NULL, NULL,
                                 &world->error),
                     MR_OK);
    turn_back(world);
    assert_int_equal(run(world), MR_CONFLICT);
    assert_non_null(strstr(world->error.message, TOPIC));
    assert_non_null(strstr(world->error.message, world->config.brokers));
    assert_non_null(strstr(world->error.message, "partition 1 ends at offset 0"));
    assert_non_null(strstr(world->error.message, "--name"));
}

static void a_deleted_stream_ends_a_bridge(void **state)
{
    struct world *world = *state;
    struct mr_bridge *bridge;

    turn_back(world);
    assert_int_equal(mr_bridge_open(&bridge, &world->config, &world->error), MR_OK);
    assert_int_equal(mr_stream_delete(world->engine, "back", &world->error), MR_OK);
    assert_int_equal(mr_bridge_run(bridge, &world->error), MR_NOT_FOUND);
    assert_non_null(strstr(world->error.message, "back"));
    mr_bridge_close(bridge);
}

/* A message of its own, which no record can be: its key is too long. */
static void produce_poison(struct world *world)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_t *kafka;
    char key[300], value[] = "poison", detail[200];
    rd_kafka_topic_t *topic;

    memset(key, 'k', sizeof key);
    rd_kafka_conf_set(conf, "bootstrap.servers", world->config.brokers, NULL, 0);
    kafka = rd_kafka_new(RD_KAFKA_PRODUCER, conf, detail, sizeof detail);
    assert_non_null(kafka);
    topic = rd_kafka_topic_new(kafka, TOPIC, NULL);
    assert_int_equal(
        rd_kafka_produce(topic, 2, RD_KAFKA_MSG_F_COPY, value, 6, key, sizeof key, NULL), 0);
    assert_int_equal(rd_kafka_flush(kafka, 30000), 0);
    rd_kafka_topic_destroy(topic);
    rd_kafka_destroy(kafka);
}

static void what_a_stream_does_not_take_is_named_or_a_dead_letter(void **state) /* R6 */
{
    struct world *world = *state;
    char where[160], line[8192];
    struct seen seen;
    FILE *file;

    produce_poison(world);
    put(world, 0, 140);
    assert_int_equal(run(world), MR_OK);
    turn_back(world);
    assert_int_equal(run(world), MR_INVALID);
    assert_non_null(strstr(world->error.message, "partition 2, offset 0"));
    assert_non_null(strstr(world->error.message, "--dead-letters"));
    forget_commits(world);
    snprintf(where, sizeof where, "file:%s/dead", world->directory);
    world->config.dead_letters = where;
    world->config.on_error = MR_ON_ERROR_DLQ;
    assert_int_equal(run(world), MR_OK);
    see_stream(world, &seen);
    assert_int_equal(total(&seen), 140);
    assert_int_equal(seen.out_of_order + seen.repeated, 0);
    file = fopen(where + strlen("file:"), "r");
    assert_non_null(file);
    assert_non_null(fgets(line, sizeof line, file));
    assert_non_null(strstr(line, TOPIC " 2 0"));
    assert_non_null(strstr(line, "cG9pc29u"));
    assert_null(fgets(line, sizeof line, file));
    fclose(file);
}

static void a_taken_over_bridge_stops(void **state) /* R2 */
{
    struct world *world = *state;

    put(world, 0, 10);
    rd_kafka_mock_push_request_errors(world->cluster, 26 /* EndTxn */, 2,
                                      RD_KAFKA_RESP_ERR_PRODUCER_FENCED,
                                      RD_KAFKA_RESP_ERR_PRODUCER_FENCED);
    assert_int_equal(run(world), MR_FENCED);
    assert_non_null(strstr(world->error.message, "another bridge"));
}

static void put_large(struct world *world)
{
    static char large[5000];
    mr_put put = {.partition_key = {"k1", 2}, .data = {large, sizeof large}};
    mr_put_result result;

    memset(large, '9', sizeof large);
    assert_int_equal(mr_put_records(world->engine, "s", &put, 1, &result, &world->error), MR_OK);
    assert_int_equal(
        mr_kafka_property_add(&world->properties, "message.max.bytes=2000", &world->error), MR_OK);
}

static void stops_at_what_kafka_does_not_take(void **state) /* R6 */
{
    struct world *world = *state;

    put_large(world);
    assert_int_equal(run(world), MR_LIMIT);
    assert_non_null(strstr(world->error.message, "5002 bytes"));
}

static void what_kafka_does_not_take_is_a_dead_letter(void **state) /* R6 */
{
    struct world *world = *state;
    char path[128], where[160], line[8192];
    struct seen seen;
    FILE *file;

    snprintf(path, sizeof path, "%s/dead", world->directory);
    snprintf(where, sizeof where, "file:%s", path);
    world->config.dead_letters = where;
    world->config.on_error = MR_ON_ERROR_DLQ;
    put(world, 0, 70);
    put_large(world);
    put(world, 70, 70);
    assert_int_equal(run(world), MR_OK);
    see_topic(world, &seen);
    assert_int_equal(total(&seen), 140);
    assert_int_equal(seen.out_of_order + seen.repeated, 0);
    file = fopen(path, "r");
    assert_non_null(file);
    assert_non_null(fgets(line, sizeof line, file));
    assert_non_null(strstr(line, "\"key_base64\":\"azE=\""));
    assert_non_null(strstr(line, "OTk5"));
    assert_null(fgets(line, sizeof line, file));
    fclose(file);
}

static void a_broker_that_fails_for_a_while_loses_nothing(void **state) /* R1 */
{
    struct world *world = *state;
    struct seen seen;

    put(world, 0, 200);
    rd_kafka_mock_push_request_errors(world->cluster, 0 /* Produce */, 2,
                                      RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
                                      RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION);
    rd_kafka_mock_push_request_errors(world->cluster, 26 /* EndTxn */, 1,
                                      RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE);
    assert_int_equal(run(world), MR_OK);
    see_topic(world, &seen);
    assert_int_equal(total(&seen), 200);
    assert_int_equal(seen.out_of_order + seen.repeated, 0);
}

#ifndef __has_feature /* clang's way to ask; gcc defines a macro */
#define __has_feature(name) 0
#endif
#if defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer)
enum { is_under_tsan = 1 };
#else
enum { is_under_tsan = 0 };
#endif

/* librdkafka starts its threads by thrd_create(), which TSan does not know: it dies of them. */
static void is_not_for_tsan(void **state)
{
    (void)state;
    skip();
}

int main(void)
{
    const struct CMUnitTest none[] = {cmocka_unit_test(is_not_for_tsan)};
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(copies_all_once_and_in_order_there_and_back),
        TEST(goes_on_where_it_stopped),
        TEST(keys_keep_their_order_through_splits_and_merges),
        TEST(works_without_transactions),
        TEST(what_comes_again_is_not_stored_again),
        TEST(two_of_one_name_share_the_work_and_both_end),
        TEST(a_topic_made_anew_is_not_taken_for_the_old_one),
        TEST(a_deleted_stream_ends_a_bridge),
        TEST(what_a_stream_does_not_take_is_named_or_a_dead_letter),
        TEST(says_that_there_is_no_topic),
        TEST(a_taken_over_bridge_stops),
        TEST(stops_at_what_kafka_does_not_take),
        TEST(what_kafka_does_not_take_is_a_dead_letter),
        TEST(a_broker_that_fails_for_a_while_loses_nothing),
    };

    if (is_under_tsan)
        return cmocka_run_group_tests(none, NULL, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
