/* streams_remote.c - the streams of a server, through the Kinesis API. */
#include "ask.h"
#include "base/fail.h"
#include "base/u128.h"
#include "streams.h"

#include <string.h>
#include <time.h>

#define STATE_WAIT_MS 120000 /* for a stream to be ACTIVE, or gone */
#define STATE_STEP_MS 10     /* between two looks, at first */
#define STATE_STEP_MAX_MS 1000

/* ---- descriptions ------------------------------------------------------------------------- */

static mr_status summarize(mr_service *service, const char *stream, struct mr_arena *arena,
                           const struct mr_api_stream_description_summary **summary,
                           mr_error *error)
{
    struct mr_api_describe_stream_summary_request request = {.stream_name = mr_text_bytes(stream)};
    const void *response;
    mr_status status =
        mr_ask(service, MR_ACTION_DESCRIBE_STREAM_SUMMARY, &request, arena, &response, error);

    if (!status)
        *summary = ((const struct mr_api_describe_stream_summary_response *)response)
                       ->stream_description_summary;
    return status;
}

static void unknown_info(struct mr_stream_info *info, mr_bytes name)
{
    *info = (struct mr_stream_info){.record_count = MR_UNKNOWN,
                                    .record_bytes = MR_UNKNOWN,
                                    .segment_count = MR_UNKNOWN,
                                    .segment_raw_bytes = MR_UNKNOWN,
                                    .segment_stored_bytes = MR_UNKNOWN};
    mr_text_take(info->name, sizeof info->name, name);
}

static bool is_text(mr_bytes bytes, const char *text)
{
    return bytes.size == strlen(text) && memcmp(bytes.data, text, bytes.size) == 0;
}

static mr_status read_info(mr_service *service, const char *stream, struct mr_stream_info *info,
                           mr_error *error)
{
    const struct mr_api_stream_description_summary *summary;
    struct mr_arena arena = MR_ASK_ARENA;
    mr_status status = summarize(service, stream, &arena, &summary, error);

    if (!status) {
        unknown_info(info, summary->stream_name);
        info->created_ms = summary->stream_creation_timestamp.value;
        info->retention_hours = (uint32_t)summary->retention_period_hours.value;
        info->open_shard_count = (uint32_t)summary->open_shard_count.value;
        info->shard_count = info->open_shard_count;
        info->is_encrypted = is_text(summary->encryption_type, "KMS");
    }
    mr_arena_fini(&arena);
    return status;
}

mr_status mr_remote_describe(mr_service *service, const char *stream, struct mr_stream_info *info,
                             mr_error *error)
{
    struct mr_shard_list list = {.count = 0};
    mr_status status = read_info(service, stream, info, error);

    if (!status)
        status = mr_remote_shards(service, stream, &list, error);
    if (!status)
        info->shard_count = (uint32_t)list.count;
    mr_shard_list_fini(&list);
    return status;
}

mr_status mr_remote_each(mr_service *service, bool names_only,
                         bool (*visit)(void *context, const struct mr_stream_info *info),
                         void *context, mr_error *error)
{
    char last[MR_NAME_BYTES_MAX + 1] = "";
    bool goes_on = true;
    mr_status status = MR_OK;

    while (goes_on && !status) {
        struct mr_api_list_streams_request request = {.limit = MR_NUMBER(100)};
        const struct mr_api_list_streams_response *page;
        struct mr_arena arena = MR_ASK_ARENA;
        const void *response;

        if (*last)
            request.exclusive_start_stream_name = mr_text_bytes(last);
        status = mr_ask(service, MR_ACTION_LIST_STREAMS, &request, &arena, &response, error);
        page = status ? NULL : response;
        for (size_t i = 0; goes_on && !status && i < page->stream_names_count; i++) {
            struct mr_stream_info info;

            mr_text_take(last, sizeof last, page->stream_names[i]);
            unknown_info(&info, page->stream_names[i]);
            if (!names_only)
                status = read_info(service, last, &info, error);
            if (status == MR_NOT_FOUND)
                status = MR_OK; /* deleted meanwhile */
            else if (!status)
                goes_on = visit(context, &info);
        }
        goes_on = goes_on && !status && page->has_more_streams.value && page->stream_names_count;
        mr_arena_fini(&arena);
    }
    return status;
}

