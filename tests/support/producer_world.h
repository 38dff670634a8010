/*
 * producer_world.h - a producer whose time stands still but for what a test lets pass, over a
 * simulated stream; and an auditor of what it promised and what was stored.
 */
#ifndef MR_TESTS_PRODUCER_WORLD_H
#define MR_TESTS_PRODUCER_WORLD_H

#include "stage.h"
#include "support/sim_clock.h"
#include "support/sim_service.h"

/* One record that was put, and its answer. */
struct sent {
    struct world *world;
    char key[32];
    unsigned value; /* counts up for each key */
    unsigned answer_count;
    mr_delivery delivery;
    int64_t put_ms, answered_ms;
};

struct world {
    struct sim_service service;
    struct sim_clock clock;
    struct mr_random random;
    struct mr_producer_config config;
    struct mr_producer *producer;
    struct sent *sent[100000];
    size_t sent_count, answered_count;
    unsigned next_value[1000];
};

/* Set service and config of the world, then open. The stream has shard_count shards. */
struct world *world_new(uint64_t seed, unsigned shard_count);
void world_open(struct world *world);
/* Ends the producer, which must be idle, and frees all. */
void world_free(struct world *world);

/* Puts the next record of key number `key`; its data is the value, in data_bytes. NULL: refused. */
struct sent *world_put(struct world *world, unsigned key, size_t data_bytes);
/* Puts it with this as it is. */
struct sent *world_put_as(struct world *world, const mr_put *put, mr_status *status);

/* Lets ms pass, a millisecond at a time; requests held by the service stay so. */
void world_pass(struct world *world, unsigned ms);
/* Lets time pass and answers requests, until all is answered. */
void world_finish(struct world *world);

/* Each record was answered once. */
void world_check_answers(const struct world *world);
/* How often a key's records were stored with one of them missing before. */
size_t world_count_gaps(const struct world *world);
/* How many records answered with success no consumer gets. */
size_t world_count_lost(const struct world *world);
size_t world_count_status(const struct world *world, mr_status status);

#endif
