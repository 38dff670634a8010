/* worker.h - threads that do what would block others. */
#ifndef MR_OS_WORKER_H
#define MR_OS_WORKER_H

#include <stdint.h>

/* Embedded in what it works on. */
struct mr_job {
    void (*run)(struct mr_job *job); /* the job may be freed or added again in it */
    struct mr_job *next;
};

struct mr_workers;

struct mr_workers *mr_workers_new(const char *name, uint32_t thread_count);
/* Runs what is queued, then stops. NULL is allowed. */
void mr_workers_free(struct mr_workers *workers);

/* Jobs begin in the order in which they were added. */
void mr_workers_add(struct mr_workers *workers, struct mr_job *job);

#endif
