/* layout.h - the shards of a stream after an entry, worked out without changing the stream. */
#ifndef MR_STREAM_LAYOUT_H
#define MR_STREAM_LAYOUT_H

#include "stream/catalog.h"

/* Start from {0}. */
struct mr_layout {
    struct mr_shard_state **opened; /* by the entry, in id order; some may be closed by it again */
    size_t opened_count;
    struct mr_shard_state **closed; /* that were open before */
    size_t closed_count;
    struct mr_shard_state **open; /* afterwards, in the order of their ranges */
    size_t open_count;
};

/* STREAM_CREATE: the shards of a new stream. */
void mr_layout_create(struct mr_layout *layout, const struct mr_entry *entry, uint64_t number,
                      int64_t at_ms);

/* RESHARD. CORRUPT if a step does not fit the stream, or the result does not cover the hash space
 * exactly once (S1). */
mr_status mr_layout_reshard(struct mr_layout *layout, const struct mr_stream *stream,
                            const struct mr_entry *entry, uint64_t number, int64_t at_ms,
                            mr_error *error);

/* Releases what was not taken out of it. */
void mr_layout_fini(struct mr_layout *layout);

/* Sorts open shards by range and says whether they cover the hash space exactly once (S1). */
bool mr_shards_cover(struct mr_shard_state **open, size_t count);

#endif
