/*
 * train.c - a transaction, or an answer that is waited for, costs as much as thousands of records: so
 * batches that wait go together. When one of them fails, all begin anew and go alone.
 */
#include "kafka/lane.h"

#include "base/memory.h"

#define TRAIN_NS UINT64_C(500000000)
#define TRAIN_COUNT 50000
#define RECORD_BYTES 400 /* what librdkafka and we have of a record, beside its key and data */
#define CARE_NS UINT64_C(30000000000)

void mr_kafka_lane_unload(struct mr_kafka_lane *lane)
{
    struct mr_cargo *cargo;

    while ((cargo = lane->train.cargo)) {
        lane->train.cargo = cargo->next;
        mr_free(cargo);
    }
    lane->train = (struct mr_train){0};
}

/* So many records that committing takes no time beside them, and so few that memory is bounded (R5). */
static bool is_full(const struct mr_kafka_lane *lane)
{
    const struct mr_train *train = &lane->train;
    uint64_t share = lane->bridge->config->memory_bytes / 2 / lane->bridge->shard_count;

    return train->count >= TRAIN_COUNT || train->bytes + train->count * RECORD_BYTES >= share ||
           mr_kafka_lane_now_ns() - train->began_ns >= TRAIN_NS;
}

/* The lane begins anew, and takes its batches one by one for a while: what is wrong with one of them
 * shows then. */
static bool derail(struct mr_kafka_lane *lane)
{
    atomic_store(&lane->bridge->careful_until_ns, mr_kafka_lane_now_ns() + CARE_NS);
    mr_kafka_lane_close(lane);
    return false;
}

static bool has_failed(const struct mr_train *train)
{
    for (const struct mr_cargo *cargo = train->cargo; cargo; cargo = cargo->next)
        for (size_t i = 0; i < cargo->count; i++)
            if (cargo->sent[i].failure)
                return true;
    return false;
}

/* Without transactions the position comes when all is delivered. */
static bool unload(struct mr_kafka_lane *lane)
{
    const struct mr_train *train = &lane->train;

    if (!lane->bridge->config->at_least_once)
        return !mr_kafka_lane_offer_position(lane, &train->through) &&
               mr_kafka_lane_commit(lane) == DONE;
    return mr_kafka_lane_deliver(lane) == DONE && !has_failed(train) &&
           !mr_kafka_lane_offer_position(lane, &train->through) &&
           mr_kafka_lane_deliver(lane) == DONE;
}

bool mr_kafka_lane_arrive(struct mr_kafka_lane *lane)
{
    struct mr_train *train = &lane->train;

    if (!unload(lane))
        return derail(lane);
    atomic_fetch_add(&lane->bridge->transaction_count, 1);
    atomic_fetch_add(&lane->bridge->record_count, train->count);
    atomic_fetch_add(&lane->bridge->record_bytes, train->bytes);
    lane->position = train->through;
    lane->has_position = true;
    mr_kafka_lane_unload(lane);
    mr_kafka_lane_tell(lane, &lane->position);
    return true;
}

static bool depart(struct mr_kafka_lane *lane)
{
    rd_kafka_error_t *failure =
        lane->bridge->config->at_least_once ? NULL : rd_kafka_begin_transaction(lane->kafka);

    lane->train.is_under_way = !failure;
    lane->train.began_ns = mr_kafka_lane_now_ns();
    if (failure)
        mr_kafka_lane_recover(lane, failure);
    return !failure;
}

static void load(struct mr_kafka_lane *lane, const mr_consumer_batch *batch)
{
    struct mr_train *train = &lane->train;
    struct mr_cargo *cargo = mr_alloc_zero(1, sizeof *cargo + batch->count * sizeof *cargo->sent);

    cargo->count = batch->count;
    cargo->next = train->cargo;
    train->cargo = cargo;
    for (size_t i = 0; i < batch->count; i++) {
        const mr_consumer_record *record = &batch->records[i];

        if (mr_kafka_lane_has(lane, record))
            continue;
        train->count++;
        train->bytes += record->partition_key.size + record->data.size;
    }
    train->through = batch->records[batch->count - 1].mark;
}

bool mr_kafka_lane_ride(struct mr_kafka_lane *lane, const mr_consumer_batch *batch)
{
    if (!lane->train.is_under_way && !depart(lane))
        return derail(lane);
    load(lane, batch);
    if (!mr_kafka_lane_offer(lane, batch, lane->train.cargo->sent))
        return derail(lane);
    rd_kafka_poll(lane->kafka, 0);
    return (batch->behind_ms > 0 && !is_full(lane)) || mr_kafka_lane_arrive(lane);
}
