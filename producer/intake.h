/*
 * intake.h - where records come in, and who waits for answers: the part that all threads share.
 */
#ifndef MR_PRODUCER_INTAKE_H
#define MR_PRODUCER_INTAKE_H

#include "chunk.h"
#include "os/thread.h"

/* Where records come in and answers let others wait no longer: shared by all threads. */
struct mr_intake {
    pthread_mutex_t lock;
    pthread_cond_t changed;        /* records were answered */
    struct mr_chunk *first, *last; /* that may have records to take; the last is being filled */
    struct mr_chunk *free;
    size_t chunk_bytes, free_bytes;
    size_t bytes_max;     /* P3 */
    size_t wakes_at;      /* so many records wake the thread */
    size_t came_count;    /* records not taken yet */
    size_t pending_count; /* records without answer */
    size_t pending_bytes; /* of the chunks that have one */
    bool is_closed;

    /* Flushes are numbered. How many chunks begun before flush i have a record without answer stands
     * at index i - flush_first; those are the flushes that are not over. */
    uint64_t *unanswered;
    size_t flush_count, flush_capacity;
    uint32_t flush_first;
    uint32_t urgent_count; /* who wants all sent without linger */
    uint32_t waiter_count;

    uint64_t put_count, put_bytes, refused_count;
};

void mr_intake_init(struct mr_intake *intake, size_t bytes_max);
void mr_intake_fini(struct mr_intake *intake);
/* What has come, of one chunk; false: nothing. */
bool mr_intake_take(struct mr_intake *intake, struct mr_taken *taken);
/* So many are there; if not, the thread is woken when they are. */
bool mr_intake_has(struct mr_intake *intake, size_t count);
bool mr_intake_is_urgent(struct mr_intake *intake);
/* These are answered: chunks get free, and who waits for that goes on. */
void mr_intake_give(struct mr_intake *intake, struct mr_given *given);
/* The next chunk to be filled; an empty one. Hold the lock. */
void mr_intake_append(struct mr_intake *intake, struct mr_chunk *chunk);
struct mr_chunk *mr_intake_take_free(struct mr_intake *intake);
/* The next record begins a chunk. Hold the lock. */
void mr_intake_end_chunk(struct mr_intake *intake);
/* Moves records that will stay for long out of chunks that others could leave, and tells where to. */
void mr_intake_move(struct mr_intake *intake, struct mr_pending **records, size_t count,
                    struct mr_given *given);

/* What a record put now belongs to. */
static inline uint32_t mr_intake_next_flush(const struct mr_intake *intake)
{
    return intake->flush_first + (uint32_t)(intake->flush_count - 1);
}

/* Who waits for room waits until so little is left. */
static inline size_t mr_intake_room_at(const struct mr_intake *intake)
{
    return intake->bytes_max / 2;
}

#endif
