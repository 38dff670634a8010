/*
 * once.c - into a stream that knows origins: each partition is one, and its messages are put a batch at
 * a time, together with the offset behind them. What comes again is refused, and the answer says how far
 * the stream has taken the partition, so nothing is there twice, whoever is killed (R7).
 */
#include "kafka/inward.h"

#include "ask.h"

#include "base/fail.h"
#include "base/memory.h"
#include "os/clock.h"
#include "service/service.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define COUNT_MAX 4000    /* records of a put */
#define REQUEST_COUNT 500 /* of a request, as Kinesis takes them */
#define BYTES_MAX ((uint64_t)4 << 20)
#define ARENA_BYTES_MAX ((size_t)256 << 20)
#define ANSWER_MS 10000
#define PAUSE_MS_MIN 20
#define PAUSE_MS_MAX 2000
#define MS_NS UINT64_C(1000000)

/* What of a partition is under way, or the memory for the next. */
struct mr_inward_put {
    struct mr_inward *inward;
    struct mr_call call;
    struct mr_call_origin origin;
    struct mr_arena arena;
    struct mr_puts batch;
    mr_put *puts;
    mr_put_result *results;
    size_t capacity;
    struct mr_item *first; /* count of them */
    size_t count, count_max;
    uint64_t position; /* the stream has what is below it */
    bool is_under_way;
    _Atomic bool is_answered;
    uint64_t due_ns; /* not before */
    uint32_t pause_ms;
    char name[MR_ORIGIN_BYTES_MAX + 1];
};

static uint64_t now_ns(void)
{
    return mr_clock_real()->monotonic_ns(mr_clock_real());
}

static size_t count_most(const struct mr_inward *inward)
{
    return inward->bridge->config->service->put ? COUNT_MAX : REQUEST_COUNT;
}

/* ---- positions ---------------------------------------------------------------------------- */

static void name_origin(const struct mr_bridge *bridge, int32_t partition,
                        char name[MR_ORIGIN_BYTES_MAX + 1])
{
    snprintf(name, MR_ORIGIN_BYTES_MAX + 1, "%s/%s/%d", bridge->config->name, bridge->config->topic,
             (int)partition);
}

mr_status mr_once_position(struct mr_bridge *bridge, int32_t partition, uint64_t *position,
                           bool *is_known, mr_error *error)
{
    const struct mr_bridge_config *config = bridge->config;
    char name[MR_ORIGIN_BYTES_MAX + 1];
    mr_status status;

    name_origin(bridge, partition, name);
    while ((status = mr_ask_position(config->service, config->stream, name, position, is_known,
                                     error)) &&
           mr_status_retryable(status) && !mr_bridge_is_stopping(bridge)) {
        mr_bridge_say(bridge, "event=stream-away stream=%s reason=\"%s\" next=\"tries again\"",
                      config->stream, error->message);
        mr_bridge_pause(bridge, PAUSE_MS_MAX);
    }
    return status;
}

/* A topic made anew has other messages at the same offsets: they would count as seen. */
static void check_end(struct mr_inward *inward, const struct mr_partition *partition)
{
    struct mr_bridge *bridge = inward->bridge;
    const struct mr_bridge_config *config = bridge->config;
    uint64_t position = partition->put->position;
    int64_t low, end;

    if (position == 0 || rd_kafka_query_watermark_offsets(bridge->look, config->topic,
                                                          partition->id, &low, &end, ANSWER_MS))
        return;
    if ((uint64_t)end < position)
        mr_bridge_fail(bridge, MR_CONFLICT,
                       "topic %.60s of %.40s, partition %d ends at offset %lld, and stream %.40s "
                       "has it up to %" PRIu64 ": if it was made anew, give --name another name",
                       config->topic, config->brokers, (int)partition->id, (long long)end,
                       config->stream, position);
}

static void adopt(struct mr_inward *inward, struct mr_partition *partition)
{
    struct mr_inward_put *put = partition->put;
    mr_error error = {0};
    mr_status status;
    bool is_known;

    if (!put) {
        partition->put = put = mr_new(struct mr_inward_put);
        put->inward = inward;
        put->arena = MR_ARENA(ARENA_BYTES_MAX);
        name_origin(inward->bridge, partition->id, put->name);
    }
    put->count_max = count_most(inward);
    put->pause_ms = 0;
    put->due_ns = 0;
    partition->is_slow = false;
    status = mr_once_position(inward->bridge, partition->id, &put->position, &is_known, &error);
    if (!status)
        check_end(inward, partition);
    else if (!mr_bridge_is_stopping(inward->bridge))
        mr_bridge_fail(inward->bridge, error.status, "stream %.60s: %s",
                       inward->bridge->config->stream, error.message);
}

/* ---- answers ------------------------------------------------------------------------------ */

/* On a thread of the service. */
static void answered(struct mr_call *call)
{
    struct mr_inward_put *put = call->context;
    struct mr_inward *inward = put->inward;

    atomic_fetch_add(&inward->caller_count, 1);
    atomic_store(&put->is_answered, true);
    mr_inward_wake(inward);
    atomic_fetch_sub(&inward->caller_count, 1);
}

