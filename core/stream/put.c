/*
 * put.c - records in: check, hash, route, group by shard, append.
 *
 * Nothing is allocated per record, and data is copied once, into the journal's group: a batch works in
 * one piece of memory, on the stack if it is small, else from a list of used ones.
 */
#include "stream/put.h"

#include "base/check.h"
#include "base/fail.h"
#include "base/md5.h"
#include "base/memory.h"
#include "base/utf8.h"
#include "os/thread.h"
#include "stream/engine.h"

#include <inttypes.h>
#include <string.h>

#define RECORD_BYTES_MORE 64          /* of a batch's limit, for each record */
#define STACK_BYTES 4096              /* enough for a single small record */
#define BATCH_BYTES_KEPT (256u << 10) /* larger working memory is not kept */
#define NO_RECORD UINT32_MAX

/* The records of a batch that go to one shard, in order. */
struct group {
    uint32_t shard; /* index in the route */
    uint32_t first, last;
    mr_log_id log;
    mr_shard_id id;
    uint32_t created_s;
};

/* Working memory of one batch: arrays for count records. */
struct mr_put_batch {
    struct mr_put_batch *next;
    size_t capacity;
    uint8_t bytes[];
};

struct work {
    mr_hash_key *keys;
    struct group *groups;
    struct mr_log_run *runs;
    uint32_t *next;  /* of the same group */
    uint32_t *table; /* finds a group by its shard: open addressing, index + 1 */
    uint32_t table_mask;
    uint32_t group_count;
    size_t run_count;
};

/* An asynchronous put under way. */
struct mr_put_call {
    struct mr_log_append append; /* first: done() gets it */
    struct mr_engine *engine;
    struct mr_origin_claim *claim; /* or NULL */
    mr_put_result *results;
    size_t count;
    void (*done)(void *context, mr_status status);
    void *context;
    _Atomic uint32_t is_filled; /* results[] has its sequences; 2: somebody waits for that */
    struct mr_put_call *next_free, *next_of_all;
};

/* ---- memory ------------------------------------------------------------------------------- */

void mr_put_calls_init(struct mr_put_calls *calls)
{
    *calls = (struct mr_put_calls){0};
    pthread_mutex_init(&calls->lock, NULL);
}

void mr_put_calls_fini(struct mr_put_calls *calls)
{
    struct mr_put_call *call;
    struct mr_put_batch *batch;

    while ((call = calls->all_calls)) {
        calls->all_calls = call->next_of_all;
        mr_free(call);
    }
    while ((batch = calls->free_batches)) {
        calls->free_batches = batch->next;
        mr_free(batch);
    }
    pthread_mutex_destroy(&calls->lock);
}

static struct mr_put_call *take_call(struct mr_put_calls *calls)
{
    struct mr_put_call *call;

    pthread_mutex_lock(&calls->lock);
    call = calls->free_calls;
    if (call) {
        calls->free_calls = call->next_free;
    } else {
        call = mr_new(struct mr_put_call);
        call->next_of_all = calls->all_calls;
        calls->all_calls = call;
    }
    pthread_mutex_unlock(&calls->lock);
    return call;
}

static void give_call(struct mr_put_calls *calls, struct mr_put_call *call)
{
    pthread_mutex_lock(&calls->lock);
    call->next_free = calls->free_calls;
    calls->free_calls = call;
    pthread_mutex_unlock(&calls->lock);
}

static struct mr_put_batch *take_batch(struct mr_put_calls *calls, size_t bytes)
{
    struct mr_put_batch *batch;

    pthread_mutex_lock(&calls->lock);
    batch = calls->free_batches;
    if (batch)
        calls->free_batches = batch->next;
    pthread_mutex_unlock(&calls->lock);
    if (batch && batch->capacity >= bytes)
        return batch;
    mr_free(batch);
    batch = mr_alloc(sizeof *batch + bytes);
    batch->capacity = bytes;
    return batch;
}

static void give_batch(struct mr_put_calls *calls, struct mr_put_batch *batch)
{
    if (batch && batch->capacity > BATCH_BYTES_KEPT) {
        mr_free(batch);
        return;
    }
    if (!batch)
        return;
    pthread_mutex_lock(&calls->lock);
    batch->next = calls->free_batches;
    calls->free_batches = batch;
    pthread_mutex_unlock(&calls->lock);
}

/* ---- check -------------------------------------------------------------------------------- */

