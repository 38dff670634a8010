#include "stream/route.h"

#include "base/memory.h"

#include <string.h>

void mr_routes_init(struct mr_routes *routes)
{
    pthread_rwlockattr_t attributes;

    routes->by_name = (struct mr_table){0};
    pthread_rwlockattr_init(&attributes);
    /* Puts never stop coming: a reshard must not wait for a moment without any. */
    pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(&routes->lock, &attributes);
    pthread_rwlockattr_destroy(&attributes);
}

static void route_free(struct mr_route *route)
{
    if (!route)
        return;
    mr_free(route->starts);
    mr_free(route->shards);
    mr_free(route);
}

void mr_routes_fini(struct mr_routes *routes)
{
    size_t place = 0;
    struct mr_route *route;

    while ((route = mr_table_next(&routes->by_name, &place)))
        route_free(route);
    mr_table_fini(&routes->by_name);
    pthread_rwlock_destroy(&routes->lock);
}

static mr_bytes key_of(const char *stream)
{
    return (mr_bytes){stream, strlen(stream)};
}

struct mr_route *mr_routes_get(const struct mr_routes *routes, const char *stream)
{
    return mr_table_get(&routes->by_name, key_of(stream));
}

/* A shard that stays keeps what is in its buckets; both routes are in the order of ranges. */
static void keep_buckets(struct mr_route *route, const struct mr_route *old)
{
    for (uint32_t i = 0; i < route->count; i++) {
        size_t index = mr_range_find(old->starts, old->count, route->starts[i]);
        const struct mr_route_shard *before = &old->shards[index];

        if (before->id == route->shards[i].id) {
            route->shards[i].bytes.full_at_ns = before->bytes.full_at_ns;
            route->shards[i].records.full_at_ns = before->records.full_at_ns;
        }
    }
}

void mr_routes_set(struct mr_routes *routes, const char *stream, uint64_t key_id,
                   struct mr_shard_state *const *open, size_t open_count)
{
    struct mr_route *route = mr_new(struct mr_route), *old = mr_routes_get(routes, stream);

    memcpy(route->name, stream, strlen(stream) + 1);
    route->key_id = key_id;
    route->count = (uint32_t)open_count;
    route->starts = mr_alloc(open_count * sizeof *route->starts);
    route->shards = mr_alloc_zero(open_count, sizeof *route->shards);
    for (size_t i = 0; i < open_count; i++) {
        route->starts[i] = open[i]->range.first;
        route->shards[i].log = open[i]->log;
        route->shards[i].id = open[i]->id;
        route->shards[i].created_s = open[i]->created_s;
    }
    if (old)
        keep_buckets(route, old);
    mr_table_put(&routes->by_name, key_of(route->name), route);
    route_free(old);
}

void mr_routes_remove(struct mr_routes *routes, const char *stream)
{
    route_free(mr_table_remove(&routes->by_name, key_of(stream)));
}
