/* result.h - what an analysis found, in figures that can be shown. */
#ifndef MR_TOOLS_KEYS_RESULT_H
#define MR_TOOLS_KEYS_RESULT_H

#include "base/arena.h"
#include "keys/analysis.h"
#include "keys/cost.h"

#define MR_TOP_SHOWN 20
#define MR_SENTENCES_MAX 24

/* Between the two models of the limiter. */
struct mr_band {
    uint64_t low, high;
};

/* A division into shards. */
struct mr_outcome {
    uint32_t shard_count;
    struct mr_band records, bytes; /* throttled */
    double low, high;              /* of all records, as parts */
    struct mr_busy busy;
    double imbalance;  /* the busiest shard's load by the mean's; 1 is even */
    double order_lost; /* part of neighbours of one key that salt has put into two shards */
    double dollars_a_month;
};

/* How hot the hottest key is. */
struct mr_hottest {
    const struct mr_top_key *key; /* NULL without records */
    bool by_bytes;                /* which of the two limits binds */
    double share;                 /* of the load; at least */
    double peak;                  /* of one shard's limit, in its busiest second */
    uint32_t parts;               /* so many keys it would have to become: 1 is fine */
};

struct mr_scheme_result {
    const struct mr_scheme_analysis *of;
    double key_count;
    bool key_count_is_exact;
    bool by_bytes; /* the shards' byte limit binds, not the records' */
    struct mr_evenness evenness;
    struct mr_hottest hottest;
    const struct mr_top_key *top_records[MR_TOP_SHOWN], *top_bytes[MR_TOP_SHOWN];
    size_t top_record_count, top_byte_count;
    struct mr_outcome outcomes[MR_GRID_DIVISIONS_MAX];
    uint32_t needed;    /* the fewest shards that keep the budget; 0: not even 64 do */
    uint32_t suggested; /* the same; else where more shards stop helping */
    double dollars_on_demand;
};

struct mr_result {
    const struct mr_analysis *analysis;
    const char *source;      /* a file or a stream */
    const char *stream;      /* whose ranges are the last division, or NULL */
    double throttled_max;    /* the budget: a part of all records */
    struct mr_traffic plans; /* readers, fan_out, retention */
    uint64_t line_count, rejected_count, skipped_count, backward_count; /* of the source */

    size_t outcome_count; /* of each scheme */
    uint64_t seconds;
    struct mr_scheme_result schemes[MR_ANALYSIS_SCHEMES_MAX];
    size_t scheme_count, best; /* best: the scheme to take */
    const char *verdict[MR_SENTENCES_MAX];
    size_t sentence_count;
    struct mr_arena arena; /* of the sentences */
};

/* Fills what follows the counts of the source. Release with mr_result_fini(). */
void mr_result_make(struct mr_result *result);
void mr_result_fini(struct mr_result *result);

/* Of one shard of a division. */
struct mr_band mr_result_throttled(const struct mr_scheme_result *scheme, size_t division,
                                   size_t shard);
/* Its load as a part of what all its division's shards got. */
double mr_result_share(const struct mr_scheme_result *scheme, size_t division, size_t shard);

/* verdict.c: says in words what to do. */
void mr_result_judge(struct mr_result *result);

/* Does the scheme to take keep the budget, on the stream's own shards if there is a stream? */
bool mr_result_keeps_budget(const struct mr_result *result);

/* A key as text that can be shown: what is not printable is \xNN. At most 4 characters a byte. */
const char *mr_key_show(const struct mr_top_key *key, char *text, size_t capacity);

#endif
