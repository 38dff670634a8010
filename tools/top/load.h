/* load.h - what each shard of a stream took in the last minute, second by second: from a server's
 * /metrics, which disturb nobody; else found by reading along, so that any place will do. */
#ifndef MR_TOOLS_TOP_LOAD_H
#define MR_TOOLS_TOP_LOAD_H

#include "command.h"
#include "reader.h"
#include "streams.h"
#include "top/counts.h"

#define MR_LOAD_SECONDS 60

struct mr_load_second {
    int64_t second; /* since 1970; else the slot is of another */
    uint32_t record_count;
    uint64_t bytes;
    uint64_t throttled_count; /* by /metrics */
};

struct mr_shard_load {
    mr_shard shard;
    struct mr_shard_reader *reader; /* NULL: the shard is closed and read to its end */
    struct mr_load_second seconds[MR_LOAD_SECONDS];
    int64_t newest_ms; /* when its newest record arrived; 0: none seen */
    bool is_open;
    uint64_t counts[MR_COUNTS]; /* as /metrics had them last */
};

struct mr_load {
    const struct mr_place *place;
    const char *stream;
    struct mr_shard_load *shards; /* in id order */
    size_t shard_count;
    const char *endpoint; /* of the server that may have /metrics, or NULL */
    bool has_counts;      /* it has: then loads are what came between two looks */
    uint64_t look_count;
    int64_t now_ms; /* of the look under way */
};

/* Notes one record; one that is older than a minute changes nothing. */
void mr_shard_load_note(struct mr_shard_load *load, int64_t arrival_ms, size_t bytes);
/* Notes what /metrics say now; the first look says from where to count. */
void mr_shard_load_count(struct mr_shard_load *load, int64_t now_ms, enum mr_count count,
                         uint64_t value, bool is_first);
/* What it took in that second; zeros if that is too long ago. */
struct mr_load_second mr_shard_load_at(const struct mr_shard_load *load, int64_t second);
/* How much of a Kinesis shard that is: 1 is all of its records or all of its bytes. */
double mr_load_part(const struct mr_load_second *second);
/* In how many of the last `seconds` before `now` it was above that. */
unsigned mr_shard_load_over(const struct mr_shard_load *load, int64_t now, unsigned seconds);

/* How many records it refused in the minute before `now`. */
uint64_t mr_shard_load_throttled(const struct mr_shard_load *load, int64_t now);

/* Reads what arrived since the last time, in shards that came since then, too. */
mr_status mr_load_read(struct mr_load *load, int64_t now_ms, mr_error *error);
void mr_load_fini(struct mr_load *load);

#endif
