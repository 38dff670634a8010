/*
 * route.c - records on their way in: the hash of their key says which shard they go to, and which
 * lane they have.
 */
#include "base/md5.h"
#include "base/u128.h"
#include "stage.h"

#define HASHED_AT_ONCE 64
#define TAKEN_AT_ONCE 4096 /* records a step, about */

/* ---- P5 ------------------------------------------------------------------------------------- */

enum mr_place mr_stage_route_judge(const struct mr_producer *producer, const struct mr_unit *unit)
{
    const struct mr_producer_shard *shard = mr_map_find(producer, unit->records[0]->hash_key);

    if (shard->id != unit->sequence.shard)
        return unit->sent_ns < producer->map.asked_ns ? MR_PLACE_BAD : MR_PLACE_UNKNOWN;
    for (size_t i = 0; i < unit->record_count; i++)
        if (mr_hash_key_below(unit->records[i]->hash_key, shard->first) ||
            mr_hash_key_below(shard->last, unit->records[i]->hash_key))
            return MR_PLACE_BAD;
    return MR_PLACE_GOOD;
}

/* ---- records in ----------------------------------------------------------------------------- */

/* One key that is spread over the shards by explicit hash keys has a lane for each of them. */
static mr_hash_key lane_of(const struct mr_pending *record, mr_hash_key hash)
{
    return record->has_explicit_hash_key ? mr_hash_key_add(hash, record->hash_key) : hash;
}

mr_hash_key mr_stage_route_lane(struct mr_pending *record)
{
    if (record->has_explicit_hash_key)
        return lane_of(record, mr_hash_key_of(mr_pending_key(record)));
    if (!record->is_hashed)
        record->hash_key = mr_hash_key_of(mr_pending_key(record));
    record->is_hashed = true;
    return record->hash_key;
}

static void admit(struct mr_producer *producer, struct mr_pending *record, struct mr_lane *lane)
{
    if ((lane && lane->waiting.first) || !mr_stage_aggregate_join(producer, record, lane)) {
        if (mr_unit_is_held(lane->unit))
            mr_intake_move(&producer->intake, &record, 1, &producer->given);
        mr_queue_push(&lane->waiting, record);
    }
}

static void admit_hashed(struct mr_producer *producer, struct mr_pending *record,
                         mr_hash_key lane_hash)
{
    struct mr_lane *lane = NULL;

    if (producer->config.is_ordered)
        lane = mr_lane_get(&producer->lanes, lane_hash);
    admit(producer, record, lane);
}

void mr_stage_route_admit(struct mr_producer *producer, struct mr_pending *record)
{
    if (mr_stage_retry_is_late(producer, record))
        mr_stage_retry_fail_late(producer, record);
    else if (producer->is_trusting)
        admit(producer, record, NULL);
    else
        admit_hashed(producer, record, mr_stage_route_lane(record));
}

static void admit_hashed_many(struct mr_producer *producer, struct mr_pending **records,
                              size_t count)
{
    mr_hash_key hashes[HASHED_AT_ONCE];
    mr_bytes keys[HASHED_AT_ONCE] = {{NULL, 0}};

    for (size_t i = 0; i < count; i++)
        keys[i] = mr_pending_key(records[i]);
    mr_hash_keys_of(keys, sizeof *keys, count, hashes);
    mr_lanes_prefetch(&producer->lanes, hashes, count);
    for (size_t i = 0; i < count; i++) {
        if (!records[i]->has_explicit_hash_key)
            records[i]->hash_key = hashes[i];
        records[i]->is_hashed = true;
        if (mr_stage_retry_is_late(producer, records[i]))
            mr_stage_retry_fail_late(producer, records[i]);
        else
            admit_hashed(producer, records[i], lane_of(records[i], hashes[i]));
    }
}

static void admit_many(struct mr_producer *producer, struct mr_pending **records, size_t count)
{
    if (!producer->is_trusting)
        admit_hashed_many(producer, records, count);
    else
        for (size_t i = 0; i < count; i++)
            mr_stage_route_admit(producer, records[i]);
}

void mr_stage_route(struct mr_producer *producer)
{
    struct mr_pending *records[HASHED_AT_ONCE];
    struct mr_taken taken;
    size_t count = 0, all = 0;

    mr_map_update(producer);
    if (producer->can_trust && producer->lanes.count == 0)
        producer->is_trusting = true;
    while (all < TAKEN_AT_ONCE && mr_intake_take(&producer->intake, &taken)) {
        while ((records[count] = mr_taken_next(&taken))) {
            all++;
            if (++count < HASHED_AT_ONCE)
                continue;
            admit_many(producer, records, count);
            count = 0;
        }
    }
    if (count > 0)
        admit_many(producer, records, count);
    producer->has_more = all >= TAKEN_AT_ONCE;
}
