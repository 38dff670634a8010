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
    struct producer_world *world;
    char key[32];
    unsigned value; /* counts up for each key */
    unsigned answer_count;
    mr_delivery delivery;
    int64_t put_ms, answered_ms;
};

struct producer_world {
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
struct producer_world *producer_world_new(uint64_t seed, unsigned shard_count);
void producer_world_open(struct producer_world *world);
/* Ends the producer, which must be idle, and frees all. */
void producer_world_free(struct producer_world *world);

/* Puts the next record of key number `key`; its data is the value, in data_bytes. NULL: refused. */
struct sent *producer_world_put(struct producer_world *world, unsigned key, size_t data_bytes);
/* Puts it with this as it is. */
struct sent *producer_world_put_as(struct producer_world *world, const mr_put *put,
                                   mr_status *status);

/* Lets ms pass, a millisecond at a time; requests held by the service stay so. */
void producer_world_pass(struct producer_world *world, unsigned ms);
/* Lets time pass and answers requests, until all is answered. */
void producer_world_finish(struct producer_world *world);

/* Each record was answered once. */
void producer_world_check_answers(const struct producer_world *world);
/* How often a key's records were stored with one of them missing before. */
size_t producer_world_count_gaps(const struct producer_world *world);
/* How many records answered with success no consumer gets. */
size_t producer_world_count_lost(const struct producer_world *world);
size_t producer_world_count_status(const struct producer_world *world, mr_status status);

#endif
