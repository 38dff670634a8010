/* lease.h - leases as bytes, and what stores share. */
#ifndef MR_CONSUMER_LEASE_H
#define MR_CONSUMER_LEASE_H

#include "mark.h"

#define MR_LEASE_BYTES_MAX 1024 /* packed */

/* A new one, free, that begins there. */
mr_lease mr_lease_of(mr_shard_id shard, mr_mark_kind begin);

/* Is it over: read to the end of its shard? */
static inline bool mr_lease_is_ended(const mr_lease *lease)
{
    return lease->checkpoint.kind == MR_MARK_SHARD_END;
}

void mr_lease_pack(struct mr_pack *pack, const mr_lease *lease);
/* False, and why: it is none. The shard is set in any case. */
bool mr_lease_unpack(mr_bytes bytes, mr_shard_id shard, mr_lease *lease, const char **fault);

/* 1..255 letters, digits, '_', '.', '-'. INVALID. */
mr_status mr_application_check(const char *application, mr_error *error);

/* What a store says of a counter that is not the one expected, of a missing row, of one that is there. */
mr_status mr_lease_conflict(mr_shard_id shard, uint64_t counter, uint64_t expected,
                            mr_error *error);
mr_status mr_lease_missing(mr_shard_id shard, mr_error *error);
mr_status mr_lease_exists(mr_shard_id shard, mr_error *error);
mr_status mr_lease_damaged(mr_shard_id shard, const char *fault, mr_error *error);

#endif
