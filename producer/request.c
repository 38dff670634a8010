/*
 * request.c - PutRecords, by one of two doors: a service in this process takes records and fills
 * results; any other has to be written to, and its answer read, in texts.
 */
#include "stage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static mr_bytes text_of(const char *text)
{
    return (mr_bytes){text, strlen(text)};
}

void mr_stage_note_failure(struct mr_producer *producer, mr_bytes name, mr_bytes message)
{
    snprintf(producer->last_failure, sizeof producer->last_failure, "%.*s: %.*s", (int)name.size,
             name.data ? (const char *)name.data : "", (int)message.size,
             message.data ? (const char *)message.data : "");
}

/* ---- out ------------------------------------------------------------------------------------ */

static bool call_with_batch(struct mr_service *service, struct mr_sending *sending, mr_bytes stream,
                            bool is_arn)
{
    const struct mr_producer *producer = sending->producer;

    sending->batch = (struct mr_puts){
        .puts = sending->puts,
        .count = sending->count,
        .results = sending->results,
        .is_whole = producer->is_trusting,
        .shards = producer->is_trusting && producer->map.is_needed ? sending->shards : NULL};
    *(is_arn ? &sending->batch.stream_arn : &sending->batch.stream_name) = stream;
    sending->call.request = &sending->batch;
    return service->put(service, &sending->call);
}

static void call_with_texts(struct mr_service *service, struct mr_sending *sending, mr_bytes stream,
                            bool is_arn)
{
    struct mr_api_put_records_request *request =
        mr_arena_new(&sending->arena, struct mr_api_put_records_request);

    request->records =
        mr_arena_array(&sending->arena, struct mr_api_put_records_request_entry, sending->count);
    request->records_count = sending->count;
    for (size_t i = 0; i < sending->count; i++) {
        struct mr_api_put_records_request_entry *entry = &request->records[i];
        const mr_put *put = &sending->puts[i];
        char *digits;

        entry->partition_key = put->partition_key;
        entry->data = put->data;
        if (!put->explicit_hash_key)
            continue;
        digits = mr_arena_take(&sending->arena, MR_HASH_KEY_TEXT_BYTES);
        mr_hash_key_format(*put->explicit_hash_key, digits);
        entry->explicit_hash_key = text_of(digits);
    }
    *(is_arn ? &request->stream_arn : &request->stream_name) = stream;
    sending->call.request = request;
    service->call(service, &sending->call);
}

bool mr_stage_request_call(struct mr_producer *producer, struct mr_sending *sending)
{
    struct mr_service *service = producer->config.service;
    bool is_arn = strncmp(producer->stream, "arn:", 4) == 0;

    if (service->put)
        return call_with_batch(service, sending, text_of(producer->stream), is_arn);
    call_with_texts(service, sending, text_of(producer->stream), is_arn);
    return false;
}

/* ---- in ------------------------------------------------------------------------------------- */

/* Of whoever numbers in another way than AWS, the number alone if it is one. */
static mr_sequence read_sequence(const struct mr_api_put_records_result_entry *entry)
{
    char number[MR_SEQUENCE_TEXT_BYTES] = "", shard[MR_SHARD_TEXT_BYTES * 2] = "";
    mr_shard_id id = MR_NO_SHARD;
    mr_sequence sequence;

    if (entry->shard_id.data && entry->shard_id.size < sizeof shard)
        memcpy(shard, entry->shard_id.data, entry->shard_id.size);
    if (entry->sequence_number.size < sizeof number)
        memcpy(number, entry->sequence_number.data, entry->sequence_number.size);
    mr_shard_parse(shard, &id, NULL);
    if (mr_sequence_parse(number, &sequence, NULL))
        sequence = (mr_sequence){.number = strlen(number) < 19 ? strtoull(number, NULL, 10) : 0};
    sequence.shard = id;
    return sequence;
}

static void read_texts(struct mr_producer *producer, struct mr_sending *sending)
{
    const struct mr_api_put_records_response *response = sending->call.response;

    for (size_t i = 0; i < sending->count; i++) {
        const struct mr_api_put_records_result_entry *entry = &response->records[i];
        mr_put_result *result = &sending->results[i];

        *result = (mr_put_result){0};
        if (!entry->error_code.size && entry->sequence_number.size) {
            result->sequence = read_sequence(entry);
            continue;
        }
        result->status = mr_exception_find(entry->error_code) == MR_EXCEPTION_THROUGHPUT_EXCEEDED
                             ? MR_THROTTLED
                             : MR_UNAVAILABLE;
        mr_stage_note_failure(producer, entry->error_code, entry->error_message);
    }
}

/* What the engine says in a number is told in words once a request. */
static void read_batch(struct mr_producer *producer, const struct mr_sending *sending)
{
    for (size_t i = 0; i < sending->count; i++)
        if (sending->results[i].status) {
            mr_stage_note_failure(producer, text_of("refused"),
                                  text_of(mr_status_text(sending->results[i].status)));
            return;
        }
}

void mr_stage_request_read(struct mr_producer *producer, struct mr_sending *sending)
{
    const struct mr_api_put_records_response *response = sending->call.response;

    if (sending->call.refusal.type)
        return;
    if (producer->config.service->put)
        read_batch(producer, sending);
    else if (response->records_count == sending->count)
        read_texts(producer, sending);
    else
        sending->call.refusal = (struct mr_refusal){
            MR_EXCEPTION_SERVICE_UNAVAILABLE, text_of("the answer has not one entry a record")};
}
