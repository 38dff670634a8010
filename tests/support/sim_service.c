#include "support/sim_service.h"

#include "base/check.h"
#include "base/memory.h"
#include "base/u128.h"
#include "wire/aggregate.h"

#include <stdio.h>
#include <string.h>

static bool happens(struct sim_service *service, unsigned percent)
{
    return mr_random_below(&service->random, 100) < percent;
}

static mr_bytes text_in(struct mr_arena *arena, const char *text)
{
    return mr_arena_copy(arena, (mr_bytes){text, strlen(text)});
}

/* ---- shards --------------------------------------------------------------------------------- */

static struct sim_shard *shard_of(struct sim_service *service, mr_hash_key key)
{
    for (size_t i = 0; i < service->shard_count; i++) {
        struct sim_shard *shard = &service->shards[i];

        if (shard->is_open && !mr_hash_key_below(key, shard->first) &&
            !mr_hash_key_below(shard->last, key))
            return shard;
    }
    mr_check(false);
    return NULL;
}

static void open_shard(struct sim_service *service, mr_hash_key first, mr_hash_key last)
{
    mr_check(service->shard_count < SIM_SHARDS_MAX);
    service->shards[service->shard_count] = (struct sim_shard){
        .id = (mr_shard_id)service->shard_count, .first = first, .last = last, .is_open = true};
    service->shard_count++;
}

void sim_service_split(struct sim_service *service, size_t shard)
{
    struct sim_shard *parent = &service->shards[shard];
    mr_u128 first = mr_hash_key_wide(parent->first), last = mr_hash_key_wide(parent->last);
    mr_hash_key middle = mr_hash_key_narrow(first + (last - first) / 2);

    pthread_mutex_lock(&service->lock);
    parent->is_open = false;
    open_shard(service, parent->first, middle);
    open_shard(service, mr_hash_key_next(middle), parent->last);
    pthread_mutex_unlock(&service->lock);
}

void sim_service_merge(struct sim_service *service, size_t shard, size_t adjacent)
{
    struct sim_shard *low = &service->shards[shard], *high = &service->shards[adjacent];

    pthread_mutex_lock(&service->lock);
    low->is_open = high->is_open = false;
    open_shard(service, low->first, high->last);
    pthread_mutex_unlock(&service->lock);
}

void sim_service_reshard(struct sim_service *service)
{
    size_t i = mr_random_below(&service->random, service->shard_count);

    while (!service->shards[i].is_open)
        i = (i + 1) % service->shard_count;
    if (service->shard_count + 2 > SIM_SHARDS_MAX)
        return;
    if (happens(service, 50)) {
        sim_service_split(service, i);
        return;
    }
    for (size_t j = 0; j < service->shard_count; j++)
        if (service->shards[j].is_open &&
            !mr_hash_key_equal(service->shards[i].last, MR_HASH_KEY_MAX) &&
            mr_hash_key_equal(service->shards[j].first,
                              mr_hash_key_next(service->shards[i].last))) {
            sim_service_merge(service, i, j);
            return;
        }
}

/* ---- what is stored --------------------------------------------------------------------------- */

static mr_hash_key key_of(mr_bytes digits)
{
    char text[MR_HASH_KEY_TEXT_BYTES] = "";
    mr_hash_key key;

    mr_check(digits.size < sizeof text);
    memcpy(text, digits.data, digits.size);
    mr_check(mr_hash_key_parse(text, &key, NULL) == MR_OK);
    return key;
}

static void keep(struct sim_service *service, const struct sim_shard *shard, uint32_t sub_sequence,
                 bool is_aggregated, mr_bytes key, mr_bytes data)
{
    struct sim_record *record;

    mr_grow(service->records, service->record_count, service->record_capacity);
    record = &service->records[service->record_count++];
    *record = (struct sim_record){.shard = shard->id,
                                  .number = service->last_number,
                                  .sub_sequence = sub_sequence,
                                  .data_bytes = data.size,
                                  .is_aggregated = is_aggregated};
    memcpy(record->key, key.data, key.size < 31 ? key.size : 31);
    if (data.size)
        memcpy(record->data, data.data, data.size < 63 ? data.size : 63);
}

