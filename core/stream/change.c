#include "stream/change.h"

#include "base/check.h"
#include "stream/layout.h"

void mr_change_begin(struct mr_change *change, struct mr_engine *engine, const char *stream)
{
    pthread_mutex_lock(&engine->changing);
    pthread_rwlock_rdlock(&engine->catalog.lock);
    *change = (struct mr_change){.engine = engine, .name = stream};
    change->stream = mr_catalog_find(&engine->catalog, stream);
}

/* Makes the route what the catalog says. */
static void route_by_catalog(struct mr_engine *engine, const char *name)
{
    const struct mr_stream *stream;

    pthread_rwlock_rdlock(&engine->catalog.lock);
    stream = mr_catalog_find(&engine->catalog, name);
    if (stream)
        mr_routes_set(&engine->routes, name, stream->key_id, stream->open, stream->open_count);
    else
        mr_routes_remove(&engine->routes, name);
    pthread_rwlock_unlock(&engine->catalog.lock);
}

/* The entry is in the order of everything, but maybe not applied yet. False: it is. */
static bool route_by_entry(struct mr_engine *engine, const char *name, const struct mr_entry *entry,
                           const struct mr_log_append *append)
{
    const struct mr_catalog *catalog = &engine->catalog;
    struct mr_layout layout = {0};
    const struct mr_stream *stream;
    bool is_ahead;

    pthread_rwlock_rdlock(&engine->catalog.lock);
    stream = mr_catalog_find(catalog, name);
    if (entry->type == MR_ENTRY_STREAM_CREATE) {
        is_ahead = !stream;
        if (is_ahead)
            mr_layout_create(&layout, entry, append->entry_number, append->at_ms);
    } else {
        is_ahead = stream->next_shard <= entry->first_shard;
        if (is_ahead)
            mr_check(!mr_layout_reshard(&layout, stream, entry, append->entry_number, append->at_ms,
                                        NULL));
    }
    if (is_ahead)
        mr_routes_set(&engine->routes, name, stream ? stream->key_id : 0, layout.open,
                      layout.open_count);
    pthread_rwlock_unlock(&engine->catalog.lock);
    mr_layout_fini(&layout);
    return is_ahead;
}

static void change_route(struct mr_change *change, const struct mr_entry *entry,
                         const struct mr_log_append *append)
{
    switch (entry->type) {
    case MR_ENTRY_STREAM_DELETE:
        mr_routes_remove(&change->engine->routes, change->name);
        break;
    case MR_ENTRY_STREAM_CREATE:
    case MR_ENTRY_RESHARD:
        if (!route_by_entry(change->engine, change->name, entry, append))
            route_by_catalog(change->engine, change->name);
        break;
    case MR_ENTRY_ENCRYPTION:
        mr_routes_get(&change->engine->routes, change->name)->key_id = entry->key_id;
        break;
    case MR_ENTRY_RETENTION:
    case MR_ENTRY_PROPERTY:
    case MR_ENTRY_SHARD_FORGET:
        break;
    }
}

static mr_status commit(struct mr_change *change, mr_error *error)
{
    struct mr_engine *engine = change->engine;
    struct mr_log_append append = {.entry = {change->entry.data, change->entry.size}};
    struct mr_entry entry;
    mr_status status;

    mr_check(mr_entry_decode(&entry, append.entry));
    pthread_rwlock_wrlock(&engine->routes.lock);
    status = mr_log_append(engine->log, &append, MR_PUT_WAIT_MS, error);
    if (!status)
        change_route(change, &entry, &append);
    pthread_rwlock_unlock(&engine->routes.lock);
    if (status)
        return status;

    status = mr_log_wait(engine->log, &append, error);
    if (status) {
        pthread_rwlock_wrlock(&engine->routes.lock);
        route_by_catalog(engine, change->name);
        pthread_rwlock_unlock(&engine->routes.lock);
    }
    return status;
}

mr_status mr_change_end(struct mr_change *change, mr_status status, mr_error *error)
{
    pthread_rwlock_unlock(&change->engine->catalog.lock);
    if (!status && change->entry.size)
        status = commit(change, error);
    mr_pack_fini(&change->entry);
    pthread_mutex_unlock(&change->engine->changing);
    return status;
}
