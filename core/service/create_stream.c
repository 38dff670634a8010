/* create_stream.c - CreateStream and DeleteStream. */
#include "base/memory.h"
#include "service/inside.h"

#include <inttypes.h>
#include <string.h>

#define ON_DEMAND_SHARD_COUNT 4
#define CHANGING_COUNT_MAX 5 /* streams that are CREATING or DELETING */
#define SHARD_COUNT_MAX 10000

/* ---- counts ------------------------------------------------------------------------------- */

struct counting {
    struct mr_local *local;
    uint64_t shards, on_demand;
};

static bool count_stream(void *context, const struct mr_stream_info *info)
{
    struct counting *counting = context;
    const struct mr_local_stream *stream;

    pthread_rwlock_rdlock(&counting->local->lock);
    stream = mr_local_find(counting->local, info->name);
    if (stream && stream->is_on_demand)
        counting->on_demand++;
    else if (stream)
        counting->shards += info->open_shard_count;
    pthread_rwlock_unlock(&counting->local->lock);
    return true;
}

void mr_local_count(struct mr_local *local, uint64_t *shards, uint64_t *on_demand)
{
    struct counting counting = {.local = local};

    mr_stream_each(local->engine, count_stream, &counting);
    *shards = counting.shards;
    *on_demand = counting.on_demand;
}

static mr_bytes region_of(const struct mr_local *local, const struct mr_call *call)
{
    return call->region.data ? call->region : mr_text(local->region);
}

bool mr_check_shard_quota(struct mr_local *local, struct mr_call *call, uint64_t more)
{
    mr_bytes region = region_of(local, call);
    uint64_t shards, on_demand;

    mr_local_count(local, &shards, &on_demand);
    if (shards + more <= local->config.shard_count_max)
        return true;
    return mr_refuse(
        call, MR_EXCEPTION_LIMIT_EXCEEDED,
        "This request would exceed the shard limit for the account %s in %.*s. Current shard count "
        "for the account: %" PRIu64 ". Limit: %" PRIu32
        ". Number of additional shards that would have resulted from this request: %" PRIu64
        ". Refer to the AWS Service Limits page "
        "(http://docs.aws.amazon.com/general/latest/gr/aws_service_limits.html) for current limits "
        "and how to request higher limits.",
        local->account, TEXT(region), shards, local->config.shard_count_max, more);
}

/* ---- create ------------------------------------------------------------------------------- */

/* What stands in the way of it, but for quotas. */
static bool check_create(struct mr_local *local, struct mr_call *call,
                         const struct mr_api_create_stream_request *request,
                         const struct mr_local_stream *stream)
{
    int64_t now_ms = mr_local_now_ms(local);
    const struct mr_local_stream *other;
    size_t place = 0, changing = 0;
    bool is_taken;

    pthread_rwlock_rdlock(&local->lock);
    is_taken = mr_local_find(local, stream->name);
    while ((other = mr_table_next(&local->by_name, &place))) {
        enum mr_status_kind kind = mr_phase_at(&other->phase, now_ms);

        changing += (kind == STATUS_CREATING || kind == STATUS_DELETING) &&
                    !mr_phase_is_gone(&other->phase, now_ms);
    }
    pthread_rwlock_unlock(&local->lock);
    if (is_taken)
        return mr_refuse(call, MR_EXCEPTION_IN_USE, "Stream %s under account %s already exists.",
                         stream->name, local->account);
    if (changing >= CHANGING_COUNT_MAX && local->config.limit_calls)
        return mr_refuse(call, MR_EXCEPTION_LIMIT_EXCEEDED,
                         "This request would exceed the limit on the number of streams that can "
                         "simultaneously be in CREATING or DELETING. Limit: %d",
                         CHANGING_COUNT_MAX);
    if (stream->is_auto && !stream->is_on_demand)
        return mr_refuse(call, MR_EXCEPTION_INVALID_ARGUMENT,
                         "RecordDistributionStrategy AUTO needs a stream in On-Demand mode.");
    if (request->warm_throughput_mibps.is_set &&
        (!stream->is_on_demand || !mr_local_is_committed(local)))
        return mr_refuse(call, MR_EXCEPTION_VALIDATION,
                         "WarmThroughputMiBps needs a stream in On-Demand mode and the account's "
                         "MinimumThroughputBillingCommitment.");
    if (!stream->is_on_demand && !request->shard_count.is_set)
        return mr_refuse(call, MR_EXCEPTION_VALIDATION,
                         "1 validation error detected: Value null at 'shardCount' failed to "
                         "satisfy constraint: Member must not be null");
    return true;
}

