/* metrics.c - what a producer counts, for programs and for Prometheus. */
#include "stage.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

static const uint64_t latency_us[MR_PRODUCER_LATENCY_BUCKETS] = {
    500,    1000,   2000,    5000,    10000,   20000,    50000,    100000,
    200000, 500000, 1000000, 2000000, 5000000, 10000000, 30000000, UINT64_MAX};

void mr_producer_count_latency(struct mr_producer *producer, uint64_t us, uint64_t record_count)
{
    size_t bucket = 0;

    while (us > latency_us[bucket])
        bucket++;
    mr_count(&producer->counts.latency_counts[bucket], record_count);
    mr_count(&producer->counts.latency_us_sum, us * record_count);
}

void mr_producer_metrics(const mr_producer *producer, struct mr_producer_metrics *metrics)
{
    struct mr_intake *intake = (struct mr_intake *)(uintptr_t)&producer->intake; /* for its lock */

#define X(name, kind, help)                                                                        \
    metrics->name = atomic_load_explicit(&producer->counts.name, memory_order_relaxed);
    MR_PRODUCER_METRICS_MAP(X)
#undef X
    for (size_t i = 0; i < MR_PRODUCER_LATENCY_BUCKETS; i++) {
        metrics->latency_us[i] = latency_us[i];
        metrics->latency_counts[i] =
            atomic_load_explicit(&producer->counts.latency_counts[i], memory_order_relaxed);
    }
    metrics->latency_us_sum =
        atomic_load_explicit(&producer->counts.latency_us_sum, memory_order_relaxed);
    pthread_mutex_lock(&intake->lock);
    metrics->records_put = intake->put_count;
    metrics->bytes_put = intake->put_bytes;
    metrics->records_refused = intake->refused_count;
    metrics->records_buffered = intake->pending_count;
    metrics->bytes_buffered = intake->pending_bytes;
    pthread_mutex_unlock(&intake->lock);
}

/* ---- text ----------------------------------------------------------------------------------- */

struct text {
    char *start;
    size_t size, written;
};

__attribute__((format(printf, 2, 3))) static void print(struct text *text, const char *format, ...)
{
    bool has_room = text->written < text->size;
    va_list arguments;
    int more;

    va_start(arguments, format);
    more = vsnprintf(has_room ? text->start + text->written : NULL,
                     has_room ? text->size - text->written : 0, format, arguments);
    va_end(arguments);
    text->written += (size_t)more;
}

static void print_one(struct text *text, const char *stream, const char *name, const char *kind,
                      const char *help, uint64_t value)
{
    const char *total = kind[0] == 'c' ? "_total" : "";

    print(text, "# HELP millrace_producer_%s%s %s\n", name, total, help);
    print(text, "# TYPE millrace_producer_%s%s %s\n", name, total, kind);
    print(text, "millrace_producer_%s%s{stream=\"%s\"} %" PRIu64 "\n", name, total, stream, value);
}

static void print_latency(struct text *text, const char *stream,
                          const struct mr_producer_metrics *metrics)
{
    const char *name = "millrace_producer_latency_seconds";
    uint64_t count = 0;

    print(text, "# HELP %s From put to answer, of records answered with success.\n", name);
    print(text, "# TYPE %s histogram\n", name);
    for (size_t i = 0; i < MR_PRODUCER_LATENCY_BUCKETS; i++) {
        count += metrics->latency_counts[i];
        print(text, "%s_bucket{stream=\"%s\",le=\"", name, stream);
        if (i + 1 < MR_PRODUCER_LATENCY_BUCKETS)
            print(text, "%g", (double)latency_us[i] / 1e6);
        else
            print(text, "+Inf");
        print(text, "\"} %" PRIu64 "\n", count);
    }
    print(text, "%s_sum{stream=\"%s\"} %g\n", name, stream, (double)metrics->latency_us_sum / 1e6);
    print(text, "%s_count{stream=\"%s\"} %" PRIu64 "\n", name, stream, count);
}

size_t mr_producer_metrics_text(const mr_producer *producer, char *text, size_t size)
{
    struct mr_producer_metrics metrics;
    struct text out = {.start = text, .size = size};

    mr_producer_metrics(producer, &metrics);
#define X(name, kind, help) print_one(&out, producer->stream, #name, #kind, help, metrics.name);
    MR_PRODUCER_METRICS_MAP(X)
#undef X
    print_latency(&out, producer->stream, &metrics);
    return out.written;
}
