/*
 * tags.c - the tags of streams and of their consumers, by both APIs. A tag is a property of the
 * engine's stream; its name has the hash of the key, for a key may be longer than a name.
 */
#include "base/memory.h"
#include "base/pack.h"
#include "base/scan.h"
#include "service/inside.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TAG_COUNT_MAX 50
#define PROPERTY_NAME_BYTES 200

/* ---- names and texts ---------------------------------------------------------------------- */

static void property_prefix(const char *consumer, char name[PROPERTY_NAME_BYTES])
{
    snprintf(name, PROPERTY_NAME_BYTES, PROPERTY_PREFIX ".tag/%s/", consumer);
}

static void property_name(const char *consumer, mr_bytes key, char name[PROPERTY_NAME_BYTES])
{
    mr_hash_key hash = mr_hash_key_of(key);

    snprintf(name, PROPERTY_NAME_BYTES, PROPERTY_PREFIX ".tag/%s/%016" PRIx64 "%016" PRIx64,
             consumer, hash.hi, hash.lo);
}

static bool has_other_than(mr_bytes text, const char *allowed)
{
    const uint8_t *at = text.data;

    for (size_t i = 0; i < text.size; i++) {
        bool is_letter = (at[i] >= 'a' && at[i] <= 'z') || (at[i] >= 'A' && at[i] <= 'Z') ||
                         (at[i] >= '0' && at[i] <= '9') || at[i] >= 0x80;

        if (!is_letter && (at[i] == 0 || !strchr(allowed, at[i])))
            return true;
    }
    return false;
}

#define ALLOWED " \t\n\v\f\r_./=+-@:,"

static bool check_text(struct mr_local *local, struct mr_call *call, const char *stream,
                       const char *doing, mr_bytes text)
{
    if (has_other_than(text, ALLOWED "%"))
        return mr_refuse(call, MR_EXCEPTION_INVALID_ARGUMENT,
                         "Some tags contain invalid characters. Valid characters: Unicode letters, "
                         "digits, white space, _ . / = + - %% @.");
    if (has_other_than(text, ALLOWED))
        return mr_refuse(call, MR_EXCEPTION_INVALID_ARGUMENT,
                         "Failed to %s stream %s under account %s because some tags contained "
                         "illegal characters. The allowed characters are Unicode letters, "
                         "white-spaces, '_',',','/','=','+','-','@'.",
                         doing, stream, local->account);
    return true;
}

/* ---- what there is ------------------------------------------------------------------------ */

struct gathering {
    struct mr_call *call;
    struct mr_api_tag *tags;
    size_t count, capacity;
};

static bool gather(void *context, const char *name, mr_bytes value, uint64_t version)
{
    struct gathering *gathering = context;
    struct mr_scan scan = mr_scan_of(value);
    mr_bytes key = mr_scan_string(&scan), text = mr_scan_string(&scan);
    (void)name;
    (void)version;

    if (mr_scan_failed(&scan))
        return true;
    mr_grow(gathering->tags, gathering->count, gathering->capacity);
    gathering->tags[gathering->count++] =
        (struct mr_api_tag){.key = mr_arena_copy(gathering->call->arena, key),
                            .value = mr_arena_copy(gathering->call->arena, text)};
    return true;
}

static int compare(const void *left, const void *right)
{
    mr_bytes a = ((const struct mr_api_tag *)left)->key,
             b = ((const struct mr_api_tag *)right)->key;
    int order = memcmp(a.data, b.data, a.size < b.size ? a.size : b.size);

    return order ? order : (a.size > b.size) - (a.size < b.size);
}

