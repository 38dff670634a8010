#include "put_pipe.h"

#include "base/memory.h"
#include "os/thread.h"
#include "put_line.h"
#include "streams.h"

static void note_done(void *context, mr_status status)
{
    struct mr_put_batch *batch = context;
    struct mr_put_pipe *pipe = batch->pipe;

    pthread_mutex_lock(&pipe->lock);
    batch->status = status;
    batch->done = true;
    pthread_cond_broadcast(&pipe->changed);
    pthread_mutex_unlock(&pipe->lock);
}

/* The next batch that is done, or NULL at the end. */
static struct mr_put_batch *wait_for_next(struct mr_put_pipe *pipe)
{
    struct mr_put_batch *batch = &pipe->batches[pipe->acknowledged_count % MR_PUT_BATCHES];
    bool none;

    pthread_mutex_lock(&pipe->lock);
    while (!(none = pipe->ending && pipe->acknowledged_count == pipe->submitted_count) &&
           !batch->done)
        pthread_cond_wait(&pipe->changed, &pipe->lock);
    pthread_mutex_unlock(&pipe->lock);
    return none ? NULL : batch;
}

static void *acknowledge_all(void *context)
{
    struct mr_put_pipe *pipe = context;
    struct mr_put_batch *batch;

    while ((batch = wait_for_next(pipe))) {
        pipe->acknowledge(pipe->context, batch);
        pthread_mutex_lock(&pipe->lock);
        batch->done = false;
        pipe->acknowledged_count++;
        pthread_cond_broadcast(&pipe->changed);
        pthread_mutex_unlock(&pipe->lock);
    }
    return NULL;
}

void mr_put_pipe_start(struct mr_put_pipe *pipe)
{
    pthread_mutex_init(&pipe->lock, NULL);
    pthread_cond_init(&pipe->changed, NULL);
    for (size_t i = 0; i < MR_PUT_BATCHES; i++)
        pipe->batches[i].pipe = pipe;
    pipe->thread = mr_thread_start("acknowledge", acknowledge_all, pipe);
}

struct mr_put_batch *mr_put_pipe_take(struct mr_put_pipe *pipe)
{
    struct mr_put_batch *batch = &pipe->batches[pipe->submitted_count % MR_PUT_BATCHES];

    pthread_mutex_lock(&pipe->lock);
    while (pipe->submitted_count - pipe->acknowledged_count == MR_PUT_BATCHES)
        pthread_cond_wait(&pipe->changed, &pipe->lock);
    pthread_mutex_unlock(&pipe->lock);
    batch->count = batch->bytes = 0;
    batch->scratch_at = batch->scratch;
    return batch;
}

bool mr_put_batch_fits(struct mr_put_batch *batch, size_t line_bytes)
{
    size_t used = (size_t)(batch->scratch_at - batch->scratch);
    size_t needed = MR_PUT_LINE_SCRATCH_BYTES(line_bytes);

    if (batch->count == 0 && used + needed > batch->scratch_capacity) {
        batch->scratch_capacity = needed > MR_PUT_BATCH_BYTES ? needed : MR_PUT_BATCH_BYTES;
        mr_free(batch->scratch);
        batch->scratch = batch->scratch_at = mr_alloc(batch->scratch_capacity);
        used = 0;
    }
    return batch->count == 0 || (batch->count < MR_PUT_BATCH_RECORDS &&
                                 batch->bytes + line_bytes <= MR_PUT_BATCH_BYTES &&
                                 used + needed <= batch->scratch_capacity);
}

/* Of a server it is done when this returns. */
static void send_batch(struct mr_put_pipe *pipe, struct mr_put_batch *batch)
{
    mr_status status = MR_OK;
    bool is_over = true;

    if (batch->count > 0 && pipe->service) {
        status = (pipe->once ? mr_remote_put_once : mr_remote_put)(
            pipe->service, pipe->stream, batch->puts, batch->count, batch->results, &batch->error);
    } else if (batch->count > 0) {
        status = mr_put_submit(pipe->engine, pipe->stream, batch->puts, batch->count,
                               batch->results, note_done, batch, &batch->error);
        is_over = status != MR_OK;
    }
    if (is_over)
        note_done(batch, status);
}

void mr_put_pipe_submit(struct mr_put_pipe *pipe, struct mr_put_batch *batch)
{
    send_batch(pipe, batch);
    pthread_mutex_lock(&pipe->lock);
    pipe->submitted_count++;
    pthread_cond_broadcast(&pipe->changed);
    pthread_mutex_unlock(&pipe->lock);
}

void mr_put_pipe_finish(struct mr_put_pipe *pipe)
{
    pthread_mutex_lock(&pipe->lock);
    pipe->ending = true;
    pthread_cond_broadcast(&pipe->changed);
    pthread_mutex_unlock(&pipe->lock);
    pthread_join(pipe->thread, NULL);
    for (size_t i = 0; i < MR_PUT_BATCHES; i++)
        mr_free(pipe->batches[i].scratch);
    pthread_cond_destroy(&pipe->changed);
    pthread_mutex_destroy(&pipe->lock);
}
