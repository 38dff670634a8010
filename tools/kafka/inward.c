/*
 * inward.c - from Kafka to a stream: a member of a consumer group that commits what the stream has
 * acknowledged, and nothing behind the first message that it has not (R4). What is in memory is bounded:
 * nothing is taken from Kafka while the stream has too much to do, and a partition that it does not take
 * is paused, so that it does not stop the others (R5).
 */
#include "kafka/inward.h"

#include "base/fail.h"
#include "base/memory.h"
#include "os/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ANSWER_MS 10000
#define POLL_MS 20
#define REST_MS 2
#define ENDS_MS 500
#define COMMIT_MS 1000
#define MS_NS UINT64_C(1000000)
#define TURN_COUNT 1000 /* messages taken before answers are looked at */

uint64_t mr_inward_memory(const struct mr_inward *inward)
{
    return inward->bridge->config->memory_bytes / 2;
}

/* For those that librdkafka has in its queue. */
static uint64_t queue_bytes(const struct mr_inward *inward)
{
    return inward->bridge->config->memory_bytes / 4;
}

static uint64_t now_ns(void)
{
    return mr_clock_real()->monotonic_ns(mr_clock_real());
}

/* ---- waking ------------------------------------------------------------------------------- */

void mr_inward_wake(struct mr_inward *inward)
{
    atomic_fetch_add(&inward->word, 1);
    if (!atomic_exchange(&inward->is_waiting, false))
        return;
    mr_word_wake(&inward->word, false);
    rd_kafka_queue_yield(inward->queue);
}

void mr_inward_wait(struct mr_inward *inward, uint32_t seen)
{
    atomic_store(&inward->is_waiting, true);
    mr_word_wait(&inward->word, seen, POLL_MS);
    atomic_store(&inward->is_waiting, false);
}

/* Has so much been taken that librdkafka's queue may have been full? */
static bool may_rest(const struct mr_inward *inward)
{
    return inward->taken_bytes >= queue_bytes(inward);
}

/* librdkafka rests for a second when its queue was full, though it was emptied long ago; an answer of the
 * broker wakes it. So we ask for one: where the partitions end. */
static void nudge(struct mr_inward *inward)
{
    rd_kafka_topic_partition_list_t *list;

    if (!may_rest(inward) || now_ns() - inward->taken_ns < REST_MS * MS_NS)
        return;
    inward->taken_bytes = 0;
    list = rd_kafka_topic_partition_list_new(8);
    for (size_t i = 0; i < inward->count; i++) {
        const struct mr_partition *partition = inward->partitions[i];

        if (partition->is_ours && !partition->is_paused && !partition->is_at_end)
            rd_kafka_topic_partition_list_add(list, inward->bridge->config->topic, partition->id)
                ->offset = RD_KAFKA_OFFSET_END;
    }
    rd_kafka_offsets_for_times(inward->kafka, list, ENDS_MS);
    rd_kafka_topic_partition_list_destroy(list);
}

/* A message, at once or soon; NULL: there is none, or something was answered since `seen`. */
static rd_kafka_message_t *next_message(struct mr_inward *inward, uint32_t seen, bool may_wait)
{
    int wait_ms = may_rest(inward) ? REST_MS : POLL_MS;
    rd_kafka_message_t *message;

    if (!may_wait)
        return rd_kafka_consumer_poll(inward->kafka, 0);
    atomic_store(&inward->is_waiting, true);
    message =
        rd_kafka_consumer_poll(inward->kafka, atomic_load(&inward->word) == seen ? wait_ms : 0);
    atomic_store(&inward->is_waiting, false);
    if (!message)
        nudge(inward);
    return message;
}

/* ---- commits ------------------------------------------------------------------------------ */