/* ---- shards ------------------------------------------------------------------------------- */

static bool read_key(mr_bytes bytes, mr_hash_key *key)
{
    char text[MR_HASH_KEY_TEXT_BYTES];

    mr_text_take(text, sizeof text, bytes);
    return mr_hash_key_parse(text, key, NULL) == MR_OK;
}

static bool read_id(mr_bytes bytes, mr_shard_id *id)
{
    char text[MR_SHARD_TEXT_BYTES];

    *id = MR_NO_SHARD;
    mr_text_take(text, sizeof text, bytes);
    return !bytes.size || mr_shard_parse(text, id, NULL) == MR_OK;
}

/* A sequence number tells when its shard was made, and when it was given. */
static bool read_sequence(mr_bytes bytes, mr_sequence *sequence)
{
    char text[MR_SEQUENCE_TEXT_BYTES];

    mr_text_take(text, sizeof text, bytes);
    return mr_sequence_parse(text, sequence, NULL) == MR_OK;
}

static bool read_shard(const struct mr_api_shard *told, mr_shard *shard)
{
    const struct mr_api_sequence_number_range *range = told->sequence_number_range;

    *shard = (mr_shard){.record_count = MR_UNKNOWN, .record_bytes = MR_UNKNOWN};
    shard->is_closed = range->ending_sequence_number.size > 0;
    if (!read_id(told->shard_id, &shard->id) || !read_id(told->parent_shard_id, &shard->parent) ||
        !read_id(told->adjacent_parent_shard_id, &shard->adjacent_parent) ||
        !read_key(told->hash_key_range->starting_hash_key, &shard->first_key) ||
        !read_key(told->hash_key_range->ending_hash_key, &shard->last_key) ||
        !read_sequence(range->starting_sequence_number, &shard->first_sequence) ||
        (shard->is_closed && !read_sequence(range->ending_sequence_number, &shard->last_sequence)))
        return false;
    shard->created_ms = (int64_t)shard->first_sequence.created_s * 1000;
    shard->closed_ms = (int64_t)shard->last_sequence.time_s * 1000;
    return true;
}

mr_status mr_remote_shards(mr_service *service, const char *stream, struct mr_shard_list *list,
                           mr_error *error)
{
    struct mr_api_list_shards_request request = {.stream_name = mr_text_bytes(stream)};
    struct mr_arena arena = MR_ASK_ARENA;
    const struct mr_api_list_shards_response *page;
    const void *response;
    mr_status status;

    do {
        status = mr_ask(service, MR_ACTION_LIST_SHARDS, &request, &arena, &response, error);
        if (status)
            break;
        page = response;
        for (size_t i = 0; !status && i < page->shards_count; i++) {
            mr_shard shard;

            if (read_shard(&page->shards[i], &shard))
                mr_shard_list_add(list, &shard);
            else
                status = mr_fail(error, MR_FORMAT, "the server tells of a shard that is none");
        }
        request = (struct mr_api_list_shards_request){.next_token = page->next_token};
    } while (!status && page->next_token.size);
    mr_arena_fini(&arena);
    return status;
}

/* ---- changes ------------------------------------------------------------------------------ */

static void wait_ms(unsigned ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000},
              NULL);
}

