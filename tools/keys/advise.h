/*
 * advise.h - which shards of a stream to split and merge, and where.
 *
 * A shard whose busy seconds (the 99th of 100) use more than 80 % of its limit is split into as many
 * as bring them below, at hash keys that halve the load observed, not the range; a hot key that lies
 * there stays whole, alone if need be. Neighbours whose busy seconds together use less than 40 %
 * are merged.
 */
#ifndef MR_TOOLS_KEYS_ADVISE_H
#define MR_TOOLS_KEYS_ADVISE_H

#include "keys/result.h"

struct mr_advice_step {
    bool is_merge;
    mr_shard_id shard, adjacent; /* adjacent: of a merge */
    mr_hash_key at;              /* of a split */
    mr_shard_id children[2];     /* the ids they will have; of a merge the first */
    double busy;                 /* how much of its limit a busy second uses, before */
    double part;                 /* of the load, that goes to the lower child of a split */
};

struct mr_advice {
    struct mr_advice_step *steps;
    size_t step_count, step_capacity;
    mr_shard_id *single; /* hot shards that no split helps: one key has their load */
    size_t single_count, single_capacity;
};

/*
 * shards: the stream's open shards in the order of their ranges, as the result's last division;
 * next: the id that the stream's next shard will have. The scheme must have been analysed by hash.
 * Release with mr_advice_fini().
 */
void mr_advise(struct mr_advice *advice, const struct mr_result *result,
               const struct mr_scheme_result *scheme, const mr_shard *shards, mr_shard_id next);
void mr_advice_fini(struct mr_advice *advice);

#endif