static void commit(struct mr_inward *inward, bool is_last)
{
    struct mr_bridge *bridge = inward->bridge;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(8);
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;

    for (size_t i = 0; i < inward->count; i++) {
        struct mr_partition *partition = inward->partitions[i];

        if (!partition->is_ours || partition->acknowledged <= partition->committed)
            continue;
        rd_kafka_topic_partition_list_add(list, bridge->config->topic, partition->id)->offset =
            partition->acknowledged;
        partition->committed = partition->acknowledged;
    }
    if (list->cnt > 0)
        code = rd_kafka_commit(inward->kafka, list, !is_last);
    if (code) {
        atomic_fetch_add(&bridge->retry_count, 1);
        mr_bridge_say(bridge, "event=commit-failed reason=\"%s\"", rd_kafka_err2str(code));
    } else if (list->cnt > 0) {
        atomic_fetch_add(&bridge->transaction_count, 1);
    }
    rd_kafka_topic_partition_list_destroy(list);
}

/* ---- the group ---------------------------------------------------------------------------- */

static void settle(struct mr_inward *inward)
{
    pthread_mutex_lock(&inward->lock);
    for (size_t i = 0; i < inward->count; i++) {
        struct mr_partition *partition = inward->partitions[i];

        mr_partition_acknowledge(inward, partition);
        inward->into->put(inward, partition);
        mr_partition_pause(inward, partition);
    }
    pthread_mutex_unlock(&inward->lock);
}

/* Others go on where we say: so what is under way is waited for, and what is not is forgotten. */
static void give_up(struct mr_inward *inward, bool is_lost)
{
    pthread_mutex_lock(&inward->lock);
    inward->into->flush(inward);
    for (size_t i = 0; i < inward->count; i++)
        mr_partition_acknowledge(inward, inward->partitions[i]);
    pthread_mutex_unlock(&inward->lock);
    if (!is_lost)
        commit(inward, true);
    pthread_mutex_lock(&inward->lock);
    for (size_t i = 0; i < inward->count; i++) {
        struct mr_partition *partition = inward->partitions[i];

        partition->is_ours = partition->is_paused = false;
        while (partition->first && atomic_load(&partition->first->state) != UNDER_WAY)
            mr_partition_drop_first(inward, partition);
    }
    pthread_mutex_unlock(&inward->lock);
}

static void adopt(struct mr_inward *inward, const rd_kafka_topic_partition_list_t *list)
{
    pthread_mutex_lock(&inward->lock);
    inward->is_member = true;
    for (int i = 0; i < list->cnt; i++) {
        struct mr_partition *partition = mr_partition_find(inward, list->elems[i].partition);

        partition->is_ours = true;
        partition->is_paused = partition->is_at_end = false;
        partition->acknowledged = partition->committed = -1;
        inward->into->adopt(inward, partition);
    }
    pthread_mutex_unlock(&inward->lock);
}

static void rebalanced(rd_kafka_t *kafka, rd_kafka_resp_err_t code,
                       rd_kafka_topic_partition_list_t *list, void *context)
{
    struct mr_bridge *bridge = context;

    mr_bridge_say(bridge, "event=%s partitions=%d",
                  code == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS ? "assigned" : "revoked", list->cnt);
    if (code == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
        adopt(bridge->inward, list);
        rd_kafka_assign(kafka, list);
    } else {
        give_up(bridge->inward, rd_kafka_assignment_lost(kafka));
        rd_kafka_assign(kafka, NULL);
    }
}

/* ---- work --------------------------------------------------------------------------------- */

static void take_error(struct mr_inward *inward, const rd_kafka_message_t *message)
{
    struct mr_bridge *bridge = inward->bridge;
    mr_error error = {0};

    if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        mr_partition_end(mr_partition_find(inward, message->partition), message->offset);
        return;
    }
    if (message->err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET) {
        mr_bridge_fail(bridge, MR_EXPIRED,
                       "topic %.60s, partition %d: %.100s; where to go on? --kafka-property "
                       "auto.offset.reset=earliest or latest",
                       bridge->config->topic, (int)message->partition,
                       rd_kafka_message_errstr(message));
        return;
    }
    switch (mr_kafka_fail(bridge, message->err, bridge->config->topic,
                          rd_kafka_message_errstr(message), &error)) {
    case MR_UNAVAILABLE: /* librdkafka goes on by itself */
        mr_bridge_say(bridge, "event=kafka-error reason=\"%s\" next=\"tries again\"",
                      error.message);
        return;
    default:
        mr_bridge_fail(bridge, error.status, "%s", error.message);
    }
}

