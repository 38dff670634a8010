/* put.h - what puts keep between submission and answer. */
#ifndef MR_STREAM_PUT_H
#define MR_STREAM_PUT_H

#include "log/log.h"

#include <pthread.h>

/* Memory for puts under way, used again and again. */
struct mr_put_calls {
    pthread_mutex_t lock;
    struct mr_put_call *free_calls, *all_calls;
    struct mr_put_batch *free_batches;
};

void mr_put_calls_init(struct mr_put_calls *calls);
void mr_put_calls_fini(struct mr_put_calls *calls); /* those that a crash (ABANDON) left, too */

#endif
