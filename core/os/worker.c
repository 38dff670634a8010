#include "os/worker.h"

#include "base/memory.h"
#include "os/thread.h"

struct mr_workers {
    struct {
        pthread_mutex_t lock;
        pthread_cond_t is_not_empty;
        struct mr_job *first, **last;
        bool is_stopping;
    } queue;
    uint32_t thread_count;
    pthread_t threads[];
};

/* The next job; NULL when there will be none. */
static struct mr_job *take(struct mr_workers *workers)
{
    struct mr_job *job;

    pthread_mutex_lock(&workers->queue.lock);
    while (!workers->queue.first && !workers->queue.is_stopping)
        pthread_cond_wait(&workers->queue.is_not_empty, &workers->queue.lock);
    job = workers->queue.first;
    if (job) {
        workers->queue.first = job->next;
        if (!job->next)
            workers->queue.last = &workers->queue.first;
    }
    pthread_mutex_unlock(&workers->queue.lock);
    return job;
}

static void *work(void *context)
{
    struct mr_job *job;

    while ((job = take(context)))
        job->run(job);
    return NULL;
}

struct mr_workers *mr_workers_new(const char *name, uint32_t thread_count)
{
    struct mr_workers *workers =
        mr_alloc_zero(1, sizeof *workers + thread_count * sizeof workers->threads[0]);

    pthread_mutex_init(&workers->queue.lock, NULL);
    pthread_cond_init(&workers->queue.is_not_empty, NULL);
    workers->queue.last = &workers->queue.first;
    workers->thread_count = thread_count;
    for (uint32_t i = 0; i < thread_count; i++)
        workers->threads[i] = mr_thread_start(name, work, workers);
    return workers;
}

void mr_workers_free(struct mr_workers *workers)
{
    if (!workers)
        return;
    pthread_mutex_lock(&workers->queue.lock);
    workers->queue.is_stopping = true;
    pthread_cond_broadcast(&workers->queue.is_not_empty);
    pthread_mutex_unlock(&workers->queue.lock);
    for (uint32_t i = 0; i < workers->thread_count; i++)
        pthread_join(workers->threads[i], NULL);
    pthread_cond_destroy(&workers->queue.is_not_empty);
    pthread_mutex_destroy(&workers->queue.lock);
    mr_free(workers);
}

void mr_workers_add(struct mr_workers *workers, struct mr_job *job)
{
    job->next = NULL;
    pthread_mutex_lock(&workers->queue.lock);
    *workers->queue.last = job;
    workers->queue.last = &job->next;
    pthread_cond_signal(&workers->queue.is_not_empty);
    pthread_mutex_unlock(&workers->queue.lock);
}