static void take(struct mr_inward *inward, rd_kafka_message_t *message)
{
    pthread_mutex_lock(&inward->lock);
    if (message->err) {
        take_error(inward, message);
        rd_kafka_message_destroy(message);
    } else {
        inward->taken_bytes += message->key_len + message->len;
        inward->taken_ns = now_ns();
        mr_partition_take(inward, message);
    }
    pthread_mutex_unlock(&inward->lock);
}

static void step(struct mr_inward *inward)
{
    uint32_t seen = atomic_load(&inward->word);
    rd_kafka_message_t *message;

    settle(inward);
    if (inward->bytes >= mr_inward_memory(inward))
        mr_inward_wait(inward, seen);
    for (unsigned i = 0; i < TURN_COUNT && inward->bytes < mr_inward_memory(inward); i++) {
        message = next_message(inward, seen, i == 0);
        if (!message)
            break;
        take(inward, message);
    }
    if (now_ns() >= inward->commit_ns) {
        commit(inward, false);
        inward->commit_ns = now_ns() + COMMIT_MS * MS_NS;
    }
}

/* A member that does not know the topic yet joins twice, and waits for itself to leave. */
static void learn_topic(struct mr_inward *inward)
{
    rd_kafka_topic_t *topic =
        rd_kafka_topic_new(inward->kafka, inward->bridge->config->topic, NULL);
    const struct rd_kafka_metadata *metadata;

    if (!rd_kafka_metadata(inward->kafka, 0, topic, &metadata, ANSWER_MS))
        rd_kafka_metadata_destroy(metadata);
    rd_kafka_topic_destroy(topic);
}

static mr_status subscribe(struct mr_inward *inward, mr_error *error)
{
    struct mr_bridge *bridge = inward->bridge;
    char kbytes[24], fetch_bytes[24], group[MR_NAME_BYTES_MAX * 3];
    const char *const defaults[][2] = {
        {"group.id", group},
        {"auto.offset.reset", bridge->config->from_latest ? "latest" : "earliest"},
        {"queued.max.messages.kbytes", kbytes},
        {"queued.min.messages", "10000000"}, /* where it is full, it rests for a second */
        {"fetch.max.bytes", fetch_bytes},
        {"isolation.level", "read_committed"},
        {"fetch.message.max.bytes", "1048576"},
        {"fetch.wait.max.ms", "100"},
        {"session.timeout.ms", "10000"}, /* after a kill */
        {0}};
    rd_kafka_topic_partition_list_t *list;
    rd_kafka_resp_err_t code;
    rd_kafka_conf_t *conf;
    mr_status status;

    snprintf(kbytes, sizeof kbytes, "%llu", (unsigned long long)queue_bytes(inward) / 1024);
    snprintf(fetch_bytes, sizeof fetch_bytes, "%llu",
             (unsigned long long)bridge->config->memory_bytes / 8);
    snprintf(group, sizeof group, "millrace-bridge-%s", bridge->config->name);
    conf = mr_kafka_conf(bridge, defaults, error);
    if (!conf)
        return error->status;
    mr_kafka_force(conf, "enable.auto.commit", "false");
    mr_kafka_force(conf, "enable.partition.eof", "true");
    rd_kafka_conf_set_rebalance_cb(conf, rebalanced);
    status = mr_kafka_new(&inward->kafka, RD_KAFKA_CONSUMER, conf, error);
    if (status)
        return status;
    learn_topic(inward);
    rd_kafka_poll_set_consumer(inward->kafka);
    inward->queue = rd_kafka_queue_get_consumer(inward->kafka);
    list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, bridge->config->topic, RD_KAFKA_PARTITION_UA);
    code = rd_kafka_subscribe(inward->kafka, list);
    rd_kafka_topic_partition_list_destroy(list);
    return code ? mr_kafka_fail(bridge, code, bridge->config->topic, NULL, error) : MR_OK;
}

