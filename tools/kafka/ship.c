/*
 * ship.c - the records of a batch as Kafka's messages. A batch that goes alone shows which of its records
 * Kafka will not have: those are dead letters, and the rest goes again (R6).
 */
#include "kafka/lane.h"

#include "base/fail.h"

#include <stdio.h>
#include <string.h>

/* ---- a batch ------------------------------------------------------------------------------ */

static bool waits(struct mr_kafka_lane *lane, rd_kafka_resp_err_t code)
{
    if (code != RD_KAFKA_RESP_ERR__QUEUE_FULL || mr_bridge_is_stopping(lane->bridge))
        return false;
    rd_kafka_poll(lane->kafka, MR_LANE_POLL_MS);
    return true;
}

/* Waits while the queue is full: that is all the memory a lane takes. */
static rd_kafka_resp_err_t offer(struct mr_kafka_lane *lane, rd_kafka_headers_t *headers,
                                 const mr_consumer_record *record, struct mr_sent *sent)
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

rd_kafka_resp_err_t mr_kafka_lane_offer_position(struct mr_kafka_lane *lane, const mr_mark *mark)
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

static bool bury(struct mr_kafka_lane *lane, const mr_consumer_record *record, struct mr_sent *sent)
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
static bool bury_all(struct mr_kafka_lane *lane, const mr_consumer_batch *batch, bool *has_buried)
{
    *has_buried = false;
    for (size_t i = 0; i < batch->count; i++) {
        struct mr_sent *sent = &lane->sent[i];

        if (is_poison(sent->failure)) {
            *has_buried = true;
            if (!bury(lane, &batch->records[i], sent))
                return false;
        }
        sent->failure = RD_KAFKA_RESP_ERR_NO_ERROR;
    }
    return true;
}

bool mr_kafka_lane_offer(struct mr_kafka_lane *lane, const mr_consumer_batch *batch,
                         struct mr_sent *all)
{
    for (size_t i = 0; i < batch->count; i++) {
        const mr_consumer_record *record = &batch->records[i];
        struct mr_sent *sent = &all[i];

        if (sent->is_dead || mr_kafka_lane_has(lane, record))
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

enum mr_outcome mr_kafka_lane_commit(struct mr_kafka_lane *lane)
{
    rd_kafka_error_t *failure;

    while ((failure = rd_kafka_commit_transaction(lane->kafka, MR_LANE_ANSWER_MS)) &&
           rd_kafka_error_is_retriable(failure) && !mr_bridge_is_stopping(lane->bridge)) {
        atomic_fetch_add(&lane->bridge->retry_count, 1);
        rd_kafka_error_destroy(failure);
    }
    return failure ? mr_kafka_lane_recover(lane, failure) : DONE;
}

static enum mr_outcome try_once(struct mr_kafka_lane *lane, const mr_consumer_batch *batch,
                                const mr_mark *mark)
{
    rd_kafka_error_t *failure = rd_kafka_begin_transaction(lane->kafka);
    enum mr_outcome outcome;

    if (failure)
        return mr_kafka_lane_recover(lane, failure);
    if (!mr_kafka_lane_offer(lane, batch, lane->sent) || mr_kafka_lane_offer_position(lane, mark))
        return mr_kafka_lane_undo(lane);
    outcome = mr_kafka_lane_commit(lane);
    if (outcome == DONE)
        atomic_fetch_add(&lane->bridge->transaction_count, 1);
    return outcome;
}

enum mr_outcome mr_kafka_lane_deliver(struct mr_kafka_lane *lane)
{
    char detail[160];

    while (rd_kafka_outq_len(lane->kafka) > 0) {
        rd_kafka_flush(lane->kafka, MR_LANE_POLL_MS);
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

/* Without transactions: all is delivered before its position is. */
static enum mr_outcome try_plain(struct mr_kafka_lane *lane, const mr_consumer_batch *batch,
                                 const mr_mark *mark)
{
    bool is_sent = mr_kafka_lane_offer(lane, batch, lane->sent);
    enum mr_outcome outcome = mr_kafka_lane_deliver(lane);

    if (outcome != DONE)
        return outcome;
    for (size_t i = 0; i < batch->count; i++)
        if (lane->sent[i].failure)
            return UNDONE;
    if (!is_sent || mr_kafka_lane_offer_position(lane, mark))
        return UNDONE;
    return mr_kafka_lane_deliver(lane);
}

bool mr_kafka_lane_copy(struct mr_kafka_lane *lane, const mr_consumer_batch *batch,
                        const mr_mark *mark)
{
    struct mr_bridge *bridge = lane->bridge;

    while (!mr_bridge_is_stopping(bridge)) {
        enum mr_outcome outcome = bridge->config->at_least_once ? try_plain(lane, batch, mark)
                                                                : try_once(lane, batch, mark);
        bool has_buried;

        if (outcome == DONE)
            return true;
        if (!bury_all(lane, batch, &has_buried) || outcome == BROKEN)
            break;
        if (!has_buried)
            mr_bridge_pause(bridge, MR_LANE_PAUSE_MS);
    }
    mr_kafka_lane_close(lane);
    return false;
}
