/*
 * sync.c - the shards of the stream, and a lease for each: when the application begins, every now and
 * then, and whenever a shard ends. Leases are made parents first, so that a crash leaves no child
 * whose parent has none (C4).
 */
#include "inside.h"

#include "base/fail.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

#define PAGE_BYTES_MAX ((size_t)64 << 20)
#define PAUSE_LEAST_MS 100
#define PAUSE_MOST_MS 10000
#define ACTIVE_TRIES 100
#define ACTIVE_MS 200

/* ---- what is missing ---------------------------------------------------------------------- */

const struct mr_known *mr_known_find(const struct mr_known *known, size_t count, mr_shard_id shard)
{
    size_t low = 0, high = count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (known[middle].shard < shard)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && known[low].shard == shard ? &known[low] : NULL;
}

/* The lease of a parent, or of one of its own: it was, or will be, read. Parents have lower ids. */
static const mr_lease *ancestor(const struct mr_known *known, size_t known_count,
                                const struct mr_seen *seen, size_t seen_count,
                                const struct mr_known *of)
{
    const mr_lease *found = NULL;

    for (int i = 0; i < 2 && !found; i++) {
        const struct mr_seen *lease;
        const struct mr_known *parent;

        if (of->parents[i] == MR_NO_SHARD || of->parents[i] >= of->shard)
            continue;
        lease = mr_seen_find((struct mr_seen *)(uintptr_t)seen, seen_count, of->parents[i]);
        parent = mr_known_find(known, known_count, of->parents[i]);
        found = lease    ? &lease->lease
                : parent ? ancestor(known, known_count, seen, seen_count, parent)
                         : NULL;
    }
    return found;
}

/* Whether a shard gets a lease, and where it begins. */
static bool begin_of(const struct mr_known *shard, const mr_lease *before, const mr_position *from,
                     int64_t *began_ms, mr_mark_kind *kind)
{
    *began_ms = 0;
    *kind = MR_MARK_TRIM_HORIZON;
    if (from->start == MR_START_AT_TIME && (!before || before->began_ms > 0)) {
        *kind = MR_MARK_AT_TIME; /* a child may have records from before that time, too */
        *began_ms = before ? before->began_ms : from->time_ms;
    } else if (from->start == MR_START_LATEST && !before) {
        *kind = MR_MARK_LATEST;
        return shard->is_open;
    }
    return true;
}

mr_lease *mr_sync_missing(const struct mr_known *known, size_t known_count,
                          const struct mr_seen *seen, size_t seen_count, const mr_position *from,
                          size_t *count)
{
    mr_lease *missing = NULL;
    size_t capacity = 0;

    *count = 0;
    for (size_t i = 0; i < known_count; i++) {
        const struct mr_known *shard = &known[i];
        mr_mark_kind kind;
        int64_t began_ms;
        mr_lease lease;

        if (mr_seen_find((struct mr_seen *)(uintptr_t)seen, seen_count, shard->shard) ||
            !begin_of(shard, ancestor(known, known_count, seen, seen_count, shard), from, &began_ms,
                      &kind))
            continue;
        lease = mr_lease_of(shard->shard, kind);
        lease.began_ms = began_ms;
        memcpy(lease.parents, shard->parents, sizeof lease.parents);
        lease.has_range = true;
        lease.first_key = shard->first_key;
        lease.last_key = shard->last_key;
        mr_grow(missing, *count, capacity);
        missing[(*count)++] = lease;
    }
    return missing;
}

/* ---- the shards --------------------------------------------------------------------------- */

struct shards {
    struct mr_known *items;
    size_t count, capacity;
};

static bool to_text(mr_bytes bytes, char *text, size_t size)
{
    if (!bytes.data || bytes.size >= size)
        return false;
    memcpy(text, bytes.data, bytes.size);
    text[bytes.size] = 0;
    return true;
}

static bool read_id(mr_bytes bytes, mr_shard_id *shard)
{
    char text[130];

    return to_text(bytes, text, sizeof text) && !mr_shard_parse(text, shard, NULL);
}

static bool read_key(mr_bytes bytes, mr_hash_key *key)
{
    char text[64];

    return to_text(bytes, text, sizeof text) && !mr_hash_key_parse(text, key, NULL);
}

static bool read_shard(const struct mr_api_shard *shard, struct mr_known *known)
{
    const struct mr_api_hash_key_range *range = shard->hash_key_range;
    const struct mr_api_sequence_number_range *numbers = shard->sequence_number_range;

    *known = (struct mr_known){.parents = {MR_NO_SHARD, MR_NO_SHARD}};
    if (!read_id(shard->shard_id, &known->shard) || !range || !numbers ||
        !read_key(range->starting_hash_key, &known->first_key) ||
        !read_key(range->ending_hash_key, &known->last_key) ||
        !mr_mark_read(numbers->starting_sequence_number, &known->begin))
        return false;
    known->is_open = !numbers->ending_sequence_number.data;
    return (!shard->parent_shard_id.data || read_id(shard->parent_shard_id, &known->parents[0])) &&
           (!shard->adjacent_parent_shard_id.data ||
            read_id(shard->adjacent_parent_shard_id, &known->parents[1]));
}