static bool is_inside(const struct sim_shard *shard, const struct mr_user_record *record)
{
    mr_hash_key key = record->has_explicit_hash_key ? record->explicit_hash_key
                                                    : mr_hash_key_of(record->partition_key);

    return !mr_hash_key_below(key, shard->first) && !mr_hash_key_below(shard->last, key);
}

static void store(struct sim_service *service, const struct sim_shard *shard, const mr_put *put)
{
    struct mr_aggregate_reader reader = {0};
    struct mr_user_record record;
    size_t before = service->record_count;
    uint32_t sub_sequence = 0;

    service->last_number++;
    service->stored_count++;
    if (!mr_aggregate_open(&reader, put->data)) {
        keep(service, shard, 0, false, put->partition_key, put->data);
        return;
    }
    while (mr_aggregate_next(&reader, &record)) {
        if (!is_inside(shard, &record)) {
            service->record_count = before;
            service->dropped_count++;
            break;
        }
        keep(service, shard, sub_sequence++, true, record.partition_key, record.data);
    }
    mr_aggregate_reader_fini(&reader);
}

/* ---- puts ------------------------------------------------------------------------------------- */

static bool has_key(const mr_put *put, const char *key)
{
    return key && put->partition_key.size == strlen(key) &&
           memcmp(put->partition_key.data, key, strlen(key)) == 0;
}

static const struct sim_shard *shard_for(struct sim_service *service, const mr_put *put)
{
    return shard_of(service, put->explicit_hash_key ? *put->explicit_hash_key
                                                    : mr_hash_key_of(put->partition_key));
}

static void place_one(struct sim_service *service, const mr_put *put, mr_put_result *result,
                      bool is_throttled)
{
    const struct sim_shard *shard = shard_for(service, put);

    *result = (mr_put_result){.status = MR_THROTTLED, .sequence.shard = shard->id};
    if (is_throttled)
        return;
    store(service, shard, put);
    *result = (mr_put_result){.sequence = {.shard = shard->id,
                                           .created_s = 1700000000,
                                           .time_s = 1700000000,
                                           .number = service->last_number}};
}

static bool has_poison(const struct sim_service *service, const struct mr_puts *puts)
{
    for (size_t i = 0; i < puts->count; i++)
        if (has_key(&puts->puts[i], service->poison))
            return true;
    return false;
}

/* One of them is. */
static bool is_throttled(struct sim_service *service, const mr_put *puts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (happens(service, service->throttled_percent) ||
            has_key(&puts[i], service->throttled_key))
            return true;
    return false;
}

/* One of them is not of the shard that it is meant for. */
static bool is_astray(struct sim_service *service, const struct mr_puts *puts)
{
    for (size_t i = 0; puts->shards && i < puts->count; i++)
        if (puts->shards[i] != shard_for(service, &puts->puts[i])->id)
            return true;
    return false;
}

/* Or as they are. */
static size_t *shuffled(struct sim_service *service, struct mr_arena *arena, size_t count,
                        bool is_in_order)
{
    size_t *order = mr_arena_array(arena, size_t, count);

    for (size_t i = 0; i < count; i++) {
        size_t other = is_in_order ? i : mr_random_below(&service->random, i + 1);

        order[i] = order[other];
        order[other] = i;
    }
    return order;
}

/* Stores what it does not refuse. True: all of it, and the call is not refused. */
static bool place(struct sim_service *service, struct mr_call *call, const struct mr_puts *puts,
                  bool is_in_order)
{
    size_t *order = shuffled(service, call->arena, puts->count, is_in_order);
    bool are_placed = true;

    service->put_count++;
    if (puts->count > service->largest_request)
        service->largest_request = puts->count;
    if (service->refusal || has_poison(service, puts)) {
        call->refusal =
            (struct mr_refusal){service->refusal ? service->refusal : MR_EXCEPTION_VALIDATION,
                                text_in(call->arena, "as told")};
        return false;
    }
    if (puts->is_whole && is_throttled(service, puts->puts, puts->count)) {
        call->refusal = (struct mr_refusal){MR_EXCEPTION_THROUGHPUT_EXCEEDED,
                                            text_in(call->arena, "one of them is too much")};
        return false;
    }
    if (is_astray(service, puts)) {
        service->astray_count++;
        call->refusal = (struct mr_refusal){MR_EXCEPTION_INVALID_ARGUMENT,
                                            text_in(call->arena, "one of them has moved")};
        return false;
    }
    for (size_t i = 0; i < puts->count; i++) {
        const mr_put *put = &puts->puts[order[i]];
        bool throttles = !puts->is_whole && is_throttled(service, put, 1);

        place_one(service, put, &puts->results[order[i]], throttles);
        are_placed &= !puts->results[order[i]].status;
    }
    if (!happens(service, service->lost_percent))
        return are_placed;
    call->refusal = (struct mr_refusal){MR_EXCEPTION_SERVICE_UNAVAILABLE,
                                        text_in(call->arena, "the answer was lost")};
    return false;
}

