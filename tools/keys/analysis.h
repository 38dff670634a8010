/* analysis.h - one pass over events: for each scheme of keys what its shards would take, and which
 * keys weigh how much. */
#ifndef MR_TOOLS_KEYS_ANALYSIS_H
#define MR_TOOLS_KEYS_ANALYSIS_H

#include "keys/distinct.h"
#include "keys/order.h"
#include "keys/scheme.h"
#include "keys/simulate.h"
#include "keys/spread.h"

#define MR_ANALYSIS_SCHEMES_MAX 8
#define MR_ANALYSIS_BATCH 128 /* what a batch needs stays near the processor */
#define MR_ANALYSIS_TOP 512   /* counters of heavy keys */
#define MR_HASH_PARTS 65536   /* equal parts of the hash space whose load is known */

struct mr_analysis_config {
    struct mr_limits limits; /* of a shard */
    double speed;            /* so many times as fast as the events' times say */
    double rate;             /* events a second where they have no time; 0: they must have one */
    const mr_hash_key *stream_starts; /* of a stream's open shards, or NULL */
    size_t stream_shard_count;
    size_t recorded_field; /* the events' field that is the recorded key, or SIZE_MAX */
    bool by_hash;          /* learn the load of each part of the hash space, too */
};

struct mr_scheme_analysis {
    struct mr_scheme scheme;
    struct mr_simulation *simulation;
    struct mr_top top_records, top_bytes;
    struct mr_distinct *distinct;
    struct mr_spread spread;
    struct mr_order *order; /* NULL without salt */
    struct mr_random random;
    uint64_t put_units;         /* of 25 KiB, as AWS charges them */
    uint64_t rounded_bytes;     /* each record as whole KiB */
    struct mr_load *hash_parts; /* [MR_HASH_PARTS], or NULL */
};

struct mr_analysis {
    struct mr_analysis_config config;
    struct mr_grid grid;
    struct mr_scheme_analysis schemes[MR_ANALYSIS_SCHEMES_MAX];
    size_t scheme_count;
    uint64_t event_count, rejected_count; /* rejected: a scheme's key would be empty or too long */
    int64_t base_ms, first_ms, last_ms;   /* as the events say */
    bool has_times;
    uint8_t *scratch;
    size_t scratch_capacity;
};

struct mr_analysis *mr_analysis_new(const struct mr_analysis_config *config,
                                    const struct mr_scheme *schemes, size_t scheme_count);
void mr_analysis_free(struct mr_analysis *analysis);

/* At most MR_ANALYSIS_BATCH events. reject() as in mr_events_config. INVALID: an event has no time
 * and there is no rate. */
mr_status mr_analysis_add(struct mr_analysis *analysis, const struct mr_event *events, size_t count,
                          void (*reject)(void *context, uint64_t line, const char *why),
                          void *context, mr_error *error);
void mr_analysis_end(struct mr_analysis *analysis);

#endif
