/*
 * intake.c - where records come in: the buffer and its bound, and who waits for answers.
 *
 * put copies a record into memory taken from a pool, by sizes, under one short lock. The producer's
 * thread takes all that has come at once, and gives back all that it has answered at once.
 */
#include "base/check.h"
#include "base/fail.h"
#include "base/memory.h"
#include "base/u128.h"
#include "base/utf8.h"
#include "stage.h"

#include <inttypes.h>
#include <string.h>

#define STEP_BYTES 64          /* of the small sizes in the pool */
#define SMALL_CLASSES 16       /* up to 1 KiB; then by powers of two up to 256 KiB */
#define COPIED_LOCKED_MAX 4096 /* a larger record is copied outside the lock */

/* ---- memory --------------------------------------------------------------------------------- */

/* The class of a size, and how much memory of that class has; MR_POOL_CLASSES: not pooled. */
static unsigned class_of(size_t bytes, size_t *class_bytes)
{
    unsigned class = SMALL_CLASSES;

    if (bytes <= STEP_BYTES * SMALL_CLASSES) {
        class = (unsigned)((bytes + STEP_BYTES - 1) / STEP_BYTES) - 1;
        *class_bytes = (class + 1) * STEP_BYTES;
        return class;
    }
    *class_bytes = STEP_BYTES * SMALL_CLASSES * 2;
    while (class < MR_POOL_CLASSES && *class_bytes < bytes) {
        *class_bytes *= 2;
        class ++;
    }
    if (class == MR_POOL_CLASSES)
        *class_bytes = bytes;
    return class;
}

static size_t bytes_of(const struct mr_pending *record)
{
    return sizeof *record + record->key_bytes + record->data_bytes;
}

static struct mr_pending *take_memory(struct mr_intake *intake, size_t bytes)
{
    size_t class_bytes;
    unsigned class = class_of(bytes, &class_bytes);
    struct mr_pending *record = class < MR_POOL_CLASSES ? intake->pool[class] : NULL;

    if (!record)
        return mr_alloc(class_bytes);
    intake->pool[class] = record->next;
    intake->pool_bytes -= class_bytes;
    return record;
}

/* Together with what is in use the pool has no more than the buffer may. */
static void give_memory(struct mr_intake *intake, struct mr_pending *record)
{
    size_t class_bytes;
    unsigned class = class_of(bytes_of(record), &class_bytes);

    if (class == MR_POOL_CLASSES ||
        intake->pool_bytes + intake->pending_bytes > intake->bytes_max) {
        mr_free(record);
        return;
    }
    record->next = intake->pool[class];
    intake->pool[class] = record;
    intake->pool_bytes += class_bytes;
}

void mr_intake_init(struct mr_intake *intake, size_t bytes_max)
{
    *intake = (struct mr_intake){.bytes_max = bytes_max, .wakes_at = 1, .flush_count = 1};
    pthread_mutex_init(&intake->lock, NULL);
    mr_condition_init(&intake->changed);
    intake->flush_capacity = 8;
    intake->unanswered = mr_alloc_zero(intake->flush_capacity, sizeof *intake->unanswered);
}

void mr_intake_fini(struct mr_intake *intake)
{
    for (unsigned class = 0; class < MR_POOL_CLASSES; class ++)
        for (struct mr_pending *record; (record = intake->pool[class]);) {
            intake->pool[class] = record->next;
            mr_free(record);
        }
    mr_free(intake->came.records);
    mr_free(intake->unanswered);
    pthread_cond_destroy(&intake->changed);
    pthread_mutex_destroy(&intake->lock);
}

/* ---- in ------------------------------------------------------------------------------------- */

