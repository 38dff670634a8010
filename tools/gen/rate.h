/* rate.h - when each record is due: steadily, in bursts, or by day and night. */
#ifndef MR_TOOLS_GEN_RATE_H
#define MR_TOOLS_GEN_RATE_H

#include "millrace.h"

enum mr_rate_kind {
    MR_RATE_NONE, /* as fast as it goes: all are due at once */
    MR_RATE_CONSTANT,
    MR_RATE_BURST,   /* low, and in each period once high, at its end */
    MR_RATE_DIURNAL, /* a wave from low at midnight to high at noon */
};

struct mr_rate {
    enum mr_rate_kind kind;
    double low, high;          /* records a second; CONSTANT: low */
    double period_s, length_s; /* length: of a burst */
};

/*
 * 1000 | burst:LOW,HIGH,PERIOD,LENGTH | diurnal:LOW,HIGH[,PERIOD]; the rates are records a second,
 * PERIOD (of diurnal 1d) and LENGTH spans as "60s". INVALID.
 */
mr_status mr_rate_parse(const char *text, struct mr_rate *rate, mr_error *error);

/* How many records are due in the first `seconds`. */
double mr_rate_count(const struct mr_rate *rate, double seconds);

/* When record number index (from 0) is due, in seconds after the start; grows with index. */
double mr_rate_due_s(const struct mr_rate *rate, uint64_t index);

#endif
