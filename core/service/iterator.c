/* iterator.c - GetShardIterator and GetRecords. */
#include "service/inside.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define ITERATORS_PER_S 5 /* of each open shard */
#define RECORD_COUNT_MAX 10000
#define DATA_BYTES_MAX (10 * MIB)

/* ---- GetShardIterator --------------------------------------------------------------------- */

static bool refuse_shard(struct mr_call *call, mr_shard_id shard, const char *stream,
                         const char *account)
{
    char text[MR_SHARD_TEXT_BYTES];

    mr_shard_format(shard, text);
    return mr_refuse(call, MR_EXCEPTION_NOT_FOUND,
                     "Shard %s in stream %s under account %s does not exist", text, stream,
                     account);
}

static bool check_rate(struct mr_local *local, struct mr_call *call, const char *name,
                       uint32_t open_count)
{
    struct mr_local_stream *stream;
    bool is_fine = true;

    if (!local->config.limit_calls)
        return true;
    pthread_rwlock_rdlock(&local->lock);
    stream = mr_local_find(local, name);
    if (stream)
        is_fine =
            mr_bucket_take(&stream->calls[call->action], local->clock->monotonic_ns(local->clock),
                           ITERATORS_PER_S * open_count, 1);
    pthread_rwlock_unlock(&local->lock);
    return is_fine ||
           mr_refuse(call, MR_EXCEPTION_THROUGHPUT_EXCEEDED,
                     "Rate exceeded for stream %s under account %s.", name, local->account);
}

/* Where the newest record is now: what comes later is seen whenever one reads (K2). */
static bool fix_latest(struct mr_local *local, struct mr_call *call, const char *stream,
                       mr_shard_id shard, struct mr_token *token)
{
    const struct mr_reader_config config = {.from = {.start = MR_START_LATEST}};
    mr_reader *reader;
    mr_error error;
    mr_status status = mr_reader_open(&reader, local->engine, stream, shard, &config, &error);

    if (status == MR_NOT_FOUND)
        return refuse_shard(call, shard, stream, local->account);
    if (status)
        return mr_refuse_status(local, call, stream, status, &error);
    token->number = mr_reader_position(reader).number;
    mr_reader_close(reader);
    return true;
}

static bool place(struct mr_local *local, struct mr_call *call, const mr_position *position,
                  struct mr_token *token)
{
    switch (position->start) {
    case MR_START_LATEST:
        return fix_latest(local, call, token->stream, token->shard, token);
    case MR_START_AT:
        token->number = position->sequence.number ? position->sequence.number - 1 : 0;
        return true;
    case MR_START_AFTER:
        token->number = position->sequence.number;
        return true;
    case MR_START_AT_TIME:
        token->is_time = true;
        token->time_ms = position->time_ms;
        return true;
    case MR_START_TRIM_HORIZON:
        break;
    }
    return true;
}

static bool is_known(struct mr_local *local, const struct mr_named *named,
                     struct mr_local_stream *copy)
{
    const struct mr_local_stream *stream;

    pthread_rwlock_rdlock(&local->lock);
    stream = mr_local_find(local, named->name);
    if (stream) {
        copy->id = stream->id;
        copy->phase = stream->phase;
        copy->is_encrypted = stream->is_encrypted;
    }
    pthread_rwlock_unlock(&local->lock);
    return stream && strcmp(named->account, local->account) == 0 &&
           mr_phase_at(&copy->phase, mr_local_now_ms(local)) != STATUS_CREATING;
}

static void answer_iterator(struct mr_local *local, struct mr_call *call,
                            const struct mr_named *named, const struct mr_local_stream *stream,
                            mr_shard_id id)
{
    const struct mr_api_get_shard_iterator_request *request = call->request;
    struct mr_api_get_shard_iterator_response *response = call->response;
    const struct mr_asked asked = {request->shard_iterator_type, request->starting_sequence_number,
                                   request->timestamp, "GetShardIterator"};
    struct mr_shard_view view;
    struct mr_token token = {.kind = TOKEN_ITERATOR, .stream_id = stream->id, .shard = id};
    mr_position position;

    if (mr_shard_look(local->engine, named->name, id, &view, NULL)) {
        refuse_shard(call, id, named->name, named->account);
        return;
    }
    memcpy(token.stream, named->name, sizeof token.stream);
    if (!mr_position_of(local, call, named->name, &view.shard, &asked, &position) ||
        !check_rate(local, call, named->name, view.open_shard_count) ||
        !mr_goes_on(call, request->dry_run) || !place(local, call, &position, &token))
        return;
    token.created_ms = mr_local_now_ms(local);
    response->shard_iterator = mr_token_make(local, call, &token);
}

