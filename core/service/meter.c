#include "service/meter.h"

#include "base/memory.h"

#include <stdio.h>
#include <string.h>

struct mr_stream_meter {
    char name[MR_NAME_BYTES_MAX + 1];
    uint64_t values[MR_STREAM_FIGURE_COUNT];
    struct shard {
        bool is_used;
        uint64_t values[MR_SHARD_FIGURE_COUNT];
    } * shards; /* by id */
    struct mr_consumer_figures *consumers;
    size_t shard_count, shard_capacity, consumer_count, consumer_capacity;
};

static void free_stream(struct mr_stream_meter *stream)
{
    if (!stream)
        return;
    mr_free(stream->shards);
    mr_free(stream->consumers);
    mr_free(stream);
}

void mr_meter_init(struct mr_meter *meter)
{
    *meter = (struct mr_meter){.streams = {0}};
    pthread_mutex_init(&meter->lock, NULL);
}

void mr_meter_fini(struct mr_meter *meter)
{
    struct mr_stream_meter *stream;
    size_t place = 0;

    while ((stream = mr_table_next(&meter->streams, &place)))
        free_stream(stream);
    mr_table_fini(&meter->streams);
    pthread_mutex_destroy(&meter->lock);
}

/* ---- counting ----------------------------------------------------------------------------- */

struct mr_stream_meter *mr_meter_begin(struct mr_meter *meter, const char *name)
{
    const mr_bytes key = {name, strlen(name)};
    struct mr_stream_meter *stream;

    pthread_mutex_lock(&meter->lock);
    stream = mr_table_get(&meter->streams, key);
    if (!stream) {
        stream = mr_new(struct mr_stream_meter);
        snprintf(stream->name, sizeof stream->name, "%s", name);
        mr_table_put(&meter->streams, (mr_bytes){stream->name, strlen(stream->name)}, stream);
    }
    return stream;
}

void mr_meter_end(struct mr_meter *meter)
{
    pthread_mutex_unlock(&meter->lock);
}

uint64_t *mr_meter_stream(struct mr_stream_meter *stream)
{
    return stream->values;
}

uint64_t *mr_meter_shard(struct mr_stream_meter *stream, mr_shard_id id)
{
    while (stream->shard_count <= id) {
        mr_grow(stream->shards, stream->shard_count, stream->shard_capacity);
        stream->shards[stream->shard_count++] = (struct shard){0};
    }
    stream->shards[id].is_used = true;
    return stream->shards[id].values;
}

uint64_t *mr_meter_consumer(struct mr_stream_meter *stream, const char *name)
{
    struct mr_consumer_figures *consumer;

    for (size_t i = 0; i < stream->consumer_count; i++)
        if (strcmp(stream->consumers[i].name, name) == 0)
            return stream->consumers[i].values;
    mr_grow(stream->consumers, stream->consumer_count, stream->consumer_capacity);
    consumer = &stream->consumers[stream->consumer_count++];
    memset(consumer, 0, sizeof *consumer);
    snprintf(consumer->name, sizeof consumer->name, "%s", name);
    return consumer->values;
}

void mr_meter_forget(struct mr_meter *meter, const char *name)
{
    pthread_mutex_lock(&meter->lock);
    free_stream(mr_table_remove(&meter->streams, (mr_bytes){name, strlen(name)}));
    pthread_mutex_unlock(&meter->lock);
}

/* ---- reading ------------------------------------------------------------------------------ */

static void copy_stream(struct mr_stream_meter *stream, struct mr_stream_figures *figures,
                        struct mr_arena *arena)
{
    memcpy(figures->name, stream->name, sizeof figures->name);
    memcpy(figures->values, stream->values, sizeof figures->values);
    figures->consumer_count = stream->consumer_count;
    figures->consumers = mr_arena_array(arena, struct mr_consumer_figures, figures->consumer_count);
    for (size_t i = 0; i < stream->consumer_count; i++)
        figures->consumers[i] = stream->consumers[i];
    figures->shards = mr_arena_array(arena, struct mr_shard_figures, stream->shard_count);
    for (size_t id = 0; id < stream->shard_count; id++) {
        struct mr_shard_figures *shard = &figures->shards[figures->shard_count];

        if (!stream->shards[id].is_used)
            continue;
        figures->shard_count++;
        shard->id = (mr_shard_id)id;
        memcpy(shard->values, stream->shards[id].values, sizeof shard->values);
    }
}

/* Shards that the engine has forgotten are nobody's any more. */
static void drop_forgotten(struct mr_meter *meter, struct mr_stream_figures *figures,
                           bool (*keeps)(void *context, const char *stream, mr_shard_id shard),
                           void *context)
{
    size_t count = 0;

    for (size_t i = 0; i < figures->shard_count; i++) {
        struct mr_stream_meter *stream;
        mr_shard_id id = figures->shards[i].id;

        if (keeps(context, figures->name, id)) {
            figures->shards[count++] = figures->shards[i];
            continue;
        }
        stream = mr_meter_begin(meter, figures->name);
        if (id < stream->shard_count)
            stream->shards[id] = (struct shard){0};
        mr_meter_end(meter);
    }
    figures->shard_count = count;
}

const struct mr_figures *mr_meter_read(struct mr_meter *meter, struct mr_arena *arena,
                                       bool (*keeps)(void *context, const char *stream,
                                                     mr_shard_id shard),
                                       void *context)
{
    struct mr_figures *figures = mr_arena_new(arena, struct mr_figures);
    struct mr_stream_meter *stream;
    size_t place = 0;

    pthread_mutex_lock(&meter->lock);
    figures->streams = mr_arena_array(arena, struct mr_stream_figures, meter->streams.count);
    while ((stream = mr_table_next(&meter->streams, &place)))
        copy_stream(stream, &figures->streams[figures->stream_count++], arena);
    pthread_mutex_unlock(&meter->lock);
    for (size_t i = 0; i < figures->stream_count; i++)
        drop_forgotten(meter, &figures->streams[i], keeps, context);
    return figures;
}
