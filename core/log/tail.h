/*
 * tail.h - a log's newest records, in memory: what readers near the tip see and segments are made of.
 *
 * A tail is a list of chunks, oldest first. Runs are appended to the last one; what has been appended
 * is never changed or moved, so a reader that holds a chunk reads it without a lock. Consecutive
 * chunks make up a block (a chunk says whether it begins one), so that flushing only compresses.
 *
 *     [flushed, kept as a cache] ... [flushed] | [pending block] [pending block] [block in progress]
 *     first                                    pending                                         last
 *
 *     T1  Every published record is in a chunk or in a segment, or in both; never in neither.
 *     T2  Chunks are flushed in order and dropped in order.
 */
#ifndef MR_LOG_TAIL_H
#define MR_LOG_TAIL_H

#include "log/block.h"
#include "log/log.h"
#include "os/thread.h"

struct mr_store;

/* A group's place, and what it must follow. */
struct mr_lsn {
    uint64_t at, previous_hash;
};

struct mr_chunk {
    struct mr_chunk *next, *previous;             /* in the tail */
    struct mr_chunk *cache_next, *cache_previous; /* in the cache's order of flushing */
    struct mr_tail *tail;
    _Atomic uint32_t reference_count;
    uint32_t capacity, used; /* used grows under the tail's lock */
    uint32_t record_count, record_bytes;
    bool begins_block, is_flushed, is_encrypted;
    struct mr_run_base base; /* what the first run counts from */
    uint64_t first_number, last_number;
    int64_t first_ms, last_ms;
    struct mr_lsn lsn; /* of the first run's group: the journal keeps it until this is flushed */
    uint8_t bytes[];
};

/* Where a block of this log is in the segment that is being written. */
struct mr_block_place {
    uint32_t segment;
    uint64_t offset;
    struct mr_block block;
};

struct mr_tail {
    pthread_mutex_t lock; /* of all below but what is said otherwise */
    _Atomic uint32_t reference_count;
    mr_log_id id;
    struct mr_store *store; /* of the stream; constant */

    struct mr_chunk *first, *pending, *last;
    _Atomic uint64_t pending_lsn; /* pending's, UINT64_MAX if none: may be read without the lock */
    uint32_t block_bytes;    /* appended to the block in progress; 0: the next run begins one */
    uint32_t complete_count; /* blocks before the one in progress that are not flushed */
    uint32_t taken_count;    /* of those, the oldest, which are being flushed */
    struct mr_chunk *taken;  /* the last chunk of theirs */
    struct mr_run_base end;  /* behind the newest run */
    struct mr_log_figures figures;
    uint64_t tip_number;     /* of the newest record published; 0 if none */
    uint64_t dropped_number; /* of the newest record that is in segments only; 0 if none */
    bool is_dropped;

    /* What the segments hold, for the checkpoint. */
    uint64_t flushed_number;
    struct mr_log_figures flushed_figures;

    /* Blocks in the active segment. Changed by the flusher under this lock. */
    struct mr_block_place *places;
    uint32_t place_count, place_capacity;

    struct mr_log_watcher *watchers; /* lock: the log's bell, as is rung_next */
    struct mr_tail *rung_next;
    bool is_rung;
    _Atomic bool is_watched; /* may be true a little longer than it is */

    struct mr_tail *ready_next; /* in store->ready; lock: the log's ready_lock */
    bool is_ready;
};

void mr_store_release(struct mr_store *store); /* log.c */

/* Takes over a reference of store. */
struct mr_tail *mr_tail_new(mr_log_id id, struct mr_store *store);
struct mr_tail *mr_tail_hold(struct mr_tail *tail);
void mr_tail_release(struct mr_tail *tail); /* NULL is allowed */

struct mr_chunk *mr_chunk_hold(struct mr_chunk *chunk);
void mr_chunk_release(struct mr_chunk *chunk); /* NULL is allowed */

/* What an append did, for the accounts. */
struct mr_tail_growth {
    size_t allocated_bytes;
    bool completed_block;
};

/* Appends a run, with the lock held. */
void mr_tail_append(struct mr_tail *tail, const struct mr_run *run, uint32_t record_bytes,
                    struct mr_lsn lsn, struct mr_tail_growth *growth);

/* The chunks before this one are flushed; NULL: all. Lock held. */
void mr_tail_set_pending(struct mr_tail *tail, struct mr_chunk *chunk);

/* Ends the block in progress so that it can be flushed; false: there is none. Lock held. */
bool mr_tail_complete(struct mr_tail *tail);

/* The chunk that holds the first record with a number >= number, or NULL. Lock held; the number
 * must be above dropped_number. */
struct mr_chunk *mr_tail_find(struct mr_tail *tail, uint64_t number);
/* The same by time. */
struct mr_chunk *mr_tail_find_time(struct mr_tail *tail, int64_t time_ms);

/* Unlinks the first chunk, which must be flushed; its reference is the caller's. Lock held. */
struct mr_chunk *mr_tail_drop_first(struct mr_tail *tail);

#endif
