/* sequence.h - sequence numbers as callers write them. */
#ifndef MR_SERVICE_SEQUENCE_H
#define MR_SERVICE_SEQUENCE_H

#include "millrace.h"

struct mr_asked_sequence {
    unsigned version; /* of the layout; what we give out has 2 */
    uint64_t created_s, time_s, number;
    int32_t shard;
};

/* False: it is of no version that Kinesis ever gave out. */
bool mr_sequence_read(mr_bytes text, struct mr_asked_sequence *sequence);

#endif
