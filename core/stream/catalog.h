/*
 * catalog.h - what streams and shards exist: a state machine over the journal's entries (entry.h).
 *
 * The state changes only in mr_catalog_apply(), when an entry is durable: what is seen here is
 * never taken back (L3). Every checkpoint holds a snapshot of it.
 *
 * Threads     restore() and apply() alone change anything, called by one thread at a time. Others
 *             look while holding `lock` for reading, and keep a stream or a shard for longer by
 *             taking it. Nobody calls core/log while holding the lock.
 */
#ifndef MR_STREAM_CATALOG_H
#define MR_STREAM_CATALOG_H

#include "base/limit.h"
#include "log/log.h"
#include "millrace.h"
#include "stream/entry.h"
#include "stream/property.h"
#include "stream/range.h"

#include <pthread.h>
#include <stdatomic.h>

#define MR_SECOND_MAX UINT32_C(0xf0000000) /* 2097, with room above it for chains of reshards */
#define MR_PROPERTIES_BYTES_MAX ((uint64_t)256 << 20) /* names and values of the whole engine */

struct mr_shard_state {
    mr_shard_id id, parent, adjacent_parent; /* MR_NO_SHARD: born without */
    mr_shard_id first_child;                 /* 0: none; that of a split has the next id, too */
    mr_log_id log;
    struct mr_range range;
    uint32_t created_s; /* in its sequences: above the second in which its parents were closed */
    int64_t created_ms, closed_ms;
    uint64_t opened_number, closed_number; /* of the entries; closed_number is 0 while open */

    _Atomic bool is_closed;    /* set before its watchers are rung */
    _Atomic bool is_forgotten; /* set before its log is dropped */
    _Atomic uint32_t references;
    struct mr_bucket read_bytes, read_calls;
};

struct mr_stream {
    uint32_t id;
    char name[MR_NAME_BYTES_MAX + 1];
    int64_t created_ms;
    mr_shard_id next_shard;
    struct mr_shard_state **shards; /* in id order */
    size_t shard_count, shard_capacity;
    struct mr_shard_state **open; /* in the order of their ranges, which cover the space (S1) */
    size_t open_count;
    struct mr_properties properties;
    uint64_t key_id; /* of the master key for what is put now; 0: it is not encrypted */

    _Atomic uint32_t retention_hours;
    _Atomic int64_t trimmed_before_ms; /* what was hidden once stays hidden */
    _Atomic bool is_deleted;           /* set before its logs are dropped */
    _Atomic uint32_t references;
};

struct mr_catalog {
    pthread_rwlock_t lock;
    uint32_t next_stream;
    mr_log_id next_log;
    struct mr_stream **by_name, **by_id;
    size_t stream_count, stream_capacity;
    uint64_t shard_count, open_shard_count;
    struct mr_properties properties; /* the engine's */
    uint64_t property_bytes;         /* names and values of all */
};

void mr_catalog_init(struct mr_catalog *catalog);
void mr_catalog_fini(struct mr_catalog *catalog);

/* ---- looking: hold the lock --------------------------------------------------------------- */

size_t mr_catalog_at(const struct mr_catalog *catalog, const char *name); /* first not below */
struct mr_stream *mr_catalog_find(const struct mr_catalog *catalog, const char *name); /* or NULL */
struct mr_stream *mr_catalog_find_id(const struct mr_catalog *catalog, uint32_t stream);
size_t mr_stream_at(const struct mr_stream *stream, mr_shard_id shard); /* first not below */
struct mr_shard_state *mr_stream_find(const struct mr_stream *stream, mr_shard_id shard);
struct mr_shard_state *mr_stream_where(const struct mr_stream *stream, mr_hash_key key); /* open */

/* ---- holding what was found --------------------------------------------------------------- */

struct mr_stream *mr_stream_take(struct mr_stream *stream);
void mr_stream_give(struct mr_stream *stream); /* NULL is allowed */
struct mr_shard_state *mr_shard_take(struct mr_shard_state *shard);
void mr_shard_give(struct mr_shard_state *shard); /* NULL is allowed */

/* Records that arrived before this moment are hidden. */
int64_t mr_stream_horizon_ms(const struct mr_stream *stream, int64_t now_ms);

/* The second that the sequences of a shard show for what arrived at at_ms. */
uint32_t mr_shard_second(uint32_t created_s, int64_t at_ms);

/* ---- changing ----------------------------------------------------------------------------- */

/* As in struct mr_log_owner. log may be NULL: then only the state changes. */
mr_status mr_catalog_restore(struct mr_catalog *catalog, struct mr_log *log, mr_bytes bytes,
                             mr_error *error);
mr_status mr_catalog_apply(struct mr_catalog *catalog, struct mr_log *log, mr_bytes bytes,
                           uint64_t number, int64_t at_ms, struct mr_log_append *append,
                           mr_error *error);
void mr_catalog_snapshot(struct mr_catalog *catalog, struct mr_pack *pack);

/* For the above. Adds a stream that is whole, and its logs; takes it over. */
void mr_catalog_adopt(struct mr_catalog *catalog, struct mr_log *log, struct mr_stream *stream);

#endif
