/*
 * retention.c - forgets what is older than a stream's retention (L8).
 *
 * Readers hide old records to the millisecond; here go the segments that hold nothing else, and the
 * closed shards all of whose records are hidden.
 */
#include "base/memory.h"
#include "stream/engine.h"

static int64_t now_ms(struct mr_engine *engine)
{
    return engine->clock->wall_ms(engine->clock);
}

/* A stream in id order, taken; NULL at the end. */
static struct mr_stream *take_next(struct mr_engine *engine, uint64_t from_id)
{
    const struct mr_catalog *catalog = &engine->catalog;
    struct mr_stream *stream = NULL;

    pthread_rwlock_rdlock(&engine->catalog.lock);
    for (size_t low = 0, high = catalog->stream_count; low < high;) {
        size_t middle = low + (high - low) / 2;
        if (catalog->by_id[middle]->id < from_id) {
            low = middle + 1;
        } else {
            high = middle;
            stream = catalog->by_id[middle];
        }
    }
    if (stream)
        mr_stream_take(stream);
    pthread_rwlock_unlock(&engine->catalog.lock);
    return stream;
}

static void trim(struct mr_engine *engine, struct mr_log *log)
{
    struct mr_stream *stream;

    for (uint64_t id = 0; (stream = take_next(engine, id)); mr_stream_give(stream)) {
        mr_log_trim(log, stream->id, mr_stream_horizon_ms(stream, now_ms(engine)));
        id = (uint64_t)stream->id + 1;
    }
}

/* Packs the entry that forgets the closed shards of a stream that are past its retention. */
static bool pack_forget(struct mr_engine *engine, struct mr_stream *stream, struct mr_pack *entry)
{
    int64_t horizon_ms = mr_stream_horizon_ms(stream, now_ms(engine));
    mr_shard_id *shards = NULL;
    size_t count = 0, capacity = 0;

    pthread_rwlock_rdlock(&engine->catalog.lock);
    if (stream->open_count < stream->shard_count)
        for (size_t i = 0; i < stream->shard_count; i++)
            if (stream->shards[i]->closed_number && stream->shards[i]->closed_ms < horizon_ms) {
                mr_grow(shards, count, capacity);
                shards[count++] = stream->shards[i]->id;
            }
    pthread_rwlock_unlock(&engine->catalog.lock);
    if (count > 0)
        mr_pack_shard_forget(entry, stream->id, shards, count);
    mr_free(shards);
    return count > 0;
}

/* ---- from the housekeeper's thread, which must not wait for itself ------------------------- */

static void end_forgetting(struct mr_log_append *append)
{
    struct mr_engine *engine = append->context;

    atomic_store(&engine->is_forgetting, false);
}

static void begin_forgetting(struct mr_engine *engine, struct mr_log *log,
                             const struct mr_pack *entry)
{
    engine->forgetting = (struct mr_log_append){
        .entry = {entry->data, entry->size}, .done = end_forgetting, .context = engine};
    atomic_store(&engine->is_forgetting, true);
    if (mr_log_append(log, &engine->forgetting, 0, NULL))
        atomic_store(&engine->is_forgetting, false); /* the next time, then */
}

void mr_retention_housekeep(struct mr_engine *engine, struct mr_log *log)
{
    struct mr_stream *stream;

    trim(engine, log);
    for (uint64_t id = 0; !atomic_load(&engine->is_forgetting) && (stream = take_next(engine, id));
         mr_stream_give(stream)) {
        struct mr_pack entry = {0};

        if (pack_forget(engine, stream, &entry))
            begin_forgetting(engine, log, &entry);
        mr_pack_fini(&entry);
        id = (uint64_t)stream->id + 1;
    }
}

/* ---- at once ------------------------------------------------------------------------------ */

mr_status mr_engine_trim(mr_engine *engine, mr_error *error)
{
    struct mr_stream *stream;
    mr_status status = MR_OK;

    for (uint64_t id = 0; !status && (stream = take_next(engine, id)); mr_stream_give(stream)) {
        struct mr_pack entry = {0};

        if (pack_forget(engine, stream, &entry)) {
            struct mr_log_append append = {.entry = {entry.data, entry.size}};

            status = mr_log_append_wait(engine->log, &append, MR_PUT_WAIT_MS, error);
        }
        mr_pack_fini(&entry);
        id = (uint64_t)stream->id + 1;
    }
    if (status)
        return status;
    trim(engine, engine->log);
    return mr_log_checkpoint(engine->log, error);
}
