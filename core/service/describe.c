/* describe.c - DescribeStream, DescribeStreamSummary, DescribeLimits, ListStreams. */
#include "service/inside.h"

#include <string.h>

#define SHARD_PAGE 100
#define STREAM_PAGE 100

/* ---- of one stream ------------------------------------------------------------------------ */

static struct mr_api_enhanced_metrics *metrics_of(struct mr_call *call, uint8_t bits)
{
    struct mr_api_enhanced_metrics *metrics =
        mr_arena_new(call->arena, struct mr_api_enhanced_metrics);

    metrics->shard_level_metrics = mr_arena_array(call->arena, mr_bytes, 7);
    for (int i = 0; i < 7; i++)
        if (bits & 1 << i)
            metrics->shard_level_metrics[metrics->shard_level_metrics_count++] =
                mr_text(mr_metric_names[i]);
    return metrics;
}

static struct mr_api_stream_mode_details *mode_of(struct mr_call *call, bool is_on_demand)
{
    struct mr_api_stream_mode_details *mode =
        mr_arena_new(call->arena, struct mr_api_stream_mode_details);

    mode->stream_mode = mr_text(is_on_demand ? "ON_DEMAND" : "PROVISIONED");
    return mode;
}

static mr_bytes arn_of(struct mr_local *local, struct mr_call *call, const char *name)
{
    char arn[ARN_BYTES];

    mr_stream_arn(local, call, name, arn);
    return mr_text_copy(call, arn);
}

static mr_bytes status_of(struct mr_local *local, const struct mr_local_stream *stream)
{
    return mr_text(mr_status_kind_name(mr_phase_at(&stream->phase, mr_local_now_ms(local))));
}

/* Both the description and the summary have these. */
#define DESCRIBE(description, local, call, stream, info)                                           \
    do {                                                                                           \
        (description)->stream_name = mr_text_copy((call), (stream)->name);                         \
        (description)->stream_arn = arn_of((local), (call), (stream)->name);                       \
        (description)->stream_status = status_of((local), (stream));                               \
        (description)->stream_mode_details = mode_of((call), (stream)->is_on_demand);              \
        (description)->retention_period_hours = MR_NUMBER((info)->retention_hours);                \
        (description)->stream_creation_timestamp = MR_NUMBER((stream)->created_ms);                \
        (description)->enhanced_monitoring = metrics_of((call), (stream)->metrics);                \
        (description)->enhanced_monitoring_count = 1;                                              \
        (description)->encryption_type = mr_text((stream)->is_encrypted ? "KMS" : "NONE");         \
        if ((stream)->is_encrypted)                                                                \
            (description)->key_id = mr_text((stream)->key_id);                                     \
    } while (0)

static bool look(struct mr_local *local, struct mr_call *call, mr_bytes name, mr_bytes arn,
                 struct mr_local_stream *stream, struct mr_stream_info *info)
{
    struct mr_named named;
    mr_error error;
    mr_status status;

    if (!mr_name_stream(local, call, name, arn, &named) ||
        !mr_local_look(local, call, &named, false, stream))
        return false;
    status = mr_stream_describe(local->engine, stream->name, info, &error);
    return !status || mr_refuse_status(local, call, stream->name, status, &error);
}

static void describe_shards(struct mr_call *call, const struct mr_shards *shards, int64_t after,
                            size_t most, struct mr_api_stream_description *description)
{
    size_t from = 0;

    while (from < shards->count && shards->items[from].id <= after)
        from++;
    if (most > shards->count - from)
        most = shards->count - from;
    description->shards = mr_arena_array(call->arena, struct mr_api_shard, most);
    description->shards_count = most;
    for (size_t i = 0; i < most; i++)
        description->shards[i] = mr_shard_answer(call, &shards->items[from + i]);
    description->has_more_shards = MR_NUMBER(from + most < shards->count);
}

