/* threads.c - the steps on threads of their own: commit, publish, flush, keep (checkpoints), bell. */
#include "log/inside.h"

#define KEEP_MS 1000u /* housekeeping */
#define CHECKPOINT_IDLE_NS (10ull * 1000 * 1000 * 1000)

void mr_log_poke(_Atomic uint32_t *word)
{
    atomic_fetch_add(word, 1);
    mr_word_wake(word, true);
}

/* Sleeps until the word moves on from seen. */
static void sleep_on(_Atomic uint32_t *word, uint32_t seen, uint32_t timeout_ms)
{
    if (atomic_load(word) == seen)
        mr_word_wait(word, seen, timeout_ms);
}

static void *run_commit(void *context)
{
    struct mr_lane *lane = context;
    struct mr_log *log = lane->log;
    uint32_t timeout_ms =
        log->config.sync == MR_SYNC_INTERVAL ? log->config.sync_interval_ms : UINT32_MAX;

    while (!atomic_load(&log->is_stopping)) {
        uint32_t seen = atomic_load(&lane->word);
        bool is_due;

        mr_log_sync_if_due(log, false);
        pthread_mutex_lock(&log->sequencer);
        is_due = mr_log_commit_is_due(log);
        lane->is_asleep = !is_due;
        pthread_mutex_unlock(&log->sequencer);
        if (is_due)
            mr_lane_commit(lane);
        else
            sleep_on(&lane->word, seen, timeout_ms);
    }
    return NULL;
}

static void *run_publish(void *context)
{
    struct mr_log *log = context;

    while (!atomic_load(&log->is_stopping)) {
        uint32_t seen = atomic_load(&log->publish_word);
        bool sleep;

        if (mr_log_publish(log))
            continue;
        pthread_mutex_lock(&log->sequencer);
        sleep = log->is_publish_asleep = !log->queue_first;
        pthread_mutex_unlock(&log->sequencer);
        if (sleep)
            sleep_on(&log->publish_word, seen, UINT32_MAX);
    }
    return NULL;
}

static void *run_flush(void *context)
{
    struct mr_log *log = context;

    while (!atomic_load(&log->is_stopping)) {
        uint32_t seen = atomic_load(&log->flush_word);

        if (mr_log_flush_by_pressure(log))
            continue;
        atomic_store(&log->is_flush_asleep, true);
        sleep_on(&log->flush_word, seen, KEEP_MS);
        atomic_store(&log->is_flush_asleep, false);
    }
    return NULL;
}

/* Whether a checkpoint would free enough of the journal to be worth it. */
static bool is_checkpoint_due(struct mr_log *log)
{
    struct mr_lsn oldest = mr_log_oldest_pending(log);
    bool due;

    pthread_mutex_lock(&log->sequencer);
    due = oldest.at - log->tail_lsn >= log->journal.ring_bytes / 4;
    pthread_mutex_unlock(&log->sequencer);
    return due;
}

static void *run_keep(void *context)
{
    struct mr_log *log = context;
    uint64_t kept_ns = log->clock->monotonic_ns(log->clock), checkpoint_ns = kept_ns;

    while (!atomic_load(&log->is_stopping)) {
        uint32_t seen = atomic_load(&log->keep_word);
        uint64_t now_ns = log->clock->monotonic_ns(log->clock);
        mr_error error;

        if (now_ns - kept_ns >= KEEP_MS * 1000000ull) {
            kept_ns = now_ns;
            if (log->config.owner.housekeep)
                log->config.owner.housekeep(log->config.owner.context, log);
            mr_log_repack(log);
        }
        if (is_checkpoint_due(log) || now_ns - checkpoint_ns >= CHECKPOINT_IDLE_NS) {
            checkpoint_ns = now_ns;
            /* What went wrong is reported there, and tried again later. */
            mr_log_write_checkpoint(log, false, &error);
        }
        sleep_on(&log->keep_word, seen, KEEP_MS);
    }
    return NULL;
}

static void *run_bell(void *context)
{
    struct mr_log *log = context;

    while (!atomic_load(&log->is_stopping)) {
        uint32_t seen = atomic_load(&log->bell_word);

        if (!mr_log_call_watchers(log))
            sleep_on(&log->bell_word, seen, UINT32_MAX);
    }
    return NULL;
}

void mr_log_start_threads(struct mr_log *log)
{
    static const struct {
        const char *name;
        void *(*run)(void *context);
    } table[] = {{"mr-publish", run_publish},
                 {"mr-flush", run_flush},
                 {"mr-keep", run_keep},
                 {"mr-bell", run_bell}};

    log->spool.writers = mr_workers_new("mr-write", SPOOL_WRITERS);
    for (uint32_t i = 0; i < log->lane_count; i++)
        log->threads[log->thread_count++] =
            mr_thread_start("mr-commit", run_commit, &log->lanes[i]);
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        log->threads[log->thread_count++] = mr_thread_start(table[i].name, table[i].run, log);
}

void mr_log_stop_threads(struct mr_log *log)
{
    _Atomic uint32_t *words[] = {&log->publish_word, &log->flush_word, &log->keep_word,
                                 &log->bell_word};

    atomic_store(&log->is_stopping, true);
    for (uint32_t i = 0; i < log->lane_count; i++)
        mr_log_poke(&log->lanes[i].word);
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        mr_log_poke(words[i]);
    for (uint32_t i = 0; i < log->thread_count; i++)
        pthread_join(log->threads[i], NULL);
    log->thread_count = 0;
    mr_workers_free(log->spool.writers);
    log->spool.writers = NULL;
}