/* In the order of their keys, in the call's arena. */
static bool read_tags(struct mr_local *local, struct mr_call *call, const char *stream,
                      const char *consumer, struct mr_api_tag **tags, size_t *count)
{
    struct gathering gathering = {.call = call};
    char prefix[PROPERTY_NAME_BYTES];
    mr_error error;
    mr_status status;

    property_prefix(consumer, prefix);
    status = mr_property_each(local->engine, stream, prefix, gather, &gathering, &error);
    if (gathering.count > 0)
        qsort(gathering.tags, gathering.count, sizeof *gathering.tags, compare);
    *tags = mr_arena_array(call->arena, struct mr_api_tag, gathering.count);
    if (gathering.count > 0)
        memcpy(*tags, gathering.tags, gathering.count * sizeof **tags);
    *count = gathering.count;
    mr_free(gathering.tags);
    return !status || mr_refuse_status(local, call, stream, status, &error);
}

/* ---- changes ------------------------------------------------------------------------------ */

static bool set(struct mr_local *local, struct mr_call *call, const char *stream,
                const char *consumer, mr_bytes key, mr_bytes value)
{
    char name[PROPERTY_NAME_BYTES];
    mr_error error;
    mr_status status;

    property_name(consumer, key, name);
    status = mr_property_set(local->engine, stream, name, value, MR_ANY_VERSION, NULL, &error);
    return !status || mr_refuse_status(local, call, stream, status, &error);
}

static bool add_one(struct mr_local *local, struct mr_call *call, const char *stream,
                    const char *consumer, const struct mr_api_tag *tag)
{
    struct mr_pack pack = MR_PACK(8192);
    bool is_set;

    mr_pack_string(&pack, tag->key);
    mr_pack_string(&pack, tag->value);
    is_set = set(local, call, stream, consumer, tag->key, (mr_bytes){pack.data, pack.size});
    mr_pack_fini(&pack);
    return is_set;
}

static bool is_among(const struct mr_api_tag *tags, size_t count, mr_bytes key)
{
    for (size_t i = 0; i < count; i++)
        if (tags[i].key.size == key.size && memcmp(tags[i].key.data, key.data, key.size) == 0)
            return true;
    return false;
}

/* The tags could be added; `consumer` is NULL when there is nothing to add them to yet. */
static bool check_tags(struct mr_local *local, struct mr_call *call, const char *stream,
                       const char *consumer, const struct mr_api_tag *tags, size_t count)
{
    struct mr_api_tag *present = NULL;
    size_t total = 0, present_count = 0;

    for (size_t i = 0; i < count; i++)
        if (!check_text(local, call, stream, "add tags to", tags[i].key) ||
            !check_text(local, call, stream, "add tags to", tags[i].value))
            return false;
    if (consumer && !read_tags(local, call, stream, consumer, &present, &present_count))
        return false;
    total = present_count;
    for (size_t i = 0; i < count; i++)
        total += !is_among(present, present_count, tags[i].key) && !is_among(tags, i, tags[i].key);
    return total <= TAG_COUNT_MAX ||
           mr_refuse(call, MR_EXCEPTION_INVALID_ARGUMENT,
                     "Failed to add tags to stream %s under account %s because a given stream "
                     "cannot have more than %d tags associated with it.",
                     stream, local->account, TAG_COUNT_MAX);
}

bool mr_local_check_tags(struct mr_local *local, struct mr_call *call, const char *stream,
                         const struct mr_api_tag *tags, size_t count)
{
    return check_tags(local, call, stream, NULL, tags, count);
}

bool mr_local_tag(struct mr_local *local, struct mr_call *call, const char *stream,
                  const char *consumer, const struct mr_api_tag *tags, size_t count)
{
    if (count == 0)
        return true;
    if (!check_tags(local, call, stream, consumer, tags, count))
        return false;
    for (size_t i = 0; i < count; i++)
        if (!add_one(local, call, stream, consumer, &tags[i]))
            return false;
    return true;
}

static bool untag(struct mr_local *local, struct mr_call *call, const char *stream,
                  const char *consumer, const mr_bytes *keys, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!check_text(local, call, stream, "remove tags from", keys[i]))
            return false;
    for (size_t i = 0; i < count; i++)
        if (!set(local, call, stream, consumer, keys[i], (mr_bytes){0}))
            return false;
    return true;
}

/* ---- by name ------------------------------------------------------------------------------ */

