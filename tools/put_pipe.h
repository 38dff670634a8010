/*
 * put_pipe.h - batches on their way: one thread fills and submits them, another takes their
 * acknowledgements, in the order of submission.
 */
#ifndef MR_TOOLS_PUT_PIPE_H
#define MR_TOOLS_PUT_PIPE_H

#include "command.h"

#include <pthread.h>

#define MR_PUT_BATCH_RECORDS 500
#define MR_PUT_BATCH_BYTES ((size_t)1 << 20)
#define MR_PUT_BATCHES 32 /* under way at most */

struct mr_put_batch {
    mr_put puts[MR_PUT_BATCH_RECORDS];
    mr_hash_key hash_keys[MR_PUT_BATCH_RECORDS];
    uint64_t lines[MR_PUT_BATCH_RECORDS]; /* where they stood */
    mr_put_result results[MR_PUT_BATCH_RECORDS];
    size_t count, bytes;
    uint64_t input_bytes; /* read up to its end */
    uint8_t *scratch, *scratch_at;
    size_t scratch_capacity;
    mr_status status;
    mr_error error; /* when the submission itself failed */
    bool done;
    struct mr_put_pipe *pipe;
};

struct mr_put_pipe {
    mr_engine *engine;   /* where to: this, */
    mr_service *service; /* or this, */
    bool once;           /* whose throttled records are not tried again */
    const char *stream;
    /* Called by the second thread for each batch that is done. */
    void (*acknowledge)(void *context, const struct mr_put_batch *batch);
    void *context;

    pthread_mutex_t lock; /* of the counts and of the batches' done */
    pthread_cond_t changed;
    uint64_t submitted_count, acknowledged_count;
    bool ending;
    pthread_t thread;
    struct mr_put_batch batches[MR_PUT_BATCHES];
};

/* NULL-initialised but for its first six fields. */
void mr_put_pipe_start(struct mr_put_pipe *pipe);

/* An empty batch, when one is free. */
struct mr_put_batch *mr_put_pipe_take(struct mr_put_pipe *pipe);

/* Is there room for a line of so many bytes? An empty batch takes any. */
bool mr_put_batch_fits(struct mr_put_batch *batch, size_t line_bytes);

/* Sends the batch taken last; empty ones, too. The lines it borrows are free afterwards. */
void mr_put_pipe_submit(struct mr_put_pipe *pipe, struct mr_put_batch *batch);

/* Waits for all and releases what the pipe holds. */
void mr_put_pipe_finish(struct mr_put_pipe *pipe);

#endif
