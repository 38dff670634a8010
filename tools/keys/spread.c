#include "keys/spread.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

#define CAPACITY ((size_t)2 * MR_SPREAD_KEYS_MAX)

void mr_spread_fini(struct mr_spread *spread)
{
    mr_free(spread->keys);
    *spread = (struct mr_spread){0};
}

static struct mr_spread_key *find(struct mr_spread *spread, uint64_t id)
{
    size_t slot = (size_t)(id >> 32) & (CAPACITY - 1);

    while (spread->keys[slot].id && spread->keys[slot].id != id)
        slot = (slot + 1) & (CAPACITY - 1);
    return &spread->keys[slot];
}

/* Keeps half of the keys. */
static void thin_out(struct mr_spread *spread)
{
    struct mr_spread_key *before = spread->keys;

    spread->level++;
    spread->count = 0;
    spread->keys = mr_alloc_zero(CAPACITY, sizeof *spread->keys);
    for (size_t i = 0; i < CAPACITY; i++)
        if (before[i].id && mr_spread_keeps(spread, before[i].id)) {
            *find(spread, before[i].id) = before[i];
            spread->count++;
        }
    mr_free(before);
}

void mr_spread_add(struct mr_spread *spread, mr_hash_key hash_key, uint64_t bytes)
{
    uint64_t id = hash_key.lo ? hash_key.lo : 1;
    struct mr_spread_key *key;

    if (!mr_spread_keeps(spread, id))
        return;
    if (!spread->keys)
        spread->keys = mr_alloc_zero(CAPACITY, sizeof *spread->keys);
    key = find(spread, id);
    if (!key->id) {
        key->id = id;
        spread->count++;
    }
    key->record_count++;
    key->bytes += bytes;
    while (spread->count > MR_SPREAD_KEYS_MAX)
        thin_out(spread);
}

/* Some keys, each as heavy as the other. */
struct group {
    double weight, key_count;
};

static int lighter(const void *a, const void *b)
{
    double x = ((const struct group *)a)->weight, y = ((const struct group *)b)->weight;

    return (x > y) - (x < y);
}

static int by_id(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

/* The keys that are surely above what a counter may be off by; ids in order. */
static size_t heavy_keys(const struct mr_top *top, struct group *groups, uint64_t *ids)
{
    uint64_t floor = mr_top_floor(top);
    size_t count = 0;

    for (size_t i = 0; i < top->count; i++) {
        const struct mr_top_key *key = &top->keys[i];

        if (key->weight - key->error <= 2 * floor)
            continue;
        groups[count] = (struct group){(double)(key->weight - key->error / 2), 1};
        ids[count++] = key->id.lo ? key->id.lo : 1;
    }
    qsort(ids, count, sizeof *ids, by_id);
    return count;
}

/* Makes groups of what is known; returns how many. */
static size_t group(const struct mr_spread *spread, const struct mr_top *top, bool by_bytes,
                    double key_count, struct group *groups)
{
    uint64_t *ids = mr_alloc((top->count + 1) * sizeof *ids);
    size_t heavy_count = spread->level ? heavy_keys(top, groups, ids) : 0, count = heavy_count;
    double rest = (double)top->sum, sampled = 0, others = key_count - (double)heavy_count;

    for (size_t i = 0; i < heavy_count; i++)
        rest -= groups[i].weight;
    for (size_t i = 0; spread->keys && i < CAPACITY; i++) {
        const struct mr_spread_key *key = &spread->keys[i];

        if (!key->id || bsearch(&key->id, ids, heavy_count, sizeof *ids, by_id))
            continue;
        groups[count] = (struct group){(double)(by_bytes ? key->bytes : key->record_count), 1};
        sampled += groups[count++].weight;
    }
    mr_free(ids);
    if (!spread->level || count == heavy_count || sampled <= 0)
        return count;
    /* The sample stands for all the others: as many keys, and as much weight, as there are left. */
    for (size_t i = heavy_count; i < count; i++) {
        groups[i].key_count = others / (double)(count - heavy_count);
        groups[i].weight *= rest / sampled / groups[i].key_count;
    }
    return count;
}

void mr_spread_measure(const struct mr_spread *spread, const struct mr_top *top, bool by_bytes,
                       double key_count, struct mr_evenness *evenness)
{
    struct group *groups = mr_alloc((spread->count + top->count + 1) * sizeof *groups);
    size_t count = group(spread, top, by_bytes, key_count, groups), point = 1;
    double keys = 0, weight = 0, squares = 0, keys_so_far = 0, weight_so_far = 0, area = 0;

    qsort(groups, count, sizeof *groups, lighter);
    for (size_t i = 0; i < count; i++) {
        keys += groups[i].key_count;
        weight += groups[i].key_count * groups[i].weight;
        squares += groups[i].key_count * groups[i].weight * groups[i].weight;
    }
    *evenness = (struct mr_evenness){.effective_keys = squares > 0 ? weight * weight / squares : 0};
    for (size_t i = 0; i < count && weight > 0; i++) {
        double keys_before = keys_so_far, weight_before = weight_so_far;

        keys_so_far += groups[i].key_count / keys;
        weight_so_far += groups[i].key_count * groups[i].weight / weight;
        area += (keys_so_far - keys_before) * (weight_so_far + weight_before);
        for (; point < MR_LORENZ_POINTS &&
               (double)point / (MR_LORENZ_POINTS - 1) <= keys_so_far + 1e-9;
             point++)
            evenness->lorenz[point] =
                weight_before + (weight_so_far - weight_before) *
                                    ((double)point / (MR_LORENZ_POINTS - 1) - keys_before) /
                                    (keys_so_far - keys_before);
    }
    evenness->gini = weight > 0 ? 1 - area : 0;
    mr_free(groups);
}
