/*
 * map.c - the map of the stream's open shards: which of them has a key.
 *
 * A map is used until an answer shows that the stream has been resharded; then it is asked for
 * again, at most once a second, while records go on by the old one.
 */
#include "base/fail.h"
#include "base/memory.h"
#include "base/u128.h"
#include "stage.h"

#include <stdlib.h>
#include <string.h>

#define REFRESH_NS UINT64_C(1000000000)
#define ANSWER_BYTES_MAX ((size_t)64 << 20)
#define OPEN_TIMEOUT_MS 60000

/* ---- asking --------------------------------------------------------------------------------- */

static void answered(struct mr_call *call)
{
    struct mr_producer *producer = call->context;

    atomic_fetch_add(&producer->caller_count, 1);
    atomic_store(&producer->map.call.is_answered, true);
    mr_producer_wake(producer);
    atomic_fetch_sub(&producer->caller_count, 1);
}

static mr_bytes stream_if(const struct mr_producer *producer, bool is_arn)
{
    return (strncmp(producer->stream, "arn:", 4) == 0) == is_arn
               ? (mr_bytes){producer->stream, strlen(producer->stream)}
               : (mr_bytes){NULL, 0};
}

static void ask(struct mr_producer *producer, enum mr_action action, void *request)
{
    struct mr_route_call *call = &producer->map.call;

    call->call = (struct mr_call){.action = action,
                                  .request = request,
                                  .arena = &call->arena,
                                  .done = answered,
                                  .context = producer};
    call->is_under_way = true;
    atomic_store(&call->is_answered, false);
    producer->config.service->call(producer->config.service, &call->call);
}

static void ask_for_shards(struct mr_producer *producer, mr_bytes next_token)
{
    struct mr_route_map *map = &producer->map;
    struct mr_arena *arena = &map->call.arena;
    mr_bytes token = mr_arena_copy(arena, next_token); /* it may be in what is given back */
    struct mr_api_list_shards_request *request =
        mr_arena_new(arena, struct mr_api_list_shards_request);

    if (next_token.data) {
        request->next_token = token;
    } else {
        request->stream_name = stream_if(producer, false);
        request->stream_arn = stream_if(producer, true);
        request->shard_filter = mr_arena_new(arena, struct mr_api_shard_filter);
        request->shard_filter->type = (mr_bytes){"AT_LATEST", 9};
        map->found_asked_ns = producer->now_ns;
        mr_count(&producer->counts.map_refreshes, 1);
    }
    ask(producer, MR_ACTION_LIST_SHARDS, request);
}

void mr_map_refresh(struct mr_producer *producer)
{
    producer->map.is_wanted = true;
}

/* ---- a map ---------------------------------------------------------------------------------- */

static bool read_hash_key(mr_bytes text, mr_hash_key *key)
{
    char digits[MR_HASH_KEY_TEXT_BYTES] = "";

    if (text.size >= sizeof digits)
        return false;
    memcpy(digits, text.data, text.size);
    return mr_hash_key_parse(digits, key, NULL) == MR_OK;
}

static bool read_shard(const struct mr_api_shard *from, struct mr_producer_shard *shard)
{
    char id[64] = "";

    if (!from->hash_key_range || from->shard_id.size >= sizeof id)
        return false;
    memcpy(id, from->shard_id.data, from->shard_id.size);
    return mr_shard_parse(id, &shard->id, NULL) == MR_OK &&
           read_hash_key(from->hash_key_range->starting_hash_key, &shard->first) &&
           read_hash_key(from->hash_key_range->ending_hash_key, &shard->last);
}

static void forget_found(struct mr_route_map *map)
{
    for (size_t i = 0; i < map->found_count; i++)
        mr_free(map->found[i]);
    map->found_count = 0;
}

/* Which of the shards has key, or would if they covered the hash space. */
static size_t find(const mr_hash_key *starts, size_t count, mr_hash_key key)
{
    size_t low = 0;

    while (count > 1) {
        size_t half = count / 2;

        if (!mr_hash_key_below(key, starts[low + half]))
            low += half;
        count -= half;
    }
    return low;
}

struct mr_producer_shard *mr_map_find(const struct mr_producer *producer, mr_hash_key key)
{
    const struct mr_route_map *map = &producer->map;