static mr_status check_key(const mr_put *put)
{
    mr_bytes key = put->partition_key;
    size_t chars;

    if (key.size == 0)
        return put->explicit_hash_key ? MR_OK : MR_INVALID;
    if (key.size <= MR_PARTITION_KEY_CHARS_MAX && mr_ascii_bytes(key) == key.size)
        return MR_OK;
    if (key.size > MR_PARTITION_KEY_BYTES_MAX)
        return MR_LIMIT;
    chars = mr_utf8_chars(key);
    if (chars == SIZE_MAX)
        return MR_INVALID;
    return chars > MR_PARTITION_KEY_CHARS_MAX ? MR_LIMIT : MR_OK;
}

static mr_status check(const mr_put *puts, size_t count, mr_put_result *results,
                       bool *has_implicit_key, mr_error *error)
{
    size_t left = MR_BATCH_BYTES_MAX;

    *has_implicit_key = false;
    for (size_t i = 0; i < count; i++) {
        size_t key_size = puts[i].partition_key.size, data_size = puts[i].data.size;

        if (left < RECORD_BYTES_MORE || key_size > left - RECORD_BYTES_MORE ||
            data_size > left - RECORD_BYTES_MORE - key_size)
            return mr_fail(error, MR_LIMIT, "a batch of %zu records is over %u bytes", count,
                           MR_BATCH_BYTES_MAX);
        left -= RECORD_BYTES_MORE + key_size + data_size;
        results[i].status =
            key_size + data_size > MR_RECORD_BYTES_MAX ? MR_LIMIT : check_key(&puts[i]);
        if (results[i].status) {
            results[i] = (mr_put_result){.status = results[i].status};
            continue;
        }
        *has_implicit_key |= !puts[i].explicit_hash_key;
    }
    return MR_OK;
}

/* ---- group -------------------------------------------------------------------------------- */

static uint32_t table_size(size_t count)
{
    return count < 2 ? 2 : UINT32_C(2) << (32 - __builtin_clz((uint32_t)count - 1));
}

static size_t work_bytes(size_t count)
{
    return count * (sizeof(mr_hash_key) + sizeof(struct group) + sizeof(struct mr_log_run) +
                    sizeof(uint32_t)) +
           table_size(count) * sizeof(uint32_t);
}

/* Lays the arrays out in memory, the most aligned first. */
static struct work work_in(uint8_t *memory, size_t count)
{
    struct work work = {.keys = (mr_hash_key *)(void *)memory};

    work.runs = (struct mr_log_run *)(void *)(work.keys + count);
    work.groups = (struct group *)(void *)(work.runs + count);
    work.next = (uint32_t *)(void *)(work.groups + count);
    work.table = work.next + count;
    work.table_mask = table_size(count) - 1;
    memset(work.table, 0, (work.table_mask + 1) * sizeof *work.table);
    return work;
}

/* The group of a shard; new if the batch had none for it. */
static struct group *group_of(struct work *work, const struct mr_route *route, uint32_t shard)
{
    uint32_t slot = shard & work->table_mask;
    struct group *group;

    while (work->table[slot]) {
        group = &work->groups[work->table[slot] - 1];
        if (group->shard == shard)
            return group;
        slot = (slot + 1) & work->table_mask;
    }
    group = &work->groups[work->group_count++];
    work->table[slot] = work->group_count;
    *group = (struct group){.shard = shard,
                            .first = NO_RECORD,
                            .log = route->shards[shard].log,
                            .id = route->shards[shard].id,
                            .created_s = route->shards[shard].created_s};
    return group;
}

/* The shard's limits let the record through, if it has any. */
static bool is_within(const struct mr_limits *limits, uint64_t now_ns, struct mr_route_shard *shard,
                      const mr_put *put)
{
    if (!mr_bucket_take(&shard->records, now_ns, limits->write_records_per_s, 1))
        return false;
    if (mr_bucket_take(&shard->bytes, now_ns, limits->write_bytes_per_s,
                       put->partition_key.size + put->data.size))
        return true;
    mr_bucket_return(&shard->records, limits->write_records_per_s, 1);
    return false;
}

