/*
 * consumer_world.h - a stream in an engine, workers that read it, and an auditor of what they get.
 *
 * Records are stamped: each key counts its own from 0 on. A record that comes must be the next of its
 * key, or one that came before: so no order is broken and none is lost, and what comes twice is
 * counted.
 */
#ifndef MR_TESTS_CONSUMER_WORLD_H
#define MR_TESTS_CONSUMER_WORLD_H

#include "base/random.h"
#include "inside.h"

#include <pthread.h>
#include <stdatomic.h>

#define WORLD_KEYS 64
#define WORLD_SHARDS 64 /* ids below that are looked at */
#define WORLD_STREAM "s"

/* A service that passes calls on, without telling of the engine, and refuses by chance or all. */
struct fickle_service {
    mr_service base;
    mr_service *inner;
    _Atomic uint32_t refused_percent; /* as throttled */
    _Atomic bool is_away;             /* all calls: unavailable */
    _Atomic uint64_t calls[MR_ACTION_COUNT];
    _Atomic uint64_t random;
};

/* A lease store that fails when told to. */
struct fickle_store {
    mr_lease_store base;
    mr_lease_store *inner;
    _Atomic int64_t fails_at; /* the n-th call from now, counted down; negative: none */
    _Atomic bool fails_after; /* does what it is asked, and then says that it failed */
    _Atomic bool is_away;     /* all calls */
    _Atomic uint64_t count;
};
void fickle_store_init(struct fickle_store *store, mr_lease_store *inner);

struct consumer_world {
    char directory[200];
    mr_engine *engine;
    mr_service *service;
    struct fickle_service fickle;
    mr_lease_store *leases;
    struct mr_consumer_config config; /* of workers to come */

    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint64_t put[WORLD_KEYS];  /* records put */
    uint64_t next[WORLD_KEYS]; /* the stamp that must come next */
    uint64_t came_count, again_count, wrong_count;
    char wrong[200];                               /* the first */
    uint64_t started, stopping, lost, ended, done; /* calls */
    bool is_running[WORLD_SHARDS];                 /* within records() of some worker */
};

struct worker {
    struct consumer_world *world;
    mr_consumer *consumer;
    pthread_t thread;
    mr_status status;
    mr_error error;
    _Atomic bool is_dead; /* neither works nor checkpoints any more, as if it had been killed */
    _Atomic uint32_t checkpoint_every; /* batches; 0: never */
    _Atomic uint32_t hold_shard;       /* records() of this shard waits while it is so */
    struct fickle_store store;         /* over the world's */
    _Atomic uint64_t fenced_count;
    _Atomic bool is_open[WORLD_SHARDS]; /* between started() and done() */
};

void consumer_world_open(struct consumer_world *world, uint32_t shard_count);
void consumer_world_close(struct consumer_world *world);
/* The same for cmocka: a world of 4 shards in *state. */
int consumer_world_set_up(void **state);
int consumer_world_tear_down(void **state);
/* Fails the test, with the reason, unless it went well. */
void consumer_world_must(mr_status status, const mr_error *error);

/* Puts so many records with keys by chance; through a put of the engine. */
void consumer_world_put(struct consumer_world *world, struct mr_random *random, size_t count);
/* Waits until all records have come; fails the test when that takes too long. */
void consumer_world_wait_all(struct consumer_world *world);
/* Fails the test if the auditor saw anything wrong. */
void consumer_world_check(struct consumer_world *world);
/* Waits until *count, guarded by the world's lock, is at least that. */
void consumer_world_wait_for(struct consumer_world *world, const uint64_t *count, uint64_t least);
/* Waits until the stream's lease of a shard is so. */
void consumer_world_wait_lease(struct consumer_world *world, mr_shard_id shard,
                               bool (*is_so)(const mr_lease *lease));

/* A worker with the world's config and an auditing processor. */
struct worker *worker_start(struct consumer_world *world, const char *name);
struct worker *worker_start_at(struct consumer_world *world, const char *name,
                               struct mr_clock *clock);
void worker_stop(struct worker *worker); /* gracefully, and frees it */
/* Nothing of it reaches the store or the auditor from now on; then frees it. */
void worker_kill(struct worker *worker);

#endif
