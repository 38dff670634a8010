/*
 * fetch.h - records of one shard as they come from a source: the engine in this process (read.c),
 * GetRecords (poll.c), SubscribeToShard (subscribe.c). And what is made of them (unpack.c).
 */
#ifndef MR_CONSUMER_FETCH_H
#define MR_CONSUMER_FETCH_H

#include "mark.h"
#include "service/service.h"
#include "wire/aggregate.h"

struct mr_consumer;

enum mr_fetch_state {
    MR_FETCH_RECORDS, /* maybe none, of a read that found none */
    MR_FETCH_WAIT,    /* nothing now: ready() will be called, or the moment due_ns comes */
    MR_FETCH_END,     /* the shard is closed and read, or there is no such shard any more */
    MR_FETCH_FAILED,  /* error says why; ask again later */
};

/* Valid until the next call. */
struct mr_fetched {
    const mr_record *records;          /* of an engine, or NULL */
    const struct mr_api_record *shown; /* of the API, or NULL */
    size_t count;
    int64_t behind_ms;
    uint64_t due_ns; /* of WAIT: UINT64_MAX if only ready() counts */
};

struct mr_fetch {
    enum mr_fetch_state (*next)(struct mr_fetch *fetch, struct mr_fetched *fetched,
                                mr_error *error);
    void (*due)(struct mr_fetch *fetch); /* due_ns has come; NULL: then next() is called */
    void (*close)(struct mr_fetch *fetch);
};

/* Where and for whom. */
struct mr_fetch_from {
    struct mr_consumer *consumer;
    mr_shard_id shard;
    mr_mark after;                /* a checkpoint: the first records that come may be up to it */
    int64_t began_ms;             /* of AT_TIME, and of a LATEST that somebody has begun before */
    void (*ready)(void *context); /* from any thread, not after close() */
    void *context;
};

mr_status mr_fetch_read(struct mr_fetch **fetch, const struct mr_fetch_from *from, mr_error *error);
mr_status mr_fetch_poll(struct mr_fetch **fetch, const struct mr_fetch_from *from, mr_error *error);
mr_status mr_fetch_subscribe(struct mr_fetch **fetch, const struct mr_fetch_from *from,
                             mr_error *error);

/* A place as the API names it, in the arena; `is_exact`: the place has been delivered. */
struct mr_api_starting_position mr_fetch_position(struct mr_arena *arena, const mr_mark *after,
                                                  int64_t began_ms, bool is_exact);

/* ---- what is made of them ------------------------------------------------------------------ */

/* Start from {0}. */
struct mr_unpack {
    mr_consumer_record *records;
    size_t count, capacity;
    struct mr_aggregate_reader aggregate;
    mr_hash_key *hash_keys; /* of an aggregate's records */
    size_t hash_key_capacity;
    uint64_t bytes;                  /* of the records */
    uint64_t dropped;                /* user records */
    bool is_wrong;                   /* a record had no sequence number */
    bool keeps_strays;               /* of all calls: see config */
    mr_hash_key first_key, last_key; /* of the shard; the same */
};
void mr_unpack_fini(struct mr_unpack *unpack);

/* Makes user records of what was fetched, without those up to `after`. */
void mr_unpack(struct mr_unpack *unpack, const struct mr_fetched *fetched, const mr_mark *after);

#endif
