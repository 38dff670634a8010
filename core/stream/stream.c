/* stream.c - create, delete, retain, describe, list. */
#include "base/fail.h"
#include "base/memory.h"
#include "stream/change.h"
#include "stream/engine.h"

#include <inttypes.h>
#include <string.h>

mr_status mr_no_stream(const char *stream, mr_error *error)
{
    return mr_fail(error, MR_NOT_FOUND, "there is no stream %.*s", MR_NAME_BYTES_MAX, stream);
}

/* ---- change ------------------------------------------------------------------------------- */

static mr_status check_create(struct mr_engine *engine, const char *name, uint32_t shard_count,
                              mr_error *error)
{
    const struct mr_catalog *catalog = &engine->catalog;

    if (mr_catalog_find(catalog, name))
        return mr_fail(error, MR_EXISTS, "stream %s exists", name);
    if (shard_count > MR_STREAM_SHARD_COUNT_MAX ||
        catalog->open_shard_count + shard_count > engine->shard_count_max)
        return mr_fail(error, MR_LIMIT,
                       "%" PRIu32 " shards more than the %" PRIu64
                       " there are would be over the limit of %" PRIu32,
                       shard_count, catalog->open_shard_count, engine->shard_count_max);
    return MR_OK;
}

mr_status mr_stream_create(mr_engine *engine, const char *stream, uint32_t shard_count,
                           mr_error *error)
{
    struct mr_change change;
    mr_status status;

    if (!mr_stream_name_is_valid((mr_bytes){stream, strlen(stream)}))
        return mr_fail(error, MR_INVALID,
                       "a stream's name is 1 to %d letters, digits, '_', '.' and '-'",
                       MR_NAME_BYTES_MAX);
    if (shard_count == 0)
        return mr_fail(error, MR_INVALID, "a stream has at least one shard");
    mr_change_begin(&change, engine, stream);
    status = check_create(engine, stream, shard_count, error);
    if (!status)
        mr_pack_stream_create(&change.entry, engine->catalog.next_stream, engine->catalog.next_log,
                              shard_count, MR_RETENTION_HOURS_MIN, stream);
    return mr_change_end(&change, status, error);
}

mr_status mr_stream_delete(mr_engine *engine, const char *stream, mr_error *error)
{
    struct mr_change change;
    mr_status status = MR_OK;

    mr_change_begin(&change, engine, stream);
    if (change.stream)
        mr_pack_stream_delete(&change.entry, change.stream->id);
    else
        status = mr_no_stream(stream, error);
    return mr_change_end(&change, status, error);
}

mr_status mr_stream_retain(mr_engine *engine, const char *stream, uint32_t hours, mr_error *error)
{
    struct mr_change change;
    mr_status status = MR_OK;

    if (hours < MR_RETENTION_HOURS_MIN || hours > MR_RETENTION_HOURS_MAX)
        return mr_fail(error, MR_INVALID, "retention is %d to %d hours, not %" PRIu32,
                       MR_RETENTION_HOURS_MIN, MR_RETENTION_HOURS_MAX, hours);
    mr_change_begin(&change, engine, stream);
    if (change.stream)
        mr_pack_retention(&change.entry, change.stream->id, hours);
    else
        status = mr_no_stream(stream, error);
    return mr_change_end(&change, status, error);
}

mr_status mr_stream_encrypt(mr_engine *engine, const char *stream, bool is_on, mr_error *error)
{
    struct mr_change change;
    uint64_t key_id = 0;
    mr_status status = is_on ? mr_log_first_key(engine->log, &key_id, error) : MR_OK;

    if (status)
        return status;
    mr_change_begin(&change, engine, stream);
    if (change.stream)
        mr_pack_encryption(&change.entry, change.stream->id, key_id);
    else
        status = mr_no_stream(stream, error);
    return mr_change_end(&change, status, error);
}

/* ---- look --------------------------------------------------------------------------------- */

static void describe(struct mr_stream_info *info, const struct mr_stream *stream)
{
    *info = (struct mr_stream_info){.id = stream->id,
                                    .created_ms = stream->created_ms,
                                    .retention_hours = stream->retention_hours,
                                    .shard_count = (uint32_t)stream->shard_count,
                                    .open_shard_count = (uint32_t)stream->open_count,
                                    .is_encrypted = stream->key_id != 0};
    memcpy(info->name, stream->name, sizeof info->name);
}

/* What the log knows of it, without our lock. */
static void add_figures(struct mr_engine *engine, struct mr_stream_info *info)
{
    struct mr_log_figures figures;

    mr_log_stream_figures(engine->log, info->id, &figures);
    info->record_count = figures.record_count;
    info->record_bytes = figures.record_bytes;
    info->segment_count = figures.segment_count;
    info->segment_raw_bytes = figures.raw_bytes;
    info->segment_stored_bytes = figures.stored_bytes;
}

mr_status mr_stream_describe(mr_engine *engine, const char *stream, struct mr_stream_info *info,
                             mr_error *error)
{
    const struct mr_stream *found;

    pthread_rwlock_rdlock(&engine->catalog.lock);
    found = mr_catalog_find(&engine->catalog, stream);
    if (found)
        describe(info, found);
    pthread_rwlock_unlock(&engine->catalog.lock);
    if (!found)
        return mr_no_stream(stream, error);
    add_figures(engine, info);
    return MR_OK;
}

/* The first stream whose name is above the one in info (is_first: not below); false: none. */
static bool describe_next(struct mr_engine *engine, struct mr_stream_info *info, bool is_first)
{
    const struct mr_catalog *catalog = &engine->catalog;
    size_t index;
    bool is_there;

    pthread_rwlock_rdlock(&engine->catalog.lock);
    index = mr_catalog_at(catalog, info->name);
    if (!is_first && index < catalog->stream_count &&
        strcmp(catalog->by_name[index]->name, info->name) == 0)
        index++;
    is_there = index < catalog->stream_count;
    if (is_there)
        describe(info, catalog->by_name[index]);
    pthread_rwlock_unlock(&engine->catalog.lock);
    return is_there;
}

void mr_stream_each(mr_engine *engine,
                    bool (*visit)(void *context, const struct mr_stream_info *info), void *context)
{
    struct mr_stream_info info = {0};

    for (bool is_first = true; describe_next(engine, &info, is_first); is_first = false) {
        add_figures(engine, &info);
        if (!visit(context, &info))
            return;
    }
}
