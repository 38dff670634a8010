/*
 * aggregate.c - many small records become one, as the KPL packs them.
 *
 * Each shard has one unit that is being filled. It ends when the next record does not fit, or when
 * its first one has waited for company long enough. Its bytes are made when it is sent.
 */
#include "wire/aggregate.h"
#include "base/memory.h"
#include "base/u128.h"
#include "stage.h"

#include <string.h>

static struct mr_unit *open_unit(struct mr_producer *producer, struct mr_producer_shard *shard)
{
    struct mr_unit *unit = producer->free_units;

    if (unit)
        producer->free_units = unit->next;
    else
        unit = mr_alloc(sizeof *unit);
    *unit = (struct mr_unit){.shard = shard,
                             .predicted = shard->id,
                             .company_max = UINT32_MAX,
                             .bytes = MR_AGGREGATE_BYTES_MORE,
                             .due_ns = MR_NEVER,
                             .expires_ns = MR_NEVER};
    shard->open = unit;
    return unit;
}

static void end_unit(struct mr_producer *producer, struct mr_unit *unit)
{
    unit->shard->open = NULL;
    mr_stage_limit_add(producer, unit);
}

static bool has_same_key(const struct mr_pending *a, const struct mr_pending *b)
{
    return a->key_bytes == b->key_bytes && memcmp(a->bytes, b->bytes, a->key_bytes) == 0;
}

static bool has_same_explicit_key(const struct mr_pending *a, const struct mr_pending *b)
{
    return a->has_explicit_hash_key && mr_hash_key_equal(a->hash_key, b->hash_key);
}

/*
 * Finds the places of the record's keys in the unit, and what it adds to its bytes. A key that is in
 * the unit is known from its lane, without a table; or, if it has many lanes, from the last new one.
 */
static size_t name_keys(const struct mr_unit *unit, struct mr_pending *record)
{
    const struct mr_pending *own = record->lane->unit == unit ? record->lane->named_by : NULL;
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
                size_t bytes)
{
    struct mr_lane *lane = record->lane;

    if (record->key_index == unit->key_count) {
        unit->key_count++;
        unit->named_by = record;
    }
    if (record->has_explicit_hash_key && record->explicit_index == unit->explicit_count)
        unit->explicit_count++;
    lane->named_by = record;
    lane->unit = unit;
    mr_queue_push(&unit->records, record);
    unit->record_count++;
    unit->bytes += bytes;
    unit->due_ns =
        mr_earlier(unit->due_ns, record->put_ns + producer->config.linger_ms * UINT64_C(1000000));
    unit->expires_ns = mr_earlier(
        unit->expires_ns, record->put_ns + producer->config.record_timeout_ms * UINT64_C(1000000));
    if (record->attempt_count > unit->attempts_before)
        unit->attempts_before = record->attempt_count;
}

bool mr_stage_aggregate_join(struct mr_producer *producer, struct mr_pending *record)
{
    struct mr_producer_shard *shard = mr_stage_route_find(producer, record->hash_key);
    struct mr_lane *lane = record->lane;
    struct mr_unit *unit = shard->open;
    size_t bytes = 0;

    /* P4: one unit at a time has records of a key. */
    if (producer->config.is_ordered && lane->unit && lane->unit != unit)
        return false;
    if (unit) {
        bytes = name_keys(unit, record);
        if (unit->bytes + bytes > producer->config.aggregate_bytes ||
            unit->record_count == producer->config.aggregate_count) {
            unit->due_ns = producer->now_ns; /* it has all the company that it can */
            end_unit(producer, unit);
            if (producer->config.is_ordered && lane->unit)
                return false;
            unit = NULL;
        }
    }
    if (!unit) {
        unit = open_unit(producer, shard);
        bytes = name_keys(unit, record);
    }
    add(producer, unit, record, bytes);
    if (!producer->config.aggregates)
        end_unit(producer, unit);
    else
        producer->open_due_ns = mr_earlier(producer->open_due_ns, unit->due_ns);
    return true;
}

/* P7 */
void mr_stage_aggregate(struct mr_producer *producer)
{
    uint64_t next_ns = MR_NEVER;

    if (!producer->is_urgent && producer->now_ns < producer->open_due_ns)
        return;
    for (size_t i = 0; i < producer->map.count; i++) {
        struct mr_unit *unit = producer->map.shards[i]->open;

        if (unit && (producer->is_urgent || unit->due_ns <= producer->now_ns))
            end_unit(producer, unit);
        else if (unit)
            next_ns = mr_earlier(next_ns, unit->due_ns);
    }
    producer->open_due_ns = next_ns;
}

void mr_stage_aggregate_write(const struct mr_unit *unit, struct mr_pack *out)
{
    const struct mr_pending *record;
    uint32_t next = 0;

    mr_aggregate_begin(out);
    for (record = unit->records.first; record; record = record->next)
        if (record->key_index == next) {
            mr_aggregate_add_key(out, mr_pending_key(record));
            next++;
        }
    next = 0;
    for (record = unit->records.first; next < unit->explicit_count; record = record->next)
        if (record->explicit_index == next) {
            mr_aggregate_add_hash_key(out, record->hash_key);
            next++;
        }
    for (record = unit->records.first; record; record = record->next)
        mr_aggregate_add_record(out, record->key_index, record->explicit_index,
                                mr_pending_data(record));
    mr_aggregate_end_unsigned(out);
}