static bool check_quotas(struct mr_local *local, struct mr_call *call, bool is_on_demand,
                         uint64_t shard_count)
{
    uint64_t shards, on_demand;

    if (!is_on_demand)
        return mr_check_shard_quota(local, call, shard_count);
    mr_local_count(local, &shards, &on_demand);
    if (on_demand < local->config.on_demand_stream_count_max)
        return true;
    return mr_refuse(call, MR_EXCEPTION_LIMIT_EXCEEDED,
                     "This request would exceed the limit of %" PRIu32
                     " On-Demand streams of the account %s.",
                     local->config.on_demand_stream_count_max, local->account);
}

static bool create(struct mr_local *local, struct mr_call *call, struct mr_local_stream *stream,
                   uint32_t shard_count)
{
    struct mr_stream_info info;
    mr_error error;
    mr_status status = mr_stream_create(local->engine, stream->name, shard_count, &error);

    if (!status)
        status = mr_stream_describe(local->engine, stream->name, &info, &error);
    if (status)
        return mr_refuse_status(local, call, stream->name, status, &error);
    stream->id = info.id;
    stream->created_ms = info.created_ms;
    mr_local_add(local, stream);
    return mr_local_store(local, call, stream);
}

void mr_do_create_stream(struct mr_local *local, struct mr_call *call)
{
    const struct mr_api_create_stream_request *request = call->request;
    const struct mr_api_stream_mode_details *mode = request->stream_mode_details;
    uint64_t shard_count = request->shard_count.is_set ? (uint64_t)request->shard_count.value : 0;
    struct mr_local_stream stream = {.max_record_kib = 1024};

    memcpy(stream.name, request->stream_name.data, request->stream_name.size);
    stream.is_on_demand = mode ? mr_text_is(mode->stream_mode, "ON_DEMAND") : shard_count == 0;
    stream.is_auto = mr_text_is(request->record_distribution_strategy, "AUTO");
    stream.warm_mibps = (uint32_t)request->warm_throughput_mibps.value;
    if (request->max_record_size_in_kib.is_set)
        stream.max_record_kib = (uint32_t)request->max_record_size_in_kib.value;
    if (stream.is_on_demand)
        shard_count =
            stream.warm_mibps > ON_DEMAND_SHARD_COUNT ? stream.warm_mibps : ON_DEMAND_SHARD_COUNT;

    pthread_mutex_lock(&local->changing);
    mr_local_sweep(local); /* one of that name may be due to go */
    stream.phase = mr_phase_begin(local, STATUS_CREATING);
    if (check_create(local, call, request, &stream) &&
        mr_local_check_tags(local, call, stream.name, request->tags, request->tags_count) &&
        check_quotas(local, call, stream.is_on_demand, shard_count)) {
        if (shard_count > SHARD_COUNT_MAX)
            mr_refuse(call, MR_EXCEPTION_LIMIT_EXCEEDED, "A stream has at most %d shards.",
                      SHARD_COUNT_MAX);
        else if (create(local, call, &stream, (uint32_t)shard_count))
            mr_local_tag(local, call, stream.name, "", request->tags, request->tags_count);
    }
    pthread_mutex_unlock(&local->changing);
}

/* ---- delete ------------------------------------------------------------------------------- */

void mr_do_delete_stream(struct mr_local *local, struct mr_call *call)
{
    const struct mr_api_delete_stream_request *request = call->request;
    bool enforces = request->enforce_consumer_deletion.value;
    int64_t now_ms = mr_local_now_ms(local);
    struct mr_local_stream stream;
    struct mr_named named;
    size_t consumers = 0;

    if (!mr_name_stream(local, call, request->stream_name, request->stream_arn, &named))
        return;
    pthread_mutex_lock(&local->changing);
    if (mr_local_look(local, call, &named, false, &stream)) {
        for (size_t i = 0; i < stream.consumer_count; i++)
            consumers += !mr_phase_is_gone(&stream.consumers[i].phase, now_ms);
        if (consumers > 0 && !enforces) {
            mr_refuse(call, MR_EXCEPTION_IN_USE,
                      "Stream %s under account %s has registered consumers.", named.name,
                      local->account);
        } else if (stream.phase.kind != STATUS_DELETING) {
            stream.phase = mr_phase_begin(local, STATUS_DELETING);
            mr_local_store(local, call, &stream);
        }
    }
    pthread_mutex_unlock(&local->changing);
}
