#include "support/consumer_world.h"

#include "base/check.h"
#include "base/endian.h"
#include "base/fail.h"
#include "base/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LONG_NS UINT64_C(60000000000) /* much longer than anything takes */
#define APPLICATION "app"

/* ---- the fickle --------------------------------------------------------------------------- */

static struct fickle_service *service_of(mr_service *service)
{
    return (struct fickle_service *)(void *)service;
}

static uint32_t chance(struct fickle_service *service)
{
    uint64_t x = atomic_fetch_add(&service->random, UINT64_C(0x9e3779b97f4a7c15));

    x = (x ^ x >> 31) * UINT64_C(0xbf58476d1ce4e5b9);
    return (uint32_t)(x >> 40) % 100;
}

static void refuse(struct mr_call *call, enum mr_exception type)
{
    call->refusal = (struct mr_refusal){.type = type, .message = {"by the test", 11}};
    call->response = NULL;
    call->subscription = NULL;
    call->done(call);
}

static void pass_on(mr_service *service, struct mr_call *call)
{
    struct fickle_service *fickle = service_of(service);

    fickle->calls[call->action]++;
    if (fickle->is_away)
        refuse(call, MR_EXCEPTION_SERVICE_UNAVAILABLE);
    else if (chance(fickle) < fickle->refused_percent)
        refuse(call, MR_EXCEPTION_THROUGHPUT_EXCEEDED);
    else
        fickle->inner->call(fickle->inner, call);
}

static struct fickle_store *store_of(mr_lease_store *store)
{
    return (struct fickle_store *)(void *)store;
}

/* Whether this call is to fail; *after: but only when it is done. */
static bool fails(struct fickle_store *store, bool *after, mr_error *error)
{
    bool is_now = atomic_fetch_sub(&store->fails_at, 1) == 0;

    store->count++;
    *after = store->fails_after;
    if (!is_now && !store->is_away)
        return false;
    mr_fail(error, MR_UNAVAILABLE, "by the test");
    return true;
}

#define FICKLE(call)                                                                               \
    struct fickle_store *fickle = store_of(store);                                                 \
    bool after, is_to_fail = fails(fickle, &after, error);                                         \
    mr_status status = MR_UNAVAILABLE;                                                             \
                                                                                                   \
    if (!is_to_fail || (after && !fickle->is_away))                                                \
        status = fickle->inner->call;                                                              \
    return is_to_fail ? MR_UNAVAILABLE : status;

static mr_status list(mr_lease_store *store, mr_lease_visit *visit, void *context, mr_error *error)
{
    FICKLE(list(fickle->inner, visit, context, error))
}

static mr_status get(mr_lease_store *store, mr_shard_id shard, mr_lease *lease, mr_error *error)
{
    FICKLE(get(fickle->inner, shard, lease, error))
}

static mr_status create(mr_lease_store *store, const mr_lease *lease, mr_error *error)
{
    FICKLE(create(fickle->inner, lease, error))
}

static mr_status update(mr_lease_store *store, const mr_lease *from, const mr_lease *to,
                        mr_error *error)
{
    FICKLE(update(fickle->inner, from, to, error))
}

static mr_status remove_lease(mr_lease_store *store, const mr_lease *lease, mr_error *error)
{
    FICKLE(remove(fickle->inner, lease, error))
}

void fickle_store_init(struct fickle_store *store, mr_lease_store *inner)
{
    store->base = (mr_lease_store){list, get, create, update, remove_lease, NULL};
    store->inner = inner;
    store->fails_at = -1;
}

/* ---- the world ---------------------------------------------------------------------------- */

void consumer_world_open(struct consumer_world *world, uint32_t shard_count)
{
    struct mr_engine_config config = MR_ENGINE_CONFIG_DEFAULT;
    const char *temporary = getenv("TMPDIR");
    mr_error error;

    *world = (struct consumer_world){.config = MR_CONSUMER_CONFIG_DEFAULT};
    snprintf(world->directory, sizeof world->directory, "%s/consumer.XXXXXX",
             temporary ? temporary : "/tmp");
    assert_non_null(mkdtemp(world->directory));
    config.sync = MR_SYNC_INTERVAL;
    config.journal_bytes = (uint64_t)32 << 20;
    consumer_world_must(mr_engine_open(&world->engine, world->directory, &config, &error), &error);
    consumer_world_must(mr_stream_create(world->engine, WORLD_STREAM, shard_count, &error), &error);
    consumer_world_must(mr_service_open(&world->service, world->engine, &error), &error);
    world->fickle.base = (mr_service){.call = pass_on};
    world->fickle.inner = world->service;
    consumer_world_must(mr_lease_store_memory(&world->leases, &error), &error);
    pthread_mutex_init(&world->lock, NULL);
    mr_condition_init(&world->changed);
    world->config.service = world->service;
    world->config.stream = WORLD_STREAM;
    world->config.application = APPLICATION;
    world->config.lease_ms = 1000;
    world->config.call_ms = 1;
    world->config.poll_ms = 5;
    world->config.shard_sync_ms = 200;
}

