/*
 * inward.c - from Kafka to a stream: a member of a consumer group that commits what the stream has
 * acknowledged, and nothing behind the first message that it has not (K4). One thread asks Kafka and
 * puts; the producer's thread only marks what is answered. A partition that the producer cannot take
 * from is paused, not buffered (K5).
 */
#include "kafka/inside.h"

#include "millrace-producer.h"

#include "base/fail.h"
#include "base/memory.h"
#include "os/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ANSWER_MS 10000
#define POLL_MS 20
#define COMMIT_MS 1000
#define CLOSE_MS 30000

/* A message on its way into the stream. */
struct item {
    struct item *next; /* of its partition, in the order of offsets */
    rd_kafka_message_t *message;
    _Atomic int state; /* IN_HAND until it is put, UNDER_WAY until it is answered */
    mr_status status;
    char reason[240];
};
enum { IN_HAND, UNDER_WAY, ANSWERED };

struct partition {
    int32_t id;
    bool is_ours, is_paused, is_at_end;
    struct item *first, *last; /* those not committed yet */
    struct item *held;         /* the first that is not put */
    int64_t acknowledged;      /* all offsets below are; -1: none yet */
    int64_t committed;
    int64_t time_ms; /* of the last acknowledged */
};

struct mr_inward {
    struct mr_bridge *bridge;
    rd_kafka_t *kafka;
    mr_producer *producer;
    pthread_mutex_t lock; /* of partitions, for who looks */
    struct partition *partitions;
    size_t count, capacity;
    struct mr_mapped mapped;
    uint64_t commit_ns;
    bool has_assignment;
};

/* ---- partitions --------------------------------------------------------------------------- */

static struct partition *find(struct mr_inward *inward, int32_t id)
{
    for (size_t i = 0; i < inward->count; i++)
        if (inward->partitions[i].id == id)
            return &inward->partitions[i];
    return NULL;
}

static struct partition *make(struct mr_inward *inward, int32_t id)
{
    struct partition *partition = find(inward, id);

    if (!partition) {
        mr_grow(inward->partitions, inward->count, inward->capacity);
        partition = &inward->partitions[inward->count++];
        *partition = (struct partition){.id = id};
    }
    return partition;
}

static void drop_item(struct partition *partition)
{
    struct item *item = partition->first;

    partition->first = item->next;
    if (partition->held == item)
        partition->held = item->next;
    rd_kafka_message_destroy(item->message);
    mr_free(item);
}

static void set_paused(struct mr_inward *inward, struct partition *partition, bool is_paused)
{
    rd_kafka_topic_partition_list_t *list;

    if (partition->is_paused == is_paused)
        return;
    list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, inward->bridge->config->topic, partition->id);
    if (is_paused)
        rd_kafka_pause_partitions(inward->kafka, list);
    else
        rd_kafka_resume_partitions(inward->kafka, list);
    rd_kafka_topic_partition_list_destroy(list);
    partition->is_paused = is_paused;
}

/* ---- into the stream ---------------------------------------------------------------------- */

static void delivered(void *context, const mr_delivery *delivery)
{
    struct item *item = delivery->token;
    (void)context;

    item->status = delivery->status;
    snprintf(item->reason, sizeof item->reason, "%s", delivery->message);
    atomic_store(&item->state, ANSWERED);
}

static void refuse(struct item *item, mr_status status, const char *reason)
{
    item->status = status;
    snprintf(item->reason, sizeof item->reason, "%s", reason);
    atomic_store(&item->state, ANSWERED);
}

/* False: the producer is full. */
static bool put(struct mr_inward *inward, struct item *item)
{
    const struct mr_incoming incoming = mr_incoming_of(item->message);
    struct mr_mapped *mapped = &inward->mapped;
    const char *reason = "";
    mr_error error = {0};
    mr_status status;
    mr_put put;

    if (!mr_message_map(&incoming, inward->bridge->config->wraps_headers, mapped, &reason)) {
        refuse(item, MR_INVALID, reason);
        return true;
    }
    put = (mr_put){.partition_key = mapped->key,
                   .data = mapped->data,
                   .explicit_hash_key = mapped->has_hash_key ? &mapped->hash_key : NULL};
    atomic_store(&item->state, UNDER_WAY);
    status = mr_producer_put(inward->producer, &put, item, &error);
    if (status == MR_BUSY) {
        atomic_store(&item->state, IN_HAND);
        return false;
    }
    if (status)
        refuse(item, status, error.message);
    return true;
}

/* As many as the producer takes; a partition with some left rests. */
static void put_held(struct mr_inward *inward, struct partition *partition)
{
    while (partition->held && put(inward, partition->held))
        partition->held = partition->held->next;
    if (partition->is_ours)
        set_paused(inward, partition, partition->held != NULL);
}

