/* list_shards.c - ListShards: filters (spec 5.7), pages. */
#include "service/inside.h"

#include <string.h>

#define PAGE 1000

enum filter {
    FROM_TRIM_HORIZON, /* none is the same */
    AT_TRIM_HORIZON,
    AT_LATEST,
    AT_TIMESTAMP,
    FROM_TIMESTAMP,
    AFTER_SHARD_ID,
};

static const char *const filter_names[] = {"FROM_TRIM_HORIZON", "AT_TRIM_HORIZON",
                                           "AT_LATEST",         "AT_TIMESTAMP",
                                           "FROM_TIMESTAMP",    "AFTER_SHARD_ID"};

/* What is asked for: by the request, or by the token of the page before. The token of a page holds
 * it all. */
static bool read_filter(struct mr_call *call, const struct mr_api_shard_filter *filter,
                        struct mr_token *asked)
{
    mr_shard_id after;

    while (!mr_text_is(filter->type, filter_names[asked->filter]))
        asked->filter++; /* one of them: the request was checked */
    if (asked->filter == AT_TIMESTAMP || asked->filter == FROM_TIMESTAMP) {
        if (!filter->timestamp.is_set)
            return mr_refuse(call, MR_EXCEPTION_INVALID_ARGUMENT,
                             "Must specify Timestamp for shard filter type %s.",
                             filter_names[asked->filter]);
        asked->time_ms = filter->timestamp.value;
    }
    if (asked->filter != AFTER_SHARD_ID)
        return true;
    if (!filter->shard_id.data)
        return mr_refuse(call, MR_EXCEPTION_INVALID_ARGUMENT,
                         "Must specify ShardId for shard filter type AFTER_SHARD_ID.");
    if (!mr_shard_id_of(filter->shard_id, &after))
        return mr_refuse(call, MR_EXCEPTION_INVALID_ARGUMENT, "Invalid ShardId %.*s.",
                         TEXT(filter->shard_id));
    asked->shard = after + 1;
    return true;
}

static bool read_token(struct mr_local *local, struct mr_call *call,
                       const struct mr_api_list_shards_request *request, struct mr_token *asked)
{
    if (request->stream_name.data || request->stream_arn.data)
        return mr_refuse(call, MR_EXCEPTION_INVALID_ARGUMENT,
                         "NextToken and StreamName cannot be provided together.");
    if (!mr_token_open(local, request->next_token, asked) || asked->kind != TOKEN_SHARDS)
        return mr_refuse(call, MR_EXCEPTION_INVALID_ARGUMENT, "Invalid NextToken.");
    if (mr_local_now_ms(local) > asked->created_ms + MR_TOKEN_LIFE_MS)
        return mr_refuse(call, MR_EXCEPTION_EXPIRED_NEXT_TOKEN, "NextToken has expired.");
    return true;
}

/* Fills asked: the stream, the filter, and from which shard on. */
static bool read_request(struct mr_local *local, struct mr_call *call,
                         const struct mr_api_list_shards_request *request, struct mr_named *named,
                         struct mr_token *asked)
{
    mr_shard_id after;

    memset(asked, 0, sizeof *asked);
    if (request->next_token.data) {
        if (!read_token(local, call, request, asked))
            return false;
        memset(named, 0, sizeof *named);
        memcpy(named->name, asked->stream, sizeof named->name);
        memcpy(named->account, local->account, sizeof named->account);
        return true;
    }
    if (!request->stream_name.data && !request->stream_arn.data)
        return mr_refuse(call, MR_EXCEPTION_INVALID_ARGUMENT,
                         "Either NextToken or StreamName should be provided.");
    if (!mr_name_stream(local, call, request->stream_name, request->stream_arn, named))
        return false;
    if (request->shard_filter && !read_filter(call, request->shard_filter, asked))
        return false;
    if (request->exclusive_start_shard_id.data) {
        if (!mr_shard_id_of(request->exclusive_start_shard_id, &after))
            return mr_refuse(call, MR_EXCEPTION_INVALID_ARGUMENT,
                             "Invalid ExclusiveStartShardId %.*s.",
                             TEXT(request->exclusive_start_shard_id));
        if (asked->shard <= after)
            asked->shard = after + 1;
    }
    return true;
}