static void rest(struct mr_inward_put *put)
{
    put->pause_ms = put->pause_ms ? 2 * put->pause_ms : PAUSE_MS_MIN;
    if (put->pause_ms > PAUSE_MS_MAX)
        put->pause_ms = PAUSE_MS_MAX;
    put->due_ns = now_ns() + put->pause_ms * MS_NS;
}

/* For good; the stream has nothing of what is under way. */
static void fail(struct mr_partition *partition, mr_status status, const mr_error *error)
{
    const struct mr_inward_put *put = partition->put;
    const struct mr_bridge_config *config = put->inward->bridge->config;

    mr_bridge_fail(put->inward->bridge, status,
                   "stream %.60s takes nothing more of topic %.60s of %.40s, partition %d, from "
                   "offset %lld on: %.80s",
                   config->stream, config->topic, config->brokers, (int)partition->id,
                   (long long)put->first->message->offset, error->message);
}

/* None of it is stored. All in a batch suffer from one of them: so the next is smaller. */
static void refused(struct mr_partition *partition)
{
    struct mr_inward_put *put = partition->put;
    struct mr_bridge *bridge = put->inward->bridge;
    mr_error error;
    mr_status status = mr_refusal_fail(&put->call.refusal, &error);

    if (status == MR_INVALID || status == MR_LIMIT) {
        if (put->count == 1) {
            mr_item_answer(put->first, status, error.message);
            partition->held = put->first->next;
            return;
        }
        put->count_max = put->count / 2;
        return;
    }
    atomic_fetch_add(&bridge->retry_count, 1);
    partition->is_slow = true;
    if (status == MR_THROTTLED) {
        put->count_max = put->count > 1 ? put->count / 2 : 1;
        rest(put);
    } else if (mr_status_retryable(status)) {
        rest(put);
        mr_bridge_say(bridge, "event=stream-away stream=%s reason=\"%s\" next=\"tries again\"",
                      bridge->config->stream, error.message);
    } else {
        fail(partition, status, &error);
    }
}

static void take_answer(struct mr_inward *inward, struct mr_partition *partition)
{
    struct mr_inward_put *put = partition->put;
    const struct mr_call_origin *origin = &put->origin;
    bool is_stored = put->call.refusal.type == MR_EXCEPTION_NONE;
    size_t done_count = 0;
    struct mr_item *item = put->first;

    put->is_under_way = false;
    if (origin->is_known && origin->position > put->position)
        put->position = origin->position;
    if (is_stored && origin->origin.to > put->position)
        put->position = origin->origin.to;
    for (; done_count < put->count && (uint64_t)item->message->offset < put->position;
         done_count++, item = item->next)
        mr_item_answer(item, MR_OK, NULL);
    partition->held = item;
    for (size_t i = done_count; i < put->count; i++, item = item->next)
        atomic_store(&item->state, IN_HAND);
    if (is_stored) {
        put->count_max *= 2;
        if (put->count_max > count_most(inward))
            put->count_max = count_most(inward);
        put->pause_ms = 0;
        partition->is_slow = false;
    } else if (done_count == 0) {
        refused(partition);
    }
    mr_arena_reset(&put->arena);
    mr_partition_acknowledge(inward, partition);
}

/* ---- puts --------------------------------------------------------------------------------- */

/* What it has of the item must live until it is answered. */
static void keep(struct mr_inward *inward, struct mr_arena *arena, mr_put *put)
{
    const struct mr_mapped *mapped = &inward->mapped;

    if (put->partition_key.data == mapped->key_text)
        put->partition_key = mr_arena_copy(arena, put->partition_key);
    if (put->data.data == mapped->wrapped && mapped->wrapped)
        put->data = mr_arena_copy(arena, put->data);
    if (put->explicit_hash_key) {
        mr_hash_key *copy = mr_arena_new(arena, mr_hash_key);

        *copy = *put->explicit_hash_key;
        put->explicit_hash_key = copy;
    }
}

static mr_put *next_put(struct mr_inward_put *put)
{
    if (put->count == put->capacity) {
        put->capacity = put->capacity ? 2 * put->capacity : 64;
        put->puts = mr_resize(put->puts, put->capacity * sizeof *put->puts);
        put->results = mr_resize(put->results, put->capacity * sizeof *put->results);
    }
    return &put->puts[put->count];
}

/* Messages up to the first that the stream cannot have: that one must have its place as a dead letter
 * before the position passes it. False: there are none. */
static bool collect(struct mr_inward *inward, struct mr_partition *partition)
{
    struct mr_inward_put *put = partition->put;
    struct mr_item *item = partition->held;
    uint64_t bytes = 0;

    put->first = item;
    put->count = 0;
    while (item && put->count < put->count_max) {
        mr_put *next = next_put(put);

        if (!mr_item_map(inward, item, next)) {
            if (put->count == 0)
                partition->held = item->next;
            else
                atomic_store(&item->state, IN_HAND);
            break;
        }
        bytes += next->partition_key.size + next->data.size;
        if (put->count > 0 && bytes > BYTES_MAX)
            break;
        keep(inward, &put->arena, next);
        atomic_store(&item->state, UNDER_WAY);
        put->origin.origin.to = (uint64_t)item->message->offset + 1;
        put->count++;
        item = item->next;
    }
    return put->count > 0;
}