static void group_records(struct mr_engine *engine, const struct mr_limits *limits,
                          struct work *work, struct mr_route *route, const mr_put *puts,
                          size_t count, mr_put_result *results)
{
    bool is_limited = limits->write_bytes_per_s || limits->write_records_per_s;
    uint64_t now_ns = is_limited ? engine->clock->monotonic_ns(engine->clock) : 0;

    for (size_t i = 0; i < count; i++) {
        uint32_t shard;
        struct group *group;

        if (results[i].status)
            continue;
        shard = (uint32_t)mr_range_find(route->starts, route->count,
                                        puts[i].explicit_hash_key ? *puts[i].explicit_hash_key
                                                                  : work->keys[i]);
        if (is_limited && !is_within(limits, now_ns, &route->shards[shard], &puts[i])) {
            results[i] =
                (mr_put_result){.status = MR_THROTTLED, .sequence.shard = route->shards[shard].id};
            continue;
        }
        group = group_of(work, route, shard);
        if (group->first == NO_RECORD)
            group->first = (uint32_t)i;
        else
            work->next[group->last] = (uint32_t)i;
        group->last = (uint32_t)i;
    }
    for (uint32_t g = 0; g < work->group_count; g++)
        work->next[work->groups[g].last] = NO_RECORD;
}

/* They were not put after all. */
static void return_to_limits(const struct mr_limits *limits, const struct work *work,
                             struct mr_route *route, const mr_put *puts)
{
    for (uint32_t g = 0; g < work->group_count; g++) {
        struct mr_route_shard *shard = &route->shards[work->groups[g].shard];

        for (uint32_t i = work->groups[g].first; i != NO_RECORD; i = work->next[i]) {
            mr_bucket_return(&shard->records, limits->write_records_per_s, 1);
            mr_bucket_return(&shard->bytes, limits->write_bytes_per_s,
                             puts[i].partition_key.size + puts[i].data.size);
        }
    }
}

/* ---- runs --------------------------------------------------------------------------------- */

static void make_runs(struct work *work, const mr_put *puts)
{
    for (uint32_t g = 0; g < work->group_count; g++) {
        struct mr_log_run *run = NULL;

        for (uint32_t i = work->groups[g].first; i != NO_RECORD; i = work->next[i]) {
            size_t size = mr_frame_bytes(&puts[i]);

            if (!run || run->frames.size + size > MR_RUN_BYTES_GOOD) {
                run = &work->runs[work->run_count++];
                *run = (struct mr_log_run){.log = work->groups[g].log, .first_put = i};
            }
            run->record_count++;
            run->record_bytes += puts[i].partition_key.size + puts[i].data.size;
            run->frames.size += size;
        }
    }
}

/* The places that the runs got; returns how many. */
static size_t fill_results(const struct work *work, int64_t at_ms, mr_put_result *results)
{
    const struct mr_log_run *run = work->runs;
    size_t count = 0;
    uint32_t in_run = 0;

    for (uint32_t g = 0; g < work->group_count; g++) {
        const struct group *group = &work->groups[g];
        uint32_t time_s = mr_shard_second(group->created_s, at_ms);

        for (uint32_t i = group->first; i != NO_RECORD; i = work->next[i]) {
            results[i].sequence = (mr_sequence){.number = run->first_number + in_run,
                                                .shard = group->id,
                                                .created_s = group->created_s,
                                                .time_s = time_s};
            results[i].arrival_ms = at_ms;
            count++;
            if (++in_run == run->record_count) {
                run++;
                in_run = 0;
            }
        }
    }
    return count;
}

/* ---- put ---------------------------------------------------------------------------------- */

/* None of the batch was stored. */
static void refuse(mr_put_result *results, size_t count, mr_status status)
{
    for (size_t i = 0; i < count; i++)
        if (!results[i].status)
            results[i] = (mr_put_result){.status = status};
}

/* False: a change of streams is under way, and the caller will not wait for it. */
static bool hold_routes(struct mr_engine *engine, uint32_t wait_ms)
{
    return wait_ms ? !pthread_rwlock_rdlock(&engine->routes.lock)
                   : !pthread_rwlock_tryrdlock(&engine->routes.lock);
}

/* The first refusal of a batch that is stored whole or not at all; then the others wait for it. */
static mr_status refusal_of(const struct mr_put_order *order, mr_error *error)
{
    for (size_t i = 0; order->is_whole && i < order->count; i++) {
        mr_status status = order->results[i].status;

        if (!status)
            continue;
        refuse(order->results, order->count, MR_BUSY);
        return mr_fail(error, status, "record %zu of %zu: %s", i + 1, order->count,
                       mr_status_text(status));
    }
    return MR_OK;
}