/* ---- in texts --------------------------------------------------------------------------------- */

static void read_texts(struct mr_call *call, struct mr_puts *puts)
{
    const struct mr_api_put_records_request *request = call->request;
    mr_put *put = mr_arena_array(call->arena, mr_put, request->records_count);

    *puts = (struct mr_puts){.puts = put, .count = request->records_count};
    puts->results = mr_arena_array(call->arena, mr_put_result, puts->count);
    for (size_t i = 0; i < puts->count; i++) {
        const struct mr_api_put_records_request_entry *entry = &request->records[i];
        mr_hash_key *key;

        put[i] = (mr_put){.partition_key = entry->partition_key, .data = entry->data};
        if (!entry->explicit_hash_key.data)
            continue;
        put[i].explicit_hash_key = key = mr_arena_new(call->arena, mr_hash_key);
        *key = key_of(entry->explicit_hash_key);
    }
}

static void answer_text(struct mr_arena *arena, const mr_put_result *result,
                        struct mr_api_put_records_result_entry *entry)
{
    char text[MR_SEQUENCE_TEXT_BYTES];

    if (result->status) {
        entry->error_code = text_in(arena, "ProvisionedThroughputExceededException");
        entry->error_message = text_in(arena, "Rate exceeded for shard.");
        return;
    }
    mr_sequence_format(&result->sequence, text);
    entry->sequence_number = text_in(arena, text);
    mr_shard_format(result->sequence.shard, text);
    entry->shard_id = text_in(arena, text);
}

/* The records of one request come in any order: there is no promise between them. */
static void put_texts(struct sim_service *service, struct mr_call *call)
{
    struct mr_api_put_records_response *response =
        mr_arena_new(call->arena, struct mr_api_put_records_response);
    struct mr_puts puts;

    read_texts(call, &puts);
    place(service, call, &puts, false);
    response->records =
        mr_arena_array(call->arena, struct mr_api_put_records_result_entry, puts.count);
    response->records_count = puts.count;
    for (size_t i = 0; i < puts.count; i++)
        answer_text(call->arena, &puts.results[i], &response->records[i]);
    call->response = response;
}

/* ---- held ------------------------------------------------------------------------------------- */

static void hold(struct sim_service *service, struct mr_call *call, bool is_placed)
{
    mr_grow(service->held, service->held_count, service->held_capacity);
    service->held[service->held_count++] = (struct sim_held){call, is_placed};
    if (service->held_count > service->most_held)
        service->most_held = service->held_count;
}

/* By chance it has its place at once, as in an engine, and only the answer is held. */
static bool take_batch(struct mr_service *base, struct mr_call *call)
{
    struct sim_service *service = (struct sim_service *)(void *)base;
    const struct mr_puts *puts = call->request;
    bool has_places, are_placed = false, is_held;

    pthread_mutex_lock(&service->lock);
    is_held = service->holds;
    has_places = !is_held || happens(service, 50);
    if (has_places)
        are_placed = place(service, call, puts, true);
    if (is_held)
        hold(service, call, has_places);
    pthread_mutex_unlock(&service->lock);
    if (!is_held)
        call->done(call);
    return are_placed;
}

void sim_service_take_batches(struct sim_service *service)
{
    service->base.put = take_batch;
}

bool sim_service_answer(struct sim_service *service)
{
    struct sim_held held = {0};

    pthread_mutex_lock(&service->lock);
    if (service->held_count > 0) {
        size_t i = mr_random_below(&service->random, service->held_count);

        held = service->held[i];
        service->held[i] = service->held[--service->held_count];
        if (!held.is_placed && service->base.put)
            place(service, held.call, held.call->request, true);
        else if (!held.is_placed)
            put_texts(service, held.call);
    }
    pthread_mutex_unlock(&service->lock);
    if (held.call)
        held.call->done(held.call);
    return held.call != NULL;
}

