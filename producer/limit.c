/*
 * limit.c - P8: no faster than a shard takes: units queue for their shard's two buckets, bytes and
 * records, in order. Being over the rate for a while costs less here than refusals do.
 */
#include "stage.h"

#define SHARD_BYTES_PER_S (1u << 20)
#define SHARD_RECORDS_PER_S 1000u
#define POLL_NS UINT64_C(10000000) /* how often a shard that is over its rate is looked at */

static uint32_t share(const struct mr_producer *producer, uint32_t per_s)
{
    return (uint32_t)((uint64_t)per_s * producer->config.rate_limit / 100);
}

static bool may_pass(struct mr_producer *producer, struct mr_producer_shard *shard,
                     const struct mr_unit *unit)
{
    uint32_t records_per_s = share(producer, SHARD_RECORDS_PER_S);
    uint32_t bytes_per_s = share(producer, SHARD_BYTES_PER_S);

    if (!mr_bucket_take(&shard->records, producer->now_ns, records_per_s, 1))
        return false;
    if (mr_bucket_take(&shard->bytes, producer->now_ns, bytes_per_s, mr_unit_bytes(unit)))
        return true;
    mr_bucket_return(&shard->records, records_per_s, 1);
    return false;
}

void mr_stage_limit_add(struct mr_producer *producer, struct mr_unit *unit)
{
    struct mr_producer_shard *shard = unit->shard;

    if (producer->config.rate_limit == 0 ||
        (!shard->queued.first && may_pass(producer, shard, unit))) {
        mr_stage_collect_add(producer, unit);
        return;
    }
    mr_unit_move(producer, unit);
    mr_units_push(&shard->queued, unit);
    if (shard->is_queued)
        return;
    shard->is_queued = true;
    shard->next_queued = producer->queued_shards;
    producer->queued_shards = shard;
}

void mr_stage_limit(struct mr_producer *producer)
{
    struct mr_producer_shard **at = &producer->queued_shards, *shard;

    while ((shard = *at)) {
        while (shard->queued.first && may_pass(producer, shard, shard->queued.first))
            mr_stage_collect_add(producer, mr_units_pop(&shard->queued));
        if (shard->queued.first) {
            at = &shard->next_queued;
        } else {
            *at = shard->next_queued;
            shard->is_queued = false;
        }
    }
}

uint64_t mr_stage_limit_next(const struct mr_producer *producer)
{
    return producer->queued_shards ? producer->now_ns + POLL_NS : MR_NEVER;
}
