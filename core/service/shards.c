/* shards.c - shards, positions and records as the API shows them. */
#include "base/memory.h"
#include "service/inside.h"
#include "service/sequence.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- texts -------------------------------------------------------------------------------- */

mr_bytes mr_shard_text(struct mr_call *call, mr_shard_id id)
{
    char *text = mr_arena_take(call->arena, MR_SHARD_TEXT_BYTES);

    mr_shard_format(id, text);
    return mr_text(text);
}

mr_bytes mr_hash_text(struct mr_call *call, mr_hash_key key)
{
    char *text = mr_arena_take(call->arena, MR_HASH_KEY_TEXT_BYTES);

    mr_hash_key_format(key, text);
    return mr_text(text);
}

mr_bytes mr_sequence_text(struct mr_call *call, const mr_sequence *sequence)
{
    char *text = mr_arena_take(call->arena, MR_SEQUENCE_TEXT_BYTES);

    mr_sequence_format(sequence, text);
    return (mr_bytes){text, MR_SEQUENCE_TEXT_BYTES - 1};
}

bool mr_shard_id_of(mr_bytes text, mr_shard_id *id)
{
    const char *at = text.data, *end = at + text.size;
    const char *dash = memchr(at, '-', text.size);
    uint64_t number = 0;

    if (dash)
        at = dash + 1;
    if (at == end)
        return false;
    for (; at < end; at++) {
        if (*at < '0' || *at > '9')
            return false;
        number = number * 10 + (uint64_t)(*at - '0');
        if (number > INT32_MAX)
            return false;
    }
    *id = (mr_shard_id)number;
    return true;
}

/* ---- shards ------------------------------------------------------------------------------- */

static bool gather(void *context, const mr_shard *shard)
{
    struct mr_shards *shards = context;

    mr_grow(shards->items, shards->count, shards->capacity);
    shards->items[shards->count++] = *shard;
    return true;
}

bool mr_shards_open(struct mr_local *local, struct mr_call *call, const char *stream,
                    struct mr_shards *shards)
{
    mr_error error;
    mr_status status;

    *shards = (struct mr_shards){0};
    status = mr_shard_each(local->engine, stream, gather, shards, &error);
    return !status || mr_refuse_status(local, call, stream, status, &error);
}

void mr_shards_close(struct mr_shards *shards)
{
    mr_free(shards->items);
}

struct mr_api_hash_key_range *mr_range_of(struct mr_call *call, const mr_shard *shard)
{
    struct mr_api_hash_key_range *range = mr_arena_new(call->arena, struct mr_api_hash_key_range);

    range->starting_hash_key = mr_hash_text(call, shard->first_key);
    range->ending_hash_key = mr_hash_text(call, shard->last_key);
    return range;
}

struct mr_api_shard mr_shard_answer(struct mr_call *call, const mr_shard *shard)
{
    struct mr_api_sequence_number_range *sequences =
        mr_arena_new(call->arena, struct mr_api_sequence_number_range);
    struct mr_api_shard answer = {.shard_id = mr_shard_text(call, shard->id),
                                  .hash_key_range = mr_range_of(call, shard),
                                  .sequence_number_range = sequences};

    sequences->starting_sequence_number = mr_sequence_text(call, &shard->first_sequence);
    if (shard->is_closed)
        sequences->ending_sequence_number = mr_sequence_text(call, &shard->last_sequence);
    if (shard->parent != MR_NO_SHARD)
        answer.parent_shard_id = mr_shard_text(call, shard->parent);
    if (shard->adjacent_parent != MR_NO_SHARD)
        answer.adjacent_parent_shard_id = mr_shard_text(call, shard->adjacent_parent);
    return answer;
}

static void add_parent(struct mr_call *call, struct mr_api_child_shard *child, mr_shard_id parent)
{
    if (parent != MR_NO_SHARD)
        child->parent_shards[child->parent_shards_count++] = mr_shard_text(call, parent);
}

struct mr_api_child_shard *mr_children_of(struct mr_call *call, const struct mr_shard_view *view,
                                          size_t *count)
{
    struct mr_api_child_shard *children;

    *count = view->child_count;
    if (view->child_count == 0)
        return NULL;
    children = mr_arena_array(call->arena, struct mr_api_child_shard, view->child_count);
    for (size_t i = 0; i < view->child_count; i++) {
        const mr_shard *shard = &view->children[i];

        children[i].shard_id = mr_shard_text(call, shard->id);
        children[i].hash_key_range = mr_range_of(call, shard);
        children[i].parent_shards = mr_arena_array(call->arena, mr_bytes, 2);
        add_parent(call, &children[i], shard->parent);
        add_parent(call, &children[i], shard->adjacent_parent);
    }
    return children;
}

/* ---- positions ---------------------------------------------------------------------------- */