    return map->shards[find(map->starts, map->count, key)];
}

static int compare(const void *a, const void *b)
{
    const struct mr_producer_shard *const *left = a, *const *right = b;

    return mr_hash_key_compare((*left)->first, (*right)->first);
}

/* The shards found are the open ones of one moment: they cover the hash space once. */
static bool is_whole(const struct mr_route_map *map)
{
    mr_hash_key next = {0, 0};

    for (size_t i = 0; i < map->found_count; i++) {
        if (!mr_hash_key_equal(map->found[i]->first, next) ||
            mr_hash_key_below(map->found[i]->last, next))
            return false;
        next = mr_hash_key_next(map->found[i]->last);
    }
    return map->found_count > 0 && mr_hash_key_equal(next, (mr_hash_key){0, 0});
}

/* Shards that are in both maps stay what they are. */
static void keep_old(struct mr_route_map *map)
{
    for (size_t i = 0; i < map->found_count && map->count > 0; i++) {
        struct mr_producer_shard *old =
            map->shards[find(map->starts, map->count, map->found[i]->first)];

        if (old->id != map->found[i]->id)
            continue;
        mr_free(map->found[i]);
        map->found[i] = old;
        old->is_kept = true;
    }
}

/* What a shard that is gone had before the limit goes the way again. */
static void leave(struct mr_producer *producer, struct mr_producer_shard *shard)
{
    struct mr_producer_shard **at = &producer->queued_shards;
    struct mr_unit *unit;

    while (*at && *at != shard)
        at = &(*at)->next_queued;
    if (*at)
        *at = shard->next_queued;
    while ((unit = mr_units_pop(&shard->queued)))
        mr_stage_retry_dissolve(producer, unit);
    if (shard->open)
        mr_stage_retry_dissolve(producer, shard->open);
    mr_free(shard);
}

/* P5: those whose shard was not known are looked at again. */
static void place_units(struct mr_producer *producer)
{
    struct mr_units units = producer->unplaced;
    struct mr_unit *unit;

    producer->unplaced = (struct mr_units){0};
    while ((unit = mr_units_pop(&units)))
        if (mr_stage_route_judge(producer, unit) == MR_PLACE_GOOD)
            mr_stage_retry_deliver(producer, unit);
        else
            mr_stage_retry_dissolve(producer, unit);
}

static void adopt(struct mr_producer *producer)
{
    struct mr_route_map *map = &producer->map;
    struct mr_producer_shard **old = map->shards;
    size_t old_count = map->count;

    keep_old(map);
    map->shards = map->found;
    map->count = map->found_count;
    map->asked_ns = map->found_asked_ns;
    map->found = NULL;
    map->found_count = map->found_capacity = 0;
    map->starts = mr_resize(map->starts, map->count * sizeof *map->starts);
    for (size_t i = 0; i < map->count; i++)
        map->starts[i] = map->shards[i]->first;
    for (size_t i = 0; i < old_count; i++)
        if (old[i]->is_kept)
            old[i]->is_kept = false;
        else
            leave(producer, old[i]);
    mr_free(old);
    place_units(producer);
}

/* True: there is a new map, or an error; false: the next page has been asked for. */
static bool take_page(struct mr_producer *producer, mr_error *error)
{
    struct mr_route_map *map = &producer->map;
    struct mr_call *call = &map->call.call;
    const struct mr_api_list_shards_response *response = call->response;
    bool is_final, is_good = true;

    map->call.is_under_way = false;
    if (call->refusal.type) {
        mr_fail(error, mr_stage_send_status(call->refusal.type, &is_final), "%.*s",
                (int)call->refusal.message.size, (const char *)call->refusal.message.data);
        return true;
    }
    for (size_t i = 0; is_good && i < response->shards_count; i++) {
        struct mr_producer_shard *shard = mr_new(struct mr_producer_shard);

        mr_grow(map->found, map->found_count, map->found_capacity);
        map->found[map->found_count++] = shard;
        is_good = read_shard(&response->shards[i], shard);
    }
    if (is_good && response->next_token.size > 0) {
        ask_for_shards(producer, response->next_token);
        return false;
    }
    if (is_good)
        qsort(map->found, map->found_count, sizeof *map->found, compare);
    if (is_good && is_whole(map))
        adopt(producer);
    else
        mr_fail(error, MR_UNAVAILABLE,
                "the open shards of %s do not cover the hash space: is it being resharded?",
                producer->stream);
    return true;
}

