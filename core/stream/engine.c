/* engine.c - a log, and the catalog that owns it, put together. */
#include "stream/engine.h"

#include "base/fail.h"
#include "base/memory.h"

static mr_status restore(void *context, struct mr_log *log, mr_bytes bytes, mr_error *error)
{
    struct mr_engine *engine = context;

    return mr_catalog_restore(&engine->catalog, log, bytes, error);
}

static mr_status apply(void *context, struct mr_log *log, mr_bytes entry, uint64_t number,
                       int64_t at_ms, struct mr_log_append *append, mr_error *error)
{
    struct mr_engine *engine = context;

    return mr_catalog_apply(&engine->catalog, log, entry, number, at_ms, append, error);
}

static void snapshot(void *context, uint8_t **bytes, size_t *size)
{
    struct mr_engine *engine = context;
    struct mr_pack pack = {0};

    mr_catalog_snapshot(&engine->catalog, &pack);
    *bytes = pack.data;
    *size = pack.size;
}

static void housekeep(void *context, struct mr_log *log)
{
    mr_retention_housekeep(context, log);
}

static struct mr_log_config log_config(struct mr_engine *engine, const char *directory,
                                       const struct mr_engine_config *config,
                                       const struct mr_engine_world *world)
{
    return (struct mr_log_config){.fs = world->fs ? world->fs : mr_fs_posix(),
                                  .clock = engine->clock,
                                  .directory = directory,
                                  .key_file = config->key_file,
                                  .owner = {restore, apply, snapshot, housekeep, engine},
                                  .sync = config->sync,
                                  .sync_interval_ms = config->sync_interval_ms,
                                  .journal_bytes = config->journal_bytes / 4096 * 4096,
                                  .journal_prewrite = config->journal_prewrite,
                                  .segment_bytes = config->segment_bytes,
                                  .memory_bytes = config->memory_bytes,
                                  .manual = world->manual,
                                  .journal_only = world->journal_only,
                                  .salvage = world->salvage,
                                  .mutant = world->mutant,
                                  .diag = config->diag,
                                  .diag_context = config->diag_context};
}

mr_status mr_engine_start(mr_engine **out, const char *directory,
                          const struct mr_engine_config *config,
                          const struct mr_engine_world *world, mr_error *error)
{
    struct mr_engine *engine = mr_new(struct mr_engine);
    struct mr_log_config log;
    mr_status status;

    engine->clock = world->clock ? world->clock : mr_clock_real();
    engine->shard_count_max = config->shard_count_max;
    mr_catalog_init(&engine->catalog);
    mr_routes_init(&engine->routes);
    pthread_mutex_init(&engine->changing, NULL);
    mr_put_calls_init(&engine->put_calls);
    mr_origins_init(&engine->origins);
    mr_engine_limit(engine, &config->limits);
    log = log_config(engine, directory, config, world);
    status = mr_log_open(&engine->log, &log, error);
    if (status) {
        mr_engine_close(engine);
        return status;
    }
    pthread_rwlock_wrlock(&engine->routes.lock);
    for (size_t i = 0; i < engine->catalog.stream_count; i++) {
        const struct mr_stream *stream = engine->catalog.by_id[i];

        mr_routes_set(&engine->routes, stream->name, stream->key_id, stream->open,
                      stream->open_count);
    }
    pthread_rwlock_unlock(&engine->routes.lock);
    *out = engine;
    return MR_OK;
}

void mr_engine_close(mr_engine *engine)
{
    if (!engine)
        return;
    mr_log_close(engine->log);
    mr_put_calls_fini(&engine->put_calls);
    mr_origins_fini(&engine->origins);
    pthread_mutex_destroy(&engine->changing);
    mr_routes_fini(&engine->routes);
    mr_catalog_fini(&engine->catalog);
    mr_free(engine);
}

struct mr_log *mr_engine_log(mr_engine *engine)
{
    return engine->log;
}

void mr_engine_limit(mr_engine *engine, const struct mr_limits *limits)
{
    engine->limits.write_bytes_per_s = limits->write_bytes_per_s;
    engine->limits.write_records_per_s = limits->write_records_per_s;
    engine->limits.read_bytes_per_s = limits->read_bytes_per_s;
    engine->limits.read_calls_per_s = limits->read_calls_per_s;
}

void mr_engine_stats(mr_engine *engine, struct mr_engine_stats *stats)
{
    *stats = (struct mr_engine_stats){0};
    mr_log_stats(engine->log, stats);
    pthread_rwlock_rdlock(&engine->catalog.lock);
    stats->stream_count = engine->catalog.stream_count;
    stats->shard_count = engine->catalog.shard_count;
    stats->open_shard_count = engine->catalog.open_shard_count;
    pthread_rwlock_unlock(&engine->catalog.lock);
}
