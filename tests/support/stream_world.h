/*
 * stream_world.h - an engine on a simulated disk and clock, without threads: calls that block do the
 * work themselves, stream_world_work() does what is left. Everything is checked by cmocka's asserts.
 */
#ifndef MR_TESTS_STREAM_WORLD_H
#define MR_TESTS_STREAM_WORLD_H

#include "stream/stream.h"
#include "support/sim_clock.h"
#include "support/sim_disk.h"

struct stream_world {
    struct sim_disk *disk;
    struct sim_clock clock;
    struct mr_engine_config config; /* of the next opening */
    struct mr_engine *engine;       /* NULL: closed */
};

/* A new disk, and an engine on it. */
void stream_world_init(struct stream_world *world);
void stream_world_fini(struct stream_world *world);

/* Fixtures: *state is a struct stream_world, the second's with a stream "s" of one shard. */
int stream_world_set_up(void **state);
int stream_world_set_up_stream(void **state);
int stream_world_tear_down(void **state);

void stream_world_open(struct stream_world *world);
void stream_world_close(struct stream_world *world);
void stream_world_reopen(struct stream_world *world); /* close and open */
/* The power goes, and comes back: what is durable is there again. */
void stream_world_crash(struct stream_world *world);

/* Commits, publishes, flushes, rings, until there is nothing left to do. */
void stream_world_work(struct stream_world *world);
void stream_world_housekeep(struct stream_world *world);

/* One record, which must be taken. */
mr_put_result stream_world_put(struct stream_world *world, const char *stream, const char *key,
                               const char *data);
mr_put_result stream_world_put_at(struct stream_world *world, const char *stream,
                                  mr_hash_key explicit_hash_key, const char *data);

/* Reads a shard from a position to its tip: the records' data with a space behind each; "!" at the
 * end if the shard ended. Valid until the next call. */
const char *stream_world_read(struct stream_world *world, const char *stream, mr_shard_id shard,
                              mr_position from);
#define FROM_START ((mr_position){.start = MR_START_TRIM_HORIZON})

/* The shards as text, in id order, each with a space behind it: "4" or "4<1" or "4<1+2" by its
 * parents, in brackets if it is closed. Valid until the next call. */
const char *stream_world_shards(struct stream_world *world, const char *stream);

/* Copies of shards in id order. */
size_t stream_world_list(struct stream_world *world, const char *stream, mr_shard *shards,
                         size_t max);

#endif
