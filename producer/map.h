/*
 * map.h - the open shards of the stream, and which of them has a key.
 */
#ifndef MR_PRODUCER_MAP_H
#define MR_PRODUCER_MAP_H

#include "base/limit.h"
#include "service/service.h"
#include "unit.h"

/* An open shard of the stream. */
struct mr_producer_shard {
    mr_shard_id id;
    mr_hash_key first, last;
    struct mr_unit *open;   /* being filled */
    struct mr_units queued; /* for the limit */
    struct mr_producer_shard *next_queued;
    bool is_queued, is_kept; /* is_kept: in the next map, too */
    struct mr_bucket bytes, records;
};

/* A call that asks for shards; one at a time. */
struct mr_route_call {
    struct mr_call call;
    struct mr_arena arena;
    _Atomic bool is_answered;
    bool is_under_way;
};

struct mr_route_map {
    struct mr_producer_shard **shards; /* by their ranges, which cover the hash space */
    mr_hash_key *starts;
    size_t count;
    uint64_t asked_ns; /* when this map was asked for */

    struct mr_producer_shard **found; /* the next map, page by page */
    size_t found_count, found_capacity;
    uint64_t found_asked_ns;
    struct mr_route_call call;
    bool is_wanted;
    uint64_t wanted_from_ns; /* do not ask before */
    bool is_needed;          /* anything depends on a record's shard: else all units are loose */
};

mr_status mr_map_open(struct mr_producer *producer, mr_error *error);
void mr_map_fini(struct mr_producer *producer);
void mr_map_refresh(struct mr_producer *producer); /* it is out of date */
void mr_map_update(struct mr_producer *producer);  /* asks for the next, or takes it */
/* The shard that has the key, as of the last map. */
struct mr_producer_shard *mr_map_find(const struct mr_producer *producer, mr_hash_key key);

#endif
