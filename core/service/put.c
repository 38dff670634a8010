/*
 * put.c - PutRecord and PutRecords, the latter in C's own terms, too: on the caller's thread up to the engine's queue, and answered
 * when the records are durable. When the engine cannot take one at once, it is parked, and with it
 * all that come later, so that their order stays: a worker, who may wait, puts them one by one.
 */
#include "base/u128.h"
#include "service/inside.h"
#include "service/sequence.h"

#include <stdio.h>
#include <string.h>

#define REQUEST_BYTES_MAX (10 * MIB) /* data and keys of one call */
#define FEW 8                        /* results that are formatted on the engine's own thread */
#define PARKED_MS_MAX 30000
#define WAIT_MS 30000 /* for room */

struct put {
    struct mr_local *local;
    char stream[MR_NAME_BYTES_MAX + 1];
    bool is_encrypted, is_auto;
    bool is_batch; /* its results are read as they are */
    bool is_whole;
    const mr_shard_id *shards;
    uint32_t record_bytes_max;
    size_t count;
    const mr_put *puts;
    mr_put *made; /* puts, where they were made of a request's texts */
    mr_put_result *results;
    mr_hash_key *hash_keys;
    struct mr_call *call;
    struct put *next; /* parked behind it */
    uint64_t parked_ns;
};

/* ---- the stream --------------------------------------------------------------------------- */

/* Only what is needed here: this is the way of every record. */
static bool look(struct mr_local *local, struct mr_call *call, struct put *put, mr_bytes name,
                 mr_bytes arn)
{
    const struct mr_local_stream *stream;
    struct mr_named named;
    bool is_there;

    if (!mr_name_stream(local, call, name, arn, &named))
        return false;
    pthread_rwlock_rdlock(&local->lock);
    stream = mr_local_find(local, named.name);
    is_there = stream && mr_phase_at(&stream->phase, mr_local_now_ms(local)) != STATUS_CREATING &&
               strcmp(named.account, local->account) == 0;
    if (is_there) {
        put->is_encrypted = stream->is_encrypted;
        put->is_auto = stream->is_auto;
        put->record_bytes_max = stream->max_record_kib * 1024;
    }
    pthread_rwlock_unlock(&local->lock);
    memcpy(put->stream, named.name, sizeof put->stream);
    return is_there || mr_refuse_no_stream(call, named.name, named.account);
}

/* ---- records ------------------------------------------------------------------------------ */

/* Where a member stands in a message: of PutRecords with the entry's number, from 1 on. */
static const char *place_of(char text[64], const char *member, size_t number)
{
    if (number)
        snprintf(text, 64, "records.%zu.member.%s", number, member);
    else
        snprintf(text, 64, "%s", member);
    return text;
}

/* Of an even spread: each next one as far from those before as it can be. */
static mr_hash_key next_place(struct mr_local *local)
{
    uint64_t number = atomic_fetch_add_explicit(&local->spread, 1, memory_order_relaxed);

    return (mr_hash_key){.hi = number * UINT64_C(0x9e3779b97f4a7c15), .lo = 0};
}

static bool read_record(struct mr_call *call, struct put *put, size_t index, mr_bytes data,
                        mr_bytes key, mr_bytes explicit_hash_key, size_t number)
{
    char place[64], digits[MR_HASH_KEY_TEXT_BYTES + 8] = "";

    if (!key.data && !put->is_auto)
        return mr_refuse(call, MR_EXCEPTION_VALIDATION,
                         "1 validation error detected: Value null at '%s' failed to satisfy "
                         "constraint: Member must not be null",
                         place_of(place, "partitionKey", number));
    if (data.size + key.size > put->record_bytes_max)
        return mr_refuse(call, MR_EXCEPTION_VALIDATION,
                         "1 validation error detected: Value at '%s' failed to satisfy constraint: "
                         "Member must have length less than or equal to %u",
                         place_of(place, "data", number), put->record_bytes_max);
    put->made[index] = (mr_put){.partition_key = key, .data = data};
    if (put->is_auto) {
        put->hash_keys[index] = next_place(put->local);
        put->made[index].explicit_hash_key = &put->hash_keys[index];
    } else if (explicit_hash_key.data) {
        memcpy(digits, explicit_hash_key.data, explicit_hash_key.size);
        if (mr_hash_key_parse(digits, &put->hash_keys[index], NULL))
            return mr_refuse(call, MR_EXCEPTION_INVALID_ARGUMENT,
                             "Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, "
                             "2^128-1]. Specified value was %s",
                             digits);
        put->made[index].explicit_hash_key = &put->hash_keys[index];
    }
    return true;
}

