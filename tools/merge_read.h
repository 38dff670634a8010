/*
 * merge_read.h - all shards of a stream read as one, through splits and merges.
 *
 * Records come in the order of their sequence numbers, which grow through a whole engine. (While
 * following, records that arrive at the same moment in two shards may change places.) A child is
 * read when its parents are read to their end, so a key's records never change places.
 */
#ifndef MR_TOOLS_MERGE_READ_H
#define MR_TOOLS_MERGE_READ_H

#include "command.h"

struct mr_merge; /* one thread at a time */

/* All shards, or `only` one (MR_NO_SHARD: all). NOT_FOUND. Close it before the place. */
mr_status mr_merge_open(struct mr_merge **merge, const struct mr_place *place, const char *stream,
                        mr_shard_id only, const mr_position *from, mr_error *error);
void mr_merge_close(struct mr_merge *merge);

/* The next record, valid until the next call; NULL when nothing is there now. CORRUPT: the next
 * call goes on behind the damage. */
mr_status mr_merge_next(struct mr_merge *merge, const mr_record **record, mr_error *error);

/* Nothing will come any more: every shard read is closed. */
bool mr_merge_is_over(const struct mr_merge *merge);

/* Sleeps until something may be there, or *word is not `seen`. */
void mr_merge_wait(struct mr_merge *merge, _Atomic uint32_t *word, uint32_t seen);

#endif