/* A stream that knows origins takes each message once. */
static mr_status choose_way(struct mr_inward *inward, mr_error *error)
{
    struct mr_bridge *bridge = inward->bridge;
    uint64_t position;
    bool is_known;
    mr_status status = mr_once_position(bridge, 0, &position, &is_known, error);

    if (!status)
        status = mr_kafka_count(bridge, bridge->config->topic, &inward->topic_count, error);
    if (status)
        return status;
    inward->is_ours = is_known;
    inward->into = is_known && !bridge->config->at_least_once ? &mr_into_once : &mr_into_again;
    mr_bridge_say(bridge, "event=begin stream=%s topic=%s delivery=%s", bridge->config->stream,
                  bridge->config->topic,
                  inward->into == &mr_into_once ? "exactly-once" : "at-least-once");
    return inward->into->open(inward, error);
}

static void set_inward(struct mr_bridge *bridge, struct mr_inward *inward)
{
    pthread_mutex_lock(&bridge->lock);
    bridge->inward = inward;
    pthread_mutex_unlock(&bridge->lock);
}

/* Who wakes us while librdkafka closes a consumer makes it stop that half way, and wait forever. */
static void be_alone(struct mr_inward *inward)
{
    uint32_t count;

    pthread_mutex_lock(&inward->lock);
    inward->into->flush(inward);
    pthread_mutex_unlock(&inward->lock);
    while ((count = atomic_load(&inward->caller_count)))
        mr_word_wait(&inward->caller_count, count, 1);
}

static void close_inward(struct mr_inward *inward)
{
    if (inward->kafka) {
        be_alone(inward);
        rd_kafka_consumer_close(inward->kafka); /* gives up its partitions */
    }
    set_inward(inward->bridge, NULL);
    if (inward->into)
        inward->into->close(inward);
    for (size_t i = 0; i < inward->count; i++) {
        while (inward->partitions[i]->first)
            mr_partition_drop_first(inward, inward->partitions[i]);
        mr_free(inward->partitions[i]);
    }
    if (inward->queue)
        rd_kafka_queue_destroy(inward->queue);
    if (inward->kafka)
        rd_kafka_destroy_flags(inward->kafka, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    mr_mapped_fini(&inward->mapped);
    mr_free(inward->partitions);
    pthread_mutex_destroy(&inward->lock);
}

mr_status mr_inward_run(struct mr_bridge *bridge, mr_error *error)
{
    struct mr_inward inward = {.bridge = bridge};
    mr_status status;

    pthread_mutex_init(&inward.lock, NULL);
    status = choose_way(&inward, error);
    set_inward(bridge, &inward);
    if (!status)
        status = subscribe(&inward, error);
    while (!status && !mr_bridge_is_stopping(bridge)) {
        step(&inward);
        if (bridge->config->is_once && mr_inward_is_copied(&inward))
            mr_bridge_stop(bridge);
    }
    close_inward(&inward);
    return status;
}

/* ---- looking ------------------------------------------------------------------------------ */

static int compare(const void *a, const void *b)
{
    const struct mr_bridge_lane *left = a, *right = b;

    return (left->id > right->id) - (left->id < right->id);
}

void mr_inward_look(struct mr_bridge *bridge, struct mr_bridge_figures *figures)
{
    struct mr_inward *inward = bridge->inward;
    struct mr_clock *clock = mr_clock_real();

    pthread_mutex_lock(&inward->lock);
    for (size_t i = 0; i < inward->count; i++) {
        const struct mr_partition *partition = inward->partitions[i];
        struct mr_bridge_lane lane = {.id = (uint32_t)partition->id};
        int64_t low, end;

        if (!partition->is_ours)
            continue;
        if (partition->acknowledged >= 0 &&
            !rd_kafka_get_watermark_offsets(inward->kafka, bridge->config->topic, partition->id,
                                            &low, &end) &&
            end > partition->acknowledged)
            lane.behind_count = end - partition->acknowledged;
        if (lane.behind_count > 0 && partition->time_ms > 0)
            lane.behind_ms = clock->wall_ms(clock) - partition->time_ms;
        figures->behind_count += lane.behind_count;
        if (lane.behind_ms > figures->behind_ms)
            figures->behind_ms = lane.behind_ms;
        mr_grow(figures->lanes, figures->lane_count, figures->lane_capacity);
        figures->lanes[figures->lane_count++] = lane;
    }
    pthread_mutex_unlock(&inward->lock);
    if (figures->lane_count > 0)
        qsort(figures->lanes, figures->lane_count, sizeof *figures->lanes, compare);
}