void mr_do_get_shard_iterator(struct mr_local *local, struct mr_call *call)
{
    const struct mr_api_get_shard_iterator_request *request = call->request;
    struct mr_local_stream stream;
    struct mr_named named;
    mr_shard_id id;

    if (!mr_name_stream(local, call, request->stream_name, request->stream_arn, &named))
        return;
    if (!mr_shard_id_of(request->shard_id, &id)) {
        mr_refuse(call, MR_EXCEPTION_NOT_FOUND,
                  "Could not find shard %.*s in stream %s under account %s.",
                  TEXT(request->shard_id), named.name, named.account);
        return;
    }
    if (!is_known(local, &named, &stream)) {
        refuse_shard(call, id, named.name, named.account);
        return;
    }
    answer_iterator(local, call, &named, &stream, id);
}

/* ---- GetRecords --------------------------------------------------------------------------- */

/* "Thu Jan 22 01:22:02 UTC 2015" */
static void format_time(int64_t ms, char text[40])
{
    time_t seconds = (time_t)(ms / 1000);
    struct tm parts;
    static const char *const days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

    gmtime_r(&seconds, &parts);
    snprintf(text, 40, "%s %s %02d %02d:%02d:%02d UTC %d", days[parts.tm_wday],
             months[parts.tm_mon], parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec,
             parts.tm_year + 1900);
}

static bool check_iterator(struct mr_local *local, struct mr_call *call, mr_bytes text,
                           struct mr_token *token)
{
    int64_t now_ms = mr_local_now_ms(local);
    char created[40], now[40];

    if (!mr_token_open(local, text, token) || token->kind != TOKEN_ITERATOR)
        return mr_refuse(call, MR_EXCEPTION_INVALID_ARGUMENT, "Invalid ShardIterator.");
    if (now_ms <= token->created_ms + MR_TOKEN_LIFE_MS)
        return true;
    format_time(token->created_ms, created);
    format_time(now_ms, now);
    return mr_refuse(call, MR_EXCEPTION_EXPIRED_ITERATOR,
                     "Iterator expired. The iterator was created at time %s while right now it is "
                     "%s which is further in the future than the tolerated delay of %d "
                     "milliseconds.",
                     created, now, MR_TOKEN_LIFE_MS);
}

/* What one call reads. */
struct reading {
    struct mr_call *call;
    mr_reader *reader;
    struct mr_api_record *records;
    size_t count, most;
    uint64_t bytes, charged;
    int64_t behind_ms;
    bool is_encrypted, is_full, end_of_shard;
    mr_sequence reached;
};

/* Copies what fits of a batch. */
static void take_batch(struct reading *reading, const mr_batch *batch)
{
    for (size_t i = 0; i < batch->count && !reading->is_full; i++) {
        const mr_record *record = &batch->records[i];

        if (reading->count > 0 && reading->bytes + record->data.size > DATA_BYTES_MAX) {
            reading->is_full = true;
            return;
        }
        reading->records[reading->count++] =
            mr_record_answer(reading->call, record, reading->is_encrypted);
        reading->bytes += record->data.size;
        reading->charged += record->data.size + record->partition_key.size;
        reading->reached = record->sequence;
    }
}

static mr_status read_batches(struct reading *reading, mr_error *error)
{
    mr_batch batch;
    mr_status status;

    while (!reading->is_full && reading->count < reading->most) {
        status = mr_reader_next(reading->reader, reading->most - reading->count, 0, &batch, error);
        if (status)
            return status;
        take_batch(reading, &batch);
        if (!reading->is_full) {
            reading->reached = mr_reader_position(reading->reader);
            reading->end_of_shard = batch.end_of_shard;
            reading->behind_ms = batch.behind_ms;
        }
        if (batch.count == 0 || batch.end_of_shard)
            break;
    }
    return MR_OK;
}

/* At the end of a closed shard: no more iterator, but its children (K3). */
static void answer_end(struct mr_local *local, struct mr_call *call, const struct mr_token *token)
{
    struct mr_api_get_records_response *response = call->response;
    struct mr_shard_view view;
    int64_t behind_ms = 0;

    if (mr_shard_look(local->engine, token->stream, token->shard, &view, NULL))
        return; /* forgotten meanwhile */
    response->child_shards = mr_children_of(call, &view, &response->child_shards_count);
    if (view.shard.is_closed)
        behind_ms = mr_local_now_ms(local) - view.shard.closed_ms;
    response->millis_behind_latest = MR_NUMBER(behind_ms > 0 ? behind_ms : 0);
}

