/*
 * finish.c - when a bridge that copies what is there is done: all of its own partitions are acknowledged to
 * their ends, and others of the group have committed theirs. Those of a member that was killed come to
 * us when the group misses it.
 */
#include "kafka/inward.h"

#include "os/clock.h"

#define ASK_NS UINT64_C(500000000)
#define ANSWER_MS 10000

static const struct mr_partition *our_partition(const struct mr_inward *inward, int32_t id)
{
    for (size_t i = 0; i < inward->count; i++)
        if (inward->partitions[i]->id == id && inward->partitions[i]->is_ours)
            return inward->partitions[i];
    return NULL;
}

static bool has_ended(struct mr_inward *inward, const rd_kafka_topic_partition_t *partition)
{
    int64_t low, end;

    return !rd_kafka_query_watermark_offsets(inward->bridge->look, partition->topic,
                                             partition->partition, &low, &end, ANSWER_MS) &&
           (end <= low || partition->offset >= end);
}

static bool have_others(struct mr_inward *inward, rd_kafka_topic_partition_list_t *others)
{
    if (others->cnt == 0)
        return true;
    if (rd_kafka_committed(inward->kafka, others, ANSWER_MS))
        return false;
    for (int i = 0; i < others->cnt; i++)
        if (!has_ended(inward, &others->elems[i]))
            return false;
    return true;
}

bool mr_inward_is_copied(struct mr_inward *inward)
{
    struct mr_clock *clock = mr_clock_real();
    uint64_t now_ns = clock->monotonic_ns(clock);
    rd_kafka_topic_partition_list_t *others;
    bool is_copied = inward->is_member;

    if (!is_copied || now_ns < inward->ask_ns)
        return false;
    others = rd_kafka_topic_partition_list_new(8);
    for (int32_t id = 0; is_copied && id < inward->topic_count; id++) {
        const struct mr_partition *partition = our_partition(inward, id);

        if (partition)
            is_copied = partition->is_at_end && !partition->first;
        else
            rd_kafka_topic_partition_list_add(others, inward->bridge->config->topic, id);
    }
    if (is_copied && !have_others(inward, others)) {
        inward->ask_ns = now_ns + ASK_NS;
        is_copied = false;
    }
    rd_kafka_topic_partition_list_destroy(others);
    return is_copied;
}
