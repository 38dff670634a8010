/* outward.c - from a stream to Kafka: a consumer of the stream whose checkpoints are in Kafka. */
#include "kafka/inside.h"

#include "streams.h"

#include "base/fail.h"
#include "base/memory.h"

#include <string.h>

#define LOOK_MS 50

/* ---- leases ------------------------------------------------------------------------------- */

struct begin {
    mr_lease_store *leases;
    const struct mr_shard_list *shards;
};

static const mr_shard *shard_of(const struct mr_shard_list *list, mr_shard_id id)
{
    for (size_t i = 0; i < list->count; i++)
        if (list->shards[i].id == id)
            return &list->shards[i];
    return NULL;
}

/* Later positions of a shard replace earlier ones. Those of forgotten shards say nothing. */
static void begin_at(void *context, mr_shard_id id, const mr_mark *mark)
{
    const struct begin *begin = context;
    const mr_shard *shard = shard_of(begin->shards, id);
    mr_lease lease = {.shard = id,
                      .children = {MR_NO_SHARD, MR_NO_SHARD},
                      .has_range = true,
                      .checkpoint = *mark},
             before;

    if (!shard)
        return;
    lease.parents[0] = shard->parent;
    lease.parents[1] = shard->adjacent_parent;
    lease.first_key = shard->first_key;
    lease.last_key = shard->last_key;
    if (!begin->leases->get(begin->leases, id, &before, NULL))
        begin->leases->remove(begin->leases, &before, NULL);
    begin->leases->create(begin->leases, &lease, NULL);
}

/* ---- once --------------------------------------------------------------------------------- */

struct waiting {
    struct mr_bridge *bridge;
    const struct mr_shard_list *shards;
    size_t count;
};

/* Is there nothing behind this place? */
static bool is_at_end(struct mr_bridge *bridge, mr_shard_id shard, const mr_mark *mark)
{
    struct mr_reader_config config = {.from = {.start = MR_START_TRIM_HORIZON}};
    char text[MR_MARK_TEXT_BYTES];
    mr_reader *reader;
    mr_batch batch;
    bool is_end;

    if (mark->kind == MR_MARK_RECORD) {
        config.from.start = MR_START_AFTER;
        mr_mark_format(mark, text);
        if (mr_sequence_parse(text, &config.from.sequence, NULL))
            return false;
    }
    if (mr_reader_open(&reader, bridge->config->place->engine, bridge->config->stream, shard,
                       &config, NULL))
        return false;
    is_end = !mr_reader_next(reader, 1, 0, &batch, NULL) && batch.count == 0;
    mr_reader_close(reader);
    return is_end;
}

/* Of a server: it was read to its tip; that was seen after its last checkpoint. */
static bool count_waiting(void *context, const struct mr_consumer_shard *shard)
{
    struct waiting *waiting = context;
    const mr_shard *known = shard_of(waiting->shards, shard->shard);
    bool is_over = shard->checkpoint.kind == MR_MARK_SHARD_END;

    if (!known)
        return true; /* it came later */
    if (!is_over && !known->is_closed)
        is_over = waiting->bridge->config->place->engine
                      ? is_at_end(waiting->bridge, shard->shard, &shard->checkpoint)
                      : shard->is_ours && shard->batch_count > 0 && shard->behind_ms == 0;
    if (!is_over)
        waiting->count++;
    return true;
}

static bool is_copied(struct mr_bridge *bridge, const struct mr_shard_list *shards)
{
    struct waiting waiting = {.bridge = bridge, .shards = shards};
    struct mr_consumer_metrics metrics;

    mr_consumer_metrics(bridge->consumer, &metrics);
    if (metrics.lease_count == 0 && metrics.checkpoint_count == 0)
        return false; /* it has not begun */
    mr_consumer_shards(bridge->consumer, count_waiting, &waiting);
    return waiting.count == 0;
}

/* ---- work --------------------------------------------------------------------------------- */

struct work {
    struct mr_bridge *bridge;
    mr_status status;
    mr_error error;
};

