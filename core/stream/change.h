/*
 * change.h - a change of streams or shards: begin, check, pack its entry, end.
 *
 * One at a time, until it is applied, so that what was checked in the catalog still holds. Between
 * begin and end the catalog is locked for reading.
 */
#ifndef MR_STREAM_CHANGE_H
#define MR_STREAM_CHANGE_H

#include "stream/engine.h"

struct mr_change {
    struct mr_engine *engine;
    const char *name;
    struct mr_stream *stream; /* of that name; NULL: none */
    struct mr_pack entry;
};

void mr_change_begin(struct mr_change *change, struct mr_engine *engine, const char *stream);

/* status OK: makes the entry durable and waits until it is applied; routes change when it gets its
 * place. Else, or with nothing packed: nothing changes. */
mr_status mr_change_end(struct mr_change *change, mr_status status, mr_error *error);

#endif
