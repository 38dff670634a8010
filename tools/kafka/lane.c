/*
 * lane.c - one shard's way into Kafka: a producer of its own, which nobody else of that name can have
 * at the same time. Each batch of the consumer is one transaction, its position included (K1); what
 * goes wrong is either undone and done again, or the lane begins anew at the position that Kafka has.
 */
#include "kafka/inside.h"

#include "base/check.h"
#include "base/fail.h"
#include "base/memory.h"

#include <stdio.h>
#include <string.h>

#define ANSWER_MS 10000
#define PAUSE_MS 200
#define POLL_MS 50

/* A record under way. */
struct sent {
    mr_hash_key hash;
    mr_shard_id shard;
    rd_kafka_resp_err_t failure;
    bool is_dead;
};

struct lane {
    struct mr_bridge *bridge;
    mr_shard_task *task;
    mr_shard_id shard;
    rd_kafka_t *kafka; /* NULL: not open */
    rd_kafka_topic_t *topic, *state_topic;
    mr_mark position; /* through it all is in Kafka */
    bool has_position;
    struct sent *sent; /* of this batch */
    size_t sent_capacity;
    char key[MR_NAME_BYTES_MAX * 3]; /* of its position */
    size_t key_size;
};

enum outcome { DONE, UNDONE, BROKEN }; /* again; from the position on */

/* ---- opening ------------------------------------------------------------------------------ */

static int32_t choose(const rd_kafka_topic_t *topic, const void *key, size_t key_size,
                      int32_t partition_count, void *bridge, void *opaque)
{
    const struct mr_bridge_config *config = ((const struct mr_bridge *)bridge)->config;
    const struct sent *sent = opaque;
    (void)topic;

    return mr_partition_of(config->partitioning, (mr_bytes){key, key_size}, sent->hash, sent->shard,
                           partition_count);
}

static void answered(rd_kafka_t *kafka, const rd_kafka_message_t *message, void *bridge)
{
    struct sent *sent = message->_private;
    (void)kafka;
    (void)bridge;

    if (sent)
        sent->failure = message->err;
}