static mr_status check(const struct mr_producer *producer, const mr_put *put, mr_error *error)
{
    size_t key_bytes = put->partition_key.size, data_bytes = put->data.size, chars;

    if (key_bytes > MR_PARTITION_KEY_BYTES_MAX || data_bytes > producer->record_bytes_max ||
        key_bytes + data_bytes > producer->record_bytes_max)
        return mr_fail(error, MR_LIMIT, "a record of %zu bytes: key and data together may have %zu",
                       key_bytes + data_bytes, producer->record_bytes_max);
    chars = mr_utf8_chars(put->partition_key);
    if (chars < 1 || chars > MR_PARTITION_KEY_CHARS_MAX)
        return mr_fail(error, MR_INVALID, "a partition key has 1 to %d characters of UTF-8",
                       MR_PARTITION_KEY_CHARS_MAX);
    return MR_OK;
}

static void fill(struct mr_pending *record, const mr_put *put, void *token, uint64_t now_ns)
{
    *record = (struct mr_pending){
        .token = token,
        .put_ns = now_ns,
        .key_bytes = (uint32_t)put->partition_key.size,
        .data_bytes = (uint32_t)put->data.size,
        .flush = record->flush,
        .has_explicit_hash_key = put->explicit_hash_key != NULL,
    };
    if (put->explicit_hash_key)
        record->hash_key = *put->explicit_hash_key;
    memcpy(record->bytes, put->partition_key.data, put->partition_key.size);
    if (put->data.size)
        memcpy(record->bytes + put->partition_key.size, put->data.data, put->data.size);
}

/* P3: at most so many bytes are unanswered. Hold the lock. */
static mr_status reserve(struct mr_intake *intake, size_t bytes, mr_error *error)
{
    if (intake->is_closed)
        return mr_fail(error, MR_CLOSED, "the producer is being closed");
    if (intake->pending_bytes + bytes > intake->bytes_max) {
        intake->refused_count++;
        return mr_fail(error, MR_BUSY,
                       "the buffer is full: %zu records take %zu of %zu bytes; wait for room with "
                       "mr_producer_wait()",
                       intake->pending_count, intake->pending_bytes, intake->bytes_max);
    }
    intake->pending_bytes += bytes;
    intake->pending_count++;
    intake->unanswered[intake->flush_count - 1]++;
    intake->put_count++;
    return MR_OK;
}

mr_status mr_producer_put(mr_producer *producer, const mr_put *put, void *token, mr_error *error)
{
    struct mr_intake *intake = &producer->intake;
    size_t bytes = sizeof(struct mr_pending) + put->partition_key.size + put->data.size;
    uint64_t now_ns = producer->clock->monotonic_ns(producer->clock);
    struct mr_pending *record;
    bool wakes;
    mr_status status = check(producer, put, error);

    if (status)
        return status;
    pthread_mutex_lock(&intake->lock);
    status = reserve(intake, bytes, error);
    if (status) {
        pthread_mutex_unlock(&intake->lock);
        return status;
    }
    intake->put_bytes += put->partition_key.size + put->data.size;
    record = take_memory(intake, bytes);
    record->flush = intake->flush_first + (uint32_t)(intake->flush_count - 1);
    if (bytes > COPIED_LOCKED_MAX) {
        pthread_mutex_unlock(&intake->lock);
        fill(record, put, token, now_ns);
        pthread_mutex_lock(&intake->lock);
    } else {
        fill(record, put, token, now_ns);
    }
    mr_grow(intake->came.records, intake->came.count, intake->came.capacity);
    intake->came.records[intake->came.count++] = record;
    wakes = intake->came.count == intake->wakes_at;
    pthread_mutex_unlock(&intake->lock);
    if (wakes)
        mr_producer_wake(producer);
    return MR_OK;
}

bool mr_intake_has(struct mr_intake *intake, size_t count)
{
    bool has;

    pthread_mutex_lock(&intake->lock);
    intake->wakes_at = count;
    has = intake->came.count >= count;
    pthread_mutex_unlock(&intake->lock);
    return has;
}

void mr_intake_take(struct mr_intake *intake, struct mr_taken *taken, bool *is_urgent)
{
    struct mr_taken empty = {.records = taken->records, .capacity = taken->capacity};

    pthread_mutex_lock(&intake->lock);
    *taken = intake->came;
    intake->came = empty;
    *is_urgent = intake->urgent_count > 0;
    pthread_mutex_unlock(&intake->lock);
}

