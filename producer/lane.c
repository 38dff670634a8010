/* lane.c - lanes by the hash of their key. The hash is an MD5: its bits need no stirring. */
#include "base/memory.h"
#include "base/u128.h"
#include "stage.h"

#define BUCKETS_MIN 2048

static struct mr_lane **bucket_of(const struct mr_lanes *lanes, mr_hash_key hash)
{
    return &lanes->buckets[hash.lo & (lanes->bucket_count - 1)];
}

static void grow(struct mr_lanes *lanes)
{
    struct mr_lanes old = *lanes;

    lanes->bucket_count = old.bucket_count ? old.bucket_count * 2 : BUCKETS_MIN;
    lanes->buckets = mr_alloc_zero(lanes->bucket_count, sizeof *lanes->buckets);
    for (size_t i = 0; i < old.bucket_count; i++)
        for (struct mr_lane *lane = old.buckets[i], *next; lane; lane = next) {
            struct mr_lane **bucket = bucket_of(lanes, lane->hash);

            next = lane->next;
            lane->next = *bucket;
            *bucket = lane;
        }
    mr_free(old.buckets);
}

static struct mr_lane *take(struct mr_lanes *lanes)
{
    struct mr_lane *lane = lanes->free;

    if (!lane)
        return mr_new(struct mr_lane);
    lanes->free = lane->next;
    *lane = (struct mr_lane){0};
    return lane;
}

struct mr_lane *mr_lane_get(struct mr_lanes *lanes, mr_hash_key hash)
{
    struct mr_lane **bucket, *lane;

    if (lanes->count * 2 >= lanes->bucket_count)
        grow(lanes);
    bucket = bucket_of(lanes, hash);
    for (lane = *bucket; lane; lane = lane->next)
        if (mr_hash_key_equal(lane->hash, hash))
            return lane;
    lane = take(lanes);
    lane->hash = hash;
    lane->next = *bucket;
    *bucket = lane;
    lanes->count++;
    return lane;
}

/* A key's place in the table and its lane are seldom in the cache: many are fetched at once. */
void mr_lanes_prefetch(const struct mr_lanes *lanes, const mr_hash_key *hashes, size_t count)
{
    if (lanes->bucket_count == 0)
        return;
    for (size_t i = 0; i < count; i++)
        __builtin_prefetch(bucket_of(lanes, hashes[i]));
    for (size_t i = 0; i < count; i++) {
        const struct mr_lane *lane = *bucket_of(lanes, hashes[i]);

        __builtin_prefetch(lane);
        __builtin_prefetch(lane ? (const char *)lane + 64 : NULL);
    }
}

void mr_lane_drop(struct mr_lanes *lanes, struct mr_lane *lane)
{
    struct mr_lane **at = bucket_of(lanes, lane->hash);

    while (*at != lane)
        at = &(*at)->next;
    *at = lane->next;
    lane->next = lanes->free;
    lanes->free = lane;
    lanes->count--;
}

void mr_lanes_fini(struct mr_lanes *lanes)
{
    for (struct mr_lane *lane = lanes->free, *next; lane; lane = next) {
        next = lane->next;
        mr_free(lane);
    }
    mr_free(lanes->buckets);
    *lanes = (struct mr_lanes){0};
}