void mr_map_update(struct mr_producer *producer)
{
    struct mr_route_map *map = &producer->map;
    mr_error error = {0};

    if (map->call.is_under_way) {
        if (!atomic_load(&map->call.is_answered) || !take_page(producer, &error))
            return;
        forget_found(map);
        mr_arena_reset(&map->call.arena);
        map->is_wanted = error.status != MR_OK;
    }
    if (!map->is_wanted || producer->now_ns < map->wanted_from_ns)
        return;
    map->wanted_from_ns = producer->now_ns + REFRESH_NS;
    ask_for_shards(producer, (mr_bytes){NULL, 0});
}

/* ---- open ----------------------------------------------------------------------------------- */

static mr_status wait_for_answer(struct mr_producer *producer, mr_error *error)
{
    struct mr_clock *clock = mr_clock_real();
    uint64_t until_ns = clock->monotonic_ns(clock) + OPEN_TIMEOUT_MS * UINT64_C(1000000);

    while (!atomic_load(&producer->map.call.is_answered)) {
        uint32_t seen = atomic_load(&producer->woken);

        atomic_store(&producer->is_asleep, true);
        if (!atomic_load(&producer->map.call.is_answered))
            mr_word_wait(&producer->woken, seen, 1000);
        if (clock->monotonic_ns(clock) > until_ns)
            return mr_fail(error, MR_UNAVAILABLE, "the service does not answer");
    }
    return MR_OK;
}

/* What the stream takes, if we may know it: a producer's role often allows puts only. */
static mr_status describe(struct mr_producer *producer, mr_error *error)
{
    struct mr_call *call = &producer->map.call.call;
    struct mr_api_describe_stream_summary_request request = {
        .stream_name = stream_if(producer, false), .stream_arn = stream_if(producer, true)};
    const struct mr_api_describe_stream_summary_response *response;
    const struct mr_api_stream_description_summary *summary;
    mr_status status;

    ask(producer, MR_ACTION_DESCRIBE_STREAM_SUMMARY, &request);
    status = wait_for_answer(producer, error);
    if (status)
        return status;
    producer->map.call.is_under_way = false;
    response = call->response;
    if (call->refusal.type == MR_EXCEPTION_NOT_FOUND)
        return mr_fail(error, MR_NOT_FOUND, "%.*s", (int)call->refusal.message.size,
                       (const char *)call->refusal.message.data);
    summary = call->refusal.type ? NULL : response->stream_description_summary;
    if (summary && summary->max_record_size_in_kib.is_set)
        producer->record_bytes_max = (size_t)summary->max_record_size_in_kib.value * 1024;
    if (summary && summary->record_distribution_strategy.size == 4 &&
        memcmp(summary->record_distribution_strategy.data, "AUTO", 4) == 0) {
        /* It places records itself: nobody knows where, and user records of an aggregate would be
         * in no shard's range. */
        producer->config.aggregates = false;
        producer->config.rate_limit = 0;
    }
    producer->map.is_needed = producer->config.aggregates || producer->config.rate_limit > 0;
    mr_arena_reset(&producer->map.call.arena);
    return MR_OK;
}

mr_status mr_map_open(struct mr_producer *producer, mr_error *error)
{
    mr_error failure = {0};
    mr_status status;

    producer->map.call.arena = MR_ARENA(ANSWER_BYTES_MAX);
    status = describe(producer, error);
    if (status)
        return status;
    ask_for_shards(producer, (mr_bytes){NULL, 0});
    do
        status = wait_for_answer(producer, error);
    while (!status && !take_page(producer, &failure));
    if (!status && failure.status)
        status = mr_fail(error, failure.status, "%s", failure.message);
    mr_arena_reset(&producer->map.call.arena);
    return status;
}

void mr_map_fini(struct mr_producer *producer)
{
    struct mr_route_map *map = &producer->map;

    forget_found(map);
    for (size_t i = 0; i < map->count; i++)
        mr_free(map->shards[i]);
    mr_free(map->found);
    mr_free(map->shards);
    mr_free(map->starts);
    mr_arena_fini(&map->call.arena);
}
