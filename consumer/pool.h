/*
 * pool.h - threads for calls that may take long: when all are busy and a job has waited, there is one
 * more, up to a maximum; those that find nothing to do for a second end.
 */
#ifndef MR_CONSUMER_POOL_H
#define MR_CONSUMER_POOL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct mr_pool_job {
    void (*run)(struct mr_pool_job *job);
    struct mr_pool_job *next;
};

struct mr_pool;

/* Changes and wakes the word when somebody should look. */
struct mr_pool *mr_pool_new(uint32_t base_count, uint32_t thread_count_max,
                            _Atomic uint32_t *look_word);
/* Runs what is queued, then ends. */
void mr_pool_free(struct mr_pool *pool);

/* Jobs begin in the order in which they were added. */
void mr_pool_add(struct mr_pool *pool, struct mr_pool_job *job);

bool mr_pool_has_waiting(const struct mr_pool *pool);

/* Call this every few milliseconds while it returns true: it adds a thread where none has taken a job
 * since the last call. */
bool mr_pool_look(struct mr_pool *pool);

#endif