static void take(struct mr_inward *inward, rd_kafka_message_t *message)
{
    struct partition *partition = make(inward, message->partition);
    struct item *item = mr_new(struct item);

    item->message = message;
    if (partition->first)
        partition->last->next = item;
    else
        partition->first = item;
    partition->last = item;
    partition->is_at_end = false;
    if (!partition->held)
        partition->held = item;
    put_held(inward, partition);
}

/* ---- what is answered --------------------------------------------------------------------- */

static bool is_poison(const struct item *item)
{
    return item->status == MR_INVALID || item->status == MR_LIMIT;
}

/* A message that the stream will not have. False: the bridge stops, or it is tried again. */
static bool bury(struct mr_inward *inward, struct partition *partition, struct item *item)
{
    struct mr_bridge *bridge = inward->bridge;
    const struct mr_bridge_config *config = bridge->config;
    const rd_kafka_message_t *message = item->message;
    char origin[MR_TOPIC_BYTES_MAX + 64];
    mr_error error = {0};

    snprintf(origin, sizeof origin, "%s %d %lld", config->topic, (int)partition->id,
             (long long)message->offset);
    if (!is_poison(item) || config->on_error == MR_ON_ERROR_STOP) {
        mr_bridge_fail(
            bridge, item->status,
            "stream %.60s does not take topic %.60s, partition %d, offset %lld: %.100s%s",
            config->stream, config->topic, (int)partition->id, (long long)message->offset,
            item->reason, is_poison(item) ? "; use --dead-letters to go on" : "");
        return false;
    }
    if (config->on_error == MR_ON_ERROR_RETRY) {
        mr_bridge_say(bridge, "event=refused message=\"%s\" reason=\"%s\" next=\"tries again\"",
                      origin, item->reason);
        mr_bridge_pause(bridge, COMMIT_MS);
        put(inward, item);
        return false;
    }
    if (!mr_dead_write(bridge,
                       &(struct mr_letter){{message->key, message->key_len},
                                           {message->payload, message->len},
                                           origin,
                                           item->reason},
                       &error))
        return true;
    mr_bridge_fail(bridge, error.status, "%s", error.message);
    return false;
}

/* What is answered at the head of the line is done with. */
static void acknowledge(struct mr_inward *inward, struct partition *partition)
{
    struct mr_bridge *bridge = inward->bridge;
    struct item *item;

    while ((item = partition->first) && atomic_load(&item->state) == ANSWERED) {
        const rd_kafka_message_t *message = item->message;

        if (item->status && !bury(inward, partition, item))
            return;
        if (!item->status) {
            atomic_fetch_add(&bridge->record_count, 1);
            atomic_fetch_add(&bridge->record_bytes, message->key_len + message->len);
        }
        partition->acknowledged = message->offset + 1;
        partition->time_ms = rd_kafka_message_timestamp(message, NULL);
        drop_item(partition);
    }
}

