#include "bench/ask.h"

#include "base/check.h"
#include "base/memory.h"
#include "base/pack.h"
#include "wire/wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BYTES_MAX ((size_t)64 << 20)

mr_bytes mr_ask_make(enum mr_action action, const void *request)
{
    struct mr_pack body = MR_PACK(BYTES_MAX), whole = MR_PACK(BYTES_MAX);
    char head[1200];
    int size;

    mr_encode(MR_FORMAT_JSON, mr_actions[action].request, request, &body);
    size = snprintf(
        head, sizeof head,
        "POST / HTTP/1.1\r\n"
        "Host: kinesis.us-east-1.amazonaws.com\r\n"
        "User-Agent: aws-sdk-js/3.1143.0 ua/2.1 os/linux#6.1 lang/js md/nodejs#20.20.2 "
        "api/kinesis#3.1143.0 m/E,N\r\n"
        "Content-Type: application/x-amz-json-1.1\r\n"
        "X-Amz-Target: Kinesis_20131202.%s\r\n"
        "X-Amz-Date: 20261122T120000Z\r\n"
        "Amz-Sdk-Invocation-Id: 3f1c5b52-7b0c-4d6e-9a55-0f6f2f5a7c11\r\n"
        "Amz-Sdk-Request: attempt=1; max=3\r\n"
        "Authorization: AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20261122/us-east-1/"
        "kinesis/aws4_request, SignedHeaders=amz-sdk-invocation-id;amz-sdk-request;content-length;"
        "content-type;host;x-amz-date;x-amz-target;x-amz-user-agent, Signature="
        "fe5f80f77d5fa3beca038a248ff027d0445342fe2855ddc963176630326f1024\r\n"
        "Content-Length: %zu\r\n\r\n",
        mr_actions[action].name, body.size);
    mr_check(size > 0 && (size_t)size < sizeof head);
    mr_pack_bytes(&whole, (mr_bytes){head, (size_t)size});
    mr_pack_bytes(&whole, (mr_bytes){body.data, body.size});
    mr_pack_fini(&body);
    return (mr_bytes){whole.data, whole.size};
}

void *mr_ask(uint16_t port, enum mr_action action, const void *request, struct mr_arena *arena)
{
    mr_bytes whole = mr_ask_make(action, request), body = mr_load_call(port, whole);
    struct mr_refusal refusal = {0};
    void *response = NULL;

    mr_free((void *)(uintptr_t)whole.data);
    if (body.size == 0)
        return NULL;
    body = mr_arena_copy(arena, body);
    if (!mr_decode(MR_FORMAT_JSON, body, mr_actions[action].response, arena, &response, &refusal)) {
        fprintf(stderr, "ask: %s: not understood: %.*s\n", mr_actions[action].name,
                (int)(body.size < 300 ? body.size : 300), (const char *)body.data);
        exit(1);
    }
    return response;
}

void mr_ask_stream(uint16_t port, const char *name, unsigned shard_count)
{
    struct mr_api_create_stream_request create = {.stream_name = MR_ASK_TEXT(name),
                                                  .shard_count = MR_NUMBER(shard_count)};
    struct mr_api_describe_stream_request describe = {.stream_name = MR_ASK_TEXT(name)};
    bool is_active = false;

    mr_ask(port, MR_ACTION_CREATE_STREAM, &create, NULL);
    while (!is_active) {
        struct mr_arena arena = MR_ARENA(BYTES_MAX);
        const struct mr_api_describe_stream_response *response =
            mr_ask(port, MR_ACTION_DESCRIBE_STREAM, &describe, &arena);
        mr_bytes status = response->stream_description->stream_status;

        is_active = status.size == 6 && memcmp(status.data, "ACTIVE", 6) == 0;
        mr_arena_fini(&arena);
    }
}

size_t mr_ask_iterator(uint16_t port, const char *stream, unsigned shard, char to[512])
{
    struct mr_arena arena = MR_ARENA(BYTES_MAX);
    char id[MR_SHARD_TEXT_BYTES];
    struct mr_api_get_shard_iterator_request request = {
        .stream_name = MR_ASK_TEXT(stream), .shard_iterator_type = MR_ASK_TEXT("TRIM_HORIZON")};
    const struct mr_api_get_shard_iterator_response *response;
    mr_bytes iterator;

    snprintf(id, sizeof id, "shardId-%012u", shard);
    request.shard_id = MR_ASK_TEXT(id);
    response = mr_ask(port, MR_ACTION_GET_SHARD_ITERATOR, &request, &arena);
    iterator = response->shard_iterator;
    mr_check(iterator.size <= 512);
    memcpy(to, iterator.data, iterator.size);
    mr_arena_fini(&arena);
    return iterator.size;
}

mr_bytes mr_ask_put_records(const char *stream, const mr_put *puts, size_t count)
{
    struct mr_api_put_records_request_entry entries[500] = {0};
    struct mr_api_put_records_request request = {
        .records = entries, .records_count = count, .stream_name = MR_ASK_TEXT(stream)};

    mr_check(count <= 500);
    for (size_t i = 0; i < count; i++) {
        entries[i].partition_key = puts[i].partition_key;
        entries[i].data = puts[i].data;
    }
    return mr_ask_make(MR_ACTION_PUT_RECORDS, &request);
}
