/*
 * reshard.c - SplitShard, MergeShards, UpdateShardCount (spec 5.4 to 5.6): checked in the call, done
 * when the stream has been UPDATING for as long as states last; until then puts go to the parents.
 */
#include "base/u128.h"
#include "service/inside.h"

#include <inttypes.h>
#include <string.h>

#define SHARD_COUNT_MAX 10000

/* ---- checks that they share --------------------------------------------------------------- */

static bool refuse_unknown(struct mr_local *local, struct mr_call *call, const char *stream,
                           mr_bytes shard)
{
    return mr_refuse(call, MR_EXCEPTION_NOT_FOUND,
                     "Could not find shard %.*s in stream %s under account %s.", TEXT(shard),
                     stream, local->account);
}

static bool look(struct mr_local *local, struct mr_call *call, const struct mr_named *named,
                 struct mr_local_stream *stream)
{
    if (!mr_local_look(local, call, named, true, stream))
        return false;
    return !stream->is_on_demand ||
           mr_refuse(call, MR_EXCEPTION_VALIDATION,
                     "Request is invalid. Stream %s under account %s is in On-Demand mode.",
                     stream->name, local->account);
}

static bool find(struct mr_local *local, struct mr_call *call, const char *stream, mr_shard_id id,
                 struct mr_shard_view *view)
{
    return !mr_shard_look(local->engine, stream, id, view, NULL) ||
           refuse_unknown(local, call, stream, mr_shard_text(call, id));
}

static bool check_open(struct mr_local *local, struct mr_call *call, const char *stream,
                       const mr_shard *shard)
{
    char text[MR_SHARD_TEXT_BYTES];

    mr_shard_format(shard->id, text);
    return !shard->is_closed ||
           mr_refuse(call, MR_EXCEPTION_INVALID_ARGUMENT,
                     "Shard %s in stream %s under account %s has already been merged or split, and "
                     "thus is not eligible for merging or splitting.",
                     text, stream, local->account);
}

mr_status mr_local_reshard(struct mr_local *local, const char *stream,
                           const struct mr_reshard *reshard, mr_error *error)
{
    switch (reshard->kind) {
    case RESHARD_SPLIT:
        return mr_shard_split(local->engine, stream, reshard->shard, &reshard->at, NULL, error);
    case RESHARD_MERGE:
        return mr_shard_merge(local->engine, stream, reshard->shard, reshard->adjacent, NULL,
                              error);
    case RESHARD_SCALE:
        return mr_stream_scale(local->engine, stream, reshard->shard_count, error);
    case RESHARD_NONE:
        break;
    }
    return MR_OK;
}

static bool begin_updating(struct mr_local *local, struct mr_call *call,
                           struct mr_local_stream *stream, const struct mr_reshard *reshard)
{
    mr_error error;
    mr_status status;

    stream->phase = mr_phase_begin(local, STATUS_UPDATING);
    if (local->config.state_delay_ms == 0) {
        status = mr_local_reshard(local, stream->name, reshard, &error);
        if (status)
            return mr_refuse_status(local, call, stream->name, status, &error);
    } else {
        stream->reshard = *reshard;
        stream->reshard.due_ms = stream->phase.until_ms;
        stream->phase.until_ms = MR_UNTIL_DONE;
    }
    return mr_local_store(local, call, stream);
}

/* ---- SplitShard --------------------------------------------------------------------------- */