/* Whether each record goes to the shard that it is meant for. */
static mr_status check_shards(const struct work *work, const struct mr_put_order *order,
                              mr_error *error)
{
    for (uint32_t g = 0; order->shards && g < work->group_count; g++)
        for (uint32_t i = work->groups[g].first; i != NO_RECORD; i = work->next[i])
            if (order->shards[i] != work->groups[g].id)
                return mr_fail(error, MR_CONFLICT,
                               "record %" PRIu32 " of %zu is not of shard %" PRIu32
                               " any more: the stream was resharded",
                               i + 1, order->count, order->shards[i]);
    return MR_OK;
}

static mr_status append_runs(struct mr_engine *engine, const struct mr_put_order *order,
                             struct mr_log_append *append, struct mr_origin_claim **claim,
                             mr_error *error)
{
    mr_status status;

    if (order->origin) {
        status = mr_origin_claim(engine, order->stream, order->origin, claim, error);
        if (status)
            return status;
        append->entry = mr_origin_entry(*claim);
    }
    status = mr_log_append(engine->log, append, order->wait_ms, error);
    if (status && order->origin) {
        mr_origin_release(engine, *claim);
        *claim = NULL;
    }
    return status;
}

/* Gives the records of a batch their places, if there are any to give. Holds the routes. */
static mr_status give_places(struct mr_engine *engine, struct work *work,
                             const struct mr_put_order *order, struct mr_log_append *append,
                             struct mr_origin_claim **claim, mr_error *error)
{
    const struct mr_limits limits = {.write_bytes_per_s = engine->limits.write_bytes_per_s,
                                     .write_records_per_s = engine->limits.write_records_per_s};
    struct mr_route *route = mr_routes_get(&engine->routes, order->stream);
    mr_status status;

    if (!route)
        return mr_no_stream(order->stream, error);
    group_records(engine, &limits, work, route, order->puts, order->count, order->results);
    status = refusal_of(order, error);
    if (!status)
        status = check_shards(work, order, error);
    if (!status) {
        make_runs(work, order->puts);
        append->runs = work->runs;
        append->run_count = work->run_count;
        append->puts = order->puts;
        append->next_put = work->next;
        append->key_id = route->key_id;
        if (work->run_count == 0)
            return MR_OK;
        status = append_runs(engine, order, append, claim, error);
    }
    if (status)
        return_to_limits(&limits, work, route, order->puts);
    return status;
}

/* Queues append, if any record of the batch is good; so many have places. *claim is the caller's
 * then. */
static mr_status queue(struct mr_engine *engine, const struct mr_put_order *order,
                       struct mr_log_append *append, struct mr_origin_claim **claim,
                       size_t *placed_count, mr_error *error)
{
    _Alignas(16) uint8_t stack[STACK_BYTES];
    struct mr_put_batch *batch = NULL;
    struct work work;
    size_t bytes;
    bool has_implicit_key;
    mr_status status = check(order->puts, order->count, order->results, &has_implicit_key, error);

    *placed_count = 0;
    if (status)
        return status;
    status = refusal_of(order, error);
    if (status)
        return status;
    bytes = work_bytes(order->count);
    if (bytes > sizeof stack)
        batch = take_batch(&engine->put_calls, bytes);
    work = work_in(batch ? batch->bytes : stack, order->count);
    if (has_implicit_key)
        mr_hash_keys_of(&order->puts->partition_key, sizeof *order->puts, order->count, work.keys);

    if (hold_routes(engine, order->wait_ms)) {
        status = give_places(engine, &work, order, append, claim, error);
        pthread_rwlock_unlock(&engine->routes.lock);
    } else {
        status = mr_fail(error, MR_BUSY, "a stream is about to change: try again");
    }
    if (!status && work.run_count > 0)
        *placed_count = fill_results(&work, append->at_ms, order->results);
    else if (status)
        refuse(order->results, order->count, status);
    give_batch(&engine->put_calls, batch);
    return status;
}

static mr_status put_and_wait(struct mr_engine *engine, const struct mr_put_order *order,
                              mr_error *error)
{
    struct mr_log_append append = {0}; /* done is NULL: to wait for */
    struct mr_origin_claim *claim = NULL;
    size_t placed_count;
    mr_status status = queue(engine, order, &append, &claim, &placed_count, error);

    if (placed_count == 0)
        return status;
    status = mr_log_wait(engine->log, &append, error);
    mr_origin_release(engine, claim);
    if (status)
        refuse(order->results, order->count, status);
    return status;
}