/* ---- what is asked ------------------------------------------------------------------------------ */

static void describe(struct sim_service *service, struct mr_call *call)
{
    struct mr_api_describe_stream_summary_response *response =
        mr_arena_new(call->arena, struct mr_api_describe_stream_summary_response);

    response->stream_description_summary =
        mr_arena_new(call->arena, struct mr_api_stream_description_summary);
    response->stream_description_summary->record_distribution_strategy =
        text_in(call->arena, service->is_auto ? "AUTO" : "USER_PARTITION_KEY");
    response->stream_description_summary->max_record_size_in_kib = MR_NUMBER(1024);
    call->response = response;
}

static void list_shards(struct sim_service *service, struct mr_call *call)
{
    const struct mr_api_list_shards_request *request = call->request;
    struct mr_api_list_shards_response *response =
        mr_arena_new(call->arena, struct mr_api_list_shards_response);
    size_t page = service->page ? service->page : SIM_SHARDS_MAX, i = 0;
    char text[MR_HASH_KEY_TEXT_BYTES];

    service->list_count++;
    if (service->list_refusal) {
        call->refusal = (struct mr_refusal){service->list_refusal, text_in(call->arena, "as told")};
        return;
    }
    if (request->next_token.data)
        i = (size_t)((const char *)request->next_token.data)[0];
    response->shards = mr_arena_array(call->arena, struct mr_api_shard, SIM_SHARDS_MAX);
    for (; i < service->shard_count && response->shards_count < page; i++) {
        struct mr_api_shard *shard;

        if (!service->shards[i].is_open)
            continue;
        shard = &response->shards[response->shards_count++];
        mr_shard_format(service->shards[i].id, text);
        shard->shard_id = text_in(call->arena, text);
        shard->hash_key_range = mr_arena_new(call->arena, struct mr_api_hash_key_range);
        mr_hash_key_format(service->shards[i].first, text);
        shard->hash_key_range->starting_hash_key = text_in(call->arena, text);
        mr_hash_key_format(service->shards[i].last, text);
        shard->hash_key_range->ending_hash_key = text_in(call->arena, text);
    }
    if (i < service->shard_count) {
        char token = (char)i;

        response->next_token = mr_arena_copy(call->arena, (mr_bytes){&token, 1});
    }
    call->response = response;
}

/* ---- calls -------------------------------------------------------------------------------------- */

static void take_call(struct mr_service *base, struct mr_call *call)
{
    struct sim_service *service = (struct sim_service *)(void *)base;
    bool is_held = false;

    mr_check(mr_request_check(call->action, call->request, call->arena, &call->refusal));
    call->refusal = (struct mr_refusal){0};
    pthread_mutex_lock(&service->lock);
    if (call->action == MR_ACTION_PUT_RECORDS && service->holds) {
        hold(service, call, false);
        is_held = true;
    } else if (call->action == MR_ACTION_PUT_RECORDS) {
        put_texts(service, call);
    } else if (call->action == MR_ACTION_LIST_SHARDS) {
        list_shards(service, call);
    } else {
        describe(service, call);
    }
    pthread_mutex_unlock(&service->lock);
    if (!is_held)
        call->done(call);
}

static void close_nothing(struct mr_service *base)
{
    (void)base;
}

void sim_service_init(struct sim_service *service, uint64_t seed, unsigned shard_count)
{
    mr_u128 width = ~(mr_u128)0 / shard_count, first = 0;

    *service = (struct sim_service){.base = {.call = take_call, .close = close_nothing},
                                    .random = mr_random_of(seed)};
    pthread_mutex_init(&service->lock, NULL);
    for (unsigned i = 0; i < shard_count; i++, first += width)
        open_shard(service, mr_hash_key_narrow(first),
                   i + 1 == shard_count ? MR_HASH_KEY_MAX : mr_hash_key_narrow(first + width - 1));
}

void sim_service_fini(struct sim_service *service)
{
    mr_check(service->held_count == 0);
    mr_free(service->held);
    mr_free(service->records);
    pthread_mutex_destroy(&service->lock);
}