static mr_status take_page(const struct mr_api_list_shards_response *response,
                           struct shards *shards, mr_error *error)
{
    for (size_t i = 0; i < response->shards_count; i++) {
        mr_grow(shards->items, shards->count, shards->capacity);
        if (!read_shard(&response->shards[i], &shards->items[shards->count]))
            return mr_fail(error, MR_UNAVAILABLE, "ListShards answers with a shard that is none");
        shards->count++;
    }
    return MR_OK;
}

static int compare(const void *a, const void *b)
{
    const struct mr_known *left = a, *right = b;

    return (left->shard > right->shard) - (left->shard < right->shard);
}

static mr_status list_shards(struct mr_consumer *consumer, struct shards *shards, mr_error *error)
{
    struct mr_arena arena = MR_ARENA(PAGE_BYTES_MAX);
    struct mr_api_list_shards_request request = {.stream_name = mr_bytes_of(consumer->stream)};
    char *token = NULL;
    struct mr_call call;
    mr_status status;

    do {
        const struct mr_api_list_shards_response *response;

        status = mr_call_wait(consumer, MR_ACTION_LIST_SHARDS, &request, &arena, &call, error);
        mr_free(token);
        token = NULL;
        if (status)
            break;
        response = call.response;
        status = take_page(response, shards, error);
        if (response->next_token.data) {
            token = mr_alloc(response->next_token.size + 1);
            to_text(response->next_token, token, response->next_token.size + 1);
            request = (struct mr_api_list_shards_request){.next_token = mr_bytes_of(token)};
        }
        mr_arena_reset(&arena);
    } while (!status && token);
    mr_free(token);
    mr_arena_fini(&arena);
    if (shards->count > 0)
        qsort(shards->items, shards->count, sizeof *shards->items, compare);
    return status;
}

/* ---- fan-out ------------------------------------------------------------------------------ */

static mr_status stream_arn(struct mr_consumer *consumer, struct mr_arena *arena, mr_bytes *arn,
                            mr_error *error)
{
    const struct mr_api_describe_stream_summary_request request = {
        .stream_name = mr_bytes_of(consumer->stream)};
    const struct mr_api_describe_stream_summary_response *response;
    struct mr_call call;
    mr_status status =
        mr_call_wait(consumer, MR_ACTION_DESCRIBE_STREAM_SUMMARY, &request, arena, &call, error);

    if (status)
        return status;
    response = call.response;
    if (!response->stream_description_summary)
        return mr_fail(error, MR_UNAVAILABLE, "DescribeStreamSummary answers with nothing");
    *arn = response->stream_description_summary->stream_arn;
    return MR_OK;
}

/* Is it ACTIVE? Then its ARN is kept. */
static mr_status look_at_consumer(struct mr_consumer *consumer, struct mr_arena *arena,
                                  mr_bytes stream, bool *is_active, mr_error *error)
{
    const struct mr_api_describe_stream_consumer_request request = {
        .stream_arn = stream, .consumer_name = mr_bytes_of(consumer->fan_out_name)};
    const struct mr_api_describe_stream_consumer_response *response;
    const struct mr_api_consumer_description *found;
    struct mr_call call;
    mr_status status =
        mr_call_wait(consumer, MR_ACTION_DESCRIBE_STREAM_CONSUMER, &request, arena, &call, error);

    if (status)
        return status;
    response = call.response;
    found = response->consumer_description;
    *is_active = found && found->consumer_status.size == 6 &&
                 memcmp(found->consumer_status.data, "ACTIVE", 6) == 0;
    if (*is_active && !consumer->fan_out_arn) {
        consumer->fan_out_arn = mr_alloc(found->consumer_arn.size + 1);
        to_text(found->consumer_arn, consumer->fan_out_arn, found->consumer_arn.size + 1);
    }
    return MR_OK;
}

static mr_status register_consumer(struct mr_consumer *consumer, mr_error *error)
{
    struct mr_arena arena = MR_ARENA(PAGE_BYTES_MAX);
    struct mr_api_register_stream_consumer_request request = {
        .consumer_name = mr_bytes_of(consumer->fan_out_name)};
    bool is_active = false;
    struct mr_call call;
    mr_status status = stream_arn(consumer, &arena, &request.stream_arn, error);

    if (!status)
        status = mr_call_wait(consumer, MR_ACTION_REGISTER_STREAM_CONSUMER, &request, &arena, &call,
                              error);
    if (status == MR_BUSY)
        status = MR_OK; /* it is there already */
    for (int i = 0; !status && !is_active && i < ACTIVE_TRIES; i++) {
        uint32_t seen = atomic_load(&consumer->sync.word);

        status = look_at_consumer(consumer, &arena, request.stream_arn, &is_active, error);
        if (atomic_load(&consumer->sync.is_stopping))
            break;
        if (!status && !is_active)
            mr_consumer_sleep(consumer, &consumer->sync.word, seen,
                              mr_consumer_now_ns(consumer) + ACTIVE_MS * UINT64_C(1000000));
    }
    mr_arena_fini(&arena);
    if (!status && !is_active)
        status = mr_fail(error, MR_UNAVAILABLE, "the stream consumer %.128s does not become ACTIVE",
                         consumer->fan_out_name);
    return status;
}