void mr_do_describe_stream(struct mr_local *local, struct mr_call *call)
{
    const struct mr_api_describe_stream_request *request = call->request;
    struct mr_api_describe_stream_response *response = call->response;
    struct mr_api_stream_description *description =
        mr_arena_new(call->arena, struct mr_api_stream_description);
    size_t most = SHARD_PAGE;
    struct mr_local_stream stream;
    struct mr_stream_info info;
    struct mr_shards shards;
    mr_shard_id after = 0;
    bool has_after = request->exclusive_start_shard_id.data;

    if (!look(local, call, request->stream_name, request->stream_arn, &stream, &info))
        return;
    if (request->limit.is_set && request->limit.value < SHARD_PAGE)
        most = (size_t)request->limit.value;
    if (has_after && !mr_shard_id_of(request->exclusive_start_shard_id, &after)) {
        mr_refuse(call, MR_EXCEPTION_NOT_FOUND,
                  "Could not find shard %.*s in stream %s under account %s.",
                  TEXT(request->exclusive_start_shard_id), stream.name, local->account);
        return;
    }
    if (!mr_shards_open(local, call, stream.name, &shards))
        return;
    DESCRIBE(description, local, call, &stream, &info);
    if (mr_phase_at(&stream.phase, mr_local_now_ms(local)) == STATUS_CREATING)
        shards.count = 0;
    describe_shards(call, &shards, has_after ? (int64_t)after : -1, most, description);
    mr_shards_close(&shards);
    response->stream_description = description;
}

void mr_do_describe_stream_summary(struct mr_local *local, struct mr_call *call)
{
    const struct mr_api_describe_stream_summary_request *request = call->request;
    struct mr_api_describe_stream_summary_response *response = call->response;
    struct mr_api_stream_description_summary *summary =
        mr_arena_new(call->arena, struct mr_api_stream_description_summary);
    struct mr_local_stream stream;
    struct mr_stream_info info;
    size_t consumers = 0;

    if (!look(local, call, request->stream_name, request->stream_arn, &stream, &info))
        return;
    for (size_t i = 0; i < stream.consumer_count; i++)
        consumers += !mr_phase_is_gone(&stream.consumers[i].phase, mr_local_now_ms(local));
    DESCRIBE(summary, local, call, &stream, &info);
    summary->open_shard_count = MR_NUMBER(info.open_shard_count);
    summary->consumer_count = MR_NUMBER((int64_t)consumers);
    summary->max_record_size_in_kib = MR_NUMBER(stream.max_record_kib);
    summary->channel_count = MR_NUMBER(0);
    if (stream.is_on_demand)
        summary->record_distribution_strategy =
            mr_text(stream.is_auto ? "AUTO" : "USER_PARTITION_KEY");
    if (stream.is_on_demand && mr_local_is_committed(local)) {
        summary->warm_throughput = mr_arena_new(call->arena, struct mr_api_warm_throughput_object);
        summary->warm_throughput->target_mibps = MR_NUMBER(stream.warm_mibps);
        summary->warm_throughput->current_mibps = MR_NUMBER(info.open_shard_count);
    }
    response->stream_description_summary = summary;
    if (call->origin)
        call->origin->is_known = !mr_origin_position(
            local->engine, stream.name, call->origin->origin.name, &call->origin->position, NULL);
}

/* ---- of all ------------------------------------------------------------------------------- */

void mr_do_describe_limits(struct mr_local *local, struct mr_call *call)
{
    struct mr_api_describe_limits_response *response = call->response;
    uint64_t shards, on_demand;

    mr_local_count(local, &shards, &on_demand);
    response->shard_limit = MR_NUMBER(local->config.shard_count_max);
    response->open_shard_count = MR_NUMBER((int64_t)shards);
    response->on_demand_stream_count = MR_NUMBER((int64_t)on_demand);
    response->on_demand_stream_count_limit = MR_NUMBER(local->config.on_demand_stream_count_max);
}

struct listed {
    char name[MR_NAME_BYTES_MAX + 1];
    bool is_on_demand;
    enum mr_status_kind kind;
    int64_t created_ms;
};

