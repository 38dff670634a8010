/*
 * meter.h - counts what figures.def names. One lock for all, held for a few additions: of a call's
 * time that is not to be measured.
 */
#ifndef MR_SERVICE_METER_H
#define MR_SERVICE_METER_H

#include "base/table.h"
#include "os/thread.h"
#include "service/service.h"

struct mr_meter {
    pthread_mutex_t lock;
    struct mr_table streams; /* struct mr_stream_meter, by name */
};

struct mr_stream_meter;

void mr_meter_init(struct mr_meter *meter);
void mr_meter_fini(struct mr_meter *meter);

/* The counts of a stream, to be added to until mr_meter_end(). */
struct mr_stream_meter *mr_meter_begin(struct mr_meter *meter, const char *stream);
void mr_meter_end(struct mr_meter *meter);

uint64_t *mr_meter_stream(struct mr_stream_meter *stream); /* by enum mr_stream_figure */
uint64_t *mr_meter_shard(struct mr_stream_meter *stream, mr_shard_id shard);
uint64_t *mr_meter_consumer(struct mr_stream_meter *stream, const char *name);

/* The stream is deleted. */
void mr_meter_forget(struct mr_meter *meter, const char *stream);

/* A copy of all, in the arena; what keeps() does not want is left out, and forgotten. */
const struct mr_figures *mr_meter_read(struct mr_meter *meter, struct mr_arena *arena,
                                       bool (*keeps)(void *context, const char *stream,
                                                     mr_shard_id shard),
                                       void *context);

#endif
