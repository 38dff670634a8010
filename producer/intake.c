/*
 * intake.c - where records come in: the buffer and its bound.
 *
 * put.c copies records into chunks, one behind the other, under one short lock. The producer's thread
 * takes what has come chunk by chunk, and says of all that it has answered at once.
 */
#include "base/memory.h"
#include "stage.h"

#include <string.h>

#define CHUNK_BYTES ((size_t)64 << 10)
#define CHUNKS_LEAST 4 /* in a small buffer */

/* ---- chunks --------------------------------------------------------------------------------- */

void mr_intake_init(struct mr_intake *intake, size_t bytes_max)
{
    *intake = (struct mr_intake){.bytes_max = bytes_max,
                                 .chunk_bytes = bytes_max / CHUNKS_LEAST,
                                 .wakes_at = 1,
                                 .flush_count = 1,
                                 .flush_capacity = 8};
    if (intake->chunk_bytes > CHUNK_BYTES)
        intake->chunk_bytes = CHUNK_BYTES;
    pthread_mutex_init(&intake->lock, NULL);
    mr_condition_init(&intake->changed);
    intake->unanswered = mr_alloc_zero(intake->flush_capacity, sizeof *intake->unanswered);
}

void mr_intake_fini(struct mr_intake *intake)
{
    for (struct mr_chunk *chunk; (chunk = intake->free);) {
        intake->free = chunk->next;
        mr_free(chunk);
    }
    mr_free(intake->unanswered);
    pthread_cond_destroy(&intake->changed);
    pthread_mutex_destroy(&intake->lock);
}

void mr_intake_end_chunk(struct mr_intake *intake)
{
    struct mr_chunk *last = intake->last;

    if (!last)
        return;
    last->is_ended = true;
    if (last->taken == last->size) /* then it is the first, too */
        intake->first = intake->last = NULL;
}

/* Its bytes are used, whether records are in them or not, and its flush waits for it. */
static void use(struct mr_intake *intake, struct mr_chunk *chunk, uint32_t flush)
{
    intake->pending_bytes += chunk->capacity;
    chunk->flush = flush;
    intake->unanswered[flush - intake->flush_first]++;
}

void mr_intake_append(struct mr_intake *intake, struct mr_chunk *chunk)
{
    mr_intake_end_chunk(intake);
    use(intake, chunk, mr_intake_next_flush(intake));
    if (intake->last)
        intake->last->next = chunk;
    else
        intake->first = chunk;
    intake->last = chunk;
}

struct mr_chunk *mr_intake_take_free(struct mr_intake *intake)
{
    struct mr_chunk *chunk = intake->free;

    if (!chunk)
        return mr_chunk_new(intake->chunk_bytes);
    intake->free = chunk->next;
    intake->free_bytes -= chunk->capacity;
    *chunk = (struct mr_chunk){.capacity = chunk->capacity};
    return chunk;
}

/* All of its records are answered. Free chunks and those in use are no more than the buffer. */
static void retire(struct mr_intake *intake, struct mr_chunk *chunk)
{
    if (chunk == intake->last)
        intake->first = intake->last = NULL;
    intake->pending_bytes -= chunk->capacity;
    intake->unanswered[chunk->flush - intake->flush_first]--;
    if (chunk->is_own ||
        intake->pending_bytes + intake->free_bytes + chunk->capacity > intake->bytes_max) {
        mr_free(chunk);
        return;
    }
    chunk->next = intake->free;
    intake->free = chunk;
    intake->free_bytes += chunk->capacity;
}

/* ---- out ------------------------------------------------------------------------------------ */

bool mr_intake_has(struct mr_intake *intake, size_t count)
{
    bool has;

    pthread_mutex_lock(&intake->lock);
    intake->wakes_at = count;
    has = intake->came_count >= count;
    pthread_mutex_unlock(&intake->lock);
    return has;
}

bool mr_intake_is_urgent(struct mr_intake *intake)
{
    bool is_urgent;

    pthread_mutex_lock(&intake->lock);
    is_urgent = intake->urgent_count > 0;
    pthread_mutex_unlock(&intake->lock);
    return is_urgent;
}

bool mr_intake_take(struct mr_intake *intake, struct mr_taken *taken)
{
    struct mr_chunk *chunk;

    pthread_mutex_lock(&intake->lock);
    chunk = intake->first;
    if (chunk) {
        *taken = (struct mr_taken){chunk, chunk->taken, chunk->size};
        chunk->taken = chunk->size;
        intake->came_count -= chunk->record_count - chunk->taken_count;
        chunk->taken_count = chunk->record_count;
        if (chunk != intake->last)
            intake->first = chunk->next;
        else if (chunk->is_ended)
            intake->first = intake->last = NULL;
    }
    pthread_mutex_unlock(&intake->lock);
    return chunk && taken->at < taken->end;
}

/* Flushes whose records are all answered are over; true: some are. */
static bool end_flushes(struct mr_intake *intake)
{
    size_t over = 0;

    while (over < intake->flush_count - 1 && intake->unanswered[over] == 0)
        over++;
    if (over == 0)
        return false;
    intake->flush_count -= over;
    intake->flush_first += (uint32_t)over;
    memmove(intake->unanswered, intake->unanswered + over,
            intake->flush_count * sizeof *intake->unanswered);
    return true;
}

void mr_intake_give(struct mr_intake *intake, struct mr_given *given)
{
    struct mr_chunk *chunk;
    bool goes_on; /* who waits */

    if (!given->touched)
        return;
    pthread_mutex_lock(&intake->lock);
    intake->pending_count -= given->count;
    while ((chunk = given->touched)) {
        given->touched = chunk->next_touched;
        chunk->is_touched = false;
        if (chunk->answered_count == chunk->record_count)
            retire(intake, chunk);
    }
    given->count = 0;
    goes_on = end_flushes(intake) || intake->pending_bytes <= mr_intake_room_at(intake);
    if (goes_on && intake->waiter_count > 0)
        pthread_cond_broadcast(&intake->changed);
    pthread_mutex_unlock(&intake->lock);
}

void mr_intake_move(struct mr_intake *intake, struct mr_pending **records, size_t count,
                    struct mr_given *given)
{
    for (size_t i = 0; i < count; i++) {
        struct mr_pending *record = records[i], *copy;
        size_t bytes = mr_pending_size(record->key_bytes, record->data_bytes);
        struct mr_chunk *from = record->chunk, *chunk;

        if (from->is_own)
            continue;
        chunk = mr_chunk_new(bytes);
        chunk->is_own = true;
        copy = mr_chunk_add(chunk, record->key_bytes, record->data_bytes);
        memcpy(copy, record, bytes);
        copy->chunk = chunk;
        records[i] = copy;
        pthread_mutex_lock(&intake->lock);
        use(intake, chunk, from->flush);
        intake->pending_count++; /* for the one that is given back */
        pthread_mutex_unlock(&intake->lock);
        mr_given_add(given, from);
    }
}
