/* shard.c - what is known of shards. */
#include "base/fail.h"
#include "stream/engine.h"

#include <inttypes.h>

mr_status mr_no_shard(const char *stream, mr_shard_id shard, mr_error *error)
{
    char text[MR_SHARD_TEXT_BYTES];

    mr_shard_format(shard, text);
    return mr_fail(error, MR_NOT_FOUND, "stream %s has no %s", stream, text);
}

static mr_shard_id known(const struct mr_stream *stream, mr_shard_id parent)
{
    return mr_stream_find(stream, parent) ? parent : MR_NO_SHARD;
}

/* All but the counts; the log is what they are asked from. */
static mr_log_id describe(mr_shard *shard, const struct mr_stream *stream,
                          const struct mr_shard_state *state)
{
    *shard = (mr_shard){
        .id = state->id,
        .parent = known(stream, state->parent),
        .adjacent_parent = known(stream, state->adjacent_parent),
        .first_key = state->range.first,
        .last_key = state->range.last,
        .first_sequence = {0, state->id, state->created_s, state->created_s},
        .is_closed = state->closed_number != 0,
        .created_ms = state->created_ms,
        .closed_ms = state->closed_ms,
    };
    if (shard->is_closed)
        shard->last_sequence = (mr_sequence){MR_LAST_NUMBER, state->id, state->created_s,
                                             mr_shard_second(state->created_s, state->closed_ms)};
    return state->log;
}

static void add_figures(struct mr_engine *engine, mr_log_id log, mr_shard *shard)
{
    struct mr_log_figures figures;

    if (mr_log_figures(engine->log, log, &figures))
        return; /* dropped in between */
    shard->record_count = figures.record_count;
    shard->record_bytes = figures.record_bytes;
}

mr_status mr_shard_each(mr_engine *engine, const char *stream,
                        bool (*visit)(void *context, const mr_shard *shard), void *context,
                        mr_error *error)
{
    struct mr_catalog *catalog = &engine->catalog;
    struct mr_stream *found;
    mr_shard_id next = 0;

    pthread_rwlock_rdlock(&catalog->lock);
    found = mr_catalog_find(catalog, stream);
    if (found)
        mr_stream_take(found);
    pthread_rwlock_unlock(&catalog->lock);
    if (!found)
        return mr_no_stream(stream, error);
    for (;;) {
        mr_shard shard;
        mr_log_id log = 0;
        size_t index;
        bool is_there;

        pthread_rwlock_rdlock(&catalog->lock);
        index = mr_stream_at(found, next);
        is_there = index < found->shard_count;
        if (is_there)
            log = describe(&shard, found, found->shards[index]);
        pthread_rwlock_unlock(&catalog->lock);
        if (!is_there)
            break;
        add_figures(engine, log, &shard);
        if (!visit(context, &shard))
            break;
        next = shard.id + 1;
    }
    mr_stream_give(found);
    return MR_OK;
}

mr_status mr_shard_look(mr_engine *engine, const char *stream, mr_shard_id id,
                        struct mr_shard_view *view, mr_error *error)
{
    const struct mr_stream *found;
    const struct mr_shard_state *state = NULL;

    view->child_count = 0;
    pthread_rwlock_rdlock(&engine->catalog.lock);
    found = mr_catalog_find(&engine->catalog, stream);
    if (found)
        state = mr_stream_find(found, id);
    if (state) {
        describe(&view->shard, found, state);
        view->open_shard_count = (uint32_t)found->open_count;
        for (mr_shard_id next = state->first_child; next && next <= state->first_child + 1;
             next++) {
            const struct mr_shard_state *child = mr_stream_find(found, next);

            if (child && (child->parent == id || child->adjacent_parent == id))
                describe(&view->children[view->child_count++], found, child);
        }
    }
    pthread_rwlock_unlock(&engine->catalog.lock);
    if (!found)
        return mr_no_stream(stream, error);
    return state ? MR_OK : mr_no_shard(stream, id, error);
}

mr_status mr_shard_where(mr_engine *engine, const char *stream, mr_bytes partition_key,
                         mr_shard *shard, mr_hash_key *hash_key, mr_error *error)
{
    mr_hash_key key = mr_hash_key_of(partition_key);
    const struct mr_stream *found;
    mr_log_id log = 0;

    pthread_rwlock_rdlock(&engine->catalog.lock);
    found = mr_catalog_find(&engine->catalog, stream);
    if (found)
        log = describe(shard, found, mr_stream_where(found, key));
    pthread_rwlock_unlock(&engine->catalog.lock);
    if (!found)
        return mr_no_stream(stream, error);
    add_figures(engine, log, shard);
    if (hash_key)
        *hash_key = key;
    return MR_OK;
}
