/*
 * route.c - records on their way in: the hash of their key says which shard they go to, and which
 * lane they have.
 */
#include "base/md5.h"
#include "base/u128.h"
#include "stage.h"

#define TAKEN_SIDE_BY_SIDE 64
#define TAKEN_AT_ONCE 4096 /* records a step, about */
#define SECOND_NS UINT64_C(1000000000)
#define EMPTYING_NS (SECOND_NS / 10)

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

static void hash(struct mr_pending *record)
{
    if (!record->is_hashed)
        record->hash_key = mr_hash_key_of(mr_pending_key(record));
    record->is_hashed = true;
}

mr_hash_key mr_stage_route_lane(struct mr_pending *record)
{
    if (record->has_explicit_hash_key)
        return lane_of(record, mr_hash_key_of(mr_pending_key(record)));
    hash(record);
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

static bool has_lanes(const struct mr_producer *producer)
{
    return producer->config.is_ordered && !producer->is_trusting;
}

void mr_stage_route_admit(struct mr_producer *producer, struct mr_pending *record)
{
    struct mr_lane *lane = NULL;

    if (mr_stage_retry_is_late(producer, record)) {
        mr_stage_retry_fail_late(producer, record);
        return;
    }
    if (has_lanes(producer))
        lane = mr_lane_get(&producer->lanes, mr_stage_route_lane(record));
    else if (producer->map.is_needed)
        hash(record);
    admit(producer, record, lane);
}

/* Fetches what admission will look at, side by side. */
static void prepare(struct mr_producer *producer, struct mr_pending **records, size_t count)
{
    mr_hash_key hashes[TAKEN_SIDE_BY_SIDE];
    mr_bytes keys[TAKEN_SIDE_BY_SIDE] = {{NULL, 0}};
    size_t unhashed[TAKEN_SIDE_BY_SIDE], unhashed_count = 0;

    for (size_t i = 0; i < count; i++)
        if (!records[i]->is_hashed) {
            keys[unhashed_count] = mr_pending_key(records[i]);
            unhashed[unhashed_count++] = i;
        }
    if (unhashed_count > 0)
        mr_hash_keys_of(keys, sizeof *keys, unhashed_count, hashes);
    for (size_t i = 0; i < unhashed_count; i++) {
        records[unhashed[i]]->hash_key = hashes[i];
        records[unhashed[i]]->is_hashed = true;
    }
    for (size_t i = 0; i < count; i++)
        hashes[i] = records[i]->hash_key;
    if (has_lanes(producer))
        mr_lanes_prefetch(&producer->lanes, hashes, count);
}

static void admit_many(struct mr_producer *producer, struct mr_pending **records, size_t count)
{
    if (has_lanes(producer) || producer->map.is_needed)
        prepare(producer, records, count);
    for (size_t i = 0; i < count; i++)
        mr_stage_route_admit(producer, records[i]);
}

/* ---- trust ---------------------------------------------------------------------------------- */

/*
 * P4: when lanes are empty they are needed no longer. So that they get so, nothing comes in for the
 * first part of each second after a refusal, unless what they have has to wait for a retry anyway.
 */
static void look_at_trust(struct mr_producer *producer)
{
    bool is_good_time = (producer->now_ns - producer->distrusted_ns) % SECOND_NS < EMPTYING_NS;

    if (!producer->can_trust || producer->map.is_wanted) {
        producer->is_emptying = false;
        return;
    }
    if (producer->lanes.count == 0)
        producer->is_trusting = true;
    producer->is_emptying = is_good_time && producer->lanes.count > 0 && producer->held_count == 0;
    producer->is_urgent |= producer->is_emptying;
}

void mr_stage_route(struct mr_producer *producer)
{
    struct mr_pending *records[TAKEN_SIDE_BY_SIDE];
    struct mr_taken taken;
    size_t count = 0, all = 0;

    mr_map_update(producer);
    look_at_trust(producer);
    while (all < TAKEN_AT_ONCE && !producer->is_emptying &&
           mr_intake_take(&producer->intake, &taken)) {
        while ((records[count] = mr_taken_next(&taken))) {
            all++;
            if (++count < TAKEN_SIDE_BY_SIDE)
                continue;
            admit_many(producer, records, count);
            count = 0;
        }
    }
    if (count > 0)
        admit_many(producer, records, count);
    producer->has_more = all >= TAKEN_AT_ONCE;
}
