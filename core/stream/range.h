/*
 * range.h - how shards divide the hash space, and how one division becomes another.
 *
 * Arrays of ranges are in the order of their keys, everywhere here.
 */
#ifndef MR_STREAM_RANGE_H
#define MR_STREAM_RANGE_H

#include "millrace.h"

struct mr_range {
    mr_hash_key first, last; /* inclusive */
};

/* Range index of count equal ones, as Kinesis divides: what does not divide goes to the last. */
struct mr_range mr_range_uniform(uint32_t count, uint32_t index);

/*
 * What to scale these ranges to: equal ones, whose borders stay where ranges have them already within
 * 2^32 keys. Rounding moves borders a few keys (floor(2^128 / 6) * 2 is not floor(2^128 / 3)); shards
 * that narrow would follow from it, for shares that differ by less than 2^-90.
 */
void mr_range_targets(const struct mr_range *ranges, size_t count, struct mr_range *targets,
                      uint32_t target_count);

bool mr_range_has(const struct mr_range *range, mr_hash_key key);

/* a ends where b starts: they can be merged. */
bool mr_range_touches(const struct mr_range *a, const struct mr_range *b);

/* The key that halves the range: where the second half starts. */
mr_hash_key mr_range_middle(const struct mr_range *range);

/* at is a place where Kinesis splits: above first + 1 and below last. */
bool mr_range_splits_at(const struct mr_range *range, mr_hash_key at);

/* S1: the ranges cover the hash space exactly once. */
bool mr_range_covers(const struct mr_range *ranges, size_t count);

/* Which of count ranges has key, given where each starts; starts[0] is 0. */
size_t mr_range_find(const mr_hash_key *starts, size_t count, mr_hash_key key);

/* ---- from one division to another ---------------------------------------------------------- */

/*
 * A shard has at most two parents, and a reader of a child must be able to wait for every shard
 * that held one of its keys. So a new division is reached by splits and merges only, through shards
 * that open and close in the same moment and never hold a record.
 *
 * Ranges are meant by number: 0..count-1 the given ones, from count on those that the steps open,
 * in their order (a split opens two, the lower first).
 */
struct mr_range_step {
    bool is_merge;
    uint32_t closes;      /* a merge: the lower one */
    uint32_t closes_also; /* a merge: the upper one */
    mr_hash_key at;       /* a split: where the upper child starts */
};

/* Release with mr_range_plan_fini(). */
struct mr_range_plan {
    struct mr_range_step *steps;
    size_t step_count;
    size_t opened_count; /* by all steps */
};

/*
 * Plans the way from ranges to targets; both cover the hash space. A range that is a target is left
 * alone; any other is closed. The lineage is as flat as its width allows: halves of halves.
 */
struct mr_range_plan mr_range_plan(const struct mr_range *ranges, size_t count,
                                   const struct mr_range *targets, size_t target_count);

void mr_range_plan_fini(struct mr_range_plan *plan);

#endif