/* Until the stream is ACTIVE, or gone (NOT_FOUND). */
static mr_status wait_for_state(mr_service *service, const char *stream, mr_error *error)
{
    unsigned step_ms = STATE_STEP_MS, waited_ms = 0;

    for (;;) {
        const struct mr_api_stream_description_summary *summary;
        struct mr_arena arena = MR_ASK_ARENA;
        mr_status status = summarize(service, stream, &arena, &summary, error);
        bool is_active = !status && is_text(summary->stream_status, "ACTIVE");

        mr_arena_fini(&arena);
        if (status || is_active)
            return status;
        if (waited_ms >= STATE_WAIT_MS)
            return mr_fail(error, MR_TIMEOUT, "%s is still changing after two minutes", stream);
        wait_ms(step_ms);
        waited_ms += step_ms;
        if (step_ms < STATE_STEP_MAX_MS)
            step_ms *= 2;
    }
}

/* A change, and its end. */
static mr_status change(mr_service *service, const char *stream, enum mr_action action,
                        const void *request, mr_error *error)
{
    struct mr_arena arena = MR_ASK_ARENA;
    mr_status status = mr_ask(service, action, request, &arena, NULL, error);

    mr_arena_fini(&arena);
    return status ? status : wait_for_state(service, stream, error);
}

mr_status mr_remote_create(mr_service *service, const char *stream, uint32_t shard_count,
                           uint32_t retention_hours, mr_error *error)
{
    struct mr_api_create_stream_request request = {.stream_name = mr_text_bytes(stream),
                                                   .shard_count = MR_NUMBER(shard_count)};
    struct mr_api_increase_stream_retention_period_request longer = {
        .stream_name = mr_text_bytes(stream), .retention_period_hours = MR_NUMBER(retention_hours)};
    mr_status status = change(service, stream, MR_ACTION_CREATE_STREAM, &request, error);

    if (status == MR_BUSY)
        return mr_fail(error, MR_EXISTS, "stream %s exists", stream);
    if (!status && retention_hours != 24)
        status =
            change(service, stream, MR_ACTION_INCREASE_STREAM_RETENTION_PERIOD, &longer, error);
    return status;
}

mr_status mr_remote_delete(mr_service *service, const char *stream, mr_error *error)
{
    struct mr_api_delete_stream_request request = {.stream_name = mr_text_bytes(stream),
                                                   .enforce_consumer_deletion = MR_NUMBER(1)};
    struct mr_arena arena = MR_ASK_ARENA;
    mr_status status = mr_ask(service, MR_ACTION_DELETE_STREAM, &request, &arena, NULL, error);

    mr_arena_fini(&arena);
    if (status)
        return status;
    status = wait_for_state(service, stream, error);
    return status == MR_NOT_FOUND ? MR_OK : status;
}

mr_status mr_remote_scale(mr_service *service, const char *stream, uint32_t shard_count,
                          mr_error *error)
{
    struct mr_api_update_shard_count_request request = {
        .stream_name = mr_text_bytes(stream),
        .target_shard_count = MR_NUMBER(shard_count),
        .scaling_type = mr_text_bytes("UNIFORM_SCALING")};

    return change(service, stream, MR_ACTION_UPDATE_SHARD_COUNT, &request, error);
}

mr_status mr_remote_encrypt(mr_service *service, const char *stream, const char *key_id, bool is_on,
                            mr_error *error)
{
    struct mr_api_start_stream_encryption_request request = {
        .stream_name = mr_text_bytes(stream),
        .encryption_type = mr_text_bytes("KMS"),
        .key_id = mr_text_bytes(key_id),
    };
    struct mr_api_stop_stream_encryption_request end = {
        .stream_name = request.stream_name,
        .encryption_type = request.encryption_type,
        .key_id = request.key_id,
    };

    return is_on ? change(service, stream, MR_ACTION_START_STREAM_ENCRYPTION, &request, error)
                 : change(service, stream, MR_ACTION_STOP_STREAM_ENCRYPTION, &end, error);
}

