/*
 * mapping.h - a stream's record as Kafka's message, and back.
 *
 *     stream                          Kafka
 *     partition key                   key; without one: null
 *     data                            value
 *     arrival time                    timestamp (CreateTime)
 *     explicit hash key               header millrace-hash-key
 *     sequence number, shard          headers millrace-sequence, millrace-shard
 *
 * The other way only key, value and the hash key count: a stream gives records its own numbers and
 * times. README.md has the rules for what has no counterpart.
 */
#ifndef MR_TOOLS_KAFKA_MAPPING_H
#define MR_TOOLS_KAFKA_MAPPING_H

#include "millrace-consumer.h"

#include <librdkafka/rdkafka.h>

enum mr_partitioning {
    MR_BY_KEY,       /* murmur2, as Java's producers */
    MR_BY_KEY_CRC32, /* as librdkafka's */
    MR_BY_SHARD,
    MR_BY_HASH_RANGE, /* partitions share the hash space in equal ranges */
};

/* Records without a key go by their hash keys where keys are asked for. */
int32_t mr_partition_of(enum mr_partitioning how, mr_bytes key, mr_hash_key hash, mr_shard_id shard,
                        int32_t partition_count);

/* Destroy with rd_kafka_headers_destroy(), unless a produce took it. */
rd_kafka_headers_t *mr_headers_of(const mr_consumer_record *record, mr_shard_id shard);

/* A message as Kafka gave it; data.data is NULL of a tombstone, headers may be NULL. */
struct mr_incoming {
    mr_bytes key, data;
    rd_kafka_headers_t *headers;
    const char *topic;
    int32_t partition;
    int64_t offset, time_ms;
};
struct mr_incoming mr_incoming_of(const rd_kafka_message_t *message);

/* A message as what is put. Start from {0}, release with mr_mapped_fini(). */
struct mr_mapped {
    mr_bytes key, data;
    bool has_hash_key;
    mr_hash_key hash_key;
    char key_text[MR_PARTITION_KEY_BYTES_MAX + 8];
    void *wrapped;
};

/*
 * wraps: data becomes a JSON object that has the message's headers, too. False: it cannot be a
 * record, *reason says why. What is mapped borrows from the message.
 */
bool mr_message_map(const struct mr_incoming *message, bool wraps, struct mr_mapped *mapped,
                    const char **reason);
void mr_mapped_fini(struct mr_mapped *mapped);

#endif
