/* log.c - the door's smaller rooms: the tables of tails and stores, dropping, figures, close. */
#include "log/log.h"

#include "base/check.h"
#include "base/fail.h"
#include "base/memory.h"
#include "log/inside.h"

#include <stdarg.h>
#include <stdio.h>

void mr_log_diag(struct mr_log *log, const char *format, ...)
{
    char line[512];
    va_list arguments;

    if (!log->config.diag)
        return;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    log->config.diag(log->config.diag_context, line);
}

void mr_log_fail(struct mr_log *log, mr_status status, const mr_error *error)
{
    bool is_first;

    pthread_mutex_lock(&log->sequencer);
    is_first = !log->failed;
    if (is_first) {
        log->failed = status;
        log->failure = *error;
        snprintf(log->failure.message, sizeof log->failure.message,
                 "puts are refused until the directory is opened again, after: %.160s",
                 error->message);
    }
    mr_log_make_room(log);
    pthread_mutex_unlock(&log->sequencer);
    if (is_first)
        mr_log_diag(log, "event=read_only reason=\"%s\"", error->message);
}

bool mr_log_has_failed(struct mr_log *log)
{
    bool has_failed;

    pthread_mutex_lock(&log->sequencer);
    has_failed = log->failed != MR_OK;
    pthread_mutex_unlock(&log->sequencer);
    return has_failed;
}

void mr_log_set_hitch(struct mr_log *log, struct mr_hitch *hitch, mr_status status,
                      const mr_error *error)
{
    pthread_mutex_lock(&log->sequencer);
    hitch->status = status;
    if (status)
        hitch->error = *error;
    mr_log_make_room(log);
    pthread_mutex_unlock(&log->sequencer);
}

/* ---- tails and stores ---------------------------------------------------------------------- */

struct mr_tail *mr_log_next_tail(const struct mr_log *log, const struct mr_store *store,
                                 size_t *next)
{
    while (*next < log->tail_capacity) {
        struct mr_tail *tail = log->tails[(*next)++];

        if (tail && (!store || tail->store == store))
            return tail;
    }
    return NULL;
}

struct mr_tail *mr_log_tail_hold(struct mr_log *log, mr_log_id id)
{
    struct mr_tail *tail;

    pthread_rwlock_rdlock(&log->stores_lock);
    tail = id < log->tail_capacity ? log->tails[id] : NULL;
    if (tail)
        mr_tail_hold(tail);
    pthread_rwlock_unlock(&log->stores_lock);
    return tail;
}

