/*
 * producer.c - opening and closing, and the thread that takes records through the stages.
 */
#include "base/check.h"
#include "base/config.h"
#include "base/fail.h"
#include "base/memory.h"
#include "os/entropy.h"
#include "stage.h"

#include <inttypes.h>
#include <sched.h>
#include <string.h>

#define MS_NS UINT64_C(1000000)
#define BUSY_RECORDS 512 /* so many records, or NAP_NS, wake a thread that has been busy */
#define NAP_NS MS_NS
#define SLEEP_NS_MAX (UINT64_C(3600000) * MS_NS)
#define RECORD_BYTES_DEFAULT ((size_t)1 << 20)
#define BUFFER_BYTES_MIN ((size_t)64 << 10)

/* ---- wakes ---------------------------------------------------------------------------------- */

void mr_producer_wake(struct mr_producer *producer)
{
    if (!atomic_load(&producer->is_asleep) || !atomic_exchange(&producer->is_asleep, false))
        return;
    atomic_fetch_add(&producer->woken, 1);
    mr_word_wake(&producer->woken, false);
}

/* ---- steps ---------------------------------------------------------------------------------- */

static bool has_work(const struct mr_producer *producer)
{
    return producer->has_more || producer->ready.first || producer->held_count > 0 ||
           producer->open_due_ns != MR_NEVER || producer->queued_shards ||
           producer->under_way_count > 0 || producer->unplaced.first;
}

static void check_closing(struct mr_producer *producer)
{
    if (!atomic_load(&producer->is_closing))
        return;
    producer->is_urgent = true;
    producer->is_aborting = producer->now_ns >= atomic_load(&producer->close_by_ns);
}

static uint64_t next_ns(const struct mr_producer *producer)
{
    uint64_t next = MR_NEVER;

    if (producer->has_more)
        return producer->now_ns;
    if (has_work(producer)) /* records may have come that do not wake us */
        next = producer->now_ns + NAP_NS;
    next = mr_earlier(next, producer->open_due_ns);
    next = mr_earlier(next, mr_stage_limit_next(producer));
    next = mr_earlier(next, mr_stage_collect_next(producer));
    if (producer->held_count > 0)
        next = mr_earlier(next, producer->held[0]->held_until_ns);
    if (producer->map.is_wanted && !producer->map.call.is_under_way)
        next = mr_earlier(next, producer->map.wanted_from_ns);
    return next;
}

uint64_t mr_producer_step(struct mr_producer *producer)
{
    producer->now_ns = producer->clock->monotonic_ns(producer->clock);
    producer->is_urgent = mr_intake_is_urgent(&producer->intake);
    check_closing(producer);
    mr_stage_send_answers(producer);
    mr_stage_retry(producer);
    mr_stage_route(producer);
    mr_stage_retry_sweep(producer);
    mr_stage_aggregate(producer);
    mr_stage_limit(producer);
    mr_stage_collect(producer);
    atomic_store_explicit(&producer->counts.requests_under_way, producer->under_way_count,
                          memory_order_relaxed);
    mr_intake_give(&producer->intake, &producer->given);
    return next_ns(producer);
}

bool mr_producer_is_idle(struct mr_producer *producer)
{
    bool is_idle;

    pthread_mutex_lock(&producer->intake.lock);
    is_idle = producer->intake.pending_count == 0;
    pthread_mutex_unlock(&producer->intake.lock);
    return is_idle && producer->under_way_count == 0 && !producer->map.call.is_under_way &&
           atomic_load(&producer->caller_count) == 0;
}

/* Something came while the thread was about to sleep. */
static bool has_come(struct mr_producer *producer)
{
    size_t enough = producer->config.linger_ms > 0 && has_work(producer) ? BUSY_RECORDS : 1;

    if (producer->is_emptying) /* it takes none */
        enough = SIZE_MAX;
    return mr_intake_has(&producer->intake, enough) || atomic_load(&producer->answered) ||
           (producer->map.call.is_under_way && atomic_load(&producer->map.call.is_answered));
}

static void sleep_until(struct mr_producer *producer, uint64_t until_ns)
{
    bool is_closing = atomic_load(&producer->is_closing);
    uint32_t seen = atomic_load(&producer->woken);
    uint64_t ms = 0;

    if (is_closing)
        until_ns = mr_earlier(until_ns, producer->now_ns + NAP_NS);
    if (until_ns > producer->now_ns)
        ms = (mr_earlier(until_ns - producer->now_ns, SLEEP_NS_MAX) + MS_NS - 1) / MS_NS;
    if (ms == 0)
        return;
    atomic_store(&producer->is_asleep, true);
    if (!has_come(producer) && atomic_load(&producer->is_closing) == is_closing)
        mr_word_wait(&producer->woken, seen, (uint32_t)ms);
    atomic_store(&producer->is_asleep, false);
}