/* Flushes whose records are all answered are over. */
static void end_flushes(struct mr_intake *intake)
{
    size_t over = 0;

    while (over < intake->flush_count - 1 && intake->unanswered[over] == 0)
        over++;
    if (over == 0)
        return;
    intake->flush_count -= over;
    intake->flush_first += (uint32_t)over;
    memmove(intake->unanswered, intake->unanswered + over,
            intake->flush_count * sizeof *intake->unanswered);
}

void mr_intake_give(struct mr_intake *intake, struct mr_queue *records)
{
    struct mr_pending *record;

    if (!records->first)
        return;
    pthread_mutex_lock(&intake->lock);
    while ((record = mr_queue_pop(records))) {
        intake->pending_count--;
        intake->pending_bytes -= bytes_of(record);
        intake->unanswered[record->flush - intake->flush_first]--;
        give_memory(intake, record);
    }
    end_flushes(intake);
    if (intake->waiter_count > 0)
        pthread_cond_broadcast(&intake->changed);
    pthread_mutex_unlock(&intake->lock);
}

/* ---- waiting -------------------------------------------------------------------------------- */

/* Waits for the next answers. Hold the lock. False: the time is over. */
static bool wait_once(struct mr_intake *intake, uint64_t until_ns)
{
    struct mr_clock *clock = mr_clock_real();

    if (clock->monotonic_ns(clock) >= until_ns)
        return false;
    intake->waiter_count++;
    mr_condition_wait_until(&intake->changed, &intake->lock, until_ns);
    intake->waiter_count--;
    return true;
}

static uint64_t in_ms(uint32_t ms)
{
    struct mr_clock *clock = mr_clock_real();

    return clock->monotonic_ns(clock) + (uint64_t)ms * 1000000;
}

mr_status mr_producer_wait(mr_producer *producer, uint32_t timeout_ms, mr_error *error)
{
    struct mr_intake *intake = &producer->intake;
    uint64_t until_ns = in_ms(timeout_ms);
    size_t bytes_max = producer->config.buffer_bytes / 2;
    bool goes_on = true;
    mr_status status = MR_OK;

    pthread_mutex_lock(&intake->lock);
    while (goes_on && intake->pending_bytes > bytes_max)
        goes_on = wait_once(intake, until_ns);
    if (intake->pending_bytes > bytes_max)
        status = mr_fail(error, MR_TIMEOUT, "after %" PRIu32 " ms %zu of %zu bytes are unanswered",
                         timeout_ms, intake->pending_bytes, producer->config.buffer_bytes);
    pthread_mutex_unlock(&intake->lock);
    return status;
}

mr_status mr_producer_flush(mr_producer *producer, uint32_t timeout_ms, mr_error *error)
{
    struct mr_intake *intake = &producer->intake;
    uint64_t until_ns = in_ms(timeout_ms);
    bool goes_on = true;
    uint32_t flush;
    mr_status status = MR_OK;

    pthread_mutex_lock(&intake->lock);
    intake->urgent_count++;
    flush = intake->flush_first + (uint32_t)(intake->flush_count - 1);
    if (intake->unanswered[intake->flush_count - 1] > 0) { /* else the last one will do */
        mr_grow(intake->unanswered, intake->flush_count, intake->flush_capacity);
        intake->unanswered[intake->flush_count++] = 0;
    } else {
        flush--;
    }
    pthread_mutex_unlock(&intake->lock);
    mr_producer_wake(producer);

    pthread_mutex_lock(&intake->lock);
    while (goes_on && (int32_t)(intake->flush_first - flush) <= 0)
        goes_on = wait_once(intake, until_ns);
    if ((int32_t)(intake->flush_first - flush) <= 0)
        status = mr_fail(error, MR_TIMEOUT, "%zu records are unanswered after %" PRIu32 " ms",
                         intake->pending_count, timeout_ms);
    intake->urgent_count--;
    pthread_mutex_unlock(&intake->lock);
    return status;
}
