/* order.h - how much order a salt costs: of two records of one key that follow each other, are they
 * still in one shard? */
#ifndef MR_TOOLS_KEYS_ORDER_H
#define MR_TOOLS_KEYS_ORDER_H

#include "keys/grid.h"

/* The keys before salting that are remembered; a newer one takes the place of an older. */
#define MR_ORDER_KEYS 65536

struct mr_order_key {
    uint64_t id;
    uint16_t cell;
};

struct mr_order {
    struct mr_order_key keys[MR_ORDER_KEYS];
    uint64_t pair_count; /* seen */
    uint64_t lost_counts[MR_GRID_DIVISIONS_MAX];
};

/* A record of the key with that id is in that cell. */
static inline void mr_order_add(struct mr_order *order, const struct mr_grid *grid, uint64_t id,
                                uint16_t cell)
{
    struct mr_order_key *key = &order->keys[id & (MR_ORDER_KEYS - 1)];

    if (key->id == id) {
        order->pair_count++;
        if (key->cell != cell)
            for (size_t i = 0; i < grid->division_count; i++)
                order->lost_counts[i] +=
                    grid->divisions[i].shard_of[key->cell] != grid->divisions[i].shard_of[cell];
    }
    *key = (struct mr_order_key){id, cell};
}

static inline double mr_order_lost(const struct mr_order *order, size_t division)
{
    return order && order->pair_count
               ? (double)order->lost_counts[division] / (double)order->pair_count
               : 0;
}

#endif
