#include "stream/catalog.h"

#include "base/check.h"
#include "base/fail.h"
#include "base/memory.h"
#include "base/u128.h"
#include "stream/layout.h"
#include "stream/origin.h"

#include <inttypes.h>
#include <string.h>

#define HOUR_MS INT64_C(3600000)

void mr_catalog_init(struct mr_catalog *catalog)
{
    pthread_rwlockattr_t attributes;

    *catalog = (struct mr_catalog){0};
    pthread_rwlockattr_init(&attributes);
    pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(&catalog->lock, &attributes);
    pthread_rwlockattr_destroy(&attributes);
}

void mr_catalog_fini(struct mr_catalog *catalog)
{
    for (size_t i = 0; i < catalog->stream_count; i++)
        mr_stream_give(catalog->by_id[i]);
    mr_free(catalog->by_id);
    mr_free(catalog->by_name);
    mr_properties_fini(&catalog->properties);
    pthread_rwlock_destroy(&catalog->lock);
}

/* ---- looking ------------------------------------------------------------------------------ */

size_t mr_catalog_at(const struct mr_catalog *catalog, const char *name)
{
    size_t low = 0, high = catalog->stream_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(catalog->by_name[middle]->name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct mr_stream *mr_catalog_find(const struct mr_catalog *catalog, const char *name)
{
    size_t index = mr_catalog_at(catalog, name);

    if (index == catalog->stream_count || strcmp(catalog->by_name[index]->name, name) != 0)
        return NULL;
    return catalog->by_name[index];
}

static size_t id_index(const struct mr_catalog *catalog, uint32_t stream)
{
    size_t low = 0, high = catalog->stream_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (catalog->by_id[middle]->id < stream)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct mr_stream *mr_catalog_find_id(const struct mr_catalog *catalog, uint32_t stream)
{
    size_t index = id_index(catalog, stream);

    if (index == catalog->stream_count || catalog->by_id[index]->id != stream)
        return NULL;
    return catalog->by_id[index];
}

size_t mr_stream_at(const struct mr_stream *stream, mr_shard_id shard)
{
    size_t low = 0, high = stream->shard_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (stream->shards[middle]->id < shard)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct mr_shard_state *mr_stream_find(const struct mr_stream *stream, mr_shard_id shard)
{
    size_t index = mr_stream_at(stream, shard);

    if (index == stream->shard_count || stream->shards[index]->id != shard)
        return NULL;
    return stream->shards[index];
}

struct mr_shard_state *mr_stream_where(const struct mr_stream *stream, mr_hash_key key)
{
    size_t low = 0, high = stream->open_count;

    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (mr_hash_key_below(key, stream->open[middle]->range.first))
            high = middle;
        else
            low = middle;
    }
    return stream->open[low];
}

/* ---- holding ------------------------------------------------------------------------------ */

struct mr_stream *mr_stream_take(struct mr_stream *stream)
{
    atomic_fetch_add_explicit(&stream->references, 1, memory_order_relaxed);
    return stream;
}

void mr_stream_give(struct mr_stream *stream)
{
    if (!stream || atomic_fetch_sub_explicit(&stream->references, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < stream->shard_count; i++)
        mr_shard_give(stream->shards[i]);
    mr_free(stream->shards);
    mr_free(stream->open);
    mr_properties_fini(&stream->properties);
    mr_free(stream);
}

struct mr_shard_state *mr_shard_take(struct mr_shard_state *shard)
{
    atomic_fetch_add_explicit(&shard->references, 1, memory_order_relaxed);
    return shard;
}

void mr_shard_give(struct mr_shard_state *shard)
{
    if (shard && atomic_fetch_sub_explicit(&shard->references, 1, memory_order_acq_rel) == 1)
        mr_free(shard);
}

int64_t mr_stream_horizon_ms(const struct mr_stream *stream, int64_t now_ms)
{
    int64_t hours = atomic_load_explicit(&stream->retention_hours, memory_order_relaxed);
    int64_t trimmed = atomic_load_explicit(&stream->trimmed_before_ms, memory_order_relaxed);
    int64_t retained = now_ms - hours * HOUR_MS;

    return retained > trimmed ? retained : trimmed;
}

uint32_t mr_shard_second(uint32_t created_s, int64_t at_ms)
{
    int64_t at_s = at_ms / 1000;

    if (at_s > MR_SECOND_MAX)
        at_s = MR_SECOND_MAX;
    return at_s > created_s ? (uint32_t)at_s : created_s;
}

/* ---- changing ----------------------------------------------------------------------------- */

static void name_child(struct mr_stream *stream, mr_shard_id parent, mr_shard_id child)
{
    struct mr_shard_state *state = mr_stream_find(stream, parent);

    if (state && !state->first_child)
        state->first_child = child;
}

/* Parents know their children: those from this place in the stream's shards on. */
static void name_children(struct mr_stream *stream, size_t index)
{
    for (; index < stream->shard_count; index++) {
        const struct mr_shard_state *child = stream->shards[index];

        name_child(stream, child->parent, child->id);
        name_child(stream, child->adjacent_parent, child->id);
    }
}

void mr_catalog_adopt(struct mr_catalog *catalog, struct mr_log *log, struct mr_stream *stream)
{
    size_t name_index = mr_catalog_at(catalog, stream->name);
    size_t count = catalog->stream_count;
    size_t capacity = count == catalog->stream_capacity ? (count ? count * 2 : 8) : 0;

    for (size_t i = 0; i < stream->shard_count && log; i++)
        mr_log_add(log, stream->shards[i]->log, stream->id);
    if (stream->key_id && log)
        mr_log_encrypt(log, stream->id, stream->key_id);
    name_children(stream, 0);
    pthread_rwlock_wrlock(&catalog->lock);
    if (capacity) {
        catalog->by_id = mr_resize(catalog->by_id, capacity * sizeof *catalog->by_id);
        catalog->by_name = mr_resize(catalog->by_name, capacity * sizeof *catalog->by_name);
        catalog->stream_capacity = capacity;
    }
    catalog->by_id[count] = stream;
    memmove(catalog->by_name + name_index + 1, catalog->by_name + name_index,
            (count - name_index) * sizeof(struct mr_stream *));
    catalog->by_name[name_index] = stream;
    catalog->stream_count++;
    catalog->shard_count += stream->shard_count;
    catalog->open_shard_count += stream->open_count;
    catalog->property_bytes += mr_properties_bytes(&stream->properties);
    catalog->next_stream = stream->id + 1;
    for (size_t i = 0; i < stream->shard_count; i++)
        if (stream->shards[i]->log >= catalog->next_log)
            catalog->next_log = stream->shards[i]->log + 1;
    pthread_rwlock_unlock(&catalog->lock);
}

static mr_status apply_create(struct mr_catalog *catalog, struct mr_log *log,
                              const struct mr_entry *entry, uint64_t number, int64_t at_ms,
                              mr_error *error)
{
    struct mr_layout layout = {0};
    struct mr_stream *stream = mr_new(struct mr_stream);

    memcpy(stream->name, entry->name.data, entry->name.size);
    if (entry->stream < catalog->next_stream || entry->first_log < catalog->next_log ||
        mr_catalog_find(catalog, stream->name)) {
        mr_fail(error, MR_CORRUPT, "the journal creates stream %s (%" PRIu32 ") twice",
                stream->name, entry->stream);
        mr_free(stream);
        return MR_CORRUPT;
    }
    mr_layout_create(&layout, entry, number, at_ms);
    stream->id = entry->stream;
    stream->created_ms = at_ms;
    stream->retention_hours = entry->retention_hours;
    stream->trimmed_before_ms = 0;
    stream->references = 1;
    stream->shards = layout.opened;
    stream->open = layout.open;
    stream->shard_count = stream->shard_capacity = stream->open_count = layout.open_count;
    stream->next_shard = (mr_shard_id)stream->shard_count;
    mr_catalog_adopt(catalog, log, stream);
    return MR_OK;
}

static void remove_stream(struct mr_stream **streams, size_t count, size_t index)
{
    memmove(streams + index, streams + index + 1, (count - index - 1) * sizeof *streams);
}

static void apply_delete(struct mr_catalog *catalog, struct mr_log *log, struct mr_stream *stream)
{
    pthread_rwlock_wrlock(&catalog->lock);
    remove_stream(catalog->by_name, catalog->stream_count, mr_catalog_at(catalog, stream->name));
    remove_stream(catalog->by_id, catalog->stream_count, id_index(catalog, stream->id));
    catalog->stream_count--;
    catalog->shard_count -= stream->shard_count;
    catalog->open_shard_count -= stream->open_count;
    catalog->property_bytes -= mr_properties_bytes(&stream->properties);
    pthread_rwlock_unlock(&catalog->lock);
    stream->is_deleted = true;
    if (log)
        mr_log_drop_stream(log, stream->id);
    mr_stream_give(stream);
}

/* Makes the layout the stream's. */
static void adopt_layout(struct mr_stream *stream, struct mr_layout *layout, uint64_t number,
                         int64_t at_ms)
{
    size_t count = stream->shard_count + layout->opened_count;

    if (count > stream->shard_capacity) {
        stream->shard_capacity =
            count > 2 * stream->shard_capacity ? count : 2 * stream->shard_capacity;
        stream->shards = mr_resize(stream->shards, stream->shard_capacity * sizeof *stream->shards);
    }
    memcpy(stream->shards + stream->shard_count, layout->opened,
           layout->opened_count * sizeof *stream->shards);
    stream->shard_count = count;
    name_children(stream, count - layout->opened_count);
    stream->next_shard = stream->shards[count - 1]->id + 1;
    layout->opened_count = 0;
    mr_free(stream->open);
    stream->open = layout->open;
    stream->open_count = layout->open_count;
    layout->open = NULL;
    for (size_t i = 0; i < layout->closed_count; i++) {
        layout->closed[i]->closed_ms = at_ms;
        layout->closed[i]->closed_number = number;
        layout->closed[i]->is_closed = true;
    }
}

static mr_status apply_reshard(struct mr_catalog *catalog, struct mr_log *log,
                               struct mr_stream *stream, const struct mr_entry *entry,
                               uint64_t number, int64_t at_ms, mr_error *error)
{
    struct mr_layout layout = {0};
    mr_status status =
        entry->first_log < catalog->next_log
            ? mr_fail(error, MR_CORRUPT, "the journal opens logs of stream %s twice", stream->name)
            : mr_layout_reshard(&layout, stream, entry, number, at_ms, error);

    if (!status) {
        mr_log_id next_log = layout.opened[layout.opened_count - 1]->log + 1;

        for (size_t i = 0; i < layout.opened_count && log; i++)
            mr_log_add(log, layout.opened[i]->log, stream->id);
        pthread_rwlock_wrlock(&catalog->lock);
        catalog->next_log = next_log;
        catalog->shard_count += layout.opened_count;
        catalog->open_shard_count += layout.open_count - stream->open_count;
        adopt_layout(stream, &layout, number, at_ms);
        pthread_rwlock_unlock(&catalog->lock);
        for (size_t i = 0; i < layout.closed_count && log; i++)
            mr_log_ring(log, layout.closed[i]->log);
    }
    mr_layout_fini(&layout);
    return status;
}

static void apply_retention(struct mr_catalog *catalog, struct mr_stream *stream,
                            const struct mr_entry *entry, int64_t at_ms)
{
    pthread_rwlock_wrlock(&catalog->lock);
    stream->trimmed_before_ms = mr_stream_horizon_ms(stream, at_ms);
    stream->retention_hours = entry->retention_hours;
    pthread_rwlock_unlock(&catalog->lock);
}

static void apply_encryption(struct mr_catalog *catalog, struct mr_log *log,
                             struct mr_stream *stream, const struct mr_entry *entry)
{
    pthread_rwlock_wrlock(&catalog->lock);
    stream->key_id = entry->key_id;
    pthread_rwlock_unlock(&catalog->lock);
    if (log)
        mr_log_encrypt(log, stream->id, entry->key_id);
}

static void apply_property(struct mr_catalog *catalog, const struct mr_entry *entry,
                           uint64_t number, struct mr_log_append *append)
{
    struct mr_stream *stream = entry->scope == MR_SCOPE_ENGINE
                                   ? NULL
                                   : mr_catalog_find_id(catalog, (uint32_t)(entry->scope - 1));
    struct mr_properties *properties = stream ? &stream->properties : &catalog->properties;
    char name[MR_PROPERTY_NAME_BYTES_MAX + 1];
    const struct mr_property *old;
    uint64_t bytes = catalog->property_bytes, version;
    mr_status status = MR_OK;

    memcpy(name, entry->name.data, entry->name.size);
    name[entry->name.size] = '\0';
    old = mr_properties_get(properties, name);
    version = old ? old->version : 0;
    bytes -= old ? entry->name.size + old->value_bytes : 0;
    bytes += entry->value.data ? entry->name.size + entry->value.size : 0;
    if (!stream && entry->scope != MR_SCOPE_ENGINE)
        status = MR_NOT_FOUND; /* deleted while this entry was on its way */
    else if (entry->expected_version != MR_ANY_VERSION && entry->expected_version != version)
        status = MR_CONFLICT;
    else if (bytes > MR_PROPERTIES_BYTES_MAX && bytes > catalog->property_bytes &&
             !mr_origin_is_property(entry->name))
        status = MR_LIMIT;
    if (!status) {
        pthread_rwlock_wrlock(&catalog->lock);
        mr_properties_set(properties, name, entry->value, number);
        catalog->property_bytes = bytes;
        pthread_rwlock_unlock(&catalog->lock);
    }
    if (append) {
        append->entry_status = status;
        append->entry_value = status ? version : number;
    }
}

/* Those it knows no more were forgotten by an entry before. */
static mr_status apply_forget(struct mr_catalog *catalog, struct mr_log *log,
                              struct mr_stream *stream, const struct mr_entry *entry,
                              mr_error *error)
{
    struct mr_shard_state **gone = mr_alloc(entry->item_count * sizeof(struct mr_shard_state *));
    struct mr_scan items = entry->items;
    size_t gone_count = 0, kept_count = 0;
    mr_status status = MR_OK;

    for (size_t i = 0; i < entry->item_count && !status; i++) {
        struct mr_shard_state *shard = mr_stream_find(stream, mr_entry_next_shard(&items));

        if (shard && !shard->closed_number)
            status = mr_fail(error, MR_CORRUPT,
                             "the journal forgets shard %" PRIu32 " of stream %s, which is open",
                             shard->id, stream->name);
        else if (shard)
            gone[gone_count++] = shard;
    }
    if (!status) {
        pthread_rwlock_wrlock(&catalog->lock);
        for (size_t i = 0, next = 0; i < stream->shard_count; i++)
            if (next < gone_count && stream->shards[i] == gone[next])
                next++;
            else
                stream->shards[kept_count++] = stream->shards[i];
        stream->shard_count = kept_count;
        catalog->shard_count -= gone_count;
        pthread_rwlock_unlock(&catalog->lock);
        for (size_t i = 0; i < gone_count; i++) {
            gone[i]->is_forgotten = true;
            if (log)
                mr_log_drop(log, gone[i]->log);
            mr_shard_give(gone[i]);
        }
    }
    mr_free(gone);
    return status;
}

mr_status mr_catalog_apply(struct mr_catalog *catalog, struct mr_log *log, mr_bytes bytes,
                           uint64_t number, int64_t at_ms, struct mr_log_append *append,
                           mr_error *error)
{
    struct mr_entry entry;
    struct mr_stream *stream;

    if (!mr_entry_decode(&entry, bytes))
        return mr_fail(error, MR_CORRUPT,
                       "the journal's entry %" PRIu64 " (%zu bytes) is not understood", number,
                       bytes.size);
    if (entry.type == MR_ENTRY_PROPERTY) {
        apply_property(catalog, &entry, number, append);
        return MR_OK;
    }
    if (entry.type == MR_ENTRY_STREAM_CREATE)
        return apply_create(catalog, log, &entry, number, at_ms, error);

    stream = mr_catalog_find_id(catalog, entry.stream);
    if (!stream && entry.type == MR_ENTRY_SHARD_FORGET)
        return MR_OK; /* deleted while this entry was on its way */
    if (!stream)
        return mr_fail(error, MR_CORRUPT,
                       "the journal's entry %" PRIu64 " is about stream %" PRIu32
                       ", which does not exist",
                       number, entry.stream);
    switch (entry.type) {
    case MR_ENTRY_STREAM_DELETE:
        apply_delete(catalog, log, stream);
        return MR_OK;
    case MR_ENTRY_RESHARD:
        return apply_reshard(catalog, log, stream, &entry, number, at_ms, error);
    case MR_ENTRY_RETENTION:
        apply_retention(catalog, stream, &entry, at_ms);
        return MR_OK;
    case MR_ENTRY_SHARD_FORGET:
        return apply_forget(catalog, log, stream, &entry, error);
    case MR_ENTRY_ENCRYPTION:
        apply_encryption(catalog, log, stream, &entry);
        return MR_OK;
    case MR_ENTRY_STREAM_CREATE:
    case MR_ENTRY_PROPERTY:
        break;
    }
    mr_check(false);
    return MR_CORRUPT;
}
