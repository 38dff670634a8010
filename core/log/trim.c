/* trim.c - retention: whole segments go when all in them is too old. */
#include "base/memory.h"
#include "log/inside.h"

void mr_log_doom(struct mr_log *log, uint32_t stream, uint32_t segment)
{
    struct mr_doomed *doomed = mr_new(struct mr_doomed);

    *doomed = (struct mr_doomed){.next = log->doomed, .stream = stream, .segment = segment};
    log->doomed = doomed;
}

/* The whole of the segment arrived before the horizon: forget it, and remember to remove its file. */
static void doom_segment(struct mr_log *log, struct mr_store *store, uint32_t i)
{
    struct mr_segment *segment = &store->segments[i];
    struct mr_tail *tail;

    mr_log_doom(log, store->stream, segment->id);
    if (segment->file)
        log->fs->close(segment->file);
    if (!segment->is_sealed) {
        pthread_rwlock_rdlock(&log->stores_lock);
        for (size_t id = 0; (tail = mr_log_next_tail(log, store, &id));) {
            pthread_mutex_lock(&tail->lock);
            tail->place_count = 0;
            pthread_mutex_unlock(&tail->lock);
        }
        pthread_rwlock_unlock(&log->stores_lock);
    }
    store->segment_count--;
    memmove(segment, segment + 1, (store->segment_count - i) * sizeof *segment);
}

void mr_log_trim(struct mr_log *log, uint32_t stream, int64_t horizon_ms)
{
    struct mr_store *store = mr_log_store_hold(log, stream);
    int64_t span_ms;

    if (!store)
        return;
    pthread_mutex_lock(&log->flush_turn);
    pthread_mutex_lock(&log->flushing);
    /* A 24th of the retention, so that at most that much is kept too long; 10 minutes at least. */
    span_ms = (log->clock->wall_ms(log->clock) - horizon_ms) / 24;
    store->roll_ms = span_ms < 600 * 1000 ? 600 * 1000 : span_ms;
    for (uint32_t i = 0; i < store->segment_count;) {
        if (store->segments[i].block_count > 0 && store->segments[i].last_ms < horizon_ms)
            doom_segment(log, store, i);
        else
            i++;
    }
    atomic_fetch_add(&store->version, 1);
    pthread_mutex_unlock(&log->flushing);
    pthread_mutex_unlock(&log->flush_turn);
    mr_store_release(store);
}
