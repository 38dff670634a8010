/* chunk.c - records one behind the other in a piece of the buffer. */
#include "base/memory.h"
#include "stage.h"

#define LINE_BYTES 64
#define LINES_AHEAD 3 /* of a small record */
#define AHEAD_BYTES (16 * LINE_BYTES)

struct mr_chunk *mr_chunk_new(size_t capacity)
{
    struct mr_chunk *chunk = mr_alloc(sizeof *chunk + capacity);

    *chunk = (struct mr_chunk){.capacity = capacity};
    return chunk;
}

size_t mr_pending_size(size_t key_bytes, size_t data_bytes)
{
    const size_t align = _Alignof(struct mr_pending);

    return (offsetof(struct mr_pending, bytes) + key_bytes + data_bytes + align - 1) & ~(align - 1);
}

struct mr_pending *mr_chunk_add(struct mr_chunk *chunk, size_t key_bytes, size_t data_bytes)
{
    struct mr_pending *record = (struct mr_pending *)(void *)(chunk->bytes + chunk->size);
    size_t bytes = mr_pending_size(key_bytes, data_bytes);

    if (chunk->is_ended || bytes > chunk->capacity - chunk->size)
        return NULL;
    record->chunk = chunk;
    record->key_bytes = (uint32_t)key_bytes;
    record->data_bytes = (uint32_t)data_bytes;
    record->attempt_count = 0;
    chunk->size += bytes;
    chunk->record_count++;
    return record;
}

struct mr_pending *mr_taken_next(struct mr_taken *taken)
{
    struct mr_pending *record = (struct mr_pending *)(void *)(taken->chunk->bytes + taken->at);

    if (taken->at == taken->end)
        return NULL;
    for (unsigned i = 0; i < LINES_AHEAD; i++) /* another processor wrote them */
        __builtin_prefetch((const char *)record + AHEAD_BYTES + i * LINE_BYTES, 1);
    taken->at += mr_pending_size(record->key_bytes, record->data_bytes);
    return record;
}
