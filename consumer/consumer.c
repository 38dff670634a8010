/* consumer.c - open, run, stop, close; and the timers of tasks, which the thread of run() keeps. */
#include "inside.h"

#include "base/config.h"
#include "base/fail.h"
#include "base/memory.h"
#include "os/entropy.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MS UINT64_C(1000000)
#define LOOK_MS 10 /* at the pool, while jobs wait */
#define BASE_THREADS_MORE 2

/* ---- words -------------------------------------------------------------------------------- */

void mr_word_change(_Atomic uint32_t *word)
{
    atomic_fetch_add(word, 1);
    mr_word_wake(word, true);
}

/* Until the word changes or the moment comes. */
void mr_consumer_sleep(struct mr_consumer *consumer, _Atomic uint32_t *word, uint32_t seen,
                       uint64_t until_ns)
{
    uint64_t now_ns = mr_consumer_now_ns(consumer), ms;

    if (until_ns <= now_ns)
        return;
    ms = (until_ns - now_ns) / MS + 1;
    mr_word_wait(word, seen, until_ns == UINT64_MAX || ms > 1000000 ? 1000000 : (uint32_t)ms);
}

void mr_consumer_look(struct mr_consumer *consumer)
{
    mr_word_change(&consumer->run_word);
}

void mr_consumer_say(struct mr_consumer *consumer, const char *format, ...)
{
    char line[512];
    va_list arguments;
    int size;

    if (!consumer->config.diag)
        return;
    size = snprintf(line, sizeof line, "consumer=%.100s worker=%.127s ", consumer->application,
                    consumer->worker);
    va_start(arguments, format);
    vsnprintf(line + size, sizeof line - (size_t)size, format, arguments);
    va_end(arguments);
    consumer->config.diag(consumer->config.diag_context, line);
}

void mr_consumer_fail(struct mr_consumer *consumer, const mr_error *error)
{
    pthread_mutex_lock(&consumer->lock);
    if (!consumer->fatal.status)
        consumer->fatal = *error;
    pthread_mutex_unlock(&consumer->lock);
    mr_consumer_stop(consumer);
}

/* ---- open --------------------------------------------------------------------------------- */

static mr_status check_numbers(const struct mr_consumer_config *config, mr_error *error)
{
    if (config->lease_ms < 100 || config->lease_ms > 3600000)
        return mr_fail(error, MR_INVALID, "lease_ms is 100 to 3600000, not %u", config->lease_ms);
    if (config->batch_count_max < 1 || config->batch_count_max > 10000)
        return mr_fail(error, MR_INVALID, "batch_count_max is 1 to 10000, not %u",
                       config->batch_count_max);
    if (config->thread_count_max < 1 || config->thread_count_max > 4096)
        return mr_fail(error, MR_INVALID, "thread_count_max is 1 to 4096, not %u",
                       config->thread_count_max);
    if (config->steal_count_max < 1 || config->lease_count_max < 1)
        return mr_fail(error, MR_INVALID, "steal_count_max and lease_count_max are at least 1");
    if (config->shard_sync_ms < 1)
        return mr_fail(error, MR_INVALID, "shard_sync_ms is at least 1");
    return MR_OK;
}

static mr_status check(const struct mr_consumer_config *config, mr_error *error)
{
    mr_status status;

    if (!config->service || !config->leases || !config->stream || !config->application)
        return mr_fail(error, MR_INVALID,
                       "a consumer needs a service, a stream, an application and a lease store");
    if (strlen(config->stream) < 1 || strlen(config->stream) > MR_NAME_BYTES_MAX)
        return mr_fail(error, MR_INVALID, "a stream's name has 1 to %d bytes", MR_NAME_BYTES_MAX);
    if (config->worker && (!config->worker[0] || strlen(config->worker) > MR_WORKER_BYTES_MAX))
        return mr_fail(error, MR_INVALID, "a worker's name has 1 to %d bytes", MR_WORKER_BYTES_MAX);
    if (config->from.start != MR_START_TRIM_HORIZON && config->from.start != MR_START_LATEST &&
        config->from.start != MR_START_AT_TIME)
        return mr_fail(error, MR_INVALID,
                       "an application begins at TRIM_HORIZON, LATEST or a time");
    if (config->retrieval != MR_RETRIEVE_POLL && config->retrieval != MR_RETRIEVE_FAN_OUT)
        return mr_fail(error, MR_INVALID, "there is no retrieval %d", (int)config->retrieval);
    status = mr_application_check(config->application, error);
    return status ? status : check_numbers(config, error);
}

static char *make_worker(void)
{
    char host[65] = "host", name[MR_WORKER_BYTES_MAX + 1];
    uint32_t chance;

    gethostname(host, sizeof host - 1);
    mr_entropy(&chance, sizeof chance);
    snprintf(name, sizeof name, "%s-%ld-%08" PRIx32, host, (long)getpid(), chance);
    return mr_copy_text(name);
}

