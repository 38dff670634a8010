/* put.c - records are checked, and copied into the buffer if there is room: nobody waits here. */
#include "base/fail.h"
#include "base/md5.h"
#include "base/u128.h"
#include "base/utf8.h"
#include "stage.h"

#include <string.h>

#define PUT_SIDE_BY_SIDE 64
#define KEYS_AHEAD 8

static mr_status check(const struct mr_producer *producer, const mr_put *put, mr_error *error)
{
    mr_bytes key = put->partition_key;
    size_t bytes_max = producer->record_bytes_max, chars;

    if (key.size > MR_PARTITION_KEY_BYTES_MAX || put->data.size > bytes_max ||
        key.size + put->data.size > bytes_max)
        return mr_fail(error, MR_LIMIT, "a record of %zu bytes: key and data together may have %zu",
                       key.size + put->data.size, bytes_max);
    if (key.size - 1 < MR_PARTITION_KEY_CHARS_MAX && mr_ascii_bytes(key) == key.size)
        return MR_OK;
    chars = mr_utf8_chars(key);
    if (chars < 1 || chars > MR_PARTITION_KEY_CHARS_MAX)
        return mr_fail(error, MR_INVALID, "a partition key has 1 to %d characters of UTF-8",
                       MR_PARTITION_KEY_CHARS_MAX);
    return MR_OK;
}

/* A record on its way in. */
struct coming {
    const mr_put *put;
    void *token;
    const mr_hash_key *hash_key; /* NULL: not known yet */
    uint64_t now_ns;
};

static void fill(struct mr_pending *record, const struct coming *coming)
{
    const mr_put *put = coming->put;

    record->token = coming->token;
    record->put_ns = coming->now_ns;
    record->has_explicit_hash_key = put->explicit_hash_key != NULL;
    record->is_hashed = coming->hash_key != NULL;
    if (coming->hash_key)
        record->hash_key = *coming->hash_key;
    memcpy(record->bytes, put->partition_key.data, put->partition_key.size);
    if (put->data.size)
        memcpy(record->bytes + put->partition_key.size, put->data.data, put->data.size);
}

/* P3: no more than so many bytes are used. Hold the lock. */
static mr_status check_room(struct mr_intake *intake, size_t bytes, mr_error *error)
{
    if (intake->pending_bytes + bytes <= intake->bytes_max)
        return MR_OK;
    intake->refused_count++;
    return mr_fail(error, MR_BUSY,
                   "the buffer is full: %zu records take %zu of %zu bytes; wait for room with "
                   "mr_producer_wait()",
                   intake->pending_count, intake->pending_bytes, intake->bytes_max);
}

/* A record that is larger than a chunk is copied while others go on. Holds the lock but for that. */
static mr_status put_large(struct mr_intake *intake, const struct coming *coming, mr_error *error)
{
    size_t key_bytes = coming->put->partition_key.size, data_bytes = coming->put->data.size;
    size_t bytes = mr_pending_size(key_bytes, data_bytes);
    struct mr_chunk *chunk;
    mr_status status = check_room(intake, bytes, error);

    if (status)
        return status;
    intake->pending_bytes += bytes;
    pthread_mutex_unlock(&intake->lock);
    chunk = mr_chunk_new(bytes);
    chunk->is_own = true;
    fill(mr_chunk_add(chunk, key_bytes, data_bytes), coming);
    pthread_mutex_lock(&intake->lock);
    intake->pending_bytes -= bytes;
    mr_intake_append(intake, chunk);
    return MR_OK;
}

static mr_status put_small(struct mr_intake *intake, const struct coming *coming, mr_error *error)
{
    size_t key_bytes = coming->put->partition_key.size, data_bytes = coming->put->data.size;
    struct mr_pending *record =
        intake->last ? mr_chunk_add(intake->last, key_bytes, data_bytes) : NULL;
    mr_status status;

    if (!record) {
        status = check_room(intake, intake->chunk_bytes, error);
        if (status)
            return status;
        mr_intake_append(intake, mr_intake_take_free(intake));
        record = mr_chunk_add(intake->last, key_bytes, data_bytes);
    }
    fill(record, coming);
    return MR_OK;
}