static struct put *begin(struct mr_local *local, struct mr_call *call, size_t count)
{
    struct put *put = mr_arena_new(call->arena, struct put);

    put->local = local;
    put->call = call;
    put->count = count;
    put->puts = put->made = mr_arena_take(call->arena, count * sizeof *put->made);
    put->results = mr_arena_take(call->arena, count * sizeof *put->results);
    put->hash_keys = mr_arena_take(call->arena, count * sizeof *put->hash_keys);
    call->work = put;
    return put;
}

/* ---- answers ------------------------------------------------------------------------------ */

static void throttled(const struct put *put, const mr_put_result *result, char text[256])
{
    char shard[MR_SHARD_TEXT_BYTES];

    mr_shard_format(result->sequence.shard, shard);
    snprintf(text, 256, "Rate exceeded for shard %s in stream %s under account %s.", shard,
             put->stream, put->local->account);
}

static void answer_one(struct mr_call *call, const struct put *put)
{
    struct mr_api_put_record_response *response = call->response;
    const mr_put_result *result = &put->results[0];
    char text[256];

    if (result->status == MR_THROTTLED) {
        throttled(put, result, text);
        mr_refuse(call, MR_EXCEPTION_THROUGHPUT_EXCEEDED, "%s", text);
        return;
    }
    if (result->status) {
        mr_refuse(call, MR_EXCEPTION_INTERNAL_FAILURE, "%s", mr_status_text(result->status));
        return;
    }
    response->shard_id = mr_shard_text(call, result->sequence.shard);
    response->sequence_number = mr_sequence_text(call, &result->sequence);
    if (put->is_encrypted)
        response->encryption_type = mr_text("KMS");
}

static void answer_many(struct mr_call *call, const struct put *put)
{
    struct mr_api_put_records_response *response = call->response;
    int64_t failed = 0;
    char text[256];

    response->records =
        mr_arena_array(call->arena, struct mr_api_put_records_result_entry, put->count);
    response->records_count = put->count;
    for (size_t i = 0; i < put->count; i++) {
        struct mr_api_put_records_result_entry *entry = &response->records[i];
        const mr_put_result *result = &put->results[i];

        if (result->status == MR_THROTTLED) {
            throttled(put, result, text);
            entry->error_code = mr_text("ProvisionedThroughputExceededException");
            entry->error_message = mr_text_copy(call, text);
        } else if (result->status) {
            entry->error_code = mr_text("InternalFailure");
            entry->error_message = mr_text("Internal service failure.");
        } else {
            entry->sequence_number = mr_sequence_text(call, &result->sequence);
            entry->shard_id = mr_shard_text(call, result->sequence.shard);
        }
        failed += result->status != MR_OK;
    }
    response->failed_record_count = MR_NUMBER(failed);
    if (put->is_encrypted)
        response->encryption_type = mr_text("KMS");
}

static void count(const struct put *put)
{
    const bool is_one = put->call->action == MR_ACTION_PUT_RECORD;
    struct mr_stream_meter *meter = mr_meter_begin(&put->local->meter, put->stream);
    uint64_t *stream = mr_meter_stream(meter);
    uint64_t good_count = 0, throttled_count = 0, good_bytes = 0;

    for (size_t i = 0; i < put->count; i++) {
        const mr_put_result *result = &put->results[i];
        uint64_t bytes = put->puts[i].data.size + put->puts[i].partition_key.size, *shard;

        if (result->status && result->status != MR_THROTTLED)
            continue; /* it has no shard */
        shard = mr_meter_shard(meter, result->sequence.shard);
        if (result->status) {
            shard[MR_SHARD_WRITE_EXCEEDED]++;
            throttled_count++;
            continue;
        }
        shard[MR_SHARD_INCOMING_RECORDS]++;
        shard[MR_SHARD_INCOMING_BYTES] += bytes;
        good_bytes += bytes;
        good_count++;
    }
    stream[is_one ? MR_STREAM_PUT_RECORD_BYTES : MR_STREAM_PUT_RECORDS_BYTES] += good_bytes;
    stream[is_one ? MR_STREAM_PUT_RECORD_SUCCESS : MR_STREAM_PUT_RECORDS_SUCCESS] += good_count > 0;
    if (!is_one) {
        stream[MR_STREAM_PUT_RECORDS_TOTAL] += put->count;
        stream[MR_STREAM_PUT_RECORDS_GOOD] += good_count;
        stream[MR_STREAM_PUT_RECORDS_FAILED] += put->count - good_count;
        stream[MR_STREAM_PUT_RECORDS_THROTTLED] += throttled_count;
    }
    mr_meter_end(&put->local->meter);
}