static void *work(void *context)
{
    struct work *work = context;
    struct mr_bridge *bridge = work->bridge;

    work->status = mr_consumer_run(bridge->consumer, &work->error);
    mr_bridge_stop(bridge);
    return NULL;
}

static void say_diag(void *context, const char *line)
{
    const struct mr_bridge *bridge = context;

    if (strstr(line, " reason="))
        mr_bridge_say(bridge, "%s", line);
}

static mr_status follow(struct mr_bridge *bridge, const struct mr_shard_list *shards,
                        mr_error *error)
{
    struct work task = {.bridge = bridge};
    pthread_t thread = mr_thread_start("bridge", work, &task);

    while (!mr_bridge_is_stopping(bridge)) {
        mr_bridge_pause(bridge, bridge->config->is_once ? LOOK_MS : UINT32_MAX);
        if (bridge->config->is_once && !mr_bridge_is_stopping(bridge) && is_copied(bridge, shards))
            mr_bridge_stop(bridge);
    }
    mr_consumer_stop(bridge->consumer);
    pthread_join(thread, NULL);
    return task.status ? mr_fail(error, task.status, "%s", task.error.message) : MR_OK;
}

static mr_status consume(struct mr_bridge *bridge, mr_lease_store *leases,
                         const struct mr_shard_list *shards, mr_error *error)
{
    struct mr_consumer_config config = MR_CONSUMER_CONFIG_DEFAULT;
    mr_consumer *consumer;
    mr_status status;

    config.service = bridge->config->service;
    config.stream = bridge->config->stream;
    config.application = "millrace-bridge";
    config.leases = leases;
    config.processor = mr_kafka_lane_processor;
    config.processor_context = bridge;
    if (bridge->config->from_latest)
        config.from.start = MR_START_LATEST;
    config.lease_ms = 1000; /* in memory, and nobody else's */
    config.calls_when_empty = true;
    config.keeps_strays = true;
    config.shard_sync_ms = 5000;
    config.diag = say_diag;
    config.diag_context = bridge;
    status = mr_consumer_open(&consumer, &config, error);
    if (status)
        return status;
    pthread_mutex_lock(&bridge->lock);
    bridge->consumer = consumer;
    pthread_mutex_unlock(&bridge->lock);
    status = follow(bridge, shards, error);
    pthread_mutex_lock(&bridge->lock);
    bridge->consumer = NULL;
    pthread_mutex_unlock(&bridge->lock);
    mr_consumer_close(consumer);
    return status;
}

mr_status mr_outward_run(struct mr_bridge *bridge, mr_error *error)
{
    struct mr_shard_list shards = {0};
    struct begin begin = {.shards = &shards};
    mr_status status =
        mr_shard_list_read(&shards, bridge->config->place, bridge->config->stream, error);

    bridge->shard_count = shards.count > 0 ? shards.count : 1;
    if (!status)
        status = mr_lease_store_memory(&begin.leases, error);
    if (!status)
        status = mr_positions_read(bridge, begin_at, &begin, error);
    if (!status)
        status = consume(bridge, begin.leases, &shards, error);
    mr_lease_store_close(begin.leases);
    mr_shard_list_fini(&shards);
    return status;
}

static bool look(void *context, const struct mr_consumer_shard *shard)
{
    struct mr_bridge_figures *figures = context;

    if (shard->checkpoint.kind == MR_MARK_SHARD_END)
        return true;
    mr_grow(figures->lanes, figures->lane_count, figures->lane_capacity);
    figures->lanes[figures->lane_count++] = (struct mr_bridge_lane){
        .id = shard->shard, .behind_ms = shard->behind_ms, .behind_count = -1};
    if (shard->behind_ms > figures->behind_ms)
        figures->behind_ms = shard->behind_ms;
    return true;
}

void mr_outward_look(struct mr_bridge *bridge, struct mr_bridge_figures *figures)
{
    mr_consumer_shards(bridge->consumer, look, figures);
}
