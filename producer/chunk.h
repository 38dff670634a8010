/*
 * chunk.h - the buffer in pieces: records one behind the other as they came.
 */
#ifndef MR_PRODUCER_CHUNK_H
#define MR_PRODUCER_CHUNK_H

#include "millrace.h"

/*
 * A piece of the buffer. Records stand in it one behind the other as they came, and it is free when
 * the last of them has been answered: so nothing is allocated, found or freed for a single record.
 */
struct mr_chunk {
    struct mr_chunk *next;         /* that came later; or free, too */
    struct mr_chunk *next_touched; /* records of it have been answered */
    size_t capacity, size;
    size_t record_count, answered_count;
    size_t taken, taken_count; /* bytes and records that the producer's thread has */
    bool is_touched;
    bool is_ended;  /* takes no more records */
    bool is_own;    /* it was made for its record */
    uint32_t flush; /* the last one before its records were put */
    _Alignas(16) uint8_t bytes[];
};

/* A record accepted and not answered, in a chunk. */
struct mr_pending {
    struct mr_pending *next; /* behind it in its lane */
    struct mr_chunk *chunk;
    void *token;
    uint64_t put_ns;
    mr_hash_key hash_key; /* by which it is routed */
    uint32_t key_bytes, data_bytes;
    uint32_t key_index, explicit_index; /* its keys' places in its aggregate */
    uint32_t attempt_count;             /* before this unit */
    bool has_explicit_hash_key;
    bool is_hashed;  /* hash_key is known */
    uint8_t bytes[]; /* partition key, data */
};

struct mr_queue {
    struct mr_pending *first, *last;
};

/* Records that came in: from `at` to `end` in a chunk. */
struct mr_taken {
    struct mr_chunk *chunk;
    size_t at, end;
};

/* Records answered whose chunks do not know it yet. */
struct mr_given {
    struct mr_chunk *touched;
    size_t count;
};

struct mr_chunk *mr_chunk_new(size_t capacity);
/* Room for a record with so much data; NULL: there is none in this chunk. */
struct mr_pending *mr_chunk_add(struct mr_chunk *chunk, size_t key_bytes, size_t data_bytes);
/* Record by record: the next one. */
struct mr_pending *mr_taken_next(struct mr_taken *taken);
size_t mr_pending_size(size_t key_bytes, size_t data_bytes);
/* One of its records is not there any more. */
static inline void mr_given_add(struct mr_given *given, struct mr_chunk *chunk)
{
    given->count++;
    chunk->answered_count++;
    if (chunk->is_touched)
        return;
    chunk->is_touched = true;
    chunk->next_touched = given->touched;
    given->touched = chunk;
}

static inline mr_bytes mr_pending_key(const struct mr_pending *record)
{
    return (mr_bytes){record->bytes, record->key_bytes};
}

static inline mr_bytes mr_pending_data(const struct mr_pending *record)
{
    return (mr_bytes){record->bytes + record->key_bytes, record->data_bytes};
}

static inline void mr_queue_push(struct mr_queue *queue, struct mr_pending *record)
{
    record->next = NULL;
    if (queue->first)
        queue->last->next = record;
    else
        queue->first = record;
    queue->last = record;
}

static inline void mr_queue_push_front(struct mr_queue *queue, struct mr_pending *record)
{
    record->next = queue->first;
    queue->first = record;
    if (!record->next)
        queue->last = record;
}

static inline struct mr_pending *mr_queue_pop(struct mr_queue *queue)
{
    struct mr_pending *record = queue->first;

    if (record)
        queue->first = record->next;
    return record;
}

#endif
