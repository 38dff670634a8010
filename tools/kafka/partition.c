/* partition.c - the messages of a partition, from Kafka's hands into the stream's. */
#include "kafka/inward.h"

#include "base/memory.h"

#include <stdio.h>
#include <string.h>

#define ITEM_BYTES (sizeof(struct mr_item) + 320) /* with what librdkafka has of a message */
#define AGAIN_MS 1000

struct mr_partition *mr_partition_find(struct mr_inward *inward, int32_t id)
{
    struct mr_partition *partition;

    for (size_t i = 0; i < inward->count; i++)
        if (inward->partitions[i]->id == id)
            return inward->partitions[i];
    partition = mr_new(struct mr_partition);
    partition->id = id;
    mr_grow(inward->partitions, inward->count, inward->capacity);
    inward->partitions[inward->count++] = partition;
    return partition;
}

/* ---- the line ----------------------------------------------------------------------------- */

static uint64_t bytes_of(const struct mr_item *item)
{
    return ITEM_BYTES + item->message->key_len + item->message->len;
}

void mr_partition_take(struct mr_inward *inward, rd_kafka_message_t *message)
{
    struct mr_partition *partition = mr_partition_find(inward, message->partition);
    struct mr_item *item = mr_new(struct mr_item);

    item->message = message;
    if (partition->first)
        partition->last->next = item;
    else
        partition->first = item;
    partition->last = item;
    if (!partition->held)
        partition->held = item;
    partition->is_at_end = false;
    partition->bytes += bytes_of(item);
    inward->bytes += bytes_of(item);
}

void mr_partition_drop_first(struct mr_inward *inward, struct mr_partition *partition)
{
    struct mr_item *item = partition->first;

    partition->first = item->next;
    if (partition->held == item)
        partition->held = item->next;
    partition->bytes -= bytes_of(item);
    inward->bytes -= bytes_of(item);
    rd_kafka_message_destroy(item->message);
    mr_free(item->reason);
    mr_free(item);
}

/* Behind the last message there may be marks of transactions: they are part of what is taken. */
static void pass_end(struct mr_partition *partition)
{
    if (!partition->first && partition->is_at_end && partition->end > partition->acknowledged)
        partition->acknowledged = partition->end;
}

void mr_partition_end(struct mr_partition *partition, int64_t end)
{
    partition->is_at_end = true;
    partition->end = end;
    pass_end(partition);
}

/* ---- back-pressure ------------------------------------------------------------------------ */

static void set_paused(struct mr_inward *inward, struct mr_partition *partition, bool is_paused)
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

/* A pause throws away what librdkafka has fetched: it is for one that would stop the others. */
void mr_partition_pause(struct mr_inward *inward, struct mr_partition *partition)
{
    uint64_t share = mr_inward_memory(inward) / 2 / inward->count;

    if (!partition->is_ours)
        return;
    if (partition->is_slow && partition->bytes > share)
        set_paused(inward, partition, true);
    else if (partition->bytes <= share / 2)
        set_paused(inward, partition, false);
}

/* ---- items -------------------------------------------------------------------------------- */

void mr_item_answer(struct mr_item *item, mr_status status, const char *reason)
{
    item->status = status;
    mr_free(item->reason);
    item->reason = status ? mr_copy_text(reason) : NULL;
    atomic_store(&item->state, ANSWERED);
}

bool mr_item_map(struct mr_inward *inward, struct mr_item *item, mr_put *put)
{
    const struct mr_incoming incoming = mr_incoming_of(item->message);
    struct mr_mapped *mapped = &inward->mapped;
    const char *reason = "";

    if (!mr_message_map(&incoming, inward->bridge->config->wraps_headers, mapped, &reason)) {
        mr_item_answer(item, MR_INVALID, reason);
        return false;
    }
    *put = (mr_put){.partition_key = mapped->key,
                    .data = mapped->data,
                    .explicit_hash_key = mapped->has_hash_key ? &mapped->hash_key : NULL};
    return true;
}

/* ---- what is answered --------------------------------------------------------------------- */

static bool is_poison(const struct mr_item *item)
{
    return item->status == MR_INVALID || item->status == MR_LIMIT;
}

/* A message that the stream will not have. False: the bridge stops, or it is tried again. */
static bool bury(struct mr_inward *inward, struct mr_partition *partition, struct mr_item *item)
{
    struct mr_bridge *bridge = inward->bridge;
    const struct mr_bridge_config *config = bridge->config;
    const rd_kafka_message_t *message = item->message;
    char origin[MR_TOPIC_BYTES_MAX + 64];
    mr_error error = {0};

    snprintf(origin, sizeof origin, "%s %d %lld", config->topic, (int)partition->id,
             (long long)message->offset);
    if (!is_poison(item) || config->on_error == MR_ON_ERROR_STOP) {
        mr_bridge_fail(bridge, item->status,
                       "stream %.60s does not take topic %.60s of %.40s, partition %d, offset "
                       "%lld: %.100s%s",
                       config->stream, config->topic, config->brokers, (int)partition->id,
                       (long long)message->offset, item->reason,
                       is_poison(item) ? "; use --dead-letters to go on" : "");
        return false;
    }
    if (config->on_error == MR_ON_ERROR_RETRY) {
        mr_bridge_say(bridge, "event=refused message=\"%s\" reason=\"%s\" next=\"tries again\"",
                      origin, item->reason);
        mr_bridge_pause(bridge, AGAIN_MS);
        atomic_store(&item->state, IN_HAND);
        partition->held = item;
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

void mr_partition_acknowledge(struct mr_inward *inward, struct mr_partition *partition)
{
    struct mr_bridge *bridge = inward->bridge;
    struct mr_item *item;

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
        mr_partition_drop_first(inward, partition);
    }
    pass_end(partition);
}