static void count_reading(struct mr_local *local, const struct mr_token *token,
                          const struct reading *reading)
{
    const struct mr_api_get_records_response *response = reading->call->response;
    struct mr_stream_meter *meter = mr_meter_begin(&local->meter, token->stream);
    uint64_t *stream = mr_meter_stream(meter), *shard = mr_meter_shard(meter, token->shard);

    stream[MR_STREAM_GET_RECORDS_SUCCESS]++;
    stream[MR_STREAM_GET_RECORDS_BYTES] += reading->charged;
    stream[MR_STREAM_GET_RECORDS_RECORDS] += reading->count;
    shard[MR_SHARD_OUTGOING_BYTES] += reading->charged;
    shard[MR_SHARD_OUTGOING_RECORDS] += reading->count;
    shard[MR_SHARD_ITERATOR_AGE] = (uint64_t)response->millis_behind_latest.value;
    mr_meter_end(&local->meter);
}

static void answer_records(struct mr_local *local, struct reading *reading, struct mr_token *token)
{
    struct mr_api_get_records_response *response = reading->call->response;

    response->records = reading->records;
    response->records_count = reading->count;
    if (reading->end_of_shard && reading->count == 0) {
        answer_end(local, reading->call, token);
        return;
    }
    response->millis_behind_latest = MR_NUMBER(reading->behind_ms);
    if (reading->is_full) {
        int64_t behind_ms =
            mr_local_now_ms(local) -
            reading->records[reading->count - 1].approximate_arrival_timestamp.value;
        response->millis_behind_latest = MR_NUMBER(behind_ms > 0 ? behind_ms : 1);
    }
    token->created_ms = mr_local_now_ms(local);
    token->is_time = false;
    token->number = reading->reached.number;
    response->next_shard_iterator = mr_token_make(local, reading->call, token);
}

static bool open_reader(struct mr_local *local, struct mr_call *call, const struct mr_token *token,
                        mr_reader **reader)
{
    struct mr_reader_config config = {.from = {.start = token->is_time  ? MR_START_AT_TIME
                                                        : token->number ? MR_START_AFTER
                                                                        : MR_START_TRIM_HORIZON,
                                               .sequence = {.number = token->number},
                                               .time_ms = token->time_ms}};
    mr_error error;
    mr_status status =
        mr_reader_open(reader, local->engine, token->stream, token->shard, &config, &error);

    if (status == MR_NOT_FOUND)
        return refuse_shard(call, token->shard, token->stream, local->account);
    return !status || mr_refuse_status(local, call, token->stream, status, &error);
}

static bool admit(struct mr_local *local, struct mr_call *call, const struct mr_token *token,
                  mr_reader *reader)
{
    char shard[MR_SHARD_TEXT_BYTES];

    if (mr_reader_admit(reader, NULL) == MR_OK)
        return true;
    mr_meter_shard(mr_meter_begin(&local->meter, token->stream),
                   token->shard)[MR_SHARD_READ_EXCEEDED]++;
    mr_meter_end(&local->meter);
    mr_shard_format(token->shard, shard);
    return mr_refuse(call, MR_EXCEPTION_THROUGHPUT_EXCEEDED,
                     "Rate exceeded for shard %s in stream %s under account %s.", shard,
                     token->stream, local->account);
}

void mr_do_get_records(struct mr_local *local, struct mr_call *call)
{
    const struct mr_api_get_records_request *request = call->request;
    struct reading reading = {.call = call, .most = RECORD_COUNT_MAX};
    struct mr_local_stream stream;
    struct mr_named named = {0};
    struct mr_token token;
    mr_error error;
    mr_status status;

    if (!check_iterator(local, call, request->shard_iterator, &token))
        return;
    memcpy(named.name, token.stream, sizeof named.name);
    memcpy(named.account, local->account, sizeof named.account);
    if (!is_known(local, &named, &stream) || stream.id != token.stream_id) {
        refuse_shard(call, token.shard, token.stream, local->account);
        return;
    }
    if (request->limit.is_set)
        reading.most = (size_t)request->limit.value;
    if (!open_reader(local, call, &token, &reading.reader))
        return;
    if (mr_goes_on(call, request->dry_run) && admit(local, call, &token, reading.reader)) {
        reading.is_encrypted = stream.is_encrypted;
        reading.reached = mr_reader_position(reading.reader);
        reading.records = mr_arena_take(call->arena, reading.most * sizeof *reading.records);
        status = read_batches(&reading, &error);
        mr_reader_charge(reading.reader, reading.charged);
        if (status && reading.count == 0)
            mr_refuse_status(local, call, token.stream, status, &error);
        else
            answer_records(local, &reading, &token);
        if (!call->refusal.type)
            count_reading(local, &token, &reading);
    }
    mr_reader_close(reading.reader);
}
