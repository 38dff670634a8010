/*
 * post.h - requests of AWS's JSON protocol, one at a time: for services beside Kinesis. Over the
 * network by mr_poster_connect() (millrace-remote.h); tests have their own.
 */
#ifndef MR_WIRE_POST_H
#define MR_WIRE_POST_H

#include "base/pack.h"

typedef struct mr_poster mr_poster;
struct mr_poster {
    /*
     * Posts body as application/x-amz-json-1.0 and blocks for the answer, whose bytes it appends.
     * OK: there was one, with this HTTP status. UNAVAILABLE, TIMEOUT: there was none, so it is not
     * known what was done; it is not tried again. From any thread.
     */
    mr_status (*post)(mr_poster *poster, const char *target, mr_bytes body, struct mr_pack *answer,
                      unsigned *http, mr_error *error);
    void (*close)(mr_poster *poster);
};

#endif