/* ---- leases ------------------------------------------------------------------------------- */

struct listing {
    struct mr_seen *items;
    size_t count, capacity;
};

static bool take(void *context, const mr_lease *lease, const char *fault)
{
    struct listing *listing = context;

    if (lease->shard == MR_NO_SHARD)
        return true;
    mr_grow(listing->items, listing->count, listing->capacity);
    listing->items[listing->count++] = (struct mr_seen){.lease = *lease, .is_faulty = fault};
    return true;
}

static int compare_seen(const void *a, const void *b)
{
    const struct mr_seen *left = a, *right = b;

    return (left->lease.shard > right->lease.shard) - (left->lease.shard < right->lease.shard);
}

static mr_status create_missing(struct mr_consumer *consumer, const struct shards *shards,
                                mr_error *error)
{
    struct listing listing = {0};
    mr_lease *missing = NULL;
    size_t count = 0;
    mr_status status = consumer->leases->list(consumer->leases, take, &listing, error);

    if (!status) {
        if (listing.count > 0)
            qsort(listing.items, listing.count, sizeof *listing.items, compare_seen);
        missing = mr_sync_missing(shards->items, shards->count, listing.items, listing.count,
                                  &consumer->config.from, &count);
    }
    for (size_t i = 0; !status && i < count; i++) {
        status = consumer->leases->create(consumer->leases, &missing[i], error);
        if (status == MR_EXISTS)
            status = MR_OK; /* another worker was faster */
    }
    if (status)
        consumer->store_failure_count++;
    mr_free(missing);
    mr_free(listing.items);
    return status;
}

/* ---- the thread --------------------------------------------------------------------------- */

static void publish(struct mr_consumer *consumer, struct shards *shards, uint64_t asked)
{
    struct mr_known *old;

    pthread_mutex_lock(&consumer->lock);
    old = consumer->known;
    consumer->known = shards->items;
    consumer->known_count = shards->count;
    atomic_store(&consumer->sync.done, asked);
    for (size_t i = 0; i < consumer->task_count; i++)
        mr_task_wake(consumer->tasks[i]);
    pthread_mutex_unlock(&consumer->lock);
    mr_free(old);
    mr_word_change(&consumer->leaser.word);
}

static mr_status sync_once(struct mr_consumer *consumer, uint64_t asked, mr_error *error)
{
    struct shards shards = {0};
    mr_status status = list_shards(consumer, &shards, error);

    if (!status && consumer->config.retrieval == MR_RETRIEVE_FAN_OUT && !consumer->fan_out_arn)
        status = register_consumer(consumer, error);
    if (status == MR_NOT_FOUND || status == MR_DENIED) {
        mr_consumer_fail(consumer, error);
    } else if (!status) {
        status = create_missing(consumer, &shards, error);
    }
    if (status)
        mr_free(shards.items);
    else
        publish(consumer, &shards, asked);
    return status;
}

void mr_sync_ask(struct mr_consumer *consumer)
{
    atomic_fetch_add(&consumer->sync.asked, 1);
    mr_word_change(&consumer->sync.word);
}

void *mr_sync_run(void *context)
{
    struct mr_consumer *consumer = context;
    uint64_t due_ns = 0;
    uint32_t pause_ms = PAUSE_LEAST_MS;

    for (uint32_t seen;
         seen = atomic_load(&consumer->sync.word), !atomic_load(&consumer->sync.is_stopping);) {
        uint64_t asked = atomic_load(&consumer->sync.asked), now_ns = mr_consumer_now_ns(consumer);
        bool is_asked = asked > atomic_load(&consumer->sync.done) && pause_ms == PAUSE_LEAST_MS;
        mr_error error = {0};

        if (now_ns < due_ns && !is_asked) {
            mr_consumer_sleep(consumer, &consumer->sync.word, seen, due_ns);
            continue;
        }
        if (sync_once(consumer, asked, &error)) {
            mr_consumer_say(consumer, "event=sync-failed status=%s reason=\"%s\"",
                            mr_status_name(error.status), error.message);
            due_ns = now_ns + (uint64_t)pause_ms * 1000000;
            pause_ms = pause_ms * 2 < PAUSE_MOST_MS ? pause_ms * 2 : PAUSE_MOST_MS;
        } else {
            due_ns = now_ns + (uint64_t)consumer->config.shard_sync_ms * 1000000;
            pause_ms = PAUSE_LEAST_MS;
        }
    }
    return NULL;
}
