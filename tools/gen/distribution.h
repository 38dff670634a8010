/* distribution.h - how often each key is drawn. */
#ifndef MR_TOOLS_GEN_DISTRIBUTION_H
#define MR_TOOLS_GEN_DISTRIBUTION_H

#include "base/random.h"
#include "millrace.h"

enum mr_distribution_kind {
    MR_DISTRIBUTION_UNIFORM,
    MR_DISTRIBUTION_ZIPF,       /* key i as often as 1 / (i + 1)^exponent */
    MR_DISTRIBUTION_HOTSET,     /* the first keys take most */
    MR_DISTRIBUTION_SEQUENTIAL, /* one after the other, around and around */
    MR_DISTRIBUTION_TIMESTAMP,  /* the record's time in milliseconds */
};

struct mr_distribution {
    enum mr_distribution_kind kind;
    uint64_t key_count;
    double exponent;                    /* of ZIPF */
    double area_first, area_last, sure; /* of ZIPF, see distribution.c */
    uint64_t hot_count;                 /* of HOTSET */
    double hot_share;
    uint64_t drawn_count; /* so far */
};

/*
 * uniform | zipf:S | hotset:F,P (a part F of the keys gets a share P of the records) | sequential |
 * timestamp. F and P are 0..1 or percentages ("10%"). key_count is at least 1. INVALID.
 */
mr_status mr_distribution_parse(const char *text, uint64_t key_count,
                                struct mr_distribution *distribution, mr_error *error);

/* The next key, 0..key_count-1; the hottest is 0. Of TIMESTAMP: time_ms. */
uint64_t mr_distribution_draw(struct mr_distribution *distribution, struct mr_random *random,
                              int64_t time_ms);

#endif