static bool check_split(struct mr_local *local, struct mr_call *call, const char *stream,
                        const mr_shard *shard, mr_bytes digits, mr_hash_key *at)
{
    char text[48] = "", first[MR_HASH_KEY_TEXT_BYTES], last[MR_HASH_KEY_TEXT_BYTES],
         id[MR_SHARD_TEXT_BYTES];

    memcpy(text, digits.data, digits.size);
    mr_shard_format(shard->id, id);
    mr_hash_key_format(shard->first_key, first);
    mr_hash_key_format(shard->last_key, last);
    if (!mr_hash_key_parse(text, at, NULL) && mr_hash_key_below(*at, shard->last_key) &&
        mr_hash_key_below(shard->first_key, *at) &&
        mr_hash_key_below(mr_hash_key_next(shard->first_key), *at))
        return true;
    return mr_refuse(call, MR_EXCEPTION_INVALID_ARGUMENT,
                     "NewStartingHashKey %s used in SplitShard() on shard %s in stream %s under "
                     "account %s is not both greater than one plus the shard's StartingHashKey %s "
                     "and less than the shard's EndingHashKey %s.",
                     text, id, stream, local->account, first, last);
}

static void split(struct mr_local *local, struct mr_call *call, struct mr_local_stream *stream,
                  mr_shard_id id)
{
    const struct mr_api_split_shard_request *request = call->request;
    struct mr_reshard reshard = {.kind = RESHARD_SPLIT, .shard = id};
    struct mr_shard_view view;

    if (find(local, call, stream->name, id, &view) && mr_check_shard_quota(local, call, 1) &&
        check_split(local, call, stream->name, &view.shard, request->new_starting_hash_key,
                    &reshard.at) &&
        check_open(local, call, stream->name, &view.shard))
        begin_updating(local, call, stream, &reshard);
}

void mr_do_split_shard(struct mr_local *local, struct mr_call *call)
{
    const struct mr_api_split_shard_request *request = call->request;
    struct mr_local_stream stream;
    struct mr_named named;
    mr_shard_id id;

    if (!mr_name_stream(local, call, request->stream_name, request->stream_arn, &named))
        return;
    if (!mr_shard_id_of(request->shard_to_split, &id)) {
        refuse_unknown(local, call, named.name, request->shard_to_split);
        return;
    }
    pthread_mutex_lock(&local->changing);
    if (look(local, call, &named, &stream))
        split(local, call, &stream, id);
    pthread_mutex_unlock(&local->changing);
}

/* ---- MergeShards -------------------------------------------------------------------------- */

static bool touch(const mr_shard *low, const mr_shard *high)
{
    return mr_hash_key_below(low->last_key, high->first_key) &&
           mr_hash_key_equal(mr_hash_key_next(low->last_key), high->first_key);
}

static void merge(struct mr_local *local, struct mr_call *call, struct mr_local_stream *stream,
                  mr_shard_id id, mr_shard_id adjacent_id)
{
    struct mr_reshard reshard = {.kind = RESHARD_MERGE, .shard = id, .adjacent = adjacent_id};
    struct mr_shard_view low, high;
    char text[MR_SHARD_TEXT_BYTES], other[MR_SHARD_TEXT_BYTES];

    if (!find(local, call, stream->name, id, &low) ||
        !find(local, call, stream->name, adjacent_id, &high) ||
        !check_open(local, call, stream->name, &low.shard) ||
        !check_open(local, call, stream->name, &high.shard))
        return;
    if (touch(&low.shard, &high.shard)) {
        begin_updating(local, call, stream, &reshard);
        return;
    }
    mr_shard_format(id, text);
    mr_shard_format(adjacent_id, other);
    mr_refuse(call, MR_EXCEPTION_INVALID_ARGUMENT,
              "Shards %s and %s in stream %s under account %s are not an adjacent pair of shards "
              "eligible for merging",
              text, other, stream->name, local->account);
}

void mr_do_merge_shards(struct mr_local *local, struct mr_call *call)
{
    const struct mr_api_merge_shards_request *request = call->request;
    struct mr_local_stream stream;
    struct mr_named named;
    mr_shard_id id, adjacent = 0;
    bool is_known;

    if (!mr_name_stream(local, call, request->stream_name, request->stream_arn, &named))
        return;
    is_known = mr_shard_id_of(request->shard_to_merge, &id);
    if (!is_known || !mr_shard_id_of(request->adjacent_shard_to_merge, &adjacent)) {
        refuse_unknown(local, call, named.name,
                       is_known ? request->adjacent_shard_to_merge : request->shard_to_merge);
        return;
    }
    pthread_mutex_lock(&local->changing);
    if (look(local, call, &named, &stream))
        merge(local, call, &stream, id, adjacent);
    pthread_mutex_unlock(&local->changing);
}

