/*
 * lane.h - what keeps the records of a key in order (P4).
 */
#ifndef MR_PRODUCER_LANE_H
#define MR_PRODUCER_LANE_H

#include "unit.h"

/*
 * What keeps the records of one partition key in order (P4): the unit that they are in, and those
 * behind it that wait until it lets go of the key. There are lanes only for keys that have a unit.
 */
struct mr_lane {
    struct mr_lane *next; /* in the table, or of the free ones */
    mr_hash_key hash;     /* of the key */
    struct mr_unit *unit;
    struct mr_queue waiting;
};

struct mr_lanes {
    struct mr_lane **buckets; /* a power of two */
    size_t bucket_count, count;
    struct mr_lane *free;
};

void mr_lanes_fini(struct mr_lanes *lanes);
void mr_lanes_prefetch(const struct mr_lanes *lanes, const mr_hash_key *hashes, size_t count);
struct mr_lane *mr_lane_get(struct mr_lanes *lanes, mr_hash_key hash); /* makes it if needed */
void mr_lane_drop(struct mr_lanes *lanes, struct mr_lane *lane);       /* it has no records */

#endif