mr_status mr_consumer_open_with(mr_consumer **out, const struct mr_consumer_config *given,
                                struct mr_clock *clock, mr_error *error)
{
    struct mr_consumer_config merged = MR_CONSUMER_CONFIG_DEFAULT, *config = &merged;
    struct mr_consumer *consumer;
    uint64_t seed;
    mr_status status =
        mr_config_merge(config, sizeof *config, given, "MR_CONSUMER_CONFIG_DEFAULT", error);

    if (!status)
        status = check(config, error);
    if (status)
        return status;
    consumer = mr_new(struct mr_consumer);
    consumer->config = *config;
    consumer->clock = clock;
    consumer->service = config->service;
    consumer->leases = config->leases;
    consumer->stream = mr_copy_text(config->stream);
    consumer->application = mr_copy_text(config->application);
    consumer->worker = config->worker ? mr_copy_text(config->worker) : make_worker();
    consumer->fan_out_name =
        mr_copy_text(config->fan_out_name ? config->fan_out_name : config->application);
    mr_entropy(&seed, sizeof seed);
    consumer->leaser.random = mr_random_of(seed);
    pthread_mutex_init(&consumer->lock, NULL);
    *out = consumer;
    return MR_OK;
}

mr_status mr_consumer_open(mr_consumer **consumer, const struct mr_consumer_config *config,
                           mr_error *error)
{
    return mr_consumer_open_with(consumer, config, mr_clock_real(), error);
}

void mr_consumer_close(mr_consumer *consumer)
{
    if (!consumer)
        return;
    pthread_mutex_destroy(&consumer->lock);
    mr_free(consumer->seen);
    mr_free(consumer->known);
    mr_free(consumer->tasks);
    mr_free(consumer->stream);
    mr_free(consumer->application);
    mr_free(consumer->worker);
    mr_free(consumer->fan_out_name);
    mr_free(consumer->fan_out_arn);
    mr_free(consumer);
}

/* ---- run ---------------------------------------------------------------------------------- */

void mr_consumer_stop(mr_consumer *consumer)
{
    atomic_store(&consumer->stop_word, 1);
    mr_consumer_look(consumer);
}

/* Wakes the tasks that are due; returns when the next will be. */
static uint64_t look_at_tasks(struct mr_consumer *consumer)
{
    uint64_t now_ns = mr_consumer_now_ns(consumer), next_ns = UINT64_MAX;

    pthread_mutex_lock(&consumer->lock);
    for (size_t i = 0; i < consumer->task_count; i++) {
        struct mr_shard_task *task = consumer->tasks[i];
        uint64_t due_ns;

        mr_task_look(task, now_ns);
        due_ns = atomic_load(&task->due_ns);
        next_ns = due_ns < next_ns ? due_ns : next_ns;
    }
    pthread_mutex_unlock(&consumer->lock);
    return next_ns;
}

static bool is_over(struct mr_consumer *consumer)
{
    bool is_empty;

    pthread_mutex_lock(&consumer->lock);
    is_empty = consumer->task_count == 0 && !atomic_load(&consumer->leaser.is_sharing);
    pthread_mutex_unlock(&consumer->lock);
    return is_empty;
}

/* `seen` of the word before the caller looked at anything: what changed since ends the sleep. */
static void keep_time(struct mr_consumer *consumer, uint32_t seen)
{
    uint64_t next_ns = look_at_tasks(consumer);

    if (mr_pool_look(consumer->pool)) {
        uint64_t look_ns = mr_consumer_now_ns(consumer) + LOOK_MS * MS;

        next_ns = look_ns < next_ns ? look_ns : next_ns;
    }
    mr_consumer_sleep(consumer, &consumer->run_word, seen, next_ns);
}

mr_status mr_consumer_run(mr_consumer *consumer, mr_error *error)
{
    uint32_t seen;

    consumer->pool = mr_pool_new(mr_core_count() + BASE_THREADS_MORE,
                                 consumer->config.thread_count_max, &consumer->run_word);
    atomic_store(&consumer->sync.asked, 1);
    consumer->sync.thread = mr_thread_start("mr-sync", mr_sync_run, consumer);
    consumer->leaser.thread = mr_thread_start("mr-leases", mr_leaser_run, consumer);
    while (seen = atomic_load(&consumer->run_word), !atomic_load(&consumer->stop_word))
        keep_time(consumer, seen);

    atomic_store(&consumer->sync.is_stopping, true);
    mr_word_change(&consumer->sync.word);
    while (seen = atomic_load(&consumer->run_word), !is_over(consumer)) {
        mr_leaser_give_back(consumer); /* those, too, that were taken meanwhile */
        keep_time(consumer, seen);
    }
    atomic_store(&consumer->leaser.is_stopping, true);
    mr_word_change(&consumer->leaser.word);
    pthread_join(consumer->leaser.thread, NULL);
    pthread_join(consumer->sync.thread, NULL);
    mr_pool_free(consumer->pool);
    while (seen = atomic_load(&consumer->run_word), atomic_load(&consumer->calls) > 0)
        mr_consumer_sleep(consumer, &consumer->run_word, seen, UINT64_MAX);
    if (!consumer->fatal.status)
        return MR_OK;
    if (error)
        *error = consumer->fatal;
    return consumer->fatal.status;
}
