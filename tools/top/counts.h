/* counts.h - what a server's /metrics say of a stream's shards. */
#ifndef MR_TOOLS_TOP_COUNTS_H
#define MR_TOOLS_TOP_COUNTS_H

#include "base/pack.h"
#include "millrace.h"

enum mr_count {
    MR_COUNT_RECORDS, /* put, since the server began; */
    MR_COUNT_BYTES,
    MR_COUNT_THROTTLED, /* records refused; */
    MR_COUNT_AGE_MS,    /* how far the last read was behind the newest record */
    MR_COUNTS
};

/* Calls found() for each of them on the page that is of a shard of the stream; lines that are of
 * something else, or make no sense, are passed over. */
void mr_counts_parse(mr_bytes page, const char *stream,
                     void (*found)(void *context, mr_shard_id shard, enum mr_count count,
                                   uint64_t value),
                     void *context);

/* Appends the page of the server there; false: it has none, or none for us. */
bool mr_counts_fetch(const char *endpoint, struct mr_pack *page);

#endif