void consumer_world_close(struct consumer_world *world)
{
    char command[300];

    mr_lease_store_close(world->leases);
    mr_service_close(world->service);
    mr_engine_close(world->engine);
    snprintf(command, sizeof command, "rm -rf '%s'", world->directory);
    mr_check(system(command) == 0);
    pthread_mutex_destroy(&world->lock);
    pthread_cond_destroy(&world->changed);
}

void consumer_world_put(struct consumer_world *world, struct mr_random *random, size_t count)
{
    enum { BATCH = 100 };
    mr_put puts[BATCH];
    mr_put_result results[BATCH];
    char keys[BATCH][16];
    uint8_t data[BATCH][8];
    mr_error error;

    while (count > 0) {
        size_t some = count < BATCH ? count : BATCH;

        pthread_mutex_lock(&world->lock);
        for (size_t i = 0; i < some; i++) {
            size_t key = (size_t)mr_random_below(random, WORLD_KEYS);

            snprintf(keys[i], sizeof keys[i], "%zu", key);
            mr_store64(data[i], world->put[key]++);
            puts[i] =
                (mr_put){.partition_key = mr_bytes_of(keys[i]), .data = {data[i], sizeof data[i]}};
        }
        pthread_mutex_unlock(&world->lock);
        consumer_world_must(
            mr_put_records(world->engine, WORLD_STREAM, puts, some, results, &error), &error);
        for (size_t i = 0; i < some; i++)
            assert_int_equal(results[i].status, MR_OK);
        count -= some;
    }
}

/* Hold the lock. */
static void wait_change(struct consumer_world *world, uint64_t until_ns, const char *what)
{
    struct mr_clock *clock = mr_clock_real();

    if (clock->monotonic_ns(clock) >= until_ns) {
        for (size_t key = 0; key < WORLD_KEYS; key++)
            if (world->next[key] < world->put[key])
                fprintf(stderr, "key %zu: %llu of %llu\n", key,
                        (unsigned long long)world->next[key], (unsigned long long)world->put[key]);
        fprintf(stderr, "waited in vain for %s\n", what);
        abort();
    }
    mr_condition_wait_until(&world->changed, &world->lock,
                            clock->monotonic_ns(clock) + UINT64_C(50000000));
}

static uint64_t deadline_ns(void)
{
    struct mr_clock *clock = mr_clock_real();

    return clock->monotonic_ns(clock) + LONG_NS;
}

static bool have_all_come(const struct consumer_world *world)
{
    for (size_t key = 0; key < WORLD_KEYS; key++)
        if (world->next[key] < world->put[key])
            return false;
    return true;
}

void consumer_world_wait_all(struct consumer_world *world)
{
    uint64_t until_ns = deadline_ns();

    pthread_mutex_lock(&world->lock);
    while (!have_all_come(world))
        wait_change(world, until_ns, "records");
    pthread_mutex_unlock(&world->lock);
    consumer_world_check(world);
}

void consumer_world_check(struct consumer_world *world)
{
    pthread_mutex_lock(&world->lock);
    if (world->wrong_count > 0)
        fail_msg("%llu wrong: %s", (unsigned long long)world->wrong_count, world->wrong);
    pthread_mutex_unlock(&world->lock);
}

void consumer_world_wait_for(struct consumer_world *world, const uint64_t *count, uint64_t least)
{
    uint64_t until_ns = deadline_ns();

    pthread_mutex_lock(&world->lock);
    while (*count < least)
        wait_change(world, until_ns, "calls");
    pthread_mutex_unlock(&world->lock);
}

void consumer_world_wait_lease(struct consumer_world *world, mr_shard_id shard,
                               bool (*is_so)(const mr_lease *lease))
{
    uint64_t until_ns = deadline_ns();
    mr_error error;
    mr_lease lease;

    pthread_mutex_lock(&world->lock);
    while (world->leases->get(world->leases, shard, &lease, &error) || !is_so(&lease))
        wait_change(world, until_ns, "a lease");
    pthread_mutex_unlock(&world->lock);
}

/* ---- the auditor -------------------------------------------------------------------------- */

struct audit {
    struct worker *worker;
    mr_shard_id shard;
    mr_mark last;
    uint32_t batches;
};

__attribute__((format(printf, 2, 3))) static void wrong(struct consumer_world *world,
                                                        const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    if (world->wrong_count++ == 0)
        vsnprintf(world->wrong, sizeof world->wrong, format, arguments);
    va_end(arguments);
}

static void look_at(struct audit *audit, const mr_consumer_record *record)
{
    struct consumer_world *world = audit->worker->world;
    char text[16] = "";
    uint64_t stamp;
    size_t key;

    memcpy(text, record->partition_key.data, record->partition_key.size);
    key = strtoul(text, NULL, 10);
    stamp = mr_load64(record->data.data);
    if (stamp > world->next[key])
        wrong(world, "key %zu: %llu comes, %llu is missing", key, (unsigned long long)stamp,
              (unsigned long long)world->next[key]);
    else if (stamp < world->next[key])
        world->again_count++;
    else
        world->next[key]++;
    world->came_count++;
    if (mr_mark_compare(&record->mark, &audit->last) <= 0)
        wrong(world, "shard %u goes back", audit->shard);
    audit->last = record->mark;
}

