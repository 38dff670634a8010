/*
 * route.h - which log takes a record put now.
 *
 * Routes run ahead of the catalog: a reshard changes them at the moment its entry gets its place in
 * the order of everything, not when it is durable, so that no record behind it goes to a parent
 * (S2). A put holds `lock` for reading from looking up its route until its records have their
 * places; a change holds it for writing while its entry gets one and the route is replaced.
 */
#ifndef MR_STREAM_ROUTE_H
#define MR_STREAM_ROUTE_H

#include "base/limit.h"
#include "base/table.h"
#include "stream/catalog.h"

struct mr_route_shard {
    mr_log_id log;
    mr_shard_id id;
    uint32_t created_s;
    struct mr_bucket bytes, records;
};

struct mr_route {
    char name[MR_NAME_BYTES_MAX + 1];
    uint64_t key_id; /* the stream's */
    uint32_t count;
    mr_hash_key *starts; /* in order; starts[0] is 0 */
    struct mr_route_shard *shards;
};

struct mr_routes {
    pthread_rwlock_t lock;
    struct mr_table by_name; /* of struct mr_route */
};

void mr_routes_init(struct mr_routes *routes);
void mr_routes_fini(struct mr_routes *routes);

/* Hold the lock: for reading / for writing. */
struct mr_route *mr_routes_get(const struct mr_routes *routes, const char *stream); /* or NULL */
void mr_routes_set(struct mr_routes *routes, const char *stream, uint64_t key_id,
                   struct mr_shard_state *const *open, size_t open_count);
void mr_routes_remove(struct mr_routes *routes, const char *stream);

#endif