static void close_lane(struct lane *lane)
{
    if (!lane->kafka)
        return;
    rd_kafka_purge(lane->kafka, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    rd_kafka_flush(lane->kafka, 0);
    rd_kafka_topic_destroy(lane->topic);
    rd_kafka_topic_destroy(lane->state_topic);
    rd_kafka_destroy(lane->kafka);
    lane->kafka = NULL;
}

static void take_position(void *context, mr_shard_id shard, const mr_mark *mark)
{
    struct lane *lane = context;

    if (shard != lane->shard)
        return;
    lane->position = *mark;
    lane->has_position = true;
}

static mr_status make_client(struct lane *lane, mr_error *error)
{
    static const char *const defaults[][2] = {{"message.max.bytes", "20971520"},
                                              {"enable.idempotence", "true"},
                                              {"linger.ms", "5"},
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
static void learn_topics(struct lane *lane)
{
    const struct rd_kafka_metadata *metadata;

    if (!rd_kafka_metadata(lane->kafka, 0, NULL, &metadata, ANSWER_MS))
        rd_kafka_metadata_destroy(metadata);
}

/* Ends what an earlier one of our name has begun, and shuts it out. */
static mr_status take_over(struct lane *lane, mr_error *error)
{
    struct mr_bridge *bridge = lane->bridge;

    for (;;) {
        rd_kafka_error_t *failure = rd_kafka_init_transactions(lane->kafka, ANSWER_MS);
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
        mr_bridge_pause(bridge, PAUSE_MS);
    }
}

/* The position is read when no one else can write it any more. */
static bool open_lane(struct lane *lane)
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
    close_lane(lane);
    if (mr_status_retryable(status) && !mr_bridge_is_stopping(bridge))
        mr_bridge_say(bridge, "event=lane-failed lane=%s reason=\"%s\" next=\"tries again\"",
                      lane->key, error.message);
    else if (status != MR_CLOSED)
        mr_bridge_fail(bridge, status, "%s", error.message);
    return false;
}

/* ---- what went wrong ---------------------------------------------------------------------- */

static enum outcome undo(struct lane *lane)
{
    struct mr_bridge *bridge = lane->bridge;

    for (;;) {
        rd_kafka_error_t *failure = rd_kafka_abort_transaction(lane->kafka, ANSWER_MS);
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

/* Takes the failure. */
static enum outcome recover(struct lane *lane, rd_kafka_error_t *failure)
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
    return is_abortable ? undo(lane) : BROKEN;
}

/* ---- a batch ------------------------------------------------------------------------------ */

static bool waits(struct lane *lane, rd_kafka_resp_err_t code)
{
    if (code != RD_KAFKA_RESP_ERR__QUEUE_FULL || mr_bridge_is_stopping(lane->bridge))
        return false;
    rd_kafka_poll(lane->kafka, POLL_MS);
    return true;
}

/* Waits while the queue is full: that is all the memory a lane takes. */
static rd_kafka_resp_err_t offer(struct lane *lane, rd_kafka_headers_t *headers,
                                 const mr_consumer_record *record, struct sent *sent)
{
    size_t key_size = record->partition_key.size, size = record->data.size;
    void *key = key_size > 0 ? (void *)(uintptr_t)record->partition_key.data : NULL;
    void *data = size > 0 ? (void *)(uintptr_t)record->data.data : lane->key; /* empty, not null */
    const rd_kafka_vu_t parts[] = {
        {.vtype = RD_KAFKA_VTYPE_RKT, .u.rkt = lane->topic},
        {.vtype = RD_KAFKA_VTYPE_MSGFLAGS, .u.i = RD_KAFKA_MSG_F_COPY},
        {.vtype = RD_KAFKA_VTYPE_KEY, .u.mem = {key, key_size}},
        {.vtype = RD_KAFKA_VTYPE_VALUE, .u.mem = {data, size}},
        {.vtype = RD_KAFKA_VTYPE_TIMESTAMP, .u.i64 = record->arrival_ms},
        {.vtype = RD_KAFKA_VTYPE_HEADERS, .u.headers = headers},
        {.vtype = RD_KAFKA_VTYPE_OPAQUE, .u.ptr = sent},
    };
    rd_kafka_resp_err_t code;

    do {
        code = mr_kafka_produce(lane->kafka, parts, sizeof parts / sizeof *parts);
    } while (waits(lane, code));
    if (code)
        rd_kafka_headers_destroy(headers);
    return code;
}

static rd_kafka_resp_err_t offer_position(struct lane *lane, const mr_mark *mark)
{
    char text[MR_POSITION_TEXT_BYTES];
    size_t size = mr_position_write(lane->bridge, mark, text);
    const rd_kafka_vu_t parts[] = {
        {.vtype = RD_KAFKA_VTYPE_RKT, .u.rkt = lane->state_topic},
        {.vtype = RD_KAFKA_VTYPE_PARTITION, .u.i32 = 0},
        {.vtype = RD_KAFKA_VTYPE_MSGFLAGS, .u.i = RD_KAFKA_MSG_F_COPY},
        {.vtype = RD_KAFKA_VTYPE_KEY, .u.mem = {lane->key, lane->key_size}},
        {.vtype = RD_KAFKA_VTYPE_VALUE, .u.mem = {text, size}},
    };
    rd_kafka_resp_err_t code;

    do {
        code = mr_kafka_produce(lane->kafka, parts, sizeof parts / sizeof *parts);
    } while (waits(lane, code));
    return code;
}

/* Will this record never be taken, whatever is tried? */
static bool is_poison(rd_kafka_resp_err_t code)
{
    return code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE ||
           code == RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE || code == RD_KAFKA_RESP_ERR_INVALID_RECORD ||
           code == RD_KAFKA_RESP_ERR_INVALID_MSG || code == RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE;
}

static bool bury(struct lane *lane, const mr_consumer_record *record, struct sent *sent)
{
    struct mr_bridge *bridge = lane->bridge;
    char place[MR_MARK_TEXT_BYTES], origin[sizeof place + MR_SHARD_TEXT_BYTES];
    const char *reason = rd_kafka_err2str(sent->failure);
    mr_error error = {0};

    mr_mark_format(&record->mark, place);
    mr_shard_format(lane->shard, origin);
    snprintf(origin + strlen(origin), sizeof origin - strlen(origin), " %s", place);
    if (bridge->config->on_error == MR_ON_ERROR_STOP) {
        mr_bridge_fail(bridge, MR_LIMIT,
                       "topic %.60s does not take record %s (%zu bytes): %.60s; raise "
                       "max.message.bytes, or use --dead-letters",
                       bridge->config->topic, origin,
                       record->data.size + record->partition_key.size, reason);
        return false;
    }
    if (bridge->config->on_error == MR_ON_ERROR_RETRY) {
        mr_bridge_say(bridge, "event=refused record=\"%s\" reason=\"%s\" next=\"tries again\"",
                      origin, reason);
        mr_bridge_pause(bridge, 1000);
        return true;
    }
    if (mr_dead_write(bridge,
                      &(struct mr_letter){record->partition_key, record->data, origin, reason},
                      &error)) {
        mr_bridge_fail(bridge, error.status, "%s", error.message);
        return false;
    }
    sent->is_dead = true;
    return true;
}

/* Records that Kafka will not have go elsewhere. False: the batch cannot go on. */
static bool bury_all(struct lane *lane, const mr_consumer_batch *batch, bool *has_buried)
{
    *has_buried = false;
    for (size_t i = 0; i < batch->count; i++) {
        struct sent *sent = &lane->sent[i];

        if (is_poison(sent->failure)) {
            *has_buried = true;
            if (!bury(lane, &batch->records[i], sent))
                return false;
        }
        sent->failure = RD_KAFKA_RESP_ERR_NO_ERROR;
    }
    return true;
}

/* What stands there already, after a beginning anew. */
static bool is_there(const struct lane *lane, const mr_consumer_record *record)
{
    return lane->has_position && mr_mark_compare(&record->mark, &lane->position) <= 0;
}

static bool offer_all(struct lane *lane, const mr_consumer_batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        const mr_consumer_record *record = &batch->records[i];
        struct sent *sent = &lane->sent[i];

        if (sent->is_dead || is_there(lane, record))
            continue;
        sent->shard = lane->shard;
        sent->hash = record->has_explicit_hash_key ? record->explicit_hash_key
                                                   : mr_hash_key_of(record->partition_key);
        sent->failure = offer(lane, mr_headers_of(record, lane->shard), record, sent);
        if (sent->failure)
            return false;
    }
    return true;
}

static enum outcome commit(struct lane *lane)
{
    rd_kafka_error_t *failure;

    while ((failure = rd_kafka_commit_transaction(lane->kafka, ANSWER_MS)) &&
           rd_kafka_error_is_retriable(failure) && !mr_bridge_is_stopping(lane->bridge)) {
        atomic_fetch_add(&lane->bridge->retry_count, 1);
        rd_kafka_error_destroy(failure);
    }
    return failure ? recover(lane, failure) : DONE;
}

static enum outcome try_once(struct lane *lane, const mr_consumer_batch *batch, const mr_mark *mark)
{
    rd_kafka_error_t *failure = rd_kafka_begin_transaction(lane->kafka);
    enum outcome outcome;

    if (failure)
        return recover(lane, failure);
    if (!offer_all(lane, batch) || offer_position(lane, mark))
        return undo(lane);
    outcome = commit(lane);
    if (outcome == DONE)
        atomic_fetch_add(&lane->bridge->transaction_count, 1);
    return outcome;
}

/* Without transactions: all is delivered before its position is. */
static enum outcome deliver(struct lane *lane)
{
    char detail[160];

    while (rd_kafka_outq_len(lane->kafka) > 0) {
        rd_kafka_flush(lane->kafka, POLL_MS);
        if (rd_kafka_fatal_error(lane->kafka, detail, sizeof detail)) {
            mr_bridge_say(lane->bridge, "event=delivery-failed lane=%s reason=\"%s\"", lane->key,
                          detail);
            return BROKEN;
        }
        if (mr_bridge_is_stopping(lane->bridge) && rd_kafka_outq_len(lane->kafka) > 0)
            return BROKEN;
    }
    return DONE;
}

static enum outcome try_plain(struct lane *lane, const mr_consumer_batch *batch,
                              const mr_mark *mark)
{
    bool is_sent = offer_all(lane, batch);
    enum outcome outcome = deliver(lane);

    if (outcome != DONE)
        return outcome;
    for (size_t i = 0; i < batch->count; i++)
        if (lane->sent[i].failure)
            return UNDONE;
    if (!is_sent || offer_position(lane, mark))
        return UNDONE;
    return deliver(lane);
}

/* True: it is all in Kafka. Else the lane begins anew, or the bridge stops. */
static bool copy(struct lane *lane, const mr_consumer_batch *batch, const mr_mark *mark)
{
    struct mr_bridge *bridge = lane->bridge;

    while (!mr_bridge_is_stopping(bridge)) {
        enum outcome outcome = bridge->config->at_least_once ? try_plain(lane, batch, mark)
                                                             : try_once(lane, batch, mark);
        bool has_buried;

        if (outcome == DONE)
            return true;
        if (!bury_all(lane, batch, &has_buried) || outcome == BROKEN)
            break;
        if (!has_buried)
            mr_bridge_pause(bridge, PAUSE_MS);
    }
    close_lane(lane);
    return false;
}

static void count(struct lane *lane, const mr_consumer_batch *batch)
{
    uint64_t records = 0, bytes = 0;

    for (size_t i = 0; i < batch->count; i++) {
        const mr_consumer_record *record = &batch->records[i];

        if (lane->sent[i].is_dead || is_there(lane, record))
            continue;
        records++;
        bytes += record->partition_key.size + record->data.size;
    }
    atomic_fetch_add(&lane->bridge->record_count, records);
    atomic_fetch_add(&lane->bridge->record_bytes, bytes);
}

/* ---- what the consumer calls -------------------------------------------------------------- */

static void *started(void *context, mr_shard_task *task, const mr_mark *from)
{
    struct lane *lane = mr_new(struct lane);
    (void)from;

    lane->bridge = context;
    lane->task = task;
    lane->shard = mr_shard_task_shard(task);
    lane->key_size = mr_position_key(lane->bridge, lane->shard, lane->key, sizeof lane->key);
    return lane;
}

static void tell(struct lane *lane, const mr_mark *through)
{
    mr_error error = {0};

    if (mr_checkpoint(lane->task, through, &error) && error.status != MR_FENCED)
        mr_bridge_say(lane->bridge, "event=checkpoint-failed lane=%s reason=\"%s\"", lane->key,
                      error.message);
}

static void records(void *state, mr_shard_task *task, const mr_consumer_batch *batch)
{
    struct lane *lane = state;
    const mr_mark *last = batch->count > 0 ? &batch->records[batch->count - 1].mark : NULL;

    if (!last)
        return;
    if (!open_lane(lane)) {
        mr_shard_task_restart(task);
        return;
    }
    if (batch->count > lane->sent_capacity) {
        lane->sent_capacity = batch->count;
        lane->sent = mr_resize(lane->sent, batch->count * sizeof *lane->sent);
    }
    memset(lane->sent, 0, batch->count * sizeof *lane->sent);
    if (!is_there(lane, &batch->records[batch->count - 1])) {
        if (!copy(lane, batch, last)) {
            mr_shard_task_restart(task);
            return;
        }
        count(lane, batch);
        lane->position = *last;
        lane->has_position = true;
    }
    tell(lane, last);
}

/* Its children begin when Kafka knows that it is over (K3). */
static void shard_ended(void *state, mr_shard_task *task)
{
    struct lane *lane = state;
    const mr_mark end = {.kind = MR_MARK_SHARD_END};
    const mr_consumer_batch nothing = {0};

    if (!open_lane(lane))
        return; /* we are called again */
    if (!(lane->has_position && lane->position.kind == MR_MARK_SHARD_END) &&
        !copy(lane, &nothing, &end))
        return;
    if (!mr_checkpoint(task, NULL, NULL))
        mr_bridge_say(lane->bridge, "event=shard-ended lane=%s", lane->key);
}

static void done(void *state)
{
    struct lane *lane = state;

    close_lane(lane);
    mr_free(lane->sent);
    mr_free(lane);
}

const struct mr_processor mr_lane_processor = {
    .started = started, .records = records, .shard_ended = shard_ended, .done = done};