/* The streams behind a name, in order: one more than a page, to know if there are more. */
struct listing {
    struct mr_local *local;
    struct mr_call *call;
    const char *after;
    struct listed *streams;
    size_t count, most;
};

static struct listed listed_of(struct mr_local *local, const struct mr_local_stream *stream)
{
    struct listed listed = {.is_on_demand = stream->is_on_demand,
                            .kind = mr_phase_at(&stream->phase, mr_local_now_ms(local)),
                            .created_ms = stream->created_ms};

    memcpy(listed.name, stream->name, sizeof listed.name);
    return listed;
}

static bool list_one(void *context, const struct mr_stream_info *info)
{
    struct listing *listing = context;
    struct mr_local_stream *stream;

    if (strcmp(info->name, listing->after) <= 0)
        return true;
    pthread_rwlock_rdlock(&listing->local->lock);
    stream = mr_local_find(listing->local, info->name);
    if (stream)
        listing->streams[listing->count++] = listed_of(listing->local, stream);
    pthread_rwlock_unlock(&listing->local->lock);
    return listing->count < listing->most;
}

static struct mr_api_stream_summary summary_of(struct mr_local *local, struct mr_call *call,
                                               const struct listed *stream)
{
    return (struct mr_api_stream_summary){
        .stream_name = mr_text_copy(call, stream->name),
        .stream_arn = arn_of(local, call, stream->name),
        .stream_status = mr_text(mr_status_kind_name(stream->kind)),
        .stream_mode_details = mode_of(call, stream->is_on_demand),
        .stream_creation_timestamp = MR_NUMBER(stream->created_ms)};
}

static void answer_list(struct listing *listing, size_t page)
{
    struct mr_api_list_streams_response *response = listing->call->response;
    struct mr_token token = {.kind = TOKEN_STREAMS, .created_ms = mr_local_now_ms(listing->local)};
    struct mr_call *call = listing->call;
    size_t count = listing->count > page ? page : listing->count;

    response->stream_names = mr_arena_array(call->arena, mr_bytes, count);
    response->stream_summaries = mr_arena_array(call->arena, struct mr_api_stream_summary, count);
    response->stream_names_count = response->stream_summaries_count = count;
    for (size_t i = 0; i < count; i++) {
        response->stream_summaries[i] = summary_of(listing->local, call, &listing->streams[i]);
        response->stream_names[i] = response->stream_summaries[i].stream_name;
    }
    response->has_more_streams = MR_NUMBER(listing->count > page);
    if (listing->count > page) {
        memcpy(token.name, listing->streams[page - 1].name, sizeof token.name);
        response->next_token = mr_token_make(listing->local, call, &token);
    }
}

void mr_do_list_streams(struct mr_local *local, struct mr_call *call)
{
    const struct mr_api_list_streams_request *request = call->request;
    char after[MR_NAME_BYTES_MAX + 1] = "";
    struct listing listing = {.local = local, .call = call, .after = after};
    size_t page = STREAM_PAGE;
    struct mr_token token;

    if (request->limit.is_set)
        page = (size_t)request->limit.value;
    if (request->next_token.data) {
        if (!mr_token_open(local, request->next_token, &token) || token.kind != TOKEN_STREAMS) {
            mr_refuse(call, MR_EXCEPTION_INVALID_ARGUMENT, "Invalid NextToken.");
            return;
        }
        if (mr_local_now_ms(local) > token.created_ms + MR_TOKEN_LIFE_MS) {
            mr_refuse(call, MR_EXCEPTION_EXPIRED_NEXT_TOKEN, "NextToken has expired.");
            return;
        }
        memcpy(after, token.name, sizeof after);
    } else if (request->exclusive_start_stream_name.data) {
        memcpy(after, request->exclusive_start_stream_name.data,
               request->exclusive_start_stream_name.size);
    }
    listing.most = page + 1;
    listing.streams = mr_arena_take(call->arena, listing.most * sizeof *listing.streams);
    mr_stream_each(local->engine, list_one, &listing);
    answer_list(&listing, page);
}
