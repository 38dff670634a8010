/* The catalog as bytes and back: what a checkpoint keeps. All varints unless they are strings. */
#include "base/fail.h"
#include "base/memory.h"
#include "stream/catalog.h"
#include "stream/layout.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SNAPSHOT_VERSION 2 /* 1 knew no encryption */

/* ---- out ---------------------------------------------------------------------------------- */

static void pack_key(struct mr_pack *pack, mr_hash_key key)
{
    mr_pack_u64(pack, key.hi);
    mr_pack_u64(pack, key.lo);
}

static void pack_shard(struct mr_pack *pack, const struct mr_shard_state *shard)
{
    mr_pack_varint(pack, shard->id);
    mr_pack_varint(pack, shard->log);
    mr_pack_varint(pack, shard->parent);
    mr_pack_varint(pack, shard->adjacent_parent);
    pack_key(pack, shard->range.first);
    pack_key(pack, shard->range.last);
    mr_pack_varint(pack, shard->created_s);
    mr_pack_varint(pack, (uint64_t)shard->created_ms);
    mr_pack_varint(pack, (uint64_t)shard->closed_ms);
    mr_pack_varint(pack, shard->opened_number);
    mr_pack_varint(pack, shard->closed_number);
}

static void pack_stream(struct mr_pack *pack, const struct mr_stream *stream)
{
    mr_pack_varint(pack, stream->id);
    mr_pack_string(pack, (mr_bytes){stream->name, strlen(stream->name)});
    mr_pack_varint(pack, (uint64_t)stream->created_ms);
    mr_pack_varint(pack, stream->retention_hours);
    mr_pack_varint(pack, (uint64_t)stream->trimmed_before_ms);
    mr_pack_u64(pack, stream->key_id);
    mr_pack_varint(pack, stream->next_shard);
    mr_pack_varint(pack, stream->shard_count);
    for (size_t i = 0; i < stream->shard_count; i++)
        pack_shard(pack, stream->shards[i]);
    mr_properties_pack(&stream->properties, pack);
}

void mr_catalog_snapshot(struct mr_catalog *catalog, struct mr_pack *pack)
{
    pthread_rwlock_rdlock(&catalog->lock);
    mr_pack_u8(pack, SNAPSHOT_VERSION);
    mr_pack_varint(pack, catalog->next_stream);
    mr_pack_varint(pack, catalog->next_log);
    mr_properties_pack(&catalog->properties, pack);
    mr_pack_varint(pack, catalog->stream_count);
    for (size_t i = 0; i < catalog->stream_count; i++)
        pack_stream(pack, catalog->by_id[i]);
    pthread_rwlock_unlock(&catalog->lock);
}

/* ---- in ----------------------------------------------------------------------------------- */

static uint32_t scan_up_to(struct mr_scan *scan, uint32_t max)
{
    uint64_t value = mr_scan_varint(scan);

    if (value > max)
        scan->failed = true;
    return scan->failed ? 0 : (uint32_t)value;
}

static mr_hash_key scan_key(struct mr_scan *scan)
{
    uint64_t hi = mr_scan_u64(scan);

    return (mr_hash_key){hi, mr_scan_u64(scan)};
}

static bool scan_shard(struct mr_scan *scan, struct mr_shard_state *shard)
{
    shard->id = scan_up_to(scan, MR_ID_MAX);
    shard->log = scan_up_to(scan, MR_ID_MAX);
    shard->parent = scan_up_to(scan, MR_NO_SHARD);
    shard->adjacent_parent = scan_up_to(scan, MR_NO_SHARD);
    shard->range.first = scan_key(scan);
    shard->range.last = scan_key(scan);
    shard->created_s = scan_up_to(scan, MR_SECOND_MAX);
    shard->created_ms = (int64_t)mr_scan_varint(scan);
    shard->closed_ms = (int64_t)mr_scan_varint(scan);
    shard->opened_number = mr_scan_varint(scan);
    shard->closed_number = mr_scan_varint(scan);
    shard->is_closed = shard->closed_number != 0;
    shard->references = 1;
    return !mr_scan_failed(scan) && (shard->parent < shard->id || shard->parent == MR_NO_SHARD) &&
           (shard->adjacent_parent < shard->id || shard->adjacent_parent == MR_NO_SHARD);
}

static void add_shard(struct mr_stream *stream, struct mr_shard_state *shard)
{
    mr_grow(stream->shards, stream->shard_count, stream->shard_capacity);
    stream->shards[stream->shard_count++] = shard;
    stream->open_count += !shard->closed_number;
}

static bool scan_shards(struct mr_scan *scan, struct mr_stream *stream)
{
    uint64_t count = mr_scan_varint(scan);
    size_t open_count = 0;

    for (uint64_t i = 0; i < count; i++) {
        struct mr_shard_state *shard = mr_new(struct mr_shard_state);

        if (!scan_shard(scan, shard) || shard->id >= stream->next_shard ||
            (i > 0 && shard->id <= stream->shards[i - 1]->id)) {
            mr_free(shard);
            return false;
        }
        add_shard(stream, shard);
    }
    stream->open = mr_alloc((stream->open_count + 1) * sizeof *stream->open);
    for (size_t i = 0; i < stream->shard_count; i++)
        if (!stream->shards[i]->closed_number)
            stream->open[open_count++] = stream->shards[i];
    return mr_shards_cover(stream->open, stream->open_count); /* S1 */
}

