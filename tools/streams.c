#include "streams.h"

#include "base/memory.h"

mr_status mr_streams_each(const struct mr_place *place, bool names_only,
                          bool (*visit)(void *context, const struct mr_stream_info *info),
                          void *context, mr_error *error)
{
    if (place->service)
        return mr_remote_each(place->service, names_only, visit, context, error);
    mr_stream_each(place->engine, visit, context);
    return MR_OK;
}

mr_status mr_streams_describe(const struct mr_place *place, const char *stream,
                              struct mr_stream_info *info, mr_error *error)
{
    return place->service ? mr_remote_describe(place->service, stream, info, error)
                          : mr_stream_describe(place->engine, stream, info, error);
}

mr_status mr_streams_create(const struct mr_place *place, const char *stream, uint32_t shard_count,
                            uint32_t retention_hours, mr_error *error)
{
    mr_status status;

    if (place->service)
        return mr_remote_create(place->service, stream, shard_count, retention_hours, error);
    status = mr_stream_create(place->engine, stream, shard_count, error);
    if (!status && retention_hours != 24)
        status = mr_stream_retain(place->engine, stream, retention_hours, error);
    return status;
}

mr_status mr_streams_delete(const struct mr_place *place, const char *stream, mr_error *error)
{
    return place->service ? mr_remote_delete(place->service, stream, error)
                          : mr_stream_delete(place->engine, stream, error);
}

mr_status mr_streams_scale(const struct mr_place *place, const char *stream, uint32_t shard_count,
                           mr_error *error)
{
    return place->service ? mr_remote_scale(place->service, stream, shard_count, error)
                          : mr_stream_scale(place->engine, stream, shard_count, error);
}

mr_status mr_streams_split(const struct mr_place *place, const char *stream, mr_shard_id shard,
                           const mr_hash_key *at, mr_shard_id children[2], mr_error *error)
{
    return place->service ? mr_remote_split(place->service, stream, shard, at, children, error)
                          : mr_shard_split(place->engine, stream, shard, at, children, error);
}

mr_status mr_streams_merge(const struct mr_place *place, const char *stream, mr_shard_id shard,
                           mr_shard_id adjacent, mr_shard_id *child, mr_error *error)
{
    return place->service ? mr_remote_merge(place->service, stream, shard, adjacent, child, error)
                          : mr_shard_merge(place->engine, stream, shard, adjacent, child, error);
}

mr_status mr_streams_put(const struct mr_place *place, const char *stream, const mr_put *puts,
                         size_t count, mr_put_result *results, mr_error *error)
{
    return place->service ? mr_remote_put(place->service, stream, puts, count, results, error)
                          : mr_put_records(place->engine, stream, puts, count, results, error);
}

/* ---- lists of shards ---------------------------------------------------------------------- */

void mr_shard_list_add(struct mr_shard_list *list, const mr_shard *shard)
{
    mr_grow(list->shards, list->count, list->capacity);
    list->shards[list->count++] = *shard;
}

static bool add_shard(void *context, const mr_shard *shard)
{
    mr_shard_list_add(context, shard);
    return true;
}

mr_status mr_shard_list_read(struct mr_shard_list *list, const struct mr_place *place,
                             const char *stream, mr_error *error)
{
    *list = (struct mr_shard_list){.count = 0};
    return place->service ? mr_remote_shards(place->service, stream, list, error)
                          : mr_shard_each(place->engine, stream, add_shard, list, error);
}

void mr_shard_list_fini(struct mr_shard_list *list)
{
    mr_free(list->shards);
    *list = (struct mr_shard_list){.count = 0};
}