static void answer(struct mr_job *job)
{
    struct mr_call *call = (struct mr_call *)(void *)((char *)job - offsetof(struct mr_call, job));

    count(call->work);
    if (call->action == MR_ACTION_PUT_RECORD)
        answer_one(call, call->work);
    else
        answer_many(call, call->work);
    call->done(call);
}

static void note_position(const struct put *put)
{
    struct mr_call_origin *origin = put->call->origin;

    if (origin)
        origin->is_known = !mr_origin_position(put->local->engine, put->stream, origin->origin.name,
                                               &origin->position, NULL);
}

/* On a thread of the engine: the next puts wait until we return. */
static void finish(void *context, mr_status status)
{
    struct mr_call *call = context;
    struct put *put = call->work;

    note_position(put);
    if (status) {
        mr_error error = {.status = status};

        snprintf(error.message, sizeof error.message, "%s", mr_status_text(status));
        mr_refuse_status(put->local, call, put->stream, status, &error);
        call->done(call);
        return;
    }
    call->job.run = answer;
    if (put->is_batch) { /* there is nothing to format */
        count(put);
        call->done(call);
    } else if (put->count <= FEW) {
        answer(&call->job);
    } else {
        mr_workers_add(put->local->workers, &call->job);
    }
}

/* ---- the engine --------------------------------------------------------------------------- */

/* Waits for room if it may. */
static mr_status submit_to(mr_engine *engine, struct put *put, bool may_wait, bool *are_placed,
                           mr_error *error)
{
    struct mr_call *call = put->call;
    const struct mr_put_order order = {.stream = put->stream,
                                       .puts = put->puts,
                                       .count = put->count,
                                       .results = put->results,
                                       .is_whole = put->is_whole,
                                       .shards = put->shards,
                                       .wait_ms = may_wait ? WAIT_MS : 0};

    *are_placed = false;
    if (call->origin)
        return mr_put_from(engine, put->stream, &call->origin->origin, put->puts, put->count,
                           put->results, may_wait ? WAIT_MS : 0, finish, call, error);
    return mr_put_place(engine, &order, finish, call, are_placed, error);
}

/* False, and nothing happened: the engine cannot take it at once. */
static bool give(struct put *put, bool may_wait, bool takes_busy, bool *are_placed)
{
    struct mr_call *call = put->call;
    mr_error error;
    mr_status status = submit_to(put->local->engine, put, may_wait, are_placed, &error);

    if (status == MR_BUSY && !takes_busy)
        return false;
    if (status) {
        note_position(put);
        if (status == MR_THROTTLED)
            count(put);
        mr_refuse_status(put->local, call, put->stream, status, &error);
        call->done(call);
    }
    return true;
}

static uint64_t real_ns(void)
{
    return mr_clock_real()->monotonic_ns(mr_clock_real());
}

/* The first one; NULL: none, and nobody drains any more. */
static struct put *take_parked(struct mr_local *local)
{
    struct put *put;

    pthread_mutex_lock(&local->parked.lock);
    put = local->parked.first;
    if (put)
        local->parked.first = put->next;
    else
        local->parked.is_draining = false;
    pthread_mutex_unlock(&local->parked.lock);
    return put;
}

/* One that has waited for long already does not make the others wait as long again. */
static void drain(struct mr_job *job)
{
    struct mr_local *local =
        (struct mr_local *)(void *)((char *)job - offsetof(struct mr_local, parked.drain));
    struct put *put;

    while ((put = take_parked(local))) {
        bool is_late = real_ns() - put->parked_ns > (uint64_t)PARKED_MS_MAX * 1000000;
        bool are_placed; /* nobody waits to be told */

        give(put, !is_late, true, &are_placed);
    }
}

/* Puts it behind those that are parked; false: none is, and it need not be. */
static bool park(struct mr_local *local, struct put *put, bool needs_it)
{
    bool was_draining;

    pthread_mutex_lock(&local->parked.lock);
    was_draining = local->parked.is_draining;
    needs_it |= was_draining;
    if (needs_it) {
        put->next = NULL;
        put->parked_ns = real_ns();
        if (local->parked.first)
            local->parked.last->next = put;
        else
            local->parked.first = put;
        local->parked.last = put;
        local->parked.is_draining = true;
    }
    pthread_mutex_unlock(&local->parked.lock);
    if (needs_it && !was_draining) {
        local->parked.drain.run = drain;
        mr_workers_add(local->workers, &local->parked.drain);
    }
    return needs_it;
}