static void *started(void *context, mr_shard_task *task, const mr_mark *from)
{
    struct audit *audit = mr_new(struct audit);
    struct worker *worker = context;

    *audit = (struct audit){.worker = worker, .shard = mr_shard_task_shard(task), .last = *from};
    mr_check(audit->shard < WORLD_SHARDS);
    pthread_mutex_lock(&worker->world->lock);
    if (atomic_exchange(&worker->is_open[audit->shard], true))
        wrong(worker->world, "shard %u is started twice", audit->shard);
    worker->world->started++;
    pthread_cond_broadcast(&worker->world->changed);
    pthread_mutex_unlock(&worker->world->lock);
    return audit;
}

static void checkpoint(struct audit *audit, mr_shard_task *task)
{
    mr_error error;

    if (!audit->worker->is_dead && mr_checkpoint(task, NULL, &error) == MR_FENCED)
        audit->worker->fenced_count++;
}

static void records(void *state, mr_shard_task *task, const mr_consumer_batch *batch)
{
    struct audit *audit = state;
    struct worker *worker = audit->worker;
    struct consumer_world *world = worker->world;

    while (worker->hold_shard == audit->shard && !worker->is_dead) {
        pthread_mutex_lock(&world->lock);
        world->is_running[audit->shard] = true;
        wait_change(world, deadline_ns(), "the test");
        world->is_running[audit->shard] = false;
        pthread_mutex_unlock(&world->lock);
    }
    if (worker->is_dead)
        return;
    pthread_mutex_lock(&world->lock);
    for (size_t i = 0; i < batch->count; i++)
        look_at(audit, &batch->records[i]);
    pthread_cond_broadcast(&world->changed);
    pthread_mutex_unlock(&world->lock);
    if (worker->checkpoint_every && ++audit->batches % worker->checkpoint_every == 0)
        checkpoint(audit, task);
}

static void count(struct audit *audit, uint64_t *counter)
{
    struct consumer_world *world = audit->worker->world;

    pthread_mutex_lock(&world->lock);
    ++*counter;
    pthread_cond_broadcast(&world->changed);
    pthread_mutex_unlock(&world->lock);
}

static void shard_ended(void *state, mr_shard_task *task)
{
    struct audit *audit = state;

    checkpoint(audit, task);
    count(audit, &audit->worker->world->ended);
}

static void lease_lost(void *state, mr_shard_task *task)
{
    struct audit *audit = state;
    (void)task;

    count(audit, &audit->worker->world->lost);
}

static void stopping(void *state, mr_shard_task *task)
{
    struct audit *audit = state;

    checkpoint(audit, task);
    count(audit, &audit->worker->world->stopping);
}

static void done(void *state)
{
    struct audit *audit = state;

    atomic_store(&audit->worker->is_open[audit->shard], false);
    count(audit, &audit->worker->world->done);
    mr_free(audit);
}

/* ---- workers ------------------------------------------------------------------------------ */

static void *run(void *context)
{
    struct worker *worker = context;

    worker->status = mr_consumer_run(worker->consumer, &worker->error);
    return NULL;
}

static void diag(void *context, const char *line)
{
    (void)context;
    if (getenv("MR_DIAG"))
        fprintf(stderr, "%s\n", line);
}

struct worker *worker_start(struct consumer_world *world, const char *name)
{
    return worker_start_at(world, name, mr_clock_real());
}

struct worker *worker_start_at(struct consumer_world *world, const char *name,
                               struct mr_clock *clock)
{
    struct worker *worker = mr_new(struct worker);
    struct mr_consumer_config config = world->config;
    mr_error error;

    worker->world = world;
    worker->checkpoint_every = 1;
    worker->hold_shard = MR_NO_SHARD;
    fickle_store_init(&worker->store, world->leases);
    config.worker = name;
    config.leases = &worker->store.base;
    config.processor =
        (struct mr_processor){started, records, shard_ended, lease_lost, stopping, done};
    config.processor_context = worker;
    config.diag = diag;
    consumer_world_must(mr_consumer_open_with(&worker->consumer, &config, clock, &error), &error);
    worker->thread = mr_thread_start("worker", run, worker);
    return worker;
}

void worker_stop(struct worker *worker)
{
    mr_consumer_stop(worker->consumer);
    pthread_join(worker->thread, NULL);
    mr_consumer_close(worker->consumer);
    mr_free(worker);
}

void worker_kill(struct worker *worker)
{
    atomic_store(&worker->is_dead, true);
    atomic_store(&worker->store.is_away, true);
    worker_stop(worker);
}

int consumer_world_set_up(void **state)
{
    struct consumer_world *world = mr_new(struct consumer_world);

    consumer_world_open(world, 4);
    *state = world;
    return 0;
}

int consumer_world_tear_down(void **state)
{
    consumer_world_close(*state);
    mr_free(*state);
    return 0;
}

void consumer_world_must(mr_status status, const mr_error *error)
{
    if (status)
        fail_msg("%s: %s", mr_status_name(status), error->message);
}