static void call_with_batch(struct mr_service *service, struct mr_inward_put *put)
{
    put->batch = (struct mr_puts){.stream_name = mr_text_bytes(put->inward->bridge->config->stream),
                                  .puts = put->puts,
                                  .count = put->count,
                                  .results = put->results};
    put->call.request = &put->batch;
    service->put(service, &put->call);
}

static void call_with_texts(struct mr_service *service, struct mr_inward_put *put)
{
    struct mr_api_put_records_request *request =
        mr_arena_new(&put->arena, struct mr_api_put_records_request);

    request->stream_name = mr_text_bytes(put->inward->bridge->config->stream);
    request->records =
        mr_arena_array(&put->arena, struct mr_api_put_records_request_entry, put->count);
    request->records_count = put->count;
    for (size_t i = 0; i < put->count; i++) {
        const mr_hash_key *hash_key = put->puts[i].explicit_hash_key;

        request->records[i] = (struct mr_api_put_records_request_entry){
            .partition_key = put->puts[i].partition_key, .data = put->puts[i].data};
        if (!put->puts[i].data.data) /* a tombstone */
            request->records[i].data = mr_text_bytes("");
        if (hash_key) {
            char *digits = mr_arena_take(&put->arena, MR_HASH_KEY_TEXT_BYTES);

            mr_hash_key_format(*hash_key, digits);
            request->records[i].explicit_hash_key = mr_text_bytes(digits);
        }
    }
    put->call.request = request;
    service->call(service, &put->call);
}

static void begin(struct mr_inward *inward, struct mr_partition *partition)
{
    struct mr_service *service = inward->bridge->config->service;
    struct mr_inward_put *put = partition->put;

    put->origin = (struct mr_call_origin){.origin = {.name = put->name}};
    put->origin.origin.from = (uint64_t)partition->held->message->offset;
    if (!collect(inward, partition))
        return;
    put->call = (struct mr_call){.action = MR_ACTION_PUT_RECORDS,
                                 .arena = &put->arena,
                                 .origin = &put->origin,
                                 .done = answered,
                                 .context = put};
    put->is_under_way = true;
    atomic_store(&put->is_answered, false);
    (service->put ? call_with_batch : call_with_texts)(service, put);
}

/* What the stream has already: of a bridge that did not come to its commit. */
static void pass_over(struct mr_partition *partition)
{
    const struct mr_inward_put *put = partition->put;
    struct mr_item *item;

    while ((item = partition->held) && (uint64_t)item->message->offset < put->position) {
        mr_item_answer(item, MR_OK, NULL);
        partition->held = item->next;
    }
}

static void put_some(struct mr_inward *inward, struct mr_partition *partition)
{
    struct mr_inward_put *put = partition->put;

    if (!put)
        return;
    if (put->is_under_way && atomic_load(&put->is_answered))
        take_answer(inward, partition);
    if (put->is_under_way)
        return;
    pass_over(partition);
    mr_partition_acknowledge(inward, partition);
    if (partition->held && partition->held == partition->first && now_ns() >= put->due_ns &&
        !mr_bridge_is_stopping(inward->bridge))
        begin(inward, partition);
}

/* ---- opening and closing ------------------------------------------------------------------ */

static mr_status open(struct mr_inward *inward, mr_error *error)
{
    (void)inward;
    (void)error;
    return MR_OK;
}

static bool is_waited_for(const struct mr_inward *inward)
{
    for (size_t i = 0; i < inward->count; i++) {
        const struct mr_inward_put *put = inward->partitions[i]->put;

        if (put && put->is_under_way && !atomic_load(&put->is_answered))
            return true;
    }
    return false;
}

/* Each put is answered: its service gives up in the end. */
static void flush(struct mr_inward *inward)
{
    uint32_t seen = atomic_load(&inward->word);

    while (is_waited_for(inward)) {
        mr_inward_wait(inward, seen);
        seen = atomic_load(&inward->word);
    }
    for (size_t i = 0; i < inward->count; i++) {
        struct mr_partition *partition = inward->partitions[i];

        if (partition->put && partition->put->is_under_way)
            take_answer(inward, partition);
    }
}

static void close(struct mr_inward *inward)
{
    for (size_t i = 0; i < inward->count; i++) {
        struct mr_inward_put *put = inward->partitions[i]->put;

        if (!put)
            continue;
        mr_arena_fini(&put->arena);
        mr_free(put->puts);
        mr_free(put->results);
        mr_free(put);
        inward->partitions[i]->put = NULL;
    }
}

const struct mr_into mr_into_once = {open, adopt, put_some, flush, close};
