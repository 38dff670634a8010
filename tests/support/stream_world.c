#include "support/stream_world.h"

#include "base/check.h"
#include "base/memory.h"
#include "base/pack.h"
#include "log/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define DIRECTORY "data"

void stream_world_init(struct stream_world *world)
{
    *world = (struct stream_world){.disk = sim_disk_new(1), .config = MR_ENGINE_CONFIG_DEFAULT};
    world->config.journal_bytes = 32u << 20;
    world->config.segment_bytes = 1u << 20;
    sim_clock_init(&world->clock);
    stream_world_open(world);
}

void stream_world_fini(struct stream_world *world)
{
    mr_engine_close(world->engine);
    sim_disk_free(world->disk);
}

int stream_world_set_up(void **state)
{
    struct stream_world *world = mr_new(struct stream_world);

    stream_world_init(world);
    *state = world;
    return 0;
}

int stream_world_set_up_stream(void **state)
{
    stream_world_set_up(state);
    assert_int_equal(mr_stream_create(((struct stream_world *)*state)->engine, "s", 1, NULL),
                     MR_OK);
    return 0;
}

int stream_world_tear_down(void **state)
{
    stream_world_fini(*state);
    mr_free(*state);
    return 0;
}

void stream_world_open(struct stream_world *world)
{
    const struct mr_engine_world outside = {
        .fs = sim_disk_fs(world->disk), .clock = &world->clock.base, .manual = true};
    mr_error error;
    mr_status status =
        mr_engine_open_with(&world->engine, DIRECTORY, &world->config, &outside, &error);

    if (status)
        fail_msg("opening: %s", error.message);
}

void stream_world_close(struct stream_world *world)
{
    mr_engine_close(world->engine);
    world->engine = NULL;
}

void stream_world_reopen(struct stream_world *world)
{
    stream_world_close(world);
    stream_world_open(world);
}

void stream_world_crash(struct stream_world *world)
{
    mr_log_step(mr_engine_log(world->engine), MR_LOG_STEP_ABANDON);
    stream_world_close(world);
    sim_disk_crash(world->disk, SIM_POWER_CUT);
    stream_world_open(world);
}

void stream_world_work(struct stream_world *world)
{
    struct mr_log *log = mr_engine_log(world->engine);

    while (mr_log_step(log, MR_LOG_STEP_COMMIT) || mr_log_step(log, MR_LOG_STEP_PUBLISH) ||
           mr_log_step(log, MR_LOG_STEP_FLUSH) || mr_log_step(log, MR_LOG_STEP_BELL))
        continue;
}

void stream_world_housekeep(struct stream_world *world)
{
    mr_log_step(mr_engine_log(world->engine), MR_LOG_STEP_HOUSEKEEP);
    stream_world_work(world);
}

static mr_put_result put(struct stream_world *world, const char *stream, const mr_put *record)
{
    mr_put_result result;
    mr_error error;

    if (mr_put_records(world->engine, stream, record, 1, &result, &error))
        fail_msg("put: %s", error.message);
    assert_int_equal(result.status, MR_OK);
    return result;
}

mr_put_result stream_world_put(struct stream_world *world, const char *stream, const char *key,
                               const char *data)
{
    return put(world, stream,
               &(mr_put){.partition_key = {key, strlen(key)}, .data = {data, strlen(data)}});
}

mr_put_result stream_world_put_at(struct stream_world *world, const char *stream,
                                  mr_hash_key explicit_hash_key, const char *data)
{
    return put(world, stream,
               &(mr_put){.data = {data, strlen(data)}, .explicit_hash_key = &explicit_hash_key});
}

const char *stream_world_read(struct stream_world *world, const char *stream, mr_shard_id shard,
                              mr_position from)
{
    static struct mr_pack text;
    mr_reader *reader;
    mr_batch batch;
    mr_error error;

    mr_pack_fini(&text);
    if (mr_reader_open(&reader, world->engine, stream, shard,
                       &(struct mr_reader_config){.from = from}, &error))
        fail_msg("reader: %s", error.message);
    do {
        if (mr_reader_next(reader, 10000, 0, &batch, &error))
            fail_msg("read: %s", error.message);
        for (size_t i = 0; i < batch.count; i++) {
            mr_pack_bytes(&text, batch.records[i].data);
            mr_pack_u8(&text, ' ');
        }
    } while (batch.count > 0 && !batch.end_of_shard);
    if (batch.end_of_shard)
        mr_pack_u8(&text, '!');
    mr_pack_u8(&text, 0);
    mr_reader_close(reader);
    return (const char *)text.data;
}

struct shown {
    char text[4096];
    size_t used;
};

__attribute__((format(printf, 2, 3))) static void show(struct shown *shown, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    shown->used += (size_t)vsnprintf(shown->text + shown->used, sizeof shown->text - shown->used,
                                     format, arguments);
    va_end(arguments);
    mr_check(shown->used < sizeof shown->text);
}

static bool show_shard(void *context, const mr_shard *shard)
{
    struct shown *shown = context;

    show(shown, shard->is_closed ? "[%u" : "%u", shard->id);
    if (shard->parent != MR_NO_SHARD)
        show(shown, "<%u", shard->parent);
    if (shard->adjacent_parent != MR_NO_SHARD)
        show(shown, "+%u", shard->adjacent_parent);
    show(shown, shard->is_closed ? "] " : " ");
    return true;
}

const char *stream_world_shards(struct stream_world *world, const char *stream)
{
    static struct shown shown;

    shown = (struct shown){0};
    assert_int_equal(mr_shard_each(world->engine, stream, show_shard, &shown, NULL), MR_OK);
    return shown.text;
}

struct listed {
    mr_shard *shards;
    size_t count, max;
};

static bool list_shard(void *context, const mr_shard *shard)
{
    struct listed *listed = context;

    mr_check(listed->count < listed->max);
    listed->shards[listed->count++] = *shard;
    return true;
}

size_t stream_world_list(struct stream_world *world, const char *stream, mr_shard *shards,
                         size_t max)
{
    struct listed listed = {shards, 0, max};

    assert_int_equal(mr_shard_each(world->engine, stream, list_shard, &listed, NULL), MR_OK);
    return listed.count;
}
