#include "server/metrics.h"

#include <stdio.h>
#include <string.h>

#define NAME_BYTES 96

/* ---- text --------------------------------------------------------------------------------- */

static void put_text(struct mr_pack *text, const char *more)
{
    mr_pack_bytes(text, (mr_bytes){more, strlen(more)});
}

/* By hand: there may be many of them. */
static void put_number(struct mr_pack *text, uint64_t number, size_t digits_least)
{
    char digits[24];
    size_t at = sizeof digits;

    do
        digits[--at] = (char)('0' + number % 10);
    while ((number /= 10) > 0 || sizeof digits - at < digits_least);
    mr_pack_bytes(text, (mr_bytes){digits + at, sizeof digits - at});
}

/* Of a number of 1/10^digits. */
static void put_fraction(struct mr_pack *text, uint64_t number, uint64_t unit, size_t digits)
{
    put_number(text, number / unit, 1);
    put_text(text, ".");
    put_number(text, number % unit, digits);
}

static void put_head(struct mr_pack *text, const char *name, const char *type, const char *help)
{
    put_text(text, "# HELP ");
    put_text(text, name);
    put_text(text, " ");
    put_text(text, help);
    put_text(text, "\n# TYPE ");
    put_text(text, name);
    put_text(text, " ");
    put_text(text, type);
    put_text(text, "\n");
}

/* ---- figures ------------------------------------------------------------------------------ */

struct family {
    const char *name, *cloudwatch, *help;
    enum mr_figure_kind kind;
};

#define FAMILY(NAME, name, kind, cloudwatch, help) {#name, cloudwatch, help, MR_FIGURE_##kind},
static const struct family shard_families[] = {
#define SHARD_FIGURE FAMILY
#include "service/figures.def"
};
static const struct family stream_families[] = {
#define STREAM_FIGURE FAMILY
#include "service/figures.def"
};
static const struct family consumer_families[] = {
#define CONSUMER_FIGURE FAMILY
#include "service/figures.def"
};

static void begin_family(struct mr_pack *text, const struct family *family, char name[NAME_BYTES])
{
    bool is_count = family->kind == MR_FIGURE_COUNT;
    char help[256];

    snprintf(name, NAME_BYTES, "kinesis_%s%s", family->name, is_count ? "_total" : "_seconds");
    snprintf(help, sizeof help, "CloudWatch %s: %s", family->cloudwatch, family->help);
    put_head(text, name, is_count ? "counter" : "gauge", help);
}

/* Names of streams and consumers have no character that needs a quote. */
static void begin_sample(struct mr_pack *text, const char *name, const char *stream)
{
    put_text(text, name);
    put_text(text, "{stream_name=\"");
    put_text(text, stream);
    put_text(text, "\"");
}

static void end_sample(struct mr_pack *text, const struct family *family, uint64_t value)
{
    put_text(text, "} ");
    if (family->kind == MR_FIGURE_COUNT)
        put_number(text, value, 1);
    else
        put_fraction(text, value, 1000, 3);
    put_text(text, "\n");
}

static void put_shards(struct mr_pack *text, const struct mr_figures *figures, size_t index)
{
    const struct family *family = &shard_families[index];
    char name[NAME_BYTES];

    begin_family(text, family, name);
    for (size_t i = 0; i < figures->stream_count; i++)
        for (size_t k = 0; k < figures->streams[i].shard_count; k++) {
            const struct mr_shard_figures *shard = &figures->streams[i].shards[k];

            begin_sample(text, name, figures->streams[i].name);
            put_text(text, ",shard_id=\"shardId-");
            put_number(text, shard->id, 12);
            put_text(text, "\"");
            end_sample(text, family, shard->values[index]);
        }
}

static void put_streams(struct mr_pack *text, const struct mr_figures *figures, size_t index)
{
    const struct family *family = &stream_families[index];
    char name[NAME_BYTES];

    begin_family(text, family, name);
    for (size_t i = 0; i < figures->stream_count; i++) {
        begin_sample(text, name, figures->streams[i].name);
        end_sample(text, family, figures->streams[i].values[index]);
    }
}