static void commit(struct mr_inward *inward, bool is_last)
{
    struct mr_bridge *bridge = inward->bridge;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(8);
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;

    for (size_t i = 0; i < inward->count; i++) {
        struct partition *partition = &inward->partitions[i];

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
    for (size_t i = 0; i < inward->count; i++)
        acknowledge(inward, &inward->partitions[i]);
    pthread_mutex_unlock(&inward->lock);
}

/* Others go on where we say: so what is under way is waited for, and what is not is forgotten. */
static void give_up(struct mr_inward *inward, bool is_lost)
{
    mr_producer_flush(inward->producer, CLOSE_MS, NULL);
    settle(inward);
    if (!is_lost)
        commit(inward, true);
    pthread_mutex_lock(&inward->lock);
    for (size_t i = 0; i < inward->count; i++) {
        struct partition *partition = &inward->partitions[i];

        partition->is_ours = partition->is_paused = false;
        while (partition->first && atomic_load(&partition->first->state) != UNDER_WAY)
            drop_item(partition);
    }
    pthread_mutex_unlock(&inward->lock);
}

static void adopt(struct mr_inward *inward, const rd_kafka_topic_partition_list_t *list)
{
    pthread_mutex_lock(&inward->lock);
    for (int i = 0; i < list->cnt; i++) {
        struct partition *partition = make(inward, list->elems[i].partition);

        partition->is_ours = true;
        partition->is_paused = partition->is_at_end = false;
        partition->acknowledged = partition->committed = -1;
    }
    inward->has_assignment = true;
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
        make(inward, message->partition)->is_at_end = true;
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

/* All that was there has been read and acknowledged. */
static bool is_copied(const struct mr_inward *inward)
{
    bool is_copied = inward->has_assignment;

    for (size_t i = 0; i < inward->count && is_copied; i++)
        is_copied = !inward->partitions[i].is_ours ||
                    (inward->partitions[i].is_at_end && !inward->partitions[i].first);
    return is_copied;
}

static void step(struct mr_inward *inward)
{
    struct mr_clock *clock = mr_clock_real();
    rd_kafka_message_t *message = rd_kafka_consumer_poll(inward->kafka, POLL_MS);

    while (message) { /* what is at hand */
        pthread_mutex_lock(&inward->lock);
        if (message->err) {
            take_error(inward, message);
            rd_kafka_message_destroy(message);
        } else {
            take(inward, message);
        }
        pthread_mutex_unlock(&inward->lock);
        if (clock->monotonic_ns(clock) >= inward->commit_ns)
            break;
        message = rd_kafka_consumer_poll(inward->kafka, 0);
    }
    settle(inward);
    pthread_mutex_lock(&inward->lock);
    for (size_t i = 0; i < inward->count; i++)
        put_held(inward, &inward->partitions[i]);
    pthread_mutex_unlock(&inward->lock);
    if (clock->monotonic_ns(clock) >= inward->commit_ns) {
        commit(inward, false);
        inward->commit_ns = clock->monotonic_ns(clock) + COMMIT_MS * UINT64_C(1000000);
    }
}

static mr_status subscribe(struct mr_inward *inward, mr_error *error)
{
    struct mr_bridge *bridge = inward->bridge;
    char kbytes[24], group[MR_NAME_BYTES_MAX * 3];
    const char *const defaults[][2] = {
        {"group.id", group},
        {"auto.offset.reset", bridge->config->from_latest ? "latest" : "earliest"},
        {"queued.max.messages.kbytes", kbytes},
        {"isolation.level", "read_committed"},
        {"fetch.message.max.bytes", "1048576"},
        {"session.timeout.ms", "10000"}, /* after a kill */
        {0}};
    rd_kafka_topic_partition_list_t *list;
    rd_kafka_resp_err_t code;
    rd_kafka_conf_t *conf;
    mr_status status;

    snprintf(kbytes, sizeof kbytes, "%llu",
             (unsigned long long)bridge->config->memory_bytes / 4096);
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
    rd_kafka_poll_set_consumer(inward->kafka);
    list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, bridge->config->topic, RD_KAFKA_PARTITION_UA);
    code = rd_kafka_subscribe(inward->kafka, list);
    rd_kafka_topic_partition_list_destroy(list);
    return code ? mr_kafka_fail(bridge, code, bridge->config->topic, NULL, error) : MR_OK;
}

static mr_status open_producer(struct mr_inward *inward, mr_error *error)
{
    struct mr_producer_config config = MR_PRODUCER_CONFIG_DEFAULT;

    config.service = inward->bridge->config->service;
    config.stream = inward->bridge->config->stream;
    config.delivered = delivered;
    config.aggregates = false; /* a message is a record, for whoever reads the stream */
    config.linger_ms = 5;
    config.record_timeout_ms = 86400000; /* order: what is given up would be passed by others */
    config.buffer_bytes = (size_t)inward->bridge->config->memory_bytes / 4;
    return mr_producer_open(&inward->producer, &config, error);
}

static void set_inward(struct mr_bridge *bridge, struct mr_inward *inward)
{
    pthread_mutex_lock(&bridge->lock);
    bridge->inward = inward;
    pthread_mutex_unlock(&bridge->lock);
}

static void close_inward(struct mr_inward *inward)
{
    if (inward->kafka)
        rd_kafka_consumer_close(inward->kafka); /* gives up its partitions */
    set_inward(inward->bridge, NULL);
    mr_producer_close(inward->producer, CLOSE_MS);
    for (size_t i = 0; i < inward->count; i++)
        while (inward->partitions[i].first)
            drop_item(&inward->partitions[i]);
    if (inward->kafka)
        rd_kafka_destroy(inward->kafka);
    mr_mapped_fini(&inward->mapped);
    mr_free(inward->partitions);
    pthread_mutex_destroy(&inward->lock);
}

mr_status mr_inward_run(struct mr_bridge *bridge, mr_error *error)
{
    struct mr_inward inward = {.bridge = bridge};
    mr_status status;

    pthread_mutex_init(&inward.lock, NULL);
    status = open_producer(&inward, error);
    set_inward(bridge, &inward);
    if (!status)
        status = subscribe(&inward, error);
    while (!status && !mr_bridge_is_stopping(bridge)) {
        step(&inward);
        if (bridge->config->is_once && is_copied(&inward))
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
        const struct partition *partition = &inward->partitions[i];
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
