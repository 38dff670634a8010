/*
 * top.h - the heaviest keys of a stream in bounded memory, with bounds of the error: Space-Saving, with
 * a filter before it.
 *
 * So many keys have a counter. The others are counted together in the cells of a filter, by their
 * MD5. A key whose cell reaches the smallest counter takes that over, with the cell's weight as its
 * error; the key that loses it leaves its weight in its own cell. So a key's true weight is between
 * weight - error and weight; a key without a counter has at most what its cell has, and that is
 * never above the smallest counter, which is at most the sum of all weights / capacity. (Plain
 * Space-Saving is that with one cell, always full; the filter spares nearly all takeovers.)
 */
#ifndef MR_TOOLS_KEYS_TOP_H
#define MR_TOOLS_KEYS_TOP_H

#include "millrace.h"

struct mr_top_key {
    mr_hash_key id; /* its MD5 */
    uint64_t weight, error;
    uint64_t second, in_second, peak; /* the most in one second, while it had its counter */
    uint8_t *text;
    size_t text_bytes, text_capacity;
};

#define MR_TOP_CELLS 4096

/* A key in the heap, with its weight when it was put there: it may be more by now. So a counter that
 * grows needs no move, and the top is put in order only when a key wants to take it over. */
struct mr_top_place {
    uint64_t weight;
    uint32_t key;
};

/* A key by its id; key + 1, 0 is free. */
struct mr_top_slot {
    uint16_t key, tag;
};

struct mr_top {
    size_t capacity, count, slot_mask;
    struct mr_top_key *keys;
    struct mr_top_place *heap; /* of four children each, the lightest first */
    struct mr_top_slot *slots;
    uint64_t *filter; /* [MR_TOP_CELLS] */
    uint64_t sum;
};

void mr_top_init(struct mr_top *top, size_t capacity);
void mr_top_fini(struct mr_top *top);

/* weight of the key with that MD5, in that second. */
void mr_top_add(struct mr_top *top, mr_hash_key id, mr_bytes text, uint64_t weight,
                uint64_t second);

/* Many, as if those whose keys have a counter came before the others. */
#define MR_TOP_BATCH 256
struct mr_top_batch {
    size_t count; /* at most MR_TOP_BATCH */
    const mr_hash_key *ids;
    const mr_bytes *texts;
    const uint64_t *seconds;
};
void mr_top_add_batch(struct mr_top *top, const struct mr_top_batch *batch,
                      const uint32_t *weights);

/* The heaviest first, at most count_max; they point into top. */
size_t mr_top_list(const struct mr_top *top, const struct mr_top_key **list, size_t count_max);

/* What a key that is not listed may have at most. */
uint64_t mr_top_floor(const struct mr_top *top);

#endif