/* True: all have their places. One that is parked may have none for long. */
static bool submit(struct mr_local *local, struct put *put)
{
    bool are_placed = false;

    if (!park(local, put, false) && !give(put, false, false, &are_placed))
        park(local, put, true);
    return are_placed;
}

/* ---- the actions -------------------------------------------------------------------------- */

static bool check_ordering(struct mr_local *local, struct mr_call *call, const struct put *put,
                           mr_bytes minimum)
{
    struct mr_asked_sequence read;

    if (!minimum.data)
        return true;
    if (mr_sequence_read(minimum, &read) && (int64_t)read.time_s * 1000 <= mr_local_now_ms(local))
        return true; /* every new number is greater than those given out before */
    return mr_refuse(call, MR_EXCEPTION_INVALID_ARGUMENT,
                     "ExclusiveMinimumSequenceNumber %.*s used in PutRecord on stream %s under "
                     "account %s is invalid.",
                     TEXT(minimum), put->stream, local->account);
}

void mr_do_put_record(struct mr_local *local, struct mr_call *call)
{
    const struct mr_api_put_record_request *request = call->request;
    struct put *put = begin(local, call, 1);

    if (look(local, call, put, request->stream_name, request->stream_arn) &&
        read_record(call, put, 0, request->data, request->partition_key, request->explicit_hash_key,
                    0) &&
        check_ordering(local, call, put, request->sequence_number_for_ordering) &&
        mr_goes_on(call, request->dry_run))
        submit(local, put);
    else
        call->done(call);
}

/* All of them before any is put: K1. */
static bool read_records(struct mr_call *call, struct put *put,
                         const struct mr_api_put_records_request *request)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < put->count; i++) {
        const struct mr_api_put_records_request_entry *entry = &request->records[i];

        bytes += entry->data.size + entry->partition_key.size;
        if (!read_record(call, put, i, entry->data, entry->partition_key, entry->explicit_hash_key,
                         i + 1))
            return false;
    }
    return bytes <= REQUEST_BYTES_MAX ||
           mr_refuse(call, MR_EXCEPTION_INVALID_ARGUMENT, "Records size exceeds 10 MB limit");
}

void mr_do_put_records(struct mr_local *local, struct mr_call *call)
{
    const struct mr_api_put_records_request *request = call->request;
    struct put *put = begin(local, call, request->records_count);

    if (look(local, call, put, request->stream_name, request->stream_arn) &&
        read_records(call, put, request) && mr_goes_on(call, request->dry_run))
        submit(local, put);
    else
        call->done(call);
}

/* ---- the same without texts --------------------------------------------------------------- */

/* A stream that places records itself gets copies of them, with the places. */
static void place_records(struct mr_call *call, struct put *put, const struct mr_puts *batch)
{
    put->made = mr_arena_take(call->arena, batch->count * sizeof *put->made);
    put->hash_keys = mr_arena_take(call->arena, batch->count * sizeof *put->hash_keys);
    for (size_t i = 0; i < batch->count; i++) {
        put->hash_keys[i] = next_place(put->local);
        put->made[i] = batch->puts[i];
        put->made[i].explicit_hash_key = &put->hash_keys[i];
    }
    put->puts = put->made;
}

static bool check_batch(struct mr_call *call, const struct put *put)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < put->count; i++) {
        size_t more = put->puts[i].data.size + put->puts[i].partition_key.size;

        bytes += more;
        if (more > put->record_bytes_max)
            return mr_refuse(call, MR_EXCEPTION_VALIDATION,
                             "record %zu is of %zu bytes: the stream takes %u", i, more,
                             put->record_bytes_max);
    }
    return bytes <= REQUEST_BYTES_MAX ||
           mr_refuse(call, MR_EXCEPTION_INVALID_ARGUMENT, "Records size exceeds 10 MB limit");
}

bool mr_do_put_batch(struct mr_local *local, struct mr_call *call)
{
    const struct mr_puts *batch = call->request;
    struct put *put = mr_arena_new(call->arena, struct put);

    put->local = local;
    put->call = call;
    put->is_batch = true;
    put->is_whole = batch->is_whole;
    put->shards = batch->shards;
    put->count = batch->count;
    put->puts = batch->puts;
    put->results = batch->results;
    call->work = put;
    if (!look(local, call, put, batch->stream_name, batch->stream_arn) || !check_batch(call, put)) {
        call->done(call);
        return false;
    }
    if (put->is_auto)
        place_records(call, put, batch);
    return submit(local, put);
}