/* The position of a sequence number; refused if it cannot be one of this shard. */
static bool at_sequence(struct mr_local *local, struct mr_call *call, const char *stream,
                        const mr_shard *shard, const struct mr_asked *asked, mr_position *position)
{
    struct mr_asked_sequence read;
    char id[MR_SHARD_TEXT_BYTES];

    mr_shard_format(shard->id, id);
    if (!mr_sequence_read(asked->sequence, &read))
        return mr_refuse(call, MR_EXCEPTION_INVALID_ARGUMENT,
                         "StartingSequenceNumber %.*s used in %s on shard %s in stream %s under "
                         "account %s is invalid.",
                         TEXT(asked->sequence), asked->caller, id, stream, local->account);
    if (read.shard != (int32_t)shard->id)
        return mr_refuse(call, MR_EXCEPTION_INVALID_ARGUMENT,
                         "Invalid StartingSequenceNumber. It encodes shardId-%012d, while it was "
                         "used in a call to a shard with %s",
                         read.shard, id);
    if (read.version == 0) /* Kinesis fails, too */
        return mr_refuse(call, MR_EXCEPTION_INTERNAL_FAILURE,
                         "StartingSequenceNumber %.*s has the layout of 2013, which no shard has.",
                         TEXT(asked->sequence));
    if (read.version == 1 || read.created_s != shard->first_sequence.created_s)
        return mr_refuse(call, MR_EXCEPTION_INVALID_ARGUMENT,
                         "StartingSequenceNumber %.*s used in %s on shard %s in stream %s under "
                         "account %s is invalid because it did not come from this stream.",
                         TEXT(asked->sequence), asked->caller, id, stream, local->account);
    position->sequence = (mr_sequence){.number = read.number,
                                       .shard = shard->id,
                                       .created_s = (uint32_t)read.created_s,
                                       .time_s = (uint32_t)read.time_s};
    return true;
}

static bool at_time(struct mr_local *local, struct mr_call *call, const struct mr_asked *asked,
                    mr_position *position)
{
    int64_t now_ms = mr_local_now_ms(local);

    if (!asked->time_ms.is_set)
        return mr_refuse(call, MR_EXCEPTION_INVALID_ARGUMENT,
                         "Must specify timestampInMillis parameter for iterator of type "
                         "AT_TIMESTAMP. Current request has no timestamp parameter.");
    if (asked->time_ms.value > now_ms)
        return mr_refuse(call, MR_EXCEPTION_INVALID_ARGUMENT,
                         "The timestampInMillis parameter cannot be greater than the "
                         "currentTimestampInMillis. timestampInMillis: %" PRId64
                         ", currentTimestampInMillis: %" PRId64,
                         asked->time_ms.value, now_ms);
    *position = (mr_position){.start = MR_START_AT_TIME, .time_ms = asked->time_ms.value};
    return true;
}

bool mr_position_of(struct mr_local *local, struct mr_call *call, const char *stream,
                    const mr_shard *shard, const struct mr_asked *asked, mr_position *position)
{
    bool is_at = mr_text_is(asked->type, "AT_SEQUENCE_NUMBER");
    bool is_after = mr_text_is(asked->type, "AFTER_SEQUENCE_NUMBER");
    bool has_sequence = asked->sequence.data;

    *position = (mr_position){0};
    if (mr_text_is(asked->type, "AT_TIMESTAMP"))
        return at_time(local, call, asked, position);
    if ((is_at || is_after) != has_sequence)
        return mr_refuse(call, MR_EXCEPTION_INVALID_ARGUMENT,
                         "Must either specify (1) AT_SEQUENCE_NUMBER or AFTER_SEQUENCE_NUMBER and "
                         "StartingSequenceNumber or (2) TRIM_HORIZON or LATEST and no "
                         "StartingSequenceNumber. Request specified %.*s and %s "
                         "StartingSequenceNumber.",
                         TEXT(asked->type), has_sequence ? "also a" : "no");
    if (!has_sequence) {
        position->start =
            mr_text_is(asked->type, "LATEST") ? MR_START_LATEST : MR_START_TRIM_HORIZON;
        return true;
    }
    position->start = is_at ? MR_START_AT : MR_START_AFTER;
    return at_sequence(local, call, stream, shard, asked, position);
}

/* ---- records ------------------------------------------------------------------------------ */

struct mr_api_record mr_record_answer(struct mr_call *call, const mr_record *record,
                                      bool is_encrypted)
{
    struct mr_api_record answer = {.sequence_number = mr_sequence_text(call, &record->sequence),
                                   .data = mr_arena_copy(call->arena, record->data),
                                   .approximate_arrival_timestamp = MR_NUMBER(record->arrival_ms)};

    if (record->partition_key.size > 0)
        answer.partition_key = mr_arena_copy(call->arena, record->partition_key);
    if (is_encrypted)
        answer.encryption_type = mr_text("KMS");
    return answer;
}
