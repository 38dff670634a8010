/*
 * bridge.h - the door of tools/kafka: records between a stream and a Kafka topic, one way a bridge.
 *
 * The promises (R1-R7) that a bridge keeps are listed in README.md.
 */
#ifndef MR_TOOLS_KAFKA_BRIDGE_H
#define MR_TOOLS_KAFKA_BRIDGE_H

#include "command.h"
#include "kafka/mapping.h"

#define MR_TOPIC_BYTES_MAX 249

struct mr_kafka_property {
    char *name, *value;
};

/* Start from {0}; release with mr_kafka_properties_fini(). */
struct mr_kafka_properties {
    struct mr_kafka_property *items;
    size_t count, capacity;
};
/* "name=value"; a value "env:NAME" is taken from the environment. INVALID. */
mr_status mr_kafka_property_add(struct mr_kafka_properties *properties, const char *text,
                                mr_error *error);
/* A file of such lines; # begins a comment. */
mr_status mr_kafka_properties_read(struct mr_kafka_properties *properties, const char *path,
                                   mr_error *error);
void mr_kafka_properties_fini(struct mr_kafka_properties *properties);

enum mr_on_error { MR_ON_ERROR_STOP, MR_ON_ERROR_DLQ, MR_ON_ERROR_RETRY };

struct mr_bridge_config {
    const struct mr_place *place;
    mr_service *service; /* set before mr_bridge_run() */
    const char *name;    /* whose positions: transactional ids and consumer groups are made of it */
    const char *stream, *brokers, *topic;
    bool is_outward; /* from the stream to Kafka */
    const struct mr_kafka_properties *properties;
    enum mr_partitioning partitioning; /* outward */
    bool at_least_once;                /* outward: no transactions */
    const char *state_topic;           /* outward */
    bool from_latest;                  /* of a bridge that has no position yet */
    bool wraps_headers;                /* inward */
    enum mr_on_error on_error;
    const char *dead_letters; /* topic:NAME, stream:NAME or file:PATH; or NULL */
    uint32_t create_count;    /* partitions or shards of what is missing; 0: do not make it */
    uint64_t memory_bytes;
    bool is_once;
};

/* As of now; what a bridge's lanes show. */
struct mr_bridge_lane {
    uint32_t id; /* a shard or a partition */
    int64_t behind_ms;
    int64_t behind_count; /* -1: not known */
};

struct mr_bridge_figures {
    uint64_t record_count, record_bytes, transaction_count, retry_count, dead_count;
    int64_t behind_ms, behind_count; /* the largest of a lane; the sum, or -1 */
    struct mr_bridge_lane *lanes;    /* in the order of ids */
    size_t lane_count, lane_capacity;
};

struct mr_bridge;

/* Checks what can be checked without Kafka. INVALID, NOT_FOUND. The config must outlive it. */
mr_status mr_bridge_open(struct mr_bridge **bridge, const struct mr_bridge_config *config,
                         mr_error *error);
/* Copies until mr_bridge_stop(), a --once is done, or it cannot go on. Once. */
mr_status mr_bridge_run(struct mr_bridge *bridge, mr_error *error);
void mr_bridge_stop(struct mr_bridge *bridge); /* any thread */
void mr_bridge_close(struct mr_bridge *bridge);

/* Any thread; start figures from {0}, free its lanes with mr_free(). */
void mr_bridge_look(struct mr_bridge *bridge, struct mr_bridge_figures *figures);

#endif
