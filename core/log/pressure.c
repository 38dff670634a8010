/*
 * pressure.c - when to flush: as memory or the journal fill up. Memory that is in segments, too, is a cache:
 * the oldest goes first.
 */
#include "base/check.h"
#include "log/inside.h"

void mr_log_complete_old(struct mr_log *log, uint64_t before)
{
    struct mr_tail *tail;

    pthread_rwlock_rdlock(&log->stores_lock);
    for (size_t id = 0; (tail = mr_log_next_tail(log, NULL, &id));) {
        if (atomic_load(&tail->pending_lsn) >= before)
            continue;
        pthread_mutex_lock(&tail->lock);
        if (tail->pending && tail->pending->lsn.at < before)
            mr_tail_complete(tail);
        pthread_mutex_unlock(&tail->lock);
        mr_log_note_ready(log, tail);
    }
    pthread_rwlock_unlock(&log->stores_lock);
}

struct mr_lsn mr_log_oldest_pending(struct mr_log *log)
{
    struct mr_tail *tail, *oldest_tail;
    struct mr_lsn oldest, end;
    bool is_found = true;

    pthread_mutex_lock(&log->publishing);
    end = log->published;
    pthread_mutex_unlock(&log->publishing);
    pthread_rwlock_rdlock(&log->stores_lock);
    do {
        oldest = end;
        oldest_tail = NULL;
        for (size_t id = 0; (tail = mr_log_next_tail(log, NULL, &id));) {
            uint64_t lsn = atomic_load(&tail->pending_lsn);

            if (lsn < oldest.at) {
                oldest.at = lsn;
                oldest_tail = tail;
            }
        }
        if (!oldest_tail)
            break;
        /* Flushed meanwhile? Then another may be the oldest. */
        pthread_mutex_lock(&oldest_tail->lock);
        is_found = oldest_tail->pending && oldest_tail->pending->lsn.at == oldest.at;
        if (is_found)
            oldest = oldest_tail->pending->lsn;
        pthread_mutex_unlock(&oldest_tail->lock);
    } while (!is_found);
    pthread_rwlock_unlock(&log->stores_lock);
    return oldest;
}

static bool is_over(const struct mr_log *log, uint64_t max, uint64_t less)
{
    return atomic_load(&log->cached_bytes) + atomic_load(&log->pending_bytes) > max + less;
}

/* Takes chunks out of the cache, oldest first, as long as there is too much in memory: they are linked
 * by cache_next then. */
static struct mr_chunk *take_cached(struct mr_log *log, uint64_t max, uint64_t *bytes)
{
    struct mr_chunk *first, *last = NULL, *next;

    pthread_mutex_lock(&log->cache_lock);
    first = next = log->cache_first;
    while (next && is_over(log, max, *bytes)) {
        *bytes += sizeof *next + next->capacity;
        last = next;
        next = next->cache_next;
    }
    if (last) {
        last->cache_next = NULL;
        log->cache_first = next;
        *(next ? &next->cache_previous : &log->cache_last) = NULL;
    }
    pthread_mutex_unlock(&log->cache_lock);
    return last ? first : NULL;
}

void mr_log_trim_cache(struct mr_log *log)
{
    uint64_t max = mr_log_memory_max(log), bytes = 0, emptied = 0;
    struct mr_chunk *first, *next;

    if (!is_over(log, max, 0))
        return;
    /* Many at once: publisher and flusher meet here. The lock keeps mr_log_drop() away from them. */
    pthread_mutex_lock(&log->flushing);
    first = take_cached(log, max, &bytes);
    for (struct mr_chunk *chunk = first; chunk; chunk = chunk->cache_next) {
        struct mr_tail *tail = chunk->tail;

        pthread_mutex_lock(&tail->lock);
        mr_check(tail->first == chunk);
        mr_tail_drop_first(tail);
        emptied += !tail->first;
        pthread_mutex_unlock(&tail->lock);
    }
    atomic_fetch_sub(&log->cached_bytes, bytes);
    atomic_fetch_sub(&log->active_count, emptied);
    pthread_mutex_unlock(&log->flushing);
    for (; first; first = next) {
        next = first->cache_next;
        mr_chunk_release(first);
    }
}

bool mr_log_flush_is_due(struct mr_log *log, uint64_t live_bytes, uint64_t published_lsn)
{
    uint64_t pending = atomic_load(&log->pending_bytes), max = mr_log_memory_max(log);
    bool is_journal_long = live_bytes > log->journal.ring_bytes / 4;

    return (atomic_load(&log->is_any_ready) && (pending > max / 4 || is_journal_long)) ||
           pending > max / 4 * 3 ||
           (is_journal_long && published_lsn >= atomic_load(&log->look_again_lsn));
}

/* Completes blocks in progress where waiting for them to fill would hold up puts. */
static void complete_by_pressure(struct mr_log *log, uint64_t live, uint64_t published)
{
    uint64_t ring = log->journal.ring_bytes;
    struct mr_lsn oldest = mr_log_oldest_pending(log);

    if (live > ring / 4) {
        /* The journal fills up: what is oldest goes, complete or not, then the space is freed. */
        if (published - oldest.at > ring / 8)
            mr_log_complete_old(log, published - ring / 8);
        atomic_store(&log->look_again_lsn, published + ring / 32);
        mr_log_poke(&log->keep_word);
    } else if (!atomic_load(&log->is_any_ready)) {
        /* Memory does, with blocks in progress: many shards, each with a little. */
        mr_log_complete_old(log, oldest.at + (published - oldest.at) / 2 + 1);
    }
}

bool mr_log_flush_by_pressure(struct mr_log *log)
{
    uint64_t live, published;

    mr_log_trim_cache(log);
    pthread_mutex_lock(&log->publishing);
    published = log->published.at;
    pthread_mutex_unlock(&log->publishing);
    pthread_mutex_lock(&log->sequencer);
    live = log->next_lsn - log->tail_lsn;
    pthread_mutex_unlock(&log->sequencer);
    if (!mr_log_flush_is_due(log, live, published))
        return false;
    if (published >= atomic_load(&log->look_again_lsn) || !atomic_load(&log->is_any_ready))
        complete_by_pressure(log, live, published);
    if (!mr_log_flush(log))
        return false;
    if (live > log->journal.ring_bytes / 4 && !atomic_load(&log->is_any_ready))
        mr_log_poke(&log->keep_word); /* the journal's oldest part may be free now */
    return true;
}
