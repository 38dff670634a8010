/* engine.h - struct mr_engine, shared by the files of core/stream only. */
#ifndef MR_STREAM_ENGINE_H
#define MR_STREAM_ENGINE_H

#include "log/log.h"
#include "stream/catalog.h"
#include "stream/origin.h"
#include "stream/put.h"
#include "stream/route.h"
#include "stream/stream.h"

#define MR_PUT_WAIT_MS 30000 /* for room in the journal */

/* struct mr_limits that can change under those who look. */
struct mr_limits_now {
    _Atomic uint32_t write_bytes_per_s, write_records_per_s, read_bytes_per_s, read_calls_per_s;
};

struct mr_engine {
    struct mr_log *log;
    struct mr_clock *clock;
    uint32_t shard_count_max;
    struct mr_catalog catalog; /* what is durable */
    struct mr_routes routes;   /* where puts go */
    pthread_mutex_t changing;  /* held through a change of streams and shards, until it is applied:
                                  so what was checked in the catalog still holds then */
    struct mr_limits_now limits;
    struct mr_put_calls put_calls;
    struct mr_origins origins;
    struct mr_log_append forgetting; /* the housekeeper's entry, while is_forgetting */
    _Atomic bool is_forgetting;
};

/* mr_log_owner.housekeep: trims, and forgets shards. */
void mr_retention_housekeep(struct mr_engine *engine, struct mr_log *log);

/* The sequence of a closed shard that is above all its records (spec 4.2). */
#define MR_LAST_NUMBER UINT64_C(0x7fffffffffffffff)

mr_status mr_no_stream(const char *stream, mr_error *error);
mr_status mr_no_shard(const char *stream, mr_shard_id shard, mr_error *error);

#endif