void mr_do_add_tags_to_stream(struct mr_local *local, struct mr_call *call)
{
    const struct mr_api_add_tags_to_stream_request *request = call->request;
    struct mr_local_stream stream;
    struct mr_named named;

    if (!mr_name_stream(local, call, request->stream_name, request->stream_arn, &named))
        return;
    pthread_mutex_lock(&local->changing);
    if (mr_local_look(local, call, &named, false, &stream))
        mr_local_tag(local, call, named.name, "", request->tags, request->tags_count);
    pthread_mutex_unlock(&local->changing);
}

void mr_do_remove_tags_from_stream(struct mr_local *local, struct mr_call *call)
{
    const struct mr_api_remove_tags_from_stream_request *request = call->request;
    struct mr_local_stream stream;
    struct mr_named named;

    if (!mr_name_stream(local, call, request->stream_name, request->stream_arn, &named))
        return;
    pthread_mutex_lock(&local->changing);
    if (mr_local_look(local, call, &named, false, &stream))
        untag(local, call, named.name, "", request->tag_keys, request->tag_keys_count);
    pthread_mutex_unlock(&local->changing);
}

void mr_do_list_tags_for_stream(struct mr_local *local, struct mr_call *call)
{
    const struct mr_api_list_tags_for_stream_request *request = call->request;
    struct mr_api_list_tags_for_stream_response *response = call->response;
    const struct mr_api_tag after = {.key = request->exclusive_start_tag_key};
    size_t most = request->limit.is_set ? (size_t)request->limit.value : TAG_COUNT_MAX;
    struct mr_local_stream stream;
    struct mr_named named;
    struct mr_api_tag *tags;
    size_t count;

    if (!mr_name_stream(local, call, request->stream_name, request->stream_arn, &named) ||
        !mr_local_look(local, call, &named, false, &stream) ||
        !read_tags(local, call, named.name, "", &tags, &count))
        return;
    while (count > 0 && after.key.data && compare(tags, &after) <= 0) {
        tags++;
        count--;
    }
    response->tags = tags;
    response->tags_count = count < most ? count : most;
    response->has_more_tags = MR_NUMBER(count > most);
}

/* ---- by ARN ------------------------------------------------------------------------------- */

bool mr_local_look_resource(struct mr_local *local, struct mr_call *call, mr_bytes arn,
                            struct mr_named *named)
{
    struct mr_local_stream stream;

    if (!mr_name_resource(local, call, arn, named) ||
        !mr_local_look(local, call, named, false, &stream))
        return false;
    if (!named->consumer[0] || mr_local_consumer_find(local, &stream, named->consumer))
        return true;
    return mr_refuse(call, MR_EXCEPTION_NOT_FOUND, "Consumer %s, account %s not found.",
                     named->consumer, local->account);
}

void mr_do_tag_resource(struct mr_local *local, struct mr_call *call)
{
    const struct mr_api_tag_resource_request *request = call->request;
    struct mr_named named;

    pthread_mutex_lock(&local->changing);
    if (mr_local_look_resource(local, call, request->resource_arn, &named))
        mr_local_tag(local, call, named.name, named.consumer, request->tags, request->tags_count);
    pthread_mutex_unlock(&local->changing);
}

void mr_do_untag_resource(struct mr_local *local, struct mr_call *call)
{
    const struct mr_api_untag_resource_request *request = call->request;
    struct mr_named named;

    pthread_mutex_lock(&local->changing);
    if (mr_local_look_resource(local, call, request->resource_arn, &named))
        untag(local, call, named.name, named.consumer, request->tag_keys, request->tag_keys_count);
    pthread_mutex_unlock(&local->changing);
}

void mr_do_list_tags_for_resource(struct mr_local *local, struct mr_call *call)
{
    const struct mr_api_list_tags_for_resource_request *request = call->request;
    struct mr_api_list_tags_for_resource_response *response = call->response;
    struct mr_named named;

    if (mr_local_look_resource(local, call, request->resource_arn, &named))
        read_tags(local, call, named.name, named.consumer, &response->tags, &response->tags_count);
}
