/*
 * millrace-producer.h - put many small records at a high rate; each is answered exactly once.
 *
 * A record passes these stages, each a file of its name in producer/:
 *
 *     route -> aggregate -> limit -> collect -> send -> delivered
 *       ^                                         |
 *       '---------------- retry <-----------------'---> failed
 *
 * Ownership   mr_producer_put() copies the record; your bytes are free on return.
 * Threads     Any thread may call anything but mr_producer_close(), which is the last call. The
 *             callback runs on the producer's own thread: it must be short, and may put, but not
 *             flush, wait or close.
 * Order       Records of one partition key (and one explicit hash key, if they have any), put one
 *             after the other, are stored in that order, through retries and reshards too. There
 *             is none between keys.
 * Delivery    At least once: a request whose answer was lost is sent again.
 *
 * The promises (P1-P8) that these calls keep are listed in producer/README.md.
 */
#ifndef MILLRACE_PRODUCER_H
#define MILLRACE_PRODUCER_H

#include <millrace.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mr_producer mr_producer;

/* The answer to one accepted record; it and what it points to is valid during the callback. */
typedef struct mr_delivery {
    mr_status status;       /* OK; TIMEOUT; CLOSED; or why the service will never take it */
    const char *message;    /* a sentence, "" with OK */
    mr_sequence sequence;   /* with its shard; of the aggregate, if it is in one */
    bool is_aggregated;     /* it shares a sequence number with others: */
    uint32_t sub_sequence;  /* its place among them, from 0 on */
    uint32_t attempt_count; /* requests that carried it */
    uint64_t latency_us;    /* from put to answer */
    void *token;            /* what was given with it */
} mr_delivery;

/* Start from MR_PRODUCER_CONFIG_DEFAULT and change what you need. */
struct mr_producer_config {
    size_t struct_bytes; /* set by the default; lets the struct grow at its end */
    mr_service *service; /* required: an engine's or a remote one; borrowed, must outlive it */
    const char *stream;  /* required: a name or an ARN */
    void (*delivered)(void *context, const mr_delivery *delivery); /* required */
    void *delivered_context;

    bool is_ordered;            /* false: a retried record may pass a later one of its key */
    bool aggregates;            /* many records in one, as the KPL does */
    uint32_t aggregate_bytes;   /* how large such a one may become: 64..1 MiB */
    uint32_t aggregate_count;   /* and of how many records; 1.. */
    uint32_t linger_ms;         /* how long a record may wait for company; 0..60000 */
    uint32_t request_count;     /* records in a request; 1..500 */
    uint32_t request_bytes;     /* their keys and data; 1 KiB..10 MiB */
    uint32_t requests_max;      /* requests under way; 1..1000 */
    uint32_t record_timeout_ms; /* from put to answer, retries included; 1..86400000 */
    uint32_t retry_ms;          /* before the first retry; doubled by each further one; 1.. */
    uint32_t retry_ms_max;      /* not longer than this */
    uint32_t rate_limit;        /* per cent of a shard's 1 MiB and 1000 records a second; 0: none */
    size_t buffer_bytes;        /* of records accepted and unanswered; 64 KiB.. */
};
#define MR_PRODUCER_CONFIG_DEFAULT                                                                 \
    ((struct mr_producer_config){.struct_bytes = sizeof(struct mr_producer_config),                \
                                 .is_ordered = true,                                               \
                                 .aggregates = true,                                               \
                                 .aggregate_bytes = 51200,                                         \
                                 .aggregate_count = UINT32_MAX,                                    \
                                 .linger_ms = 100,                                                 \
                                 .request_count = 500,                                             \
                                 .request_bytes = 5u << 20,                                        \
                                 .requests_max = 24,                                               \
                                 .record_timeout_ms = 30000,                                       \
                                 .retry_ms = 50,                                                   \
                                 .retry_ms_max = 2000,                                             \
                                 .rate_limit = 150,                                                \
                                 .buffer_bytes = (size_t)64 << 20})