/* The children of a shard, at most two, in id order. Returns how many. */
static size_t children_of(const struct mr_shard_list *list, mr_shard_id parent,
                          mr_shard_id children[2])
{
    size_t count = 0;

    for (size_t i = 0; i < list->count && count < 2; i++)
        if (list->shards[i].parent == parent || list->shards[i].adjacent_parent == parent)
            children[count++] = list->shards[i].id;
    return count;
}

static mr_status find_children(mr_service *service, const char *stream, mr_shard_id parent,
                               mr_shard_id *children, size_t wanted, mr_error *error)
{
    struct mr_shard_list list = {.count = 0};
    mr_status status = mr_remote_shards(service, stream, &list, error);
    mr_shard_id found[2];

    if (!status && children_of(&list, parent, found) < wanted)
        status = mr_fail(error, MR_UNAVAILABLE, "the server does not show the new shards yet");
    for (size_t i = 0; !status && i < wanted; i++)
        children[i] = found[i];
    mr_shard_list_fini(&list);
    return status;
}

static mr_status find_shard(mr_service *service, const char *stream, mr_shard_id id,
                            mr_shard *shard, mr_error *error)
{
    struct mr_shard_list list = {.count = 0};
    mr_status status = mr_remote_shards(service, stream, &list, error);
    bool is_found = false;

    for (size_t i = 0; i < list.count; i++)
        if (list.shards[i].id == id) {
            *shard = list.shards[i];
            is_found = true;
        }
    if (!status && !is_found)
        status = mr_fail(error, MR_NOT_FOUND, "stream %s has no shard %u", stream, id);
    mr_shard_list_fini(&list);
    return status;
}

/* The key that halves a shard: where the upper half begins. */
static mr_hash_key middle_of(const mr_shard *shard)
{
    mr_u128 first = mr_hash_key_wide(shard->first_key), last = mr_hash_key_wide(shard->last_key);

    return mr_hash_key_narrow(first + (last - first) / 2 + 1);
}

mr_status mr_remote_split(mr_service *service, const char *stream, mr_shard_id shard,
                          const mr_hash_key *at, mr_shard_id children[2], mr_error *error)
{
    char id[MR_SHARD_TEXT_BYTES], key[MR_HASH_KEY_TEXT_BYTES];
    struct mr_api_split_shard_request request = {.stream_name = mr_text_bytes(stream)};
    mr_shard split;
    mr_status status = at ? MR_OK : find_shard(service, stream, shard, &split, error);

    if (status)
        return status;
    mr_shard_format(shard, id);
    mr_hash_key_format(at ? *at : middle_of(&split), key);
    request.shard_to_split = mr_text_bytes(id);
    request.new_starting_hash_key = mr_text_bytes(key);
    status = change(service, stream, MR_ACTION_SPLIT_SHARD, &request, error);
    return status ? status : find_children(service, stream, shard, children, 2, error);
}

mr_status mr_remote_merge(mr_service *service, const char *stream, mr_shard_id shard,
                          mr_shard_id adjacent, mr_shard_id *child, mr_error *error)
{
    char first[MR_SHARD_TEXT_BYTES], second[MR_SHARD_TEXT_BYTES];
    struct mr_api_merge_shards_request request = {.stream_name = mr_text_bytes(stream)};
    mr_shard low, high;
    mr_status status = find_shard(service, stream, shard, &low, error);

    if (!status)
        status = find_shard(service, stream, adjacent, &high, error);
    if (status)
        return status;
    /* Kinesis wants the lower one first. */
    if (mr_hash_key_below(high.first_key, low.first_key)) {
        mr_shard_format(adjacent, first);
        mr_shard_format(shard, second);
    } else {
        mr_shard_format(shard, first);
        mr_shard_format(adjacent, second);
    }
    request.shard_to_merge = mr_text_bytes(first);
    request.adjacent_shard_to_merge = mr_text_bytes(second);
    status = change(service, stream, MR_ACTION_MERGE_SHARDS, &request, error);
    return status ? status : find_children(service, stream, shard, child, 1, error);
}