/* ---- UpdateShardCount --------------------------------------------------------------------- */

static bool check_target(struct mr_local *local, struct mr_call *call,
                         const struct mr_local_stream *stream, uint64_t open, uint64_t target)
{
    uint64_t most = local->config.shard_count_max < SHARD_COUNT_MAX ? local->config.shard_count_max
                                                                    : SHARD_COUNT_MAX;

    if (target > most)
        return mr_refuse(call, MR_EXCEPTION_LIMIT_EXCEEDED,
                         "Target shard count or number of open shards cannot be greater than "
                         "%" PRIu64 ". Current open shard count: %" PRIu64
                         ", Target shard count: %" PRIu64,
                         most, open, target);
    if (target > 2 * open)
        return mr_refuse(call, MR_EXCEPTION_LIMIT_EXCEEDED,
                         "UpdateShardCount cannot scale up over double your current open shard "
                         "count. Current open shard count: %" PRIu64
                         " Target shard count: %" PRIu64,
                         open, target);
    if (2 * target < open)
        return mr_refuse(call, MR_EXCEPTION_LIMIT_EXCEEDED,
                         "UpdateShardCount cannot scale down below half your current open shard "
                         "count. Current open shard count: %" PRIu64
                         ", Target shard count: %" PRIu64,
                         open, target);
    if (local->config.limit_calls && mr_moments_count(stream->reshards_ms, RESHARD_COUNT_MAX,
                                                      mr_local_now_ms(local)) == RESHARD_COUNT_MAX)
        return mr_refuse(call, MR_EXCEPTION_LIMIT_EXCEEDED,
                         "UpdateShardCount cannot be called more than %d times in 24 hours for "
                         "stream %s under account %s.",
                         RESHARD_COUNT_MAX, stream->name, local->account);
    return target <= open || mr_check_shard_quota(local, call, target - open);
}

static void scale(struct mr_local *local, struct mr_call *call, struct mr_local_stream *stream)
{
    const struct mr_api_update_shard_count_request *request = call->request;
    struct mr_api_update_shard_count_response *response = call->response;
    struct mr_reshard reshard = {.kind = RESHARD_SCALE,
                                 .shard_count = (uint32_t)request->target_shard_count.value};
    struct mr_stream_info info;
    char arn[ARN_BYTES];
    mr_error error;
    mr_status status = mr_stream_describe(local->engine, stream->name, &info, &error);

    if (status) {
        mr_refuse_status(local, call, stream->name, status, &error);
        return;
    }
    if (!check_target(local, call, stream, info.open_shard_count,
                      (uint64_t)request->target_shard_count.value))
        return;
    mr_moments_add(stream->reshards_ms, RESHARD_COUNT_MAX, mr_local_now_ms(local));
    if (!begin_updating(local, call, stream, &reshard))
        return;
    mr_stream_arn(local, call, stream->name, arn);
    response->stream_name = mr_text_copy(call, stream->name);
    response->stream_arn = mr_text_copy(call, arn);
    response->current_shard_count = MR_NUMBER(info.open_shard_count);
    response->target_shard_count = request->target_shard_count;
}

void mr_do_update_shard_count(struct mr_local *local, struct mr_call *call)
{
    const struct mr_api_update_shard_count_request *request = call->request;
    struct mr_local_stream stream;
    struct mr_named named;

    if (!mr_name_stream(local, call, request->stream_name, request->stream_arn, &named))
        return;
    pthread_mutex_lock(&local->changing);
    if (look(local, call, &named, &stream))
        scale(local, call, &stream);
    pthread_mutex_unlock(&local->changing);
}
