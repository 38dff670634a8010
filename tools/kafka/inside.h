/* inside.h - what the files of tools/kafka share. */
#ifndef MR_TOOLS_KAFKA_INSIDE_H
#define MR_TOOLS_KAFKA_INSIDE_H

#include "kafka/bridge.h"

#include "os/thread.h"

#include <stdatomic.h>

/* Where lost letters go: dead.c. */
struct mr_dead;

struct mr_bridge {
    const struct mr_bridge_config *config;
    rd_kafka_t *look; /* for questions: what topics there are, where they end */
    struct mr_dead *dead;
    char created[24]; /* the stream's birth: positions of one before it do not count */
    atomic_bool is_stopping;
    _Atomic uint32_t word; /* changes with it */
    _Atomic uint64_t record_count, record_bytes, transaction_count, retry_count, dead_count;
    _Atomic uint64_t careful_until_ns; /* after a failure, batches go one by one */
    size_t shard_count;                /* outward: about how many lanes share the memory */
    pthread_mutex_t error_lock;
    mr_error error; /* why it cannot go on */
    pthread_mutex_t lock;
    mr_consumer *consumer; /* one of both, while it runs; under lock */
    struct mr_inward *inward;
};

/* ---- bridge.c ------------------------------------------------------------------------------ */

/* Notes why, if it is the first reason, and stops. */
__attribute__((format(printf, 3, 4))) void mr_bridge_fail(struct mr_bridge *bridge,
                                                          mr_status status, const char *format,
                                                          ...);
static inline bool mr_bridge_is_stopping(struct mr_bridge *bridge)
{
    return atomic_load(&bridge->is_stopping);
}
/* Sleeps, unless it is stopped. */
void mr_bridge_pause(struct mr_bridge *bridge, uint32_t ms);
/* A logfmt line on stderr. */
__attribute__((format(printf, 2, 3))) void mr_bridge_say(const struct mr_bridge *bridge,
                                                         const char *format, ...);

/* ---- client.c ------------------------------------------------------------------------------ */

/* The user's properties over our defaults; rd_kafka_conf_destroy() it, or make a client of it. */
rd_kafka_conf_t *mr_kafka_conf(struct mr_bridge *bridge, const char *const defaults[][2],
                               mr_error *error);
/* What must be so, whatever the user says. */
void mr_kafka_force(rd_kafka_conf_t *conf, const char *name, const char *value);
/* Takes conf in any case. */
mr_status mr_kafka_new(rd_kafka_t **kafka, rd_kafka_type_t type, rd_kafka_conf_t *conf,
                       mr_error *error);
/* A retryable failure is MR_UNAVAILABLE; the message names the brokers. */
mr_status mr_kafka_fail(const struct mr_bridge *bridge, rd_kafka_resp_err_t code, const char *what,
                        const char *detail, mr_error *error);
/* rd_kafka_produceva() with its error's code. */
rd_kafka_resp_err_t mr_kafka_produce(rd_kafka_t *kafka, const rd_kafka_vu_t *parts, size_t count);
/* Opens `look`. */
mr_status mr_kafka_open_look(struct mr_bridge *bridge, mr_error *error);
/* Partitions of a topic; 0: there is none. Waits for brokers that are away until it is stopped. */
mr_status mr_kafka_count(struct mr_bridge *bridge, const char *topic, int32_t *count,
                         mr_error *error);
mr_status mr_kafka_create(struct mr_bridge *bridge, const char *topic, uint32_t partition_count,
                          bool is_compacted, mr_error *error);

/* ---- position.c ---------------------------------------------------------------------------- */

/* A position as the state topic has it: key and value. */
#define MR_POSITION_TEXT_BYTES 128
size_t mr_position_write(const struct mr_bridge *bridge, const mr_mark *mark,
                         char text[MR_POSITION_TEXT_BYTES]);
bool mr_position_scan(mr_bytes text, mr_mark *mark, mr_bytes *created);
size_t mr_position_key(const struct mr_bridge *bridge, mr_shard_id shard, char *text, size_t size);
/* Visits this bridge's positions, older ones of a shard first. */
mr_status mr_positions_read(struct mr_bridge *bridge,
                            void (*visit)(void *context, mr_shard_id shard, const mr_mark *mark),
                            void *context, mr_error *error);

/* ---- lane.c, outward.c --------------------------------------------------------------------- */

extern const struct mr_processor mr_kafka_lane_processor; /* its context is the bridge */
mr_status mr_outward_run(struct mr_bridge *bridge, mr_error *error);
void mr_outward_look(struct mr_bridge *bridge, struct mr_bridge_figures *figures);

/* ---- inward.c ------------------------------------------------------------------------------ */

mr_status mr_inward_run(struct mr_bridge *bridge, mr_error *error);
void mr_inward_look(struct mr_bridge *bridge, struct mr_bridge_figures *figures);

/* ---- dead.c -------------------------------------------------------------------------------- */

struct mr_letter {
    mr_bytes key, data;
    const char *origin; /* "shardId-... 4956..." or "topic 3 1234" */
    const char *reason;
};
mr_status mr_dead_open(struct mr_bridge *bridge, mr_error *error);
/* Returns when it is kept. Any thread. */
mr_status mr_dead_write(struct mr_bridge *bridge, const struct mr_letter *letter, mr_error *error);
void mr_dead_close(struct mr_dead *dead);

#endif