/* Open at that moment. */
static bool was_open(const mr_shard *shard, int64_t at_ms)
{
    return shard->created_ms <= at_ms && (!shard->is_closed || shard->closed_ms >= at_ms);
}

static bool is_asked(const struct mr_token *asked, const mr_shard *shard, int64_t horizon_ms)
{
    int64_t at_ms = asked->time_ms > horizon_ms ? asked->time_ms : horizon_ms;

    if (shard->id < asked->shard || (shard->is_closed && shard->closed_ms < horizon_ms))
        return false;
    switch ((enum filter)asked->filter) {
    case AT_TRIM_HORIZON:
        return was_open(shard, horizon_ms);
    case AT_LATEST:
        return !shard->is_closed;
    case AT_TIMESTAMP:
        return was_open(shard, at_ms);
    case FROM_TIMESTAMP:
        return !shard->is_closed || shard->closed_ms >= at_ms;
    case FROM_TRIM_HORIZON:
    case AFTER_SHARD_ID:
        break;
    }
    return true;
}

static void answer(struct mr_local *local, struct mr_call *call, const struct mr_shards *shards,
                   size_t page, struct mr_token *asked, int64_t horizon_ms)
{
    struct mr_api_list_shards_response *response = call->response;
    size_t most = page < shards->count ? page : shards->count;

    response->shards = mr_arena_array(call->arena, struct mr_api_shard, most);
    for (size_t i = 0; i < shards->count; i++) {
        if (!is_asked(asked, &shards->items[i], horizon_ms))
            continue;
        if (response->shards_count == most) {
            asked->kind = TOKEN_SHARDS;
            asked->created_ms = mr_local_now_ms(local);
            asked->shard = shards->items[i].id;
            response->next_token = mr_token_make(local, call, asked);
            break;
        }
        response->shards[response->shards_count++] = mr_shard_answer(call, &shards->items[i]);
    }
}

/* A stream younger than its retention begins with its first shards. */
static int64_t horizon_of(struct mr_local *local, const struct mr_shards *shards,
                          uint32_t retention_hours)
{
    int64_t horizon_ms = mr_local_now_ms(local) - retention_hours * HOUR_MS;

    if (shards->count > 0 && horizon_ms < shards->items[0].created_ms)
        return shards->items[0].created_ms;
    return horizon_ms;
}

static bool look(struct mr_local *local, struct mr_call *call, const struct mr_named *named,
                 const struct mr_token *asked, struct mr_local_stream *stream)
{
    enum mr_status_kind kind;

    if (!mr_local_look(local, call, named, false, stream))
        return false;
    kind = mr_phase_at(&stream->phase, mr_local_now_ms(local));
    if (kind == STATUS_CREATING || kind == STATUS_DELETING)
        return mr_refuse(call, MR_EXCEPTION_IN_USE,
                         "Stream %s under account %s not ACTIVE, instead in state %s", stream->name,
                         local->account, mr_status_kind_name(kind));
    if (asked->kind == TOKEN_SHARDS && asked->stream_id != stream->id)
        return mr_refuse_no_stream(call, stream->name, local->account);
    return true;
}

void mr_do_list_shards(struct mr_local *local, struct mr_call *call)
{
    const struct mr_api_list_shards_request *request = call->request;
    struct mr_local_stream stream;
    struct mr_stream_info info;
    struct mr_named named;
    struct mr_shards shards;
    struct mr_token asked;
    size_t page = PAGE;
    mr_error error;
    mr_status status;

    if (!read_request(local, call, request, &named, &asked) ||
        !look(local, call, &named, &asked, &stream))
        return;
    status = mr_stream_describe(local->engine, stream.name, &info, &error);
    if (status) {
        mr_refuse_status(local, call, stream.name, status, &error);
        return;
    }
    if (request->max_results.is_set && request->max_results.value < PAGE)
        page = (size_t)request->max_results.value;
    memcpy(asked.stream, stream.name, sizeof asked.stream);
    asked.stream_id = stream.id;
    if (mr_shards_open(local, call, stream.name, &shards))
        answer(local, call, &shards, page, &asked,
               horizon_of(local, &shards, info.retention_hours));
    mr_shards_close(&shards);
}
