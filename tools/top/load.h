/* load.h - what each shard of a stream took in the last minute, second by second: found by reading
 * along, so that any place will do, an engine, a server or AWS. */
#ifndef MR_TOOLS_TOP_LOAD_H
#define MR_TOOLS_TOP_LOAD_H

#include "command.h"
#include "reader.h"
#include "streams.h"

#define MR_LOAD_SECONDS 60

struct mr_load_second {
    int64_t second; /* since 1970; else the slot is of another */
    uint32_t record_count;
    uint64_t bytes;
};

struct mr_shard_load {
    mr_shard shard;
    struct mr_shard_reader *reader; /* NULL: the shard is closed and read to its end */
    struct mr_load_second seconds[MR_LOAD_SECONDS];
    int64_t newest_ms; /* when its newest record arrived; 0: none seen */
};

struct mr_load {
    const struct mr_place *place;
    const char *stream;
    struct mr_shard_load *shards; /* in id order */
    size_t shard_count;
};

/* Notes one record; one that is older than a minute changes nothing. */
void mr_shard_load_note(struct mr_shard_load *load, int64_t arrival_ms, size_t bytes);
/* What it took in that second; zeros if that is too long ago. */
struct mr_load_second mr_shard_load_at(const struct mr_shard_load *load, int64_t second);
/* How much of a Kinesis shard that is: 1 is all of its records or all of its bytes. */
double mr_load_part(const struct mr_load_second *second);
/* In how many of the last `seconds` before `now` it was above that. */
unsigned mr_shard_load_over(const struct mr_shard_load *load, int64_t now, unsigned seconds);

/* Reads what arrived since the last time, in shards that came since then, too. */
mr_status mr_load_read(struct mr_load *load, int64_t now_ms, mr_error *error);
void mr_load_fini(struct mr_load *load);

#endif
