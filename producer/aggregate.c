/*
 * aggregate.c - fills units: of a shard, whose records become one, as the KPL packs them; or loose.
 *
 * A unit ends when the next record does not fit, or when its first one has waited for company long
 * enough. The bytes of an aggregate are made when it is sent.
 */
#include "wire/aggregate.h"
#include "base/memory.h"
#include "base/u128.h"
#include "stage.h"

#include <string.h>

#define NAME_COUNT 512 /* of a unit: a power of two */

static struct mr_unit *open_unit(struct mr_producer *producer, struct mr_producer_shard *shard)
{
    struct mr_unit *unit = mr_unit_take(producer);

    if (shard) {
        unit->shard = shard;
        unit->predicted = shard->id;
        unit->bytes = MR_AGGREGATE_BYTES_MORE;
        shard->open = unit;
    } else {
        unit->is_loose = true;
        producer->open_loose = unit;
    }
    return unit;
}

static void end_unit(struct mr_producer *producer, struct mr_unit *unit)
{
    if (unit->is_loose) {
        producer->open_loose = NULL;
        mr_stage_collect_add(producer, unit);
    } else {
        unit->shard->open = NULL;
        mr_stage_limit_add(producer, unit);
    }
}

/* It has all the company that it can. */
static void end_full_unit(struct mr_producer *producer, struct mr_unit *unit)
{
    unit->due_ns = producer->now_ns;
    end_unit(producer, unit);
}

static bool has_same_key(const struct mr_pending *a, const struct mr_pending *b)
{
    return a->key_bytes == b->key_bytes && memcmp(a->bytes, b->bytes, a->key_bytes) == 0;
}

static bool has_same_explicit_key(const struct mr_pending *a, const struct mr_pending *b)
{
    return a->has_explicit_hash_key && mr_hash_key_equal(a->hash_key, b->hash_key);
}

static struct mr_name *name_of(const struct mr_unit *unit, mr_hash_key hash)
{
    return &unit->names[hash.lo % NAME_COUNT];
}

static uint16_t tag_of(mr_hash_key hash)
{
    return (uint16_t)hash.hi;
}

/* A record of the unit that probably has the same key; or NULL. */
static const struct mr_pending *find_name(const struct mr_unit *unit,
                                          const struct mr_pending *record)
{
    const struct mr_name *name = unit->names ? name_of(unit, record->hash_key) : NULL;

    if (!name || name->tag != tag_of(record->hash_key) || name->index >= unit->record_count)
        return NULL;
    return unit->records[name->index];
}

/* The record will be the unit's last. A key that comes again is seldom forgotten for another one. */
static void add_name(struct mr_unit *unit, const struct mr_pending *record)
{
    if (!unit->names)
        unit->names = mr_alloc_zero(NAME_COUNT, sizeof *unit->names);
    if (unit->record_count <= UINT16_MAX)
        *name_of(unit, record->hash_key) =
            (struct mr_name){tag_of(record->hash_key), (uint16_t)unit->record_count};
}

/*
 * Finds the places of the record's keys in the unit, and what it adds to its bytes. One partition key
 * with many explicit hash keys is known from the last new one.
 */
static size_t name_keys(const struct mr_unit *unit, struct mr_pending *record)
{
    const struct mr_pending *own = find_name(unit, record);
    const struct mr_pending *like = own && has_same_key(own, record) ? own : unit->named_by;
    size_t bytes = 0;

    record->explicit_index = MR_NO_EXPLICIT_KEY;
    if (like && has_same_key(like, record)) {
        record->key_index = like->key_index;
    } else {
        record->key_index = unit->key_count;
        bytes += mr_aggregate_key_bytes(record->key_bytes);
    }
    if (record->has_explicit_hash_key && own && has_same_explicit_key(own, record)) {
        record->explicit_index = own->explicit_index;
    } else if (record->has_explicit_hash_key) {
        record->explicit_index = unit->explicit_count;
        bytes += mr_aggregate_hash_key_bytes(record->hash_key);
    }
    return bytes +
           mr_aggregate_record_bytes(record->key_index, record->explicit_index, record->data_bytes);
}

static void add(struct mr_producer *producer, struct mr_unit *unit, struct mr_pending *record,
                struct mr_lane *lane, size_t bytes)
{
    bool brings_explicit =
        record->has_explicit_hash_key && record->explicit_index == unit->explicit_count;

