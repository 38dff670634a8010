#include "log/tail.h"

#include "base/check.h"
#include "base/memory.h"

#define CHUNK_BYTES_MIN (2u << 10)

struct mr_tail *mr_tail_new(mr_log_id id, struct mr_store *store)
{
    struct mr_tail *tail = mr_new(struct mr_tail);

    pthread_mutex_init(&tail->lock, NULL);
    tail->reference_count = 1;
    tail->id = id;
    tail->store = store;
    tail->pending_lsn = UINT64_MAX;
    return tail;
}

struct mr_tail *mr_tail_hold(struct mr_tail *tail)
{
    atomic_fetch_add(&tail->reference_count, 1);
    return tail;
}

void mr_tail_release(struct mr_tail *tail)
{
    if (!tail || atomic_fetch_sub(&tail->reference_count, 1) > 1)
        return;
    for (struct mr_chunk *chunk = tail->first, *next; chunk; chunk = next) {
        next = chunk->next;
        mr_chunk_release(chunk);
    }
    mr_store_release(tail->store);
    mr_free(tail->places);
    pthread_mutex_destroy(&tail->lock);
    mr_free(tail);
}

struct mr_chunk *mr_chunk_hold(struct mr_chunk *chunk)
{
    atomic_fetch_add(&chunk->reference_count, 1);
    return chunk;
}

void mr_chunk_release(struct mr_chunk *chunk)
{
    if (chunk && atomic_fetch_sub(&chunk->reference_count, 1) == 1)
        mr_free(chunk);
}

/* Small first, then as much again as the block holds: idle shards cost little, busy ones fill blocks
 * with a few chunks. */
static struct mr_chunk *add_chunk(struct mr_tail *tail, size_t needed)
{
    size_t capacity = tail->block_bytes;
    struct mr_chunk *chunk;

    if (capacity > BLOCK_RAW_BYTES_GOOD - tail->block_bytes)
        capacity = BLOCK_RAW_BYTES_GOOD - tail->block_bytes;
    if (capacity < CHUNK_BYTES_MIN)
        capacity = CHUNK_BYTES_MIN;
    /* In a log that has just filled a whole block the next one will fill, too. */
    if (tail->block_bytes == 0 && tail->last && !tail->last->is_flushed)
        capacity = BLOCK_RAW_BYTES_GOOD / 4;
    if (capacity < needed)
        capacity = needed;

    chunk = mr_alloc(sizeof *chunk + capacity);
    *chunk = (struct mr_chunk){
        .tail = tail,
        .reference_count = 1,
        .capacity = (uint32_t)capacity,
        .previous = tail->last,
    };
    if (tail->last)
        tail->last->next = chunk;
    else
        tail->first = chunk;
    tail->last = chunk;
    return chunk;
}

void mr_tail_append(struct mr_tail *tail, const struct mr_run *run, uint32_t record_bytes,
                    struct mr_lsn lsn, struct mr_tail_growth *growth)
{
    size_t needed = RUN_HEADER_BYTES_MAX + run->frames.size;
    uint64_t last_number = run->first_number + run->record_count - 1;
    struct mr_chunk *chunk = tail->last;
    uint8_t *out;

    *growth = (struct mr_tail_growth){0};
    /* A block's times are kept as 32-bit differences; it is encrypted as a whole. */
    if (tail->block_bytes > 0 &&
        (tail->block_bytes + needed > BLOCK_RAW_BYTES_GOOD ||
         run->at_ms - tail->end.at_ms > INT32_MAX / 2 || run->is_encrypted != chunk->is_encrypted))
        growth->completed_block = mr_tail_complete(tail);
    if (tail->block_bytes == 0 || chunk->capacity - chunk->used < needed) {
        chunk = add_chunk(tail, needed);
        growth->allocated_bytes = sizeof *chunk + chunk->capacity;
        chunk->begins_block = tail->block_bytes == 0;
        if (chunk->begins_block)
            tail->end = (struct mr_run_base){run->first_number, run->at_ms};
        chunk->base = tail->end;
        chunk->is_encrypted = run->is_encrypted;
        chunk->first_number = run->first_number;
        chunk->first_ms = run->at_ms;
        chunk->lsn = lsn;
        if (!tail->pending)
            mr_tail_set_pending(tail, chunk);
    }

    out = mr_run_write_header(chunk->bytes + chunk->used, &tail->end, run);
    memcpy(out, run->frames.data, run->frames.size);
    out += run->frames.size;
    tail->block_bytes += (uint32_t)(out - chunk->bytes) - chunk->used;
    chunk->used = (uint32_t)(out - chunk->bytes);
    chunk->record_count += (uint32_t)run->record_count;
    chunk->record_bytes += record_bytes;
    chunk->last_number = tail->tip_number = last_number;
    chunk->last_ms = run->at_ms;
    tail->figures.record_count += run->record_count;
    tail->figures.record_bytes += record_bytes;
    tail->figures.newest_ms = run->at_ms;
}

void mr_tail_set_pending(struct mr_tail *tail, struct mr_chunk *chunk)
{
    tail->pending = chunk;
    atomic_store(&tail->pending_lsn, chunk ? chunk->lsn.at : UINT64_MAX);
}

bool mr_tail_complete(struct mr_tail *tail)
{
    if (tail->block_bytes == 0)
        return false;
    tail->block_bytes = 0;
    tail->complete_count++;
    return true;
}

struct mr_chunk *mr_tail_find(struct mr_tail *tail, uint64_t number)
{
    struct mr_chunk *chunk = tail->last;

    /* From the back: most readers are near the tip. */
    if (!chunk || chunk->last_number < number)
        return NULL;
    while (chunk->previous && chunk->previous->last_number >= number)
        chunk = chunk->previous;
    return chunk;
}

struct mr_chunk *mr_tail_find_time(struct mr_tail *tail, int64_t time_ms)
{
    struct mr_chunk *chunk = tail->last;

    if (!chunk || chunk->last_ms < time_ms)
        return NULL;
    while (chunk->previous && chunk->previous->last_ms >= time_ms)
        chunk = chunk->previous;
    return chunk;
}

struct mr_chunk *mr_tail_drop_first(struct mr_tail *tail)
{
    struct mr_chunk *chunk = tail->first;

    mr_check(chunk && chunk->is_flushed && chunk != tail->pending);
    tail->first = chunk->next;
    if (chunk->next)
        chunk->next->previous = NULL;
    else
        tail->last = NULL;
    tail->dropped_number = chunk->last_number;
    /* next stays: the flusher may still walk along the chunks that it holds. */
    return chunk;
}
