/*
 * lane.c - a lane opens at the position that Kafka has, and nobody else can have it then; what goes
 * wrong is either undone and done again, or the lane begins anew. A batch and the position behind it
 * are in one transaction (R1).
 */
#include "kafka/lane.h"

#include "base/check.h"
#include "base/fail.h"
#include "base/memory.h"

#include <stdio.h>
#include <string.h>

/* ---- opening ------------------------------------------------------------------------------ */

static int32_t choose(const rd_kafka_topic_t *topic, const void *key, size_t key_size,
                      int32_t partition_count, void *bridge, void *opaque)
{
    const struct mr_bridge_config *config = ((const struct mr_bridge *)bridge)->config;
    const struct mr_sent *sent = opaque;
    (void)topic;

    return mr_partition_of(config->partitioning, (mr_bytes){key, key_size}, sent->hash, sent->shard,
                           partition_count);
}

static void answered(rd_kafka_t *kafka, const rd_kafka_message_t *message, void *bridge)
{
    struct mr_sent *sent = message->_private;
    (void)kafka;
    (void)bridge;

    if (sent)
        sent->failure = message->err;
}

void mr_kafka_lane_close(struct mr_kafka_lane *lane)
{
    rd_kafka_error_t *failure;

    if (!lane->kafka)
        return;
    if (lane->train.is_under_way && !lane->bridge->config->at_least_once &&
        (failure = rd_kafka_abort_transaction(lane->kafka, MR_LANE_ANSWER_MS)))
        rd_kafka_error_destroy(failure); /* who opens it next does it */
    rd_kafka_purge(lane->kafka, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    rd_kafka_flush(lane->kafka, 0);
    rd_kafka_topic_destroy(lane->topic);
    rd_kafka_topic_destroy(lane->state_topic);
    rd_kafka_destroy(lane->kafka);
    lane->kafka = NULL;
    mr_kafka_lane_unload(lane);
}

static void take_position(void *context, mr_shard_id shard, const mr_mark *mark)
{
    struct mr_kafka_lane *lane = context;

    if (shard != lane->shard)
        return;
    lane->position = *mark;
    lane->has_position = true;
}

static mr_status make_client(struct mr_kafka_lane *lane, mr_error *error)
{
    static const char *const defaults[][2] = {{"message.max.bytes", "20971520"},
                                              {"enable.idempotence", "true"},
                                              {"linger.ms", "100"}, /* commits do not wait for it */
                                              {"queue.buffering.max.kbytes", "16384"},
                                              {"transaction.timeout.ms", "60000"},
                                              {0}};
    struct mr_bridge *bridge = lane->bridge;
    rd_kafka_conf_t *conf = mr_kafka_conf(bridge, defaults, error);
    rd_kafka_topic_conf_t *topic_conf;
    char id[sizeof lane->key + 32];
    mr_status status;

    if (!conf)
        return error->status;
    if (bridge->config->at_least_once) {
        mr_kafka_force(conf, "message.timeout.ms", "0"); /* what gave up would lose its place */
    } else {
        snprintf(id, sizeof id, "millrace-bridge/%s", lane->key);
        mr_kafka_force(conf, "transactional.id", id);
    }
    rd_kafka_conf_set_dr_msg_cb(conf, answered);
    status = mr_kafka_new(&lane->kafka, RD_KAFKA_PRODUCER, conf, error);
    if (status)
        return status;
    topic_conf = rd_kafka_default_topic_conf_dup(lane->kafka);
    rd_kafka_topic_conf_set_opaque(topic_conf, bridge);
    rd_kafka_topic_conf_set_partitioner_cb(topic_conf, choose);
    lane->topic = rd_kafka_topic_new(lane->kafka, bridge->config->topic, topic_conf);
    lane->state_topic = rd_kafka_topic_new(lane->kafka, bridge->config->state_topic, NULL);
    mr_check(lane->topic && lane->state_topic);
    return MR_OK;
}

/* Of both topics, now: a producer that learns of them by its messages lets these wait for a second. */
static void learn_topics(struct mr_kafka_lane *lane)
{
    const struct rd_kafka_metadata *metadata;

    if (!rd_kafka_metadata(lane->kafka, 0, NULL, &metadata, MR_LANE_ANSWER_MS))
        rd_kafka_metadata_destroy(metadata);
}

/* Ends what an earlier one of our name has begun, and shuts it out (R2). */
static mr_status take_over(struct mr_kafka_lane *lane, mr_error *error)
{
    struct mr_bridge *bridge = lane->bridge;

    for (;;) {
        rd_kafka_error_t *failure = rd_kafka_init_transactions(lane->kafka, MR_LANE_ANSWER_MS);
        bool is_retryable = rd_kafka_error_is_retriable(failure);
        mr_status status;

        if (!failure)
            return MR_OK;
        status = mr_kafka_fail(bridge, rd_kafka_error_code(failure), "a transaction cannot begin",
                               rd_kafka_error_string(failure), error);
        rd_kafka_error_destroy(failure);
        if (!is_retryable || mr_bridge_is_stopping(bridge))
            return status;
        atomic_fetch_add(&bridge->retry_count, 1);
        mr_bridge_pause(bridge, MR_LANE_PAUSE_MS);
    }
}

/* The position is read when no one else can write it any more. */
static bool open_lane(struct mr_kafka_lane *lane)
{
    struct mr_bridge *bridge = lane->bridge;
    mr_error error = {0};
    mr_status status;

    if (lane->kafka)
        return true;
    lane->has_position = false;
    status = make_client(lane, &error);
    if (!status && !bridge->config->at_least_once)
        status = take_over(lane, &error);
    if (!status)
        status = mr_positions_read(bridge, take_position, lane, &error);
    if (!status) {
        learn_topics(lane);
        mr_bridge_say(bridge, "event=lane-open lane=%s", lane->key);
        return true;
    }
    mr_kafka_lane_close(lane);
    if (mr_status_retryable(status) && !mr_bridge_is_stopping(bridge))
        mr_bridge_say(bridge, "event=lane-failed lane=%s reason=\"%s\" next=\"tries again\"",
                      lane->key, error.message);
    else if (status != MR_CLOSED)
        mr_bridge_fail(bridge, status, "%s", error.message);
    return false;
}

/* ---- what went wrong ---------------------------------------------------------------------- */

enum mr_outcome mr_kafka_lane_undo(struct mr_kafka_lane *lane)
{
    struct mr_bridge *bridge = lane->bridge;

    for (;;) {
        rd_kafka_error_t *failure = rd_kafka_abort_transaction(lane->kafka, MR_LANE_ANSWER_MS);
        bool is_retryable = rd_kafka_error_is_retriable(failure);

        if (!failure)
            return UNDONE;
        mr_bridge_say(bridge, "event=abort-failed lane=%s reason=\"%s\"", lane->key,
                      rd_kafka_error_string(failure));
        rd_kafka_error_destroy(failure);
        if (!is_retryable || mr_bridge_is_stopping(bridge))
            return BROKEN;
    }
}

static bool is_fenced(rd_kafka_resp_err_t code)
{
    return code == RD_KAFKA_RESP_ERR__FENCED || code == RD_KAFKA_RESP_ERR_PRODUCER_FENCED ||
           code == RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH;
}

enum mr_outcome mr_kafka_lane_recover(struct mr_kafka_lane *lane, rd_kafka_error_t *failure)
{
    struct mr_bridge *bridge = lane->bridge;
    rd_kafka_resp_err_t code = rd_kafka_error_code(failure);
    bool is_abortable = rd_kafka_error_txn_requires_abort(failure);
    char detail[160];

    if (code == RD_KAFKA_RESP_ERR__FATAL)
        code = rd_kafka_fatal_error(lane->kafka, detail, sizeof detail);
    snprintf(detail, sizeof detail, "%s", rd_kafka_error_string(failure));
    rd_kafka_error_destroy(failure);
    atomic_fetch_add(&bridge->retry_count, 1);
    mr_bridge_say(bridge, "event=transaction-failed lane=%s reason=\"%s\"", lane->key, detail);
    if (is_fenced(code)) {
        mr_bridge_fail(
            bridge, MR_FENCED,
            "another bridge named %.100s has taken over %.100s: stop one of both, or give "
            "them names (--name)",
            bridge->config->name, lane->key);
        return BROKEN;
    }
    return is_abortable ? mr_kafka_lane_undo(lane) : BROKEN;
}

void mr_kafka_lane_tell(struct mr_kafka_lane *lane, const mr_mark *through)
{
    mr_error error = {0};

    if (mr_checkpoint(lane->task, through, &error) && error.status != MR_FENCED)
        mr_bridge_say(lane->bridge, "event=checkpoint-failed lane=%s reason=\"%s\"", lane->key,
                      error.message);
}

static void count(struct mr_kafka_lane *lane, const mr_consumer_batch *batch)
{
    uint64_t records = 0, bytes = 0;

    for (size_t i = 0; i < batch->count; i++) {
        const mr_consumer_record *record = &batch->records[i];

        if (lane->sent[i].is_dead || mr_kafka_lane_has(lane, record))
            continue;
        records++;
        bytes += record->partition_key.size + record->data.size;
    }
    atomic_fetch_add(&lane->bridge->record_count, records);
    atomic_fetch_add(&lane->bridge->record_bytes, bytes);
}

static bool goes_alone(struct mr_kafka_lane *lane)
{
    return mr_kafka_lane_now_ns() < atomic_load(&lane->bridge->careful_until_ns);
}

static bool go_alone(struct mr_kafka_lane *lane, const mr_consumer_batch *batch)
{
    const mr_mark *last = &batch->records[batch->count - 1].mark;

    if (batch->count > lane->sent_capacity) {
        lane->sent_capacity = batch->count;
        lane->sent = mr_resize(lane->sent, batch->count * sizeof *lane->sent);
    }
    memset(lane->sent, 0, batch->count * sizeof *lane->sent);
    if (!mr_kafka_lane_copy(lane, batch, last))
        return false;
    count(lane, batch);
    lane->position = *last;
    lane->has_position = true;
    mr_kafka_lane_tell(lane, last);
    return true;
}

/* ---- what the consumer calls -------------------------------------------------------------- */

static void *started(void *context, mr_shard_task *task, const mr_mark *from)
{
    struct mr_kafka_lane *lane = mr_new(struct mr_kafka_lane);
    (void)from;

    lane->bridge = context;
    lane->task = task;
    lane->shard = mr_shard_task_shard(task);
    lane->key_size = mr_position_key(lane->bridge, lane->shard, lane->key, sizeof lane->key);
    return lane;
}

static bool take(struct mr_kafka_lane *lane, const mr_consumer_batch *batch)
{
    if (!open_lane(lane))
        return false;
    if (batch->count == 0)
        return !lane->train.is_under_way || mr_kafka_lane_arrive(lane);
    if (mr_kafka_lane_has(lane, &batch->records[batch->count - 1])) {
        mr_kafka_lane_tell(lane, &batch->records[batch->count - 1].mark);
        return true;
    }
    if (!goes_alone(lane))
        return mr_kafka_lane_ride(lane, batch);
    return (!lane->train.is_under_way || mr_kafka_lane_arrive(lane)) && go_alone(lane, batch);
}

static void records(void *state, mr_shard_task *task, const mr_consumer_batch *batch)
{
    struct mr_kafka_lane *lane = state;

    if ((batch->count > 0 || lane->train.is_under_way) && !take(lane, batch))
        mr_shard_task_restart(task);
}

/* Nobody waits for the rest of a transaction. */
static void stopping(void *state, mr_shard_task *task)
{
    struct mr_kafka_lane *lane = state;
    (void)task;

    if (lane->train.is_under_way)
        mr_kafka_lane_arrive(lane);
}

/* Its children begin when Kafka knows that it is over (R3). */
static void shard_ended(void *state, mr_shard_task *task)
{
    struct mr_kafka_lane *lane = state;
    const mr_mark end = {.kind = MR_MARK_SHARD_END};
    const mr_consumer_batch nothing = {0};

    if (!open_lane(lane) || (lane->train.is_under_way && !mr_kafka_lane_arrive(lane)))
        return; /* we are called again */
    if (!(lane->has_position && lane->position.kind == MR_MARK_SHARD_END) &&
        !mr_kafka_lane_copy(lane, &nothing, &end))
        return;
    if (!mr_checkpoint(task, NULL, NULL))
        mr_bridge_say(lane->bridge, "event=shard-ended lane=%s", lane->key);
}

static void done(void *state)
{
    struct mr_kafka_lane *lane = state;

    mr_kafka_lane_close(lane);
    mr_free(lane->sent);
    mr_free(lane);
}

const struct mr_processor mr_kafka_lane_processor = {.started = started,
                                                     .records = records,
                                                     .shard_ended = shard_ended,
                                                     .stopping = stopping,
                                                     .done = done};
