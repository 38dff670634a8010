#include "pool.h"

#include "base/memory.h"
#include "os/clock.h"
#include "os/thread.h"

#define IDLE_NS UINT64_C(1000000000)

struct mr_pool {
    pthread_mutex_t lock;
    pthread_cond_t changed; /* a job, or the end */
    pthread_cond_t ended;   /* a thread has */
    struct mr_pool_job *first, **last;
    uint32_t base_count, count_max, count, idle_count;
    uint64_t taken, looked; /* jobs taken; the same when somebody looked */
    _Atomic uint32_t waiting_count;
    _Atomic uint32_t *look_word;
    bool is_looked_after; /* somebody will look soon */
    bool is_stopping;
};

static struct mr_pool_job *take(struct mr_pool *pool)
{
    struct mr_pool_job *job = pool->first;

    pool->first = job->next;
    if (!pool->first)
        pool->last = &pool->first;
    pool->taken++;
    atomic_fetch_sub_explicit(&pool->waiting_count, 1, memory_order_relaxed);
    return job;
}

/* Waits for a job. False: this thread is to end. Hold the lock. */
static bool wait_for_job(struct mr_pool *pool)
{
    struct mr_clock *clock = mr_clock_real();
    uint64_t until_ns = clock->monotonic_ns(clock) + IDLE_NS;

    pool->idle_count++;
    while (!pool->first && !pool->is_stopping) {
        if (pool->count <= pool->base_count)
            pthread_cond_wait(&pool->changed, &pool->lock);
        else if (clock->monotonic_ns(clock) >= until_ns)
            break;
        else
            mr_condition_wait_until(&pool->changed, &pool->lock, until_ns);
    }
    pool->idle_count--;
    return pool->first;
}

static void *work(void *context)
{
    struct mr_pool *pool = context;

    pthread_detach(pthread_self());
    pthread_mutex_lock(&pool->lock);
    while (wait_for_job(pool)) {
        struct mr_pool_job *job = take(pool);

        pthread_mutex_unlock(&pool->lock);
        job->run(job);
        pthread_mutex_lock(&pool->lock);
    }
    pool->count--;
    pthread_cond_broadcast(&pool->ended);
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

static void start(struct mr_pool *pool)
{
    pool->count++;
    mr_thread_start("mr-consumer", work, pool);
}

struct mr_pool *mr_pool_new(uint32_t base_count, uint32_t thread_count_max,
                            _Atomic uint32_t *look_word)
{
    struct mr_pool *pool = mr_new(struct mr_pool);

    pthread_mutex_init(&pool->lock, NULL);
    mr_condition_init(&pool->changed);
    mr_condition_init(&pool->ended);
    pool->last = &pool->first;
    pool->look_word = look_word;
    pool->count_max = thread_count_max;
    pool->base_count = base_count < thread_count_max ? base_count : thread_count_max;
    pthread_mutex_lock(&pool->lock);
    while (pool->count < pool->base_count)
        start(pool);
    pthread_mutex_unlock(&pool->lock);
    return pool;
}

void mr_pool_free(struct mr_pool *pool)
{
    if (!pool)
        return;
    pthread_mutex_lock(&pool->lock);
    pool->is_stopping = true;
    pthread_cond_broadcast(&pool->changed);
    while (pool->count > 0)
        pthread_cond_wait(&pool->ended, &pool->lock);
    pthread_mutex_unlock(&pool->lock);
    pthread_cond_destroy(&pool->changed);
    pthread_cond_destroy(&pool->ended);
    pthread_mutex_destroy(&pool->lock);
    mr_free(pool);
}

void mr_pool_add(struct mr_pool *pool, struct mr_pool_job *job)
{
    bool needs_look;
    uint32_t waiting;

    pthread_mutex_lock(&pool->lock);
    job->next = NULL;
    *pool->last = job;
    pool->last = &job->next;
    waiting = atomic_fetch_add_explicit(&pool->waiting_count, 1, memory_order_relaxed) + 1;
    if (pool->idle_count > 0)
        pthread_cond_signal(&pool->changed);
    /* An idle thread may be on its way to the job of another. */
    needs_look = !pool->is_looked_after && waiting > pool->idle_count;
    pool->is_looked_after |= needs_look;
    pthread_mutex_unlock(&pool->lock);
    if (!needs_look)
        return;
    atomic_fetch_add(pool->look_word, 1);
    mr_word_wake(pool->look_word, true);
}

bool mr_pool_has_waiting(const struct mr_pool *pool)
{
    return atomic_load_explicit(&pool->waiting_count, memory_order_relaxed) > 0;
}

bool mr_pool_look(struct mr_pool *pool)
{
    bool is_looked_after;

    pthread_mutex_lock(&pool->lock);
    if (pool->first && pool->taken == pool->looked && pool->idle_count == 0 &&
        pool->count < pool->count_max)
        start(pool);
    /* Once more after it was empty: not each job of a busy pool is to wake somebody. */
    is_looked_after = pool->first || pool->taken != pool->looked;
    pool->looked = pool->taken;
    pool->is_looked_after = is_looked_after;
    pthread_mutex_unlock(&pool->lock);
    return is_looked_after;
}