/*
 * Asks for the stream's shards and starts the producer's thread. INVALID, NOT_FOUND, DENIED,
 * UNAVAILABLE, THROTTLED. Close *producer with mr_producer_close().
 */
mr_status mr_producer_open(mr_producer **producer, const struct mr_producer_config *config,
                           mr_error *error);

/*
 * Accepts a record, which then is answered once, with this token; or says why not, and never blocks.
 * BUSY: the buffer is full, see mr_producer_wait(). INVALID: the partition key is not 1..256
 * characters of UTF-8. LIMIT: key and data are more than the stream takes. CLOSED.
 */
mr_status mr_producer_put(mr_producer *producer, const mr_put *put, void *token, mr_error *error);

/*
 * The same for many at once, which costs less: they are accepted one after the other, each with its
 * token (tokens may be NULL), and *accepted_count of them until one was not: for which it says why.
 */
mr_status mr_producer_put_many(mr_producer *producer, const mr_put *puts, void *const *tokens,
                               size_t count, size_t *accepted_count, mr_error *error);

/* Waits until half of the buffer is free. TIMEOUT. */
mr_status mr_producer_wait(mr_producer *producer, uint32_t timeout_ms, mr_error *error);

/* Sends all without its linger, and waits until what was accepted before the call is answered.
 * TIMEOUT. */
mr_status mr_producer_flush(mr_producer *producer, uint32_t timeout_ms, mr_error *error);

/*
 * Sends what is there, as flush does. What has no answer after timeout_ms gets CLOSED, unless it is
 * in a request under way: that is waited for, as long as the service allows it. NULL is allowed.
 */
void mr_producer_close(mr_producer *producer, uint32_t timeout_ms);

/* ---- metrics ------------------------------------------------------------------------------ */

#define MR_PRODUCER_LATENCY_BUCKETS 16

/* Counts since opening; X(name, kind, help). */
#define MR_PRODUCER_METRICS_MAP(X)                                                                 \
    X(records_put, counter, "Records accepted.")                                                   \
    X(bytes_put, counter, "Their partition keys and data.")                                        \
    X(records_refused, counter, "Records not accepted because the buffer was full.")               \
    X(records_delivered, counter, "Records answered with success.")                                \
    X(bytes_delivered, counter, "Their partition keys and data.")                                  \
    X(records_failed, counter, "Records answered with a failure.")                                 \
    X(records_expired, counter, "Of these, those that took too long.")                             \
    X(records_buffered, gauge, "Records accepted and not answered yet.")                           \
    X(bytes_buffered, gauge, "What they take of the buffer.")                                      \
    X(stream_records_sent, counter, "Records put into the stream, retries included.")              \
    X(stream_bytes_sent, counter, "Their partition keys and data.")                                \
    X(requests_sent, counter, "Requests.")                                                         \
    X(requests_failed, counter, "Requests that failed as a whole.")                                \
    X(requests_under_way, gauge, "Requests without an answer yet.")                                \
    X(retries, counter, "Records of the stream that are tried again.")                             \
    X(throttled, counter, "Records of the stream over their shard's rate.")                        \
    X(misplaced, counter, "Aggregates that a reshard took to a shard that lacks some keys.")       \
    X(map_refreshes, counter, "Times that the stream's shards were asked for.")

struct mr_producer_metrics {
#define X(name, kind, help) uint64_t name;
    MR_PRODUCER_METRICS_MAP(X)
#undef X
    /* Delivered records by latency: each in the first bucket that it is not above. */
    uint64_t latency_us[MR_PRODUCER_LATENCY_BUCKETS]; /* the last one's is UINT64_MAX */
    uint64_t latency_counts[MR_PRODUCER_LATENCY_BUCKETS];
    uint64_t latency_us_sum;
};

void mr_producer_metrics(const mr_producer *producer, struct mr_producer_metrics *metrics);

/* The same as Prometheus reads it. Writes at most size bytes, the last a NUL, and returns how many
 * there are without it, as snprintf() does. */
size_t mr_producer_metrics_text(const mr_producer *producer, char *text, size_t size);

#ifdef __cplusplus
}
#endif
#endif