static void *run(void *context)
{
    struct mr_producer *producer = context;

    while (!atomic_load(&producer->is_closing) || !mr_producer_is_idle(producer))
        sleep_until(producer, mr_producer_step(producer));
    return NULL;
}

/* ---- open and close ------------------------------------------------------------------------- */

/* What a number of the configuration may be. */
struct bound {
    const char *name;
    uint64_t value, least, most;
};

static mr_status check_bounds(const struct mr_producer_config *config, mr_error *error)
{
    const struct bound bounds[] = {
        {"aggregate_bytes", config->aggregate_bytes, 64, 1u << 20},
        {"aggregate_count", config->aggregate_count, 1, UINT32_MAX},
        {"linger_ms", config->linger_ms, 0, 60000},
        {"request_count", config->request_count, 1, 500},
        {"request_bytes", config->request_bytes, 1u << 10, 10u << 20},
        {"requests_max", config->requests_max, 1, 1000},
        {"record_timeout_ms", config->record_timeout_ms, 1, 86400000},
        {"retry_ms", config->retry_ms, 1, 60000},
        {"retry_ms_max", config->retry_ms_max, config->retry_ms, 3600000},
        {"rate_limit", config->rate_limit, 0, 100000},
        {"buffer_bytes", config->buffer_bytes, BUFFER_BYTES_MIN, SIZE_MAX},
    };

    for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++)
        if (bounds[i].value < bounds[i].least || bounds[i].value > bounds[i].most)
            return mr_fail(error, MR_INVALID,
                           "%s is %" PRIu64 "; it may be %" PRIu64 " to %" PRIu64, bounds[i].name,
                           bounds[i].value, bounds[i].least, bounds[i].most);
    return MR_OK;
}

static mr_status check_config(const struct mr_producer_config *config, mr_error *error)
{
    if (!config->service || !config->stream || !config->delivered)
        return mr_fail(error, MR_INVALID, "a producer needs service, stream and delivered");
    return check_bounds(config, error);
}

mr_status mr_producer_make(struct mr_producer **out, const struct mr_producer_config *given,
                           struct mr_clock *clock, uint64_t seed, mr_error *error)
{
    struct mr_producer_config config = MR_PRODUCER_CONFIG_DEFAULT;
    struct mr_producer *producer;
    mr_status status =
        mr_config_merge(&config, sizeof config, given, "MR_PRODUCER_CONFIG_DEFAULT", error);

    if (!status)
        status = check_config(&config, error);
    if (status)
        return status;
    producer = mr_new(struct mr_producer);
    producer->config = config;
    producer->stream = mr_copy_text(config.stream);
    producer->config.stream = producer->stream;
    producer->record_bytes_max = RECORD_BYTES_DEFAULT;
    producer->clock = clock;
    producer->random = mr_random_of(seed);
    producer->open_due_ns = producer->ready_due_ns = MR_NEVER;
    producer->now_ns = clock->monotonic_ns(clock);
    mr_intake_init(&producer->intake, config.buffer_bytes);
    status = mr_map_open(producer, error);
    producer->can_trust =
        config.is_ordered && config.service->put && producer->config.rate_limit == 0;
    if (status)
        mr_producer_free(producer);
    else
        *out = producer;
    return status;
}

void mr_producer_free(struct mr_producer *producer)
{
    while (atomic_load(&producer->caller_count) > 0)
        sched_yield();
    mr_map_fini(producer);
    mr_stage_send_fini(producer);
    mr_units_fini(producer);
    mr_free(producer->held);
    mr_lanes_fini(&producer->lanes);
    mr_intake_fini(&producer->intake);
    mr_free(producer->stream);
    mr_free(producer);
}

mr_status mr_producer_open(mr_producer **out, const struct mr_producer_config *config,
                           mr_error *error)
{
    uint64_t seed;
    mr_status status;

    mr_entropy(&seed, sizeof seed);
    status = mr_producer_make(out, config, mr_clock_real(), seed, error);
    if (!status)
        (*out)->thread = mr_thread_start("mr-producer", run, *out);
    return status;
}

void mr_producer_begin_close(struct mr_producer *producer, uint32_t timeout_ms)
{
    struct mr_intake *intake = &producer->intake;

    pthread_mutex_lock(&intake->lock);
    intake->is_closed = true;
    pthread_mutex_unlock(&intake->lock);
    atomic_store(&producer->close_by_ns,
                 producer->clock->monotonic_ns(producer->clock) + timeout_ms * MS_NS);
    atomic_store(&producer->is_closing, true);
    mr_producer_wake(producer);
}

void mr_producer_close(mr_producer *producer, uint32_t timeout_ms)
{
    if (!producer)
        return;
    mr_producer_begin_close(producer, timeout_ms);
    pthread_join(producer->thread, NULL);
    mr_producer_free(producer);
}
