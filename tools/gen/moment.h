/* moment.h - times by a format of moment.js, as the Kinesis Data Generator takes them. */
#ifndef MR_TOOLS_GEN_MOMENT_H
#define MR_TOOLS_GEN_MOMENT_H

#include "base/pack.h"

#include <time.h>

/* A moment, taken apart: in local time or in UTC. */
struct mr_moment {
    int64_t time_ms;
    bool is_utc;
    struct tm parts;
};
struct mr_moment mr_moment_of(int64_t time_ms, bool is_utc);

/* Appends it. Known: YYYY YY Q M MM MMM MMMM D DD Do DDD DDDD d E ddd dddd H HH h hh k kk m mm s ss
 * S SS SSS A a Z ZZ X x, and [text as it is]; what is none of these stays. */
void mr_moment_format(struct mr_pack *out, const struct mr_moment *moment, mr_bytes format);

#endif