static void put_consumers(struct mr_pack *text, const struct mr_figures *figures, size_t index)
{
    const struct family *family = &consumer_families[index];
    char name[NAME_BYTES];

    begin_family(text, family, name);
    for (size_t i = 0; i < figures->stream_count; i++)
        for (size_t k = 0; k < figures->streams[i].consumer_count; k++) {
            begin_sample(text, name, figures->streams[i].name);
            put_text(text, ",consumer_name=\"");
            put_text(text, figures->streams[i].consumers[k].name);
            put_text(text, "\"");
            end_sample(text, family, figures->streams[i].consumers[k].values[index]);
        }
}

/* ---- operations --------------------------------------------------------------------------- */

#define DURATION "millrace_request_duration_seconds"
#define ERRORS "millrace_request_errors_total"

static void put_operation(struct mr_pack *text, const char *suffix, const char *operation)
{
    put_text(text, DURATION);
    put_text(text, suffix);
    put_text(text, "{operation=\"");
    put_text(text, operation);
    put_text(text, "\"");
}

static void put_histogram(struct mr_pack *text, const char *operation,
                          const struct mr_latency *latency)
{
    uint64_t count = 0;

    for (size_t i = 0; i < MR_LATENCY_BUCKET_COUNT; i++) {
        count += atomic_load_explicit(&latency->buckets[i], memory_order_relaxed);
        put_operation(text, "_bucket", operation);
        put_text(text, ",le=\"");
        if (i < MR_LATENCY_BUCKET_COUNT - 1)
            put_fraction(text, mr_latency_bounds_us[i], 1000000, 6);
        else
            put_text(text, "+Inf");
        put_text(text, "\"} ");
        put_number(text, count, 1);
        put_text(text, "\n");
    }
    put_operation(text, "_sum", operation);
    put_text(text, "} ");
    put_fraction(text, atomic_load_explicit(&latency->sum_us, memory_order_relaxed), 1000000, 6);
    put_text(text, "\n");
    put_operation(text, "_count", operation);
    put_text(text, "} ");
    put_number(text, count, 1);
    put_text(text, "\n");
}

static bool was_called(const struct mr_latency *latency)
{
    for (size_t i = 0; i < MR_LATENCY_BUCKET_COUNT; i++)
        if (atomic_load_explicit(&latency->buckets[i], memory_order_relaxed))
            return true;
    return false;
}

static void put_errors(struct mr_pack *text, const char *operation,
                       const struct mr_latency *latency)
{
    for (size_t type = MR_EXCEPTION_NONE + 1; type < MR_EXCEPTION_COUNT; type++) {
        uint64_t count = atomic_load_explicit(&latency->errors[type], memory_order_relaxed);

        if (count == 0)
            continue;
        put_text(text, ERRORS "{operation=\"");
        put_text(text, operation);
        put_text(text, "\",error=\"");
        put_text(text, mr_exceptions[type].name);
        put_text(text, "\"} ");
        put_number(text, count, 1);
        put_text(text, "\n");
    }
}

void mr_metrics_write(struct mr_pack *text, const struct mr_figures *figures,
                      const struct mr_latencies *latencies)
{
    for (size_t i = 0; figures && i < MR_SHARD_FIGURE_COUNT; i++)
        put_shards(text, figures, i);
    for (size_t i = 0; figures && i < MR_STREAM_FIGURE_COUNT; i++)
        put_streams(text, figures, i);
    for (size_t i = 0; figures && i < MR_CONSUMER_FIGURE_COUNT; i++)
        put_consumers(text, figures, i);
    put_head(text, DURATION, "histogram", "from a request's last byte to the answer's first");
    for (size_t action = 0; action < MR_ACTION_COUNT; action++)
        if (was_called(&latencies->of[action]))
            put_histogram(text, mr_actions[action].name, &latencies->of[action]);
    put_head(text, ERRORS, "counter", "answers that were exceptions");
    for (size_t action = 0; action < MR_ACTION_COUNT; action++)
        put_errors(text, mr_actions[action].name, &latencies->of[action]);
    put_head(text, "millrace_build_info", "gauge", "which millrace it is");
    put_text(text, "millrace_build_info{version=\"" MR_VERSION "\"} 1\n");
}