static mr_status put_one(struct mr_intake *intake, const struct coming *coming, mr_error *error)
{
    size_t key_bytes = coming->put->partition_key.size, data_bytes = coming->put->data.size;
    size_t bytes = mr_pending_size(key_bytes, data_bytes);
    mr_status status;

    if (intake->is_closed)
        return mr_fail(error, MR_CLOSED, "the producer is being closed");
    if (bytes > intake->chunk_bytes)
        status = put_large(intake, coming, error);
    else
        status = put_small(intake, coming, error);
    if (status)
        return status;
    intake->pending_count++;
    intake->came_count++;
    intake->put_count++;
    intake->put_bytes += key_bytes + data_bytes;
    return MR_OK;
}

/* The keys of several records, where they are needed: of one alone it costs much more, and the
 * producer's thread will find company for it. */
static void hash_keys(const struct mr_producer *producer, const mr_put *puts, struct coming *coming,
                      mr_hash_key *hash_keys, size_t count)
{
    bool needs_keys = count > 1 && (producer->map.is_needed ||
                                    (producer->config.is_ordered && !producer->can_trust));

    if (needs_keys)
        mr_hash_keys_of(&puts->partition_key, sizeof *puts, count, hash_keys);
    for (size_t i = 0; i < count; i++)
        if (puts[i].explicit_hash_key)
            coming[i].hash_key = puts[i].explicit_hash_key;
        else
            coming[i].hash_key = needs_keys ? &hash_keys[i] : NULL;
}

/* Returns how many of these, of which there are at most PUT_SIDE_BY_SIDE, are accepted. */
static size_t put_some(struct mr_producer *producer, const mr_put *puts, void *const *tokens,
                       size_t count, mr_status *status, mr_error *error)
{
    struct mr_intake *intake = &producer->intake;
    uint64_t now_ns = producer->clock->monotonic_ns(producer->clock);
    mr_hash_key keys[PUT_SIDE_BY_SIDE];
    struct coming coming[PUT_SIDE_BY_SIDE];
    size_t good_count = 0, accepted_count = 0;
    mr_status failure = MR_OK;
    bool wakes;

    while (good_count < count && !(failure = check(producer, &puts[good_count], error))) {
        if (good_count + KEYS_AHEAD < count)
            __builtin_prefetch(puts[good_count + KEYS_AHEAD].partition_key.data);
        coming[good_count] = (struct coming){.put = &puts[good_count],
                                             .token = tokens ? tokens[good_count] : NULL,
                                             .now_ns = now_ns};
        good_count++;
    }
    hash_keys(producer, puts, coming, keys, good_count);
    *status = MR_OK;
    pthread_mutex_lock(&intake->lock);
    while (accepted_count < good_count &&
           !(*status = put_one(intake, &coming[accepted_count], error)))
        accepted_count++;
    wakes = intake->came_count >= intake->wakes_at;
    pthread_mutex_unlock(&intake->lock);
    if (wakes)
        mr_producer_wake(producer);
    if (!*status)
        *status = failure;
    return accepted_count;
}

mr_status mr_producer_put_many(mr_producer *producer, const mr_put *puts, void *const *tokens,
                               size_t count, size_t *accepted_count, mr_error *error)
{
    mr_status status = MR_OK;
    size_t i = 0;

    while (i < count && !status) {
        size_t some = count - i < PUT_SIDE_BY_SIDE ? count - i : PUT_SIDE_BY_SIDE;

        i += put_some(producer, puts + i, tokens ? tokens + i : NULL, some, &status, error);
    }
    *accepted_count = i;
    return status;
}

mr_status mr_producer_put(mr_producer *producer, const mr_put *put, void *token, mr_error *error)
{
    size_t accepted_count;

    return mr_producer_put_many(producer, put, &token, 1, &accepted_count, error);
}
