/* metrics.c - what a consumer does, in figures and as Prometheus text. */
#include "inside.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* ---- figures ------------------------------------------------------------------------------ */

void mr_consumer_metrics(mr_consumer *consumer, struct mr_consumer_metrics *metrics)
{
    const struct mr_balance as = {.worker = consumer->worker,
                                  .now_ns = mr_consumer_now_ns(consumer),
                                  .lease_ns = (uint64_t)consumer->config.lease_ms * 1000000};

    *metrics = (struct mr_consumer_metrics){.record_count = consumer->record_count,
                                            .record_bytes = consumer->record_bytes,
                                            .checkpoint_count = consumer->checkpoint_count,
                                            .renewal_count = consumer->renewal_count,
                                            .taken_count = consumer->taken_count,
                                            .stolen_count = consumer->stolen_count,
                                            .lost_count = consumer->lost_count,
                                            .handed_count = consumer->handed_count,
                                            .store_failure_count = consumer->store_failure_count,
                                            .read_failure_count = consumer->read_failure_count,
                                            .throttled_count = consumer->throttled_count,
                                            .dropped_count = consumer->dropped_count};
    pthread_mutex_lock(&consumer->lock);
    metrics->worker_count = mr_balance_workers(&as, consumer->seen, consumer->seen_count);
    metrics->our_lease_count = (uint32_t)consumer->task_count;
    for (size_t i = 0; i < consumer->seen_count; i++)
        metrics->lease_count += !mr_lease_is_ended(&consumer->seen[i].lease);
    for (size_t i = 0; i < consumer->task_count; i++)
        if (consumer->tasks[i]->behind_ms > metrics->behind_ms_max)
            metrics->behind_ms_max = consumer->tasks[i]->behind_ms;
    pthread_mutex_unlock(&consumer->lock);
}

static struct mr_shard_task *find_task(struct mr_consumer *consumer, mr_shard_id shard)
{
    for (size_t i = 0; i < consumer->task_count; i++)
        if (consumer->tasks[i]->shard == shard)
            return consumer->tasks[i];
    return NULL;
}

static struct mr_consumer_shard look_at(struct mr_consumer *consumer, const struct mr_seen *seen)
{
    struct mr_shard_task *task = find_task(consumer, seen->lease.shard);
    struct mr_consumer_shard shard = {.shard = seen->lease.shard,
                                      .owner = seen->lease.owner,
                                      .checkpoint = seen->lease.checkpoint};

    if (!task)
        return shard;
    shard.is_ours = true;
    shard.owner = consumer->worker;
    shard.behind_ms = task->behind_ms;
    shard.record_count = task->record_count;
    shard.record_bytes = task->record_bytes;
    shard.batch_count = task->batch_count;
    shard.busy_us = task->busy_us;
    shard.checkpoint_count = task->checkpoint_count;
    return shard;
}

void mr_consumer_shards(mr_consumer *consumer,
                        bool (*visit)(void *context, const struct mr_consumer_shard *shard),
                        void *context)
{
    bool goes_on = true;

    pthread_mutex_lock(&consumer->lock);
    for (size_t i = 0; i < consumer->seen_count && goes_on; i++) {
        struct mr_consumer_shard shard = look_at(consumer, &consumer->seen[i]);

        goes_on = visit(context, &shard);
    }
    pthread_mutex_unlock(&consumer->lock);
}

/* ---- text --------------------------------------------------------------------------------- */

struct text {
    char *text;
    size_t size, used;
    const struct mr_consumer *consumer;
};

__attribute__((format(printf, 2, 3))) static void add(struct text *text, const char *format, ...)
{
    bool fits = text->used < text->size;
    va_list arguments;
    int size;

    va_start(arguments, format);
    size = vsnprintf(fits ? text->text + text->used : NULL, fits ? text->size - text->used : 0,
                     format, arguments);
    va_end(arguments);
    text->used += (size_t)size;
}

/* A label's value, with what Prometheus wants escaped. */
static void add_label(struct text *text, const char *name, const char *value)
{
    add(text, "%s=\"", name);
    for (; *value; value++)
        if (*value == '"' || *value == '\\')
            add(text, "\\%c", *value);
        else if (*value == '\n')
            add(text, "\\n");
        else
            add(text, "%c", *value);
    add(text, "\"");
}