static bool scan_stream(struct mr_scan *scan, uint8_t version, struct mr_stream *stream)
{
    mr_bytes name;

    stream->references = 1;
    stream->id = scan_up_to(scan, MR_ID_MAX);
    name = mr_scan_string(scan);
    if (mr_scan_failed(scan) || !mr_stream_name_is_valid(name))
        return false;
    memcpy(stream->name, name.data, name.size);
    stream->created_ms = (int64_t)mr_scan_varint(scan);
    stream->retention_hours = scan_up_to(scan, MR_RETENTION_HOURS_MAX);
    stream->trimmed_before_ms = (int64_t)mr_scan_varint(scan);
    stream->key_id = version > 1 ? mr_scan_u64(scan) : 0;
    stream->next_shard = scan_up_to(scan, (uint32_t)MR_ID_MAX + 1);
    return stream->retention_hours >= MR_RETENTION_HOURS_MIN && scan_shards(scan, stream) &&
           mr_properties_unpack(&stream->properties, scan);
}

struct streams {
    struct mr_stream **items; /* in id order */
    size_t count, capacity;
};

static bool scan_streams(struct mr_scan *scan, uint8_t version, struct streams *streams,
                         uint32_t next_stream)
{
    uint64_t count = mr_scan_varint(scan);

    for (uint64_t i = 0; i < count; i++) {
        struct mr_stream *stream = mr_new(struct mr_stream);

        mr_grow(streams->items, streams->count, streams->capacity);
        streams->items[streams->count++] = stream;
        if (!scan_stream(scan, version, stream) || stream->id >= next_stream ||
            (i > 0 && stream->id <= streams->items[i - 1]->id))
            return false;
    }
    return true;
}

static int by_number(const void *a, const void *b)
{
    mr_log_id left = *(const mr_log_id *)a, right = *(const mr_log_id *)b;

    return (left > right) - (left < right);
}

/* Each log is one shard's, and its number will not be given out again. */
static bool logs_are_distinct(const struct streams *streams, mr_log_id next_log)
{
    size_t count = 0, filled = 0;
    mr_log_id *logs;
    bool distinct = true;

    for (size_t i = 0; i < streams->count; i++)
        count += streams->items[i]->shard_count;
    logs = mr_alloc((count + 1) * sizeof *logs);
    for (size_t i = 0; i < streams->count; i++)
        for (size_t j = 0; j < streams->items[i]->shard_count; j++)
            logs[filled++] = streams->items[i]->shards[j]->log;
    qsort(logs, count, sizeof *logs, by_number);
    for (size_t i = 0; i < count && distinct; i++)
        distinct = logs[i] < next_log && (i == 0 || logs[i] != logs[i - 1]);
    mr_free(logs);
    return distinct;
}

/* Adds what fits; *count says how many, the others are still the caller's. */
static bool adopt_streams(struct mr_catalog *catalog, struct mr_log *log,
                          const struct streams *streams, size_t *count)
{
    for (*count = 0; *count < streams->count; ++*count) {
        if (mr_catalog_find(catalog, streams->items[*count]->name))
            return false;
        mr_catalog_adopt(catalog, log, streams->items[*count]);
    }
    return true;
}

mr_status mr_catalog_restore(struct mr_catalog *catalog, struct mr_log *log, mr_bytes bytes,
                             mr_error *error)
{
    struct mr_scan scan = mr_scan_of(bytes);
    struct streams streams = {0};
    uint32_t next_stream;
    mr_log_id next_log;
    size_t adopted_count = 0;
    uint8_t version;
    bool good;

    if (bytes.size == 0)
        return MR_OK; /* a new directory */
    version = mr_scan_u8(&scan);
    if (version < 1 || version > SNAPSHOT_VERSION)
        return mr_fail(error, MR_FORMAT, "the catalog was written by a newer version of millrace");
    next_stream = scan_up_to(&scan, (uint32_t)MR_ID_MAX + 1);
    next_log = scan_up_to(&scan, (uint32_t)MR_ID_MAX + 1);
    good = mr_properties_unpack(&catalog->properties, &scan) &&
           scan_streams(&scan, version, &streams, next_stream) && !mr_scan_failed(&scan) &&
           mr_scan_left(&scan) == 0 && logs_are_distinct(&streams, next_log) &&
           adopt_streams(catalog, log, &streams, &adopted_count);
    for (size_t i = adopted_count; i < streams.count; i++)
        mr_stream_give(streams.items[i]);
    mr_free(streams.items);
    if (!good)
        return mr_fail(error, MR_CORRUPT, "the catalog in the checkpoint is damaged");
    catalog->next_stream = next_stream;
    catalog->next_log = next_log;
    catalog->property_bytes += mr_properties_bytes(&catalog->properties);
    return MR_OK;
}