mr_status mr_put_records(mr_engine *engine, const char *stream, const mr_put *puts, size_t count,
                         mr_put_result *results, mr_error *error)
{
    const struct mr_put_order order = {.stream = stream,
                                       .puts = puts,
                                       .count = count,
                                       .results = results,
                                       .wait_ms = MR_PUT_WAIT_MS};

    return put_and_wait(engine, &order, error);
}

/* Durable or failed. It happens, rarely, that this comes before the submitting thread has written
 * the sequences into results[]. */
static void finish(struct mr_log_append *append)
{
    struct mr_put_call *call = (struct mr_put_call *)(void *)append;
    void (*done)(void *context, mr_status status) = call->done;
    void *context = call->context;
    mr_status status = append->status;
    uint32_t seen = 0;

    if (atomic_compare_exchange_strong(&call->is_filled, &seen, 2))
        while (atomic_load(&call->is_filled) == 2)
            mr_word_wait(&call->is_filled, 2, UINT32_MAX);
    mr_origin_release(call->engine, call->claim);
    if (status)
        refuse(call->results, call->count, status);
    give_call(&call->engine->put_calls, call);
    done(context, status);
}

static mr_status submit(struct mr_engine *engine, const struct mr_put_order *order,
                        void (*done)(void *context, mr_status status), void *context,
                        bool *are_placed, mr_error *error)
{
    struct mr_put_call *call = take_call(&engine->put_calls);
    size_t placed_count;
    mr_status status;

    call->append.done = finish;
    call->append.entry = (mr_bytes){0};
    call->engine = engine;
    call->claim = NULL;
    call->results = order->results;
    call->count = order->count;
    call->done = done;
    call->context = context;
    atomic_store(&call->is_filled, 0);
    status = queue(engine, order, &call->append, &call->claim, &placed_count, error);
    *are_placed = placed_count == order->count;
    if (placed_count > 0) {
        if (atomic_exchange(&call->is_filled, 1) == 2)
            mr_word_wake(&call->is_filled, false);
        return MR_OK;
    }
    give_call(&engine->put_calls, call);
    if (!status)
        done(context, MR_OK); /* every record was refused */
    return status;
}

mr_status mr_put_submit(mr_engine *engine, const char *stream, const mr_put *puts, size_t count,
                        mr_put_result *results, void (*done)(void *context, mr_status status),
                        void *context, mr_error *error)
{
    const struct mr_put_order order = {.stream = stream,
                                       .puts = puts,
                                       .count = count,
                                       .results = results,
                                       .wait_ms = MR_PUT_WAIT_MS};
    bool are_placed;

    return submit(engine, &order, done, context, &are_placed, error);
}

mr_status mr_put_place(mr_engine *engine, const struct mr_put_order *order,
                       void (*done)(void *context, mr_status status), void *context,
                       bool *are_placed, mr_error *error)
{
    return submit(engine, order, done, context, are_placed, error);
}

mr_status mr_put_offer(mr_engine *engine, const char *stream, const mr_put *puts, size_t count,
                       mr_put_result *results, void (*done)(void *context, mr_status status),
                       void *context, mr_error *error)
{
    const struct mr_put_order order = {
        .stream = stream, .puts = puts, .count = count, .results = results};
    bool are_placed;

    return submit(engine, &order, done, context, &are_placed, error);
}

mr_status mr_put_from(mr_engine *engine, const char *stream, const mr_origin *origin,
                      const mr_put *puts, size_t count, mr_put_result *results, uint32_t wait_ms,
                      void (*done)(void *context, mr_status status), void *context, mr_error *error)
{
    const struct mr_put_order order = {.stream = stream,
                                       .origin = origin,
                                       .puts = puts,
                                       .count = count,
                                       .results = results,
                                       .is_whole = true,
                                       .wait_ms = wait_ms};
    bool are_placed;
    mr_status status = mr_origin_check(origin, error);

    if (status)
        return status;
    if (count == 0)
        return mr_fail(error, MR_INVALID, "no records come from an origin");
    return done ? submit(engine, &order, done, context, &are_placed, error)
                : put_and_wait(engine, &order, error);
}
