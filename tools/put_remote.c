/*
 * put_remote.c - batches to a server, one after the other, so that the records of a key keep their
 * order; what it throttles is tried again before anything that comes later.
 */
#include "ask.h"
#include "base/memory.h"
#include "streams.h"

#include <string.h>
#include <time.h>

#define RECORDS_MAX 500
#define ROUNDS_MAX 12 /* of records that are throttled: about 10 s */
#define ROUND_MS 20
#define ROUND_MAX_MS 2000

struct batch {
    mr_service *service;
    const char *stream;
    const mr_put *puts;
    mr_put_result *results;
    size_t count;
    unsigned rounds_max;
    mr_error *error;
};

static bool is_text(mr_bytes bytes, const char *text)
{
    return bytes.size == strlen(text) && memcmp(bytes.data, text, bytes.size) == 0;
}

static mr_status status_of(const struct mr_api_put_records_result_entry *entry)
{
    if (is_text(entry->error_code, "ProvisionedThroughputExceededException"))
        return MR_THROTTLED;
    return entry->error_code.size ? MR_IO : MR_OK;
}

/* "Rate exceeded for shard shardId-000000000007 in stream ...": which one it is. */
static void read_shard(mr_bytes message, uint32_t *shard)
{
    static const char before[] = "shard ";
    const char *at = memmem(message.data, message.size, before, sizeof before - 1);
    char text[MR_SHARD_TEXT_BYTES];

    if (!at)
        return;
    at += sizeof before - 1;
    mr_text_take(text, sizeof text,
                 (mr_bytes){at, message.size - (size_t)(at - (const char *)message.data)});
    text[strcspn(text, " ")] = 0;
    mr_shard_parse(text, shard, NULL);
}

static void read_result(const struct mr_api_put_records_result_entry *entry, mr_put_result *result)
{
    char text[MR_SEQUENCE_TEXT_BYTES];

    *result = (mr_put_result){.status = status_of(entry)};
    if (result->status == MR_THROTTLED && entry->error_message.size)
        read_shard(entry->error_message, &result->sequence.shard);
    mr_text_take(text, sizeof text, entry->sequence_number);
    if (!result->status && mr_sequence_parse(text, &result->sequence, NULL))
        result->status = MR_IO;
    result->arrival_ms = (int64_t)result->sequence.time_s * 1000;
}

/* Puts once those that are not stored: at first all, afterwards what was throttled. */
static mr_status put_once(const struct batch *batch, size_t *throttled_count)
{
    struct mr_arena arena = MR_ASK_ARENA;
    struct mr_api_put_records_request_entry *entries =
        mr_arena_array(&arena, struct mr_api_put_records_request_entry, batch->count);
    struct mr_api_put_records_request request = {.stream_name = mr_text_bytes(batch->stream),
                                                 .records = entries};
    size_t *places = mr_arena_array(&arena, size_t, batch->count);
    const struct mr_api_put_records_response *answer;
    const void *response;
    mr_status status;

    for (size_t i = 0; i < batch->count; i++) {
        struct mr_api_put_records_request_entry *entry = &entries[request.records_count];

        if (batch->results[i].status != MR_THROTTLED)
            continue;
        entry->partition_key = batch->puts[i].partition_key;
        entry->data = batch->puts[i].data;
        if (!entry->data.data)
            entry->data.data = "";
        if (batch->puts[i].explicit_hash_key) {
            char text[MR_HASH_KEY_TEXT_BYTES];

            mr_hash_key_format(*batch->puts[i].explicit_hash_key, text);
            entry->explicit_hash_key = mr_arena_copy(&arena, mr_text_bytes(text));
        }
        places[request.records_count++] = i;
    }
    *throttled_count = 0;
    status =
        mr_ask(batch->service, MR_ACTION_PUT_RECORDS, &request, &arena, &response, batch->error);
    answer = status ? NULL : response;
    for (size_t i = 0; !status && i < request.records_count; i++) {
        read_result(&answer->records[i], &batch->results[places[i]]);
        *throttled_count += batch->results[places[i]].status == MR_THROTTLED;
    }
    mr_arena_fini(&arena);
    return status;
}

static mr_status put_rounds(const struct batch *batch)
{
    unsigned wait_ms = ROUND_MS;
    size_t throttled_count = 0;
    mr_status status;

    for (size_t i = 0; i < batch->count; i++)
        batch->results[i] = (mr_put_result){.status = MR_THROTTLED};
    status = put_once(batch, &throttled_count);
    for (unsigned round = 1; !status && throttled_count && round < batch->rounds_max; round++) {
        nanosleep(&(struct timespec){wait_ms / 1000, (long)(wait_ms % 1000) * 1000000}, NULL);
        wait_ms = 2 * wait_ms < ROUND_MAX_MS ? 2 * wait_ms : ROUND_MAX_MS;
        status = put_once(batch, &throttled_count);
    }
    return status;
}

/* One bad record makes a server refuse all that come with it: the good ones go by themselves. */
static mr_status put(const struct batch *batch)
{
    struct batch half = *batch;
    mr_status status = MR_OK;

    if (batch->count <= RECORDS_MAX)
        status = put_rounds(batch);
    if (batch->count == 1 && status == MR_INVALID) {
        batch->results[0] = (mr_put_result){.status = MR_INVALID};
        return MR_OK;
    }
    if (batch->count <= RECORDS_MAX && status != MR_INVALID)
        return status;
    half.count = batch->count / 2;
    status = put(&half);
    half.puts += half.count;
    half.results += half.count;
    half.count = batch->count - half.count;
    return status ? status : put(&half);
}

mr_status mr_remote_put(mr_service *service, const char *stream, const mr_put *puts, size_t count,
                        mr_put_result *results, mr_error *error)
{
    return put(&(struct batch){service, stream, puts, results, count, ROUNDS_MAX, error});
}

mr_status mr_remote_put_once(mr_service *service, const char *stream, const mr_put *puts,
                             size_t count, mr_put_result *results, mr_error *error)
{
    return put(&(struct batch){service, stream, puts, results, count, 1, error});
}
