/* engine.c - opening: what a config must be, and the real world. */
#include "base/config.h"
#include "base/fail.h"
#include "millrace.h"
#include "stream/stream.h"

#include <inttypes.h>

#define MIB ((uint64_t)1 << 20)
#define GIB ((uint64_t)1 << 30)

static mr_status within(const char *name, uint64_t value, uint64_t min, uint64_t max,
                        mr_error *error)
{
    if (value >= min && value <= max)
        return MR_OK;
    return mr_fail(error, MR_INVALID, "%s must be %" PRIu64 " to %" PRIu64 ", not %" PRIu64, name,
                   min, max, value);
}

static mr_status check(const struct mr_engine_config *config, mr_error *error)
{
    mr_status status = MR_OK;

    if (config->sync != MR_SYNC_EACH && config->sync != MR_SYNC_INTERVAL)
        status = mr_fail(error, MR_INVALID, "there is no sync %d", (int)config->sync);
    if (!status)
        status = within("sync_interval_ms", config->sync_interval_ms, 1, 60000, error);
    if (!status)
        status = within("journal_bytes", config->journal_bytes, 32 * MIB, 64 * GIB, error);
    if (!status)
        status = within("segment_bytes", config->segment_bytes, MIB, 4 * GIB, error);
    if (!status)
        status = within("shard_count_max", config->shard_count_max, 1, UINT32_MAX, error);
    return status;
}

mr_status mr_engine_open_with(mr_engine **engine, const char *directory,
                              const struct mr_engine_config *config,
                              const struct mr_engine_world *world, mr_error *error)
{
    struct mr_engine_config merged = MR_ENGINE_CONFIG_DEFAULT;
    mr_status status =
        mr_config_merge(&merged, sizeof merged, config, "MR_ENGINE_CONFIG_DEFAULT", error);

    if (!status)
        status = check(&merged, error);
    return status ? status : mr_engine_start(engine, directory, &merged, world, error);
}

mr_status mr_engine_open(mr_engine **engine, const char *directory,
                         const struct mr_engine_config *config, mr_error *error)
{
    return mr_engine_open_with(engine, directory, config, &(struct mr_engine_world){0}, error);
}