    if (producer->config.aggregates && (record->key_index == unit->key_count || brings_explicit))
        add_name(unit, record);
    if (record->key_index == unit->key_count) {
        unit->key_count++;
        unit->named_by = record;
    }
    unit->explicit_count += brings_explicit;
    mr_unit_add(producer, unit, record, lane);
    unit->bytes += bytes;
}

static bool join_shard(struct mr_producer *producer, struct mr_pending *record,
                       struct mr_lane *lane)
{
    struct mr_producer_shard *shard = mr_map_find(producer, record->hash_key);
    struct mr_unit *unit = shard->open;
    size_t bytes = 0;

    if (lane && lane->unit && lane->unit != unit)
        return false;
    if (unit) {
        bytes = name_keys(unit, record);
        if (unit->bytes + bytes > producer->config.aggregate_bytes ||
            unit->record_count == producer->config.aggregate_count) {
            end_full_unit(producer, unit);
            if (lane && lane->unit)
                return false;
            unit = NULL;
        }
    }
    if (!unit) {
        unit = open_unit(producer, shard);
        bytes = name_keys(unit, record);
    }
    add(producer, unit, record, lane, bytes);
    if (!producer->config.aggregates)
        end_unit(producer, unit);
    else
        producer->open_due_ns = mr_earlier(producer->open_due_ns, unit->due_ns);
    return true;
}

/* A request may store its second record and refuse the first: so they are not of one key. */
static bool join_loose(struct mr_producer *producer, struct mr_pending *record,
                       struct mr_lane *lane)
{
    const struct mr_producer_config *config = &producer->config;
    size_t bytes = (size_t)record->key_bytes + record->data_bytes;
    struct mr_unit *unit = producer->open_loose;

    if (lane && lane->unit)
        return false;
    if (unit && unit->bytes + bytes > config->request_bytes) {
        end_full_unit(producer, unit);
        unit = NULL;
    }
    if (!unit)
        unit = open_unit(producer, NULL);
    mr_unit_add(producer, unit, record, lane);
    unit->bytes += bytes;
    if (unit->record_count == config->request_count || unit->bytes >= config->request_bytes)
        end_full_unit(producer, unit);
    else
        producer->open_due_ns = mr_earlier(producer->open_due_ns, unit->due_ns);
    return true;
}

/* P4: one unit at a time has the key's lane. */
bool mr_stage_aggregate_join(struct mr_producer *producer, struct mr_pending *record,
                             struct mr_lane *lane)
{
    return producer->map.is_needed ? join_shard(producer, record, lane)
                                   : join_loose(producer, record, lane);
}

/* P7: returns when it will be due, if it is not ended. */
static uint64_t end_if_due(struct mr_producer *producer, struct mr_unit *unit)
{
    if (!unit)
        return MR_NEVER;
    if (!producer->is_urgent && unit->due_ns > producer->now_ns)
        return unit->due_ns;
    end_unit(producer, unit);
    return MR_NEVER;
}

void mr_stage_aggregate(struct mr_producer *producer)
{
    uint64_t next_ns;

    if (!producer->is_urgent && producer->now_ns < producer->open_due_ns)
        return;
    next_ns = end_if_due(producer, producer->open_loose);
    for (size_t i = 0; i < producer->map.count; i++)
        next_ns = mr_earlier(next_ns, end_if_due(producer, producer->map.shards[i]->open));
    producer->open_due_ns = next_ns;
}

void mr_stage_aggregate_write(const struct mr_unit *unit, struct mr_pack *out)
{
    uint32_t next = 0;

    mr_aggregate_begin(out);
    for (size_t i = 0; i < unit->record_count; i++) {
        mr_unit_prefetch(unit, i);
        if (unit->records[i]->key_index == next) {
            mr_aggregate_add_key(out, mr_pending_key(unit->records[i]));
            next++;
        }
    }
    next = 0;
    for (size_t i = 0; next < unit->explicit_count; i++)
        if (unit->records[i]->explicit_index == next) {
            mr_aggregate_add_hash_key(out, unit->records[i]->hash_key);
            next++;
        }
    for (size_t i = 0; i < unit->record_count; i++)
        mr_aggregate_add_record(out, unit->records[i]->key_index, unit->records[i]->explicit_index,
                                mr_pending_data(unit->records[i]));
    mr_aggregate_end_unsigned(out);
}