static void add_figure(struct text *text, const char *kind, const char *name, uint64_t value)
{
    add(text, "# TYPE millrace_consumer_%s %s\nmillrace_consumer_%s{", name, kind, name);
    add_label(text, "application", text->consumer->application);
    add(text, ",");
    add_label(text, "stream", text->consumer->stream);
    add(text, "} %" PRIu64 "\n", value);
}

/* The figures of shards, one after the other for all shards, as the format wants it. */
enum figure { OURS, BEHIND, RECORDS, BYTES, BUSY, FIGURE_COUNT };
static const struct {
    const char *name, *kind;
} figures[FIGURE_COUNT] = {
    [OURS] = {"shard_owner", "gauge"},
    [BEHIND] = {"shard_behind_milliseconds", "gauge"},
    [RECORDS] = {"shard_records_total", "counter"},
    [BYTES] = {"shard_bytes_total", "counter"},
    [BUSY] = {"shard_busy_microseconds_total", "counter"},
};

struct row {
    struct text *text;
    enum figure figure;
};

static uint64_t figure_of(const struct mr_consumer_shard *shard, enum figure figure)
{
    switch (figure) {
    case BEHIND:
        return (uint64_t)shard->behind_ms;
    case RECORDS:
        return shard->record_count;
    case BYTES:
        return shard->record_bytes;
    case BUSY:
        return shard->busy_us;
    default:
        return shard->is_ours;
    }
}

static bool add_shard(void *context, const struct mr_consumer_shard *shard)
{
    const struct row *row = context;
    char name[MR_SHARD_TEXT_BYTES];

    if (!shard->is_ours && row->figure != OURS)
        return true;
    mr_shard_format(shard->shard, name);
    add(row->text, "millrace_consumer_%s{", figures[row->figure].name);
    add_label(row->text, "application", row->text->consumer->application);
    add(row->text, ",");
    add_label(row->text, "stream", row->text->consumer->stream);
    add(row->text, ",");
    add_label(row->text, "shard", name);
    if (row->figure == OURS) {
        add(row->text, ",");
        add_label(row->text, "owner", shard->owner);
    }
    add(row->text, "} %" PRIu64 "\n", figure_of(shard, row->figure));
    return true;
}

size_t mr_consumer_metrics_text(mr_consumer *consumer, char *to, size_t size)
{
    struct text text = {to, size, 0, consumer};
    struct mr_consumer_metrics metrics;

    mr_consumer_metrics(consumer, &metrics);
    add_figure(&text, "gauge", "leases", metrics.lease_count);
    add_figure(&text, "gauge", "leases_held", metrics.our_lease_count);
    add_figure(&text, "gauge", "workers", metrics.worker_count);
    add_figure(&text, "gauge", "behind_milliseconds_max", (uint64_t)metrics.behind_ms_max);
    add_figure(&text, "counter", "records_total", metrics.record_count);
    add_figure(&text, "counter", "bytes_total", metrics.record_bytes);
    add_figure(&text, "counter", "checkpoints_total", metrics.checkpoint_count);
    add_figure(&text, "counter", "renewals_total", metrics.renewal_count);
    add_figure(&text, "counter", "leases_taken_total", metrics.taken_count);
    add_figure(&text, "counter", "leases_stolen_total", metrics.stolen_count);
    add_figure(&text, "counter", "leases_lost_total", metrics.lost_count);
    add_figure(&text, "counter", "leases_handed_over_total", metrics.handed_count);
    add_figure(&text, "counter", "store_failures_total", metrics.store_failure_count);
    add_figure(&text, "counter", "read_failures_total", metrics.read_failure_count);
    add_figure(&text, "counter", "throttled_total", metrics.throttled_count);
    add_figure(&text, "counter", "records_dropped_total", metrics.dropped_count);
    for (int figure = 0; figure < FIGURE_COUNT; figure++) {
        struct row row = {&text, (enum figure)figure};

        add(&text, "# TYPE millrace_consumer_%s %s\n", figures[figure].name, figures[figure].kind);
        mr_consumer_shards(consumer, add_shard, &row);
    }
    return text.used;
}