/* The place of a stream among the sorted stores. */
static size_t store_index(const struct mr_log *log, uint32_t stream)
{
    size_t low = 0, high = log->store_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (log->stores[middle]->stream < stream)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct mr_store *find_store(struct mr_log *log, uint32_t stream)
{
    size_t i = store_index(log, stream);

    return i < log->store_count && log->stores[i]->stream == stream ? log->stores[i] : NULL;
}

struct mr_store *mr_log_store_hold(struct mr_log *log, uint32_t stream)
{
    struct mr_store *store;

    pthread_rwlock_rdlock(&log->stores_lock);
    store = find_store(log, stream);
    if (store)
        atomic_fetch_add(&store->reference_count, 1);
    pthread_rwlock_unlock(&log->stores_lock);
    return store;
}

void mr_store_release(struct mr_store *store)
{
    if (!store || atomic_fetch_sub(&store->reference_count, 1) > 1)
        return;
    for (uint32_t i = 0; i < store->segment_count; i++)
        if (store->segments[i].file)
            store->segments[i].file->fs->close(store->segments[i].file);
    mr_free(store->segments);
    mr_free(store);
}

static struct mr_store *add_store(struct mr_log *log, uint32_t stream)
{
    size_t i = store_index(log, stream);
    struct mr_store *store = mr_new(struct mr_store);

    store->reference_count = 1;
    store->stream = stream;
    store->is_new = true;
    store->roll_ms = 3600 * 1000;
    mr_grow(log->stores, log->store_count, log->store_capacity);
    memmove(&log->stores[i + 1], &log->stores[i], (log->store_count - i) * sizeof store);
    log->stores[i] = store;
    log->store_count++;
    return store;
}

void mr_log_add(struct mr_log *log, mr_log_id id, uint32_t stream)
{
    struct mr_store *store;

    pthread_rwlock_wrlock(&log->stores_lock);
    if (id >= log->tail_capacity) {
        size_t capacity = log->tail_capacity ? log->tail_capacity : 64;
        while (capacity <= id)
            capacity *= 2;
        log->tails = mr_resize(log->tails, capacity * sizeof(struct mr_tail *));
        memset(log->tails + log->tail_capacity, 0,
               (capacity - log->tail_capacity) * sizeof(struct mr_tail *));
        log->tail_capacity = capacity;
    }
    mr_check(!log->tails[id]);
    store = find_store(log, stream);
    if (!store)
        store = add_store(log, stream);
    store->tail_count++;
    atomic_fetch_add(&store->reference_count, 1);
    log->tails[id] = mr_tail_new(id, store);
    log->tail_count++;
    pthread_rwlock_unlock(&log->stores_lock);
}

/* Takes a tail's chunks out of the accounts and the cache; readers keep those they hold. */
static void empty_tail(struct mr_log *log, struct mr_tail *tail)
{
    struct mr_chunk *chunk, *next;

    pthread_mutex_lock(&tail->lock);
    tail->is_dropped = true;
    chunk = tail->first;
    tail->first = tail->last = NULL;
    mr_tail_set_pending(tail, NULL);
    tail->block_bytes = tail->complete_count = tail->taken_count = tail->place_count = 0;
    pthread_mutex_unlock(&tail->lock);
    if (chunk)
        atomic_fetch_sub(&log->active_count, 1);
    for (; chunk; chunk = next) {
        size_t bytes = sizeof *chunk + chunk->capacity;

        next = chunk->next;
        if (chunk->is_flushed) {
            pthread_mutex_lock(&log->cache_lock);
            *(chunk->cache_previous ? &chunk->cache_previous->cache_next : &log->cache_first) =
                chunk->cache_next;
            *(chunk->cache_next ? &chunk->cache_next->cache_previous : &log->cache_last) =
                chunk->cache_previous;
            pthread_mutex_unlock(&log->cache_lock);
            atomic_fetch_sub(&log->cached_bytes, bytes);
        } else {
            atomic_fetch_sub(&log->pending_bytes, bytes);
        }
        mr_chunk_release(chunk);
    }
    mr_log_ring_tail(log, tail);
}

/* With stores_lock held for writing. */
static void drop_tail(struct mr_log *log, struct mr_tail *tail)
{
    log->tails[tail->id] = NULL;
    log->tail_count--;
    tail->store->tail_count--;
    empty_tail(log, tail);
    mr_tail_release(tail);
}

void mr_log_drop(struct mr_log *log, mr_log_id id)
{
    /* Flushing holds still, so that a chunk is either pending or in the cache. */
    pthread_mutex_lock(&log->flushing);
    pthread_rwlock_wrlock(&log->stores_lock);
    if (id < log->tail_capacity && log->tails[id])
        drop_tail(log, log->tails[id]);
    pthread_rwlock_unlock(&log->stores_lock);
    pthread_mutex_unlock(&log->flushing);
}

void mr_log_drop_stream(struct mr_log *log, uint32_t stream)
{
    struct mr_store *store;

    pthread_mutex_lock(&log->flushing);
    pthread_rwlock_wrlock(&log->stores_lock);
    store = find_store(log, stream);
    if (store) {
        size_t i = store_index(log, stream);
        struct mr_doomed *doomed = mr_new(struct mr_doomed);

        for (size_t id = 0; id < log->tail_capacity && store->tail_count > 0; id++)
            if (log->tails[id] && log->tails[id]->store == store)
                drop_tail(log, log->tails[id]);
        log->store_count--;
        memmove(&log->stores[i], &log->stores[i + 1], (log->store_count - i) * sizeof store);
        store->is_dropped = true;
        *doomed =
            (struct mr_doomed){.next = log->doomed, .stream = stream, .is_whole_stream = true};
        log->doomed = doomed;
    }
    pthread_rwlock_unlock(&log->stores_lock);
    pthread_mutex_unlock(&log->flushing);
    mr_store_release(store);
}

/* ---- figures ------------------------------------------------------------------------------- */

mr_status mr_log_tip(struct mr_log *log, mr_log_id id, uint64_t *number)
{
    struct mr_tail *tail = mr_log_tail_hold(log, id);

    if (!tail)
        return MR_CLOSED;
    pthread_mutex_lock(&tail->lock);
    *number = tail->tip_number;
    pthread_mutex_unlock(&tail->lock);
    mr_tail_release(tail);
    return MR_OK;
}

mr_status mr_log_figures(struct mr_log *log, mr_log_id id, struct mr_log_figures *figures)
{
    struct mr_tail *tail = mr_log_tail_hold(log, id);

    if (!tail)
        return MR_CLOSED;
    pthread_mutex_lock(&tail->lock);
    *figures = tail->figures;
    pthread_mutex_unlock(&tail->lock);
    mr_tail_release(tail);
    return MR_OK;
}

static void add_segments(const struct mr_store *store, struct mr_log_figures *figures)
{
    for (uint32_t i = 0; i < store->segment_count; i++) {
        figures->segment_count++;
        figures->raw_bytes += store->segments[i].raw_bytes;
        figures->stored_bytes += store->segments[i].bytes;
    }
}

static void add_tail(struct mr_tail *tail, struct mr_log_figures *figures)
{
    pthread_mutex_lock(&tail->lock);
    figures->record_count += tail->figures.record_count;
    figures->record_bytes += tail->figures.record_bytes;
    pthread_mutex_unlock(&tail->lock);
}

void mr_log_stream_figures(struct mr_log *log, uint32_t stream, struct mr_log_figures *figures)
{
    struct mr_store *store;
    struct mr_tail *tail;

    *figures = (struct mr_log_figures){0};
    pthread_mutex_lock(&log->flushing);
    pthread_rwlock_rdlock(&log->stores_lock);
    store = find_store(log, stream);
    if (store) {
        add_segments(store, figures);
        for (size_t id = 0; (tail = mr_log_next_tail(log, store, &id));)
            add_tail(tail, figures);
    }
    pthread_rwlock_unlock(&log->stores_lock);
    pthread_mutex_unlock(&log->flushing);
}

void mr_log_stats(struct mr_log *log, struct mr_engine_stats *stats)
{
    struct mr_log_figures figures = {0};
    struct mr_tail *tail;

    *stats = log->stats;
    pthread_mutex_lock(&log->flushing);
    pthread_rwlock_rdlock(&log->stores_lock);
    for (size_t i = 0; i < log->store_count; i++)
        add_segments(log->stores[i], &figures);
    for (size_t id = 0; (tail = mr_log_next_tail(log, NULL, &id));)
        add_tail(tail, &figures);
    pthread_rwlock_unlock(&log->stores_lock);
    pthread_mutex_unlock(&log->flushing);
    stats->record_count = figures.record_count;
    stats->record_bytes = figures.record_bytes;
    stats->segment_count = figures.segment_count;
    stats->segment_raw_bytes = figures.raw_bytes;
    stats->segment_stored_bytes = figures.stored_bytes;
    stats->memory_bytes = atomic_load(&log->pending_bytes) + atomic_load(&log->cached_bytes);

    pthread_mutex_lock(&log->sequencer);
    stats->journal_used_bytes = log->next_lsn - log->tail_lsn;
    stats->journal_bytes = log->journal.ring_bytes;
    stats->group_count = log->group_count;
    stats->read_only_reason = log->failed ? log->failure.message : NULL;
    pthread_mutex_unlock(&log->sequencer);
}

/* ---- open and close ------------------------------------------------------------------------ */

static struct mr_log *new_log(const struct mr_log_config *config)
{
    struct mr_log *log = mr_new(struct mr_log);

    log->config = *config;
    log->fs = config->fs;
    log->clock = config->clock;
    snprintf(log->directory, sizeof log->directory, "%s", config->directory);
    log->config.directory = log->directory;
    pthread_mutex_init(&log->sequencer, NULL);
    mr_condition_init(&log->room);
    pthread_mutex_init(&log->sealing, NULL);
    pthread_mutex_init(&log->publishing, NULL);
    pthread_rwlock_init(&log->stores_lock, NULL);
    pthread_mutex_init(&log->cache_lock, NULL);
    pthread_mutex_init(&log->flush_turn, NULL);
    pthread_mutex_init(&log->flushing, NULL);
    pthread_mutex_init(&log->ready_lock, NULL);
    pthread_mutex_init(&log->checkpointing, NULL);
    pthread_mutex_init(&log->bell_lock, NULL);
    mr_condition_init(&log->bell_idle);
    pthread_mutex_init(&log->codecs_lock, NULL);
    pthread_mutex_init(&log->keys_lock, NULL);
    log->flying_last = &log->flying;
    log->queue_last = &log->queue_first;
    log->ready_last = &log->ready_first;
    log->keys = mr_key_file_new(log->fs, config->key_file);
    log->codec = mr_codec_new(log->keys);
    mr_spool_init(&log->spool);
    for (unsigned i = 0; i < GROUP_COUNT; i++) {
        struct mr_group *group = &log->groups[i];

        group->bytes = mr_pages_take(GROUP_BYTES_MAX);
        mr_group_reset(group);
        group->next = log->free;
        log->free = group;
    }
    log->open = log->free;
    log->free = log->open->next;
    log->open->next = NULL;
    log->next_serial = 1;
    log->effort_ns = log->clock->monotonic_ns(log->clock);
    log->effort_hold_ns = EFFORT_HOLD_NS;
    return log;
}

static void free_log(struct mr_log *log)
{
    for (uint32_t i = 1; i < log->lane_count; i++)
        log->fs->close(log->lanes[i].file);
    mr_journal_close(&log->journal);
    mr_log_forget_ready(log);
    while (log->rung_first) {
        struct mr_tail *tail = log->rung_first;

        log->rung_first = tail->rung_next;
        mr_tail_release(tail);
    }
    for (size_t id = 0; id < log->tail_capacity; id++)
        mr_tail_release(log->tails[id]);
    mr_free(log->tails);
    for (size_t i = 0; i < log->store_count; i++)
        mr_store_release(log->stores[i]);
    mr_free(log->stores);
    for (struct mr_doomed *doomed = log->doomed, *next; doomed; doomed = next) {
        next = doomed->next;
        mr_free(doomed);
    }
    for (unsigned i = 0; i < GROUP_COUNT; i++)
        mr_pages_give(log->groups[i].bytes, GROUP_BYTES_MAX);
    for (uint32_t i = 0; i < log->codec_count; i++)
        mr_codec_free(log->codecs[i]);
    mr_codec_free(log->codec);
    mr_log_forget_keys(log);
    mr_free(log->flush_raw);
    mr_spool_fini(&log->spool);
    log->fs->close(log->lock_file);
    pthread_mutex_destroy(&log->sequencer);
    pthread_cond_destroy(&log->room);
    pthread_mutex_destroy(&log->sealing);
    pthread_mutex_destroy(&log->publishing);
    pthread_rwlock_destroy(&log->stores_lock);
    pthread_mutex_destroy(&log->cache_lock);
    pthread_mutex_destroy(&log->flush_turn);
    pthread_mutex_destroy(&log->flushing);
    pthread_mutex_destroy(&log->ready_lock);
    pthread_mutex_destroy(&log->checkpointing);
    pthread_mutex_destroy(&log->bell_lock);
    pthread_cond_destroy(&log->bell_idle);
    pthread_mutex_destroy(&log->codecs_lock);
    pthread_mutex_destroy(&log->keys_lock);
    mr_free(log);
}

mr_status mr_log_open(struct mr_log **out, const struct mr_log_config *config, mr_error *error)
{
    struct mr_log *log;
    mr_status status;

    if (strlen(config->directory) > MR_PATH_BYTES - 64)
        return mr_fail(error, MR_INVALID, "the directory's name is too long");
    log = new_log(config);
    log->is_recovering = true;
    status = mr_log_recover(log, error);
    log->is_recovering = false;
    if (status) {
        free_log(log);
        return status;
    }
    if (!config->manual)
        mr_log_start_threads(log);
    *out = log;
    return MR_OK;
}

void mr_log_close(struct mr_log *log)
{
    mr_error error;

    if (!log)
        return;
    if (!log->config.manual)
        mr_log_stop_threads(log);
    if (!log->is_abandoned) {
        while (mr_log_commit(log) || mr_log_publish(log))
            continue;
        mr_log_sync_if_due(log, true);
        if (!log->config.journal_only && !mr_log_has_failed(log)) {
            mr_log_complete_old(log, UINT64_MAX);
            while (mr_log_flush(log))
                continue;
            if (mr_log_write_checkpoint(log, true, &error))
                mr_log_diag(log, "event=close_checkpoint_failed reason=\"%s\"", error.message);
        }
        while (mr_log_call_watchers(log))
            continue;
    }
    free_log(log);
}

/* ---- steps --------------------------------------------------------------------------------- */

mr_status mr_log_checkpoint(struct mr_log *log, mr_error *error)
{
    mr_status status = MR_OK;

    mr_log_complete_old(log, UINT64_MAX);
    while (mr_log_flush(log))
        continue;
    pthread_mutex_lock(&log->sequencer);
    if (log->failed || log->flush_hitch.status) {
        status = log->failed ? log->failed : log->flush_hitch.status;
        if (error)
            *error = log->failed ? log->failure : log->flush_hitch.error;
    }
    pthread_mutex_unlock(&log->sequencer);
    return status ? status : mr_log_write_checkpoint(log, false, error);
}

bool mr_log_step(struct mr_log *log, enum mr_log_step step)
{
    mr_error error;

    mr_check(log->config.manual);
    switch (step) {
    case MR_LOG_STEP_COMMIT:
        if (mr_log_commit(log))
            return true;
        mr_log_sync_if_due(log, false);
        return false;
    case MR_LOG_STEP_LANE_0:
    case MR_LOG_STEP_LANE_1:
        return (uint32_t)(step - MR_LOG_STEP_LANE_0) < log->lane_count &&
               mr_lane_step(&log->lanes[step - MR_LOG_STEP_LANE_0]);
    case MR_LOG_STEP_PUBLISH:
        return mr_log_publish(log);
    case MR_LOG_STEP_FLUSH:
        if (mr_log_flush(log))
            return true;
        mr_log_complete_old(log, UINT64_MAX);
        return mr_log_flush(log);
    case MR_LOG_STEP_CHECKPOINT:
        return mr_log_write_checkpoint(log, false, &error) == MR_OK;
    case MR_LOG_STEP_HOUSEKEEP:
        if (log->config.owner.housekeep)
            log->config.owner.housekeep(log->config.owner.context, log);
        mr_log_repack(log);
        return true;
    case MR_LOG_STEP_BELL:
        return mr_log_call_watchers(log);
    case MR_LOG_STEP_ABANDON:
        log->is_abandoned = true;
        return true;
    }
    return false;
}
