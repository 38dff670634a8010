/*
 * Streams keep their promises through crashes: puts, reshards, properties, encryption, creations and
 * deletions in random histories, cut and failed at any moment, against a model. L1-L4, S1-S4, E1.
 *
 *     MR_CASES=n    so many random cases (1500)
 *     MR_SEED=n     of the first one; with MR_CASES=1 its steps are printed
 */
#include "base/check.h"
#include "base/memory.h"
#include "base/random.h"
#include "log/log.h"
#include "stream/stream.h"
#include "support/seed.h"
#include "support/sim_clock.h"
#include "support/sim_disk.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum {
    STREAMS = 3,
    KEYS = 12,
    PROPERTIES = 4,
    ORIGINS = 2,
    SHARDS_MAX = 200,
    BATCH_MAX = 12,
    BATCHES_MAX = 600,
    RECORDS_MAX = BATCHES_MAX * BATCH_MAX,
};

enum fate { WAITING, STORED, UNKNOWN };

struct batch {
    enum fate fate;
    uint32_t id;
    int stream; /* NONE once its stream was deleted */
    int origin; /* or NONE */
    uint64_t to;
    size_t count;
    int keys[BATCH_MAX];
    uint32_t data_bytes[BATCH_MAX];
    mr_put_result results[BATCH_MAX];
    uint32_t seen; /* a bit for each record, while comparing */
};
#define NONE (-1)

struct stream {
    bool exists;
    mr_shard shards[SHARDS_MAX];
    size_t shard_count;
    uint32_t values[PROPERTIES]; /* 0: not set */
    bool is_encrypted;
};

/* What the last call was about to change when the world ended. */
enum doubt { NO_DOUBT, CREATING, DELETING, RESHARDING, SETTING, ENCRYPTING };

struct history {
    uint64_t seed;
    bool traces, may_fail;
    struct mr_random random;
    struct sim_disk *disk;
    struct sim_clock clock;
    mr_engine *engine;
    struct stream streams[STREAMS];
    struct batch *batches[BATCHES_MAX];
    uint32_t batch_count;
    enum doubt doubt;
    int doubted, doubted_property; /* stream, property */
    uint32_t doubted_value, next_value;
};

static const char *const stream_names[STREAMS] = {"orders", "clicks", "logs"};
static const char *const origin_names[ORIGINS] = {"topic/0", "topic/1"};
static const char *const property_names[PROPERTIES] = {"lease.a", "lease.b", "tag", "z"};

#define expect(history, condition, ...)                                                            \
    do {                                                                                           \
        if (!(condition))                                                                          \
            broken(history, __VA_ARGS__);                                                          \
    } while (0)

__attribute__((format(printf, 2, 3))) static void broken(const struct history *history,
                                                         const char *format, ...)
{
    char message[600];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    printf("BROKEN: %s\nalone: MR_SEED=%llu MR_CASES=1 build/release/tests/crash/test_stream\n",
           message, (unsigned long long)history->seed);
    fail_msg("%s", message);
}

static uint64_t below(struct history *history, uint64_t bound)
{
    return mr_random_below(&history->random, bound);
}

static void trace(struct history *history, const char *what, int stream)
{
    if (history->traces)
        printf("%s%s%s ", what, stream == NONE ? "" : " ",
               stream == NONE ? "" : stream_names[stream]);
}

/* ---- records ------------------------------------------------------------------------------ */

/* Data: batch, index, then a pattern. */
static void make_data(const struct batch *batch, uint32_t index, uint8_t *data)
{
    memcpy(data, &batch->id, 4);
    memcpy(data + 4, &index, 4);
    for (uint32_t i = 8; i < batch->data_bytes[index]; i++)
        data[i] = (uint8_t)(batch->id * 31 + index * 7 + i * i / 11);
}

static mr_bytes key_of(int key)
{
    static const char *const keys[KEYS] = {"a",  "b",      "carol", "dave", "e-5",     "frank",
                                           "gg", "hölder", "ivan",  "j",    "kkkkkkk", "l"};
    return (mr_bytes){keys[key], strlen(keys[key])};
}

static void batch_done(void *context, mr_status status)
{
    struct batch *batch = context;
    batch->fate = status == MR_OK ? STORED : UNKNOWN;
}

/* ---- compare ------------------------------------------------------------------------------ */

struct seen_record {
    uint64_t number;
    uint32_t batch, index;
};

static int by_number(const void *left, const void *right)
{
    uint64_t a = ((const struct seen_record *)left)->number;
    uint64_t b = ((const struct seen_record *)right)->number;
    return a < b ? -1 : a > b;
}

static int compare_keys(mr_hash_key left, mr_hash_key right)
{
    if (left.hi != right.hi)
        return left.hi < right.hi ? -1 : 1;
    return left.lo < right.lo ? -1 : left.lo > right.lo;
}

static void see_record(struct history *history, int stream, const mr_shard *shard,
                       const mr_record *record, struct seen_record *seen)
{
    static uint8_t expected[70000];
    struct batch *batch;
    uint32_t index;
    mr_hash_key hash_key = mr_hash_key_of(record->partition_key);

    expect(history, record->data.size >= 8, "a record of %zu bytes was never put",
           record->data.size);
    memcpy(&seen->batch, record->data.data, 4);
    memcpy(&seen->index, (const uint8_t *)record->data.data + 4, 4);
    seen->number = record->sequence.number;
    index = seen->index;
    batch = seen->batch < history->batch_count ? history->batches[seen->batch] : NULL;
    expect(history, batch && batch->stream == stream && index < batch->count,
           "%s: record %u of batch %u does not belong here", stream_names[stream], index,
           seen->batch);
    make_data(batch, index, expected);
    expect(history,
           record->data.size == batch->data_bytes[index] &&
               !memcmp(record->data.data, expected, record->data.size) &&
               record->partition_key.size == key_of(batch->keys[index]).size &&
               !memcmp(record->partition_key.data, key_of(batch->keys[index]).data,
                       record->partition_key.size),
           "%s: record %u of batch %u has other bytes", stream_names[stream], index, seen->batch);
    expect(history, !(batch->seen & 1u << index), "%s: record %u of batch %u is there twice",
           stream_names[stream], index, seen->batch);
    batch->seen |= 1u << index;
    expect(history,
           compare_keys(shard->first_key, hash_key) <= 0 &&
               compare_keys(hash_key, shard->last_key) <= 0,
           "%s: record %u of batch %u is in a shard of another range", stream_names[stream], index,
           seen->batch);
    if (batch->fate == STORED)
        expect(history,
               batch->results[index].sequence.number == record->sequence.number &&
                   batch->results[index].sequence.shard == shard->id &&
                   batch->results[index].arrival_ms == record->arrival_ms,
               "%s: record %u of batch %u has another place than was answered",
               stream_names[stream], index, seen->batch);
    batch->results[index].sequence = record->sequence;
    batch->results[index].arrival_ms = record->arrival_ms;
}

static size_t read_shard(struct history *history, int stream, const mr_shard *shard,
                         struct seen_record *seen, size_t count)
{
    const struct mr_reader_config config = {.from = {.start = MR_START_TRIM_HORIZON}};
    uint64_t last_number = 0;
    mr_reader *reader;
    mr_batch batch;
    mr_error error;

    expect(history,
           mr_reader_open(&reader, history->engine, stream_names[stream], shard->id, &config,
                          &error) == MR_OK,
           "%s: no reader: %s", stream_names[stream], error.message);
    do {
        expect(history, mr_reader_next(reader, 100, 0, &batch, &error) == MR_OK,
               "%s: reading failed: %s", stream_names[stream], error.message);
        for (size_t i = 0; i < batch.count; i++) {
            expect(history, batch.records[i].sequence.number > last_number,
                   "%s: a shard's records are out of order", stream_names[stream]);
            last_number = batch.records[i].sequence.number;
            mr_check(count < RECORDS_MAX);
            see_record(history, stream, shard, &batch.records[i], &seen[count++]);
        }
    } while (batch.count > 0 && !batch.end_of_shard);
    expect(history, batch.end_of_shard == shard->is_closed, "%s: shard %u has%s ended",
           stream_names[stream], shard->id, batch.end_of_shard ? "" : " not");
    mr_reader_close(reader);
    return count;
}

/* S2: what was put later under the same key stands later, in whatever shard. */
static void compare_key_order(struct history *history, int stream, struct seen_record *seen,
                              size_t count)
{
    uint64_t last[KEYS] = {0};

    qsort(seen, count, sizeof *seen, by_number);
    for (size_t i = 0; i < count; i++) {
        const struct batch *batch = history->batches[seen[i].batch];
        uint64_t place = (uint64_t)seen[i].batch * BATCH_MAX + seen[i].index + 1;
        int key = batch->keys[seen[i].index];
        expect(history, place > last[key], "%s: the records of a key are out of order",
               stream_names[stream]);
        last[key] = place;
    }
}

/* resolves: after a crash, when batches in doubt are stored or not, whole, the earlier before the
 * later. */
static void compare_batches(struct history *history, int stream, bool resolves)
{
    bool is_lost = false;

    for (uint32_t i = 0; i < history->batch_count; i++) {
        struct batch *batch = history->batches[i];
        uint32_t all;
        if (!batch || batch->stream != stream)
            continue;
        all = (1u << batch->count) - 1;
        expect(history, batch->seen == 0 || batch->seen == all, "%s: batch %u was torn",
               stream_names[stream], i);
        expect(history, batch->seen == all || batch->fate != STORED, "%s: batch %u was lost",
               stream_names[stream], i);
        expect(history, batch->seen == 0 || batch->fate == STORED || resolves,
               "%s: batch %u is seen and was not answered", stream_names[stream], i);
        expect(history, batch->seen == 0 || !is_lost, "%s: batch %u is there, one before is not",
               stream_names[stream], i);
        is_lost = is_lost || batch->seen == 0;
        if (resolves && batch->seen)
            batch->fate = STORED;
        batch->seen = 0;
    }
    for (uint32_t i = 0; resolves && i < history->batch_count; i++)
        if (history->batches[i] && history->batches[i]->stream == stream &&
            history->batches[i]->fate != STORED)
            history->batches[i]->stream = NONE; /* gone: it must not come back */
}

struct shard_list {
    mr_shard *shards;
    size_t count;
};

static bool add_shard(void *context, const mr_shard *shard)
{
    struct shard_list *list = context;
    mr_check(list->count < SHARDS_MAX);
    list->shards[list->count++] = *shard;
    return true;
}

/* S1: the open shards cover the hash space once. */
static void compare_cover(struct history *history, int stream, const mr_shard *shards, size_t count)
{
    mr_hash_key next = {0, 0};
    bool is_covered = false;

    while (!is_covered) {
        const mr_shard *found = NULL;
        for (size_t i = 0; i < count; i++) {
            if (shards[i].is_closed || compare_keys(shards[i].first_key, next) != 0)
                continue;
            expect(history, !found, "%s: two open shards have the same keys", stream_names[stream]);
            found = &shards[i];
        }
        expect(history, found, "%s: no open shard has some keys", stream_names[stream]);
        is_covered = found->last_key.hi == UINT64_MAX && found->last_key.lo == UINT64_MAX;
        next = found->last_key;
        next.hi += ++next.lo == 0;
    }
}

static bool same_shard(const mr_shard *a, const mr_shard *b)
{
    return a->id == b->id && a->parent == b->parent && a->adjacent_parent == b->adjacent_parent &&
           compare_keys(a->first_key, b->first_key) == 0 &&
           compare_keys(a->last_key, b->last_key) == 0 && a->created_ms == b->created_ms;
}

/* S3: the shards are those known; or a reshard in doubt is done: some closed, and new ones. */
static void compare_shards(struct history *history, int stream)
{
    static mr_shard shards[SHARDS_MAX];
    struct stream *known = &history->streams[stream];
    struct shard_list list = {shards, 0};
    bool is_doubted = history->doubt == RESHARDING && history->doubted == stream;
    size_t closed_count = 0;

    expect(history,
           mr_shard_each(history->engine, stream_names[stream], add_shard, &list, NULL) == MR_OK,
           "%s has no shards", stream_names[stream]);
    compare_cover(history, stream, shards, list.count);
    expect(history,
           list.count == known->shard_count || (is_doubted && list.count > known->shard_count),
           "%s has %zu shards, not %zu", stream_names[stream], list.count, known->shard_count);
    for (size_t i = 0; i < known->shard_count; i++) {
        bool newly_closed = shards[i].is_closed && !known->shards[i].is_closed;
        expect(history,
               same_shard(&shards[i], &known->shards[i]) &&
                   (shards[i].is_closed == known->shards[i].is_closed || newly_closed),
               "%s: shard %zu is another", stream_names[stream], i);
        closed_count += newly_closed;
    }
    expect(history, (closed_count > 0) == (list.count > known->shard_count),
           "%s: a reshard is half done", stream_names[stream]);
    memcpy(known->shards, shards, list.count * sizeof *shards);
    known->shard_count = list.count;
}

struct property_list {
    struct history *history;
    int stream;
    uint32_t values[PROPERTIES];
};

static bool add_property(void *context, const char *name, mr_bytes value, uint64_t version)
{
    struct property_list *list = context;

    (void)version;
    for (int i = 0; i < PROPERTIES; i++)
        if (strcmp(name, property_names[i]) == 0 && value.size == 4)
            memcpy(&list->values[i], value.data, 4);
    return true;
}

static void compare_properties(struct history *history, int stream)
{
    struct property_list list = {.history = history, .stream = stream};
    struct stream *known = &history->streams[stream];

    expect(history,
           mr_property_each(history->engine, stream_names[stream], "", add_property, &list, NULL) ==
               MR_OK,
           "%s: no properties", stream_names[stream]);
    for (int i = 0; i < PROPERTIES; i++) {
        bool is_doubted = history->doubt == SETTING && history->doubted == stream &&
                          history->doubted_property == i;
        expect(history,
               list.values[i] == known->values[i] ||
                   (is_doubted && list.values[i] == history->doubted_value),
               "%s: property %s is %u, not %u", stream_names[stream], property_names[i],
               list.values[i], known->values[i]);
        known->values[i] = list.values[i];
    }
}

static void forget_stream(struct history *history, int stream)
{
    history->streams[stream] = (struct stream){0};
    for (uint32_t i = 0; i < history->batch_count; i++)
        if (history->batches[i] && history->batches[i]->stream == stream)
            history->batches[i]->stream = NONE;
}

/* A stream as it was created. */
static void learn_shards(struct history *history, int stream)
{
    struct stream *known = &history->streams[stream];
    struct shard_list list = {known->shards, 0};

    expect(history,
           mr_shard_each(history->engine, stream_names[stream], add_shard, &list, NULL) == MR_OK,
           "%s has no shards", stream_names[stream]);
    known->shard_count = list.count;
    compare_cover(history, stream, known->shards, list.count);
}

/* How far the records that are stored have taken an origin. */
static uint64_t position_of(const struct history *history, int stream, int origin)
{
    uint64_t position = 0;

    for (uint32_t i = 0; i < history->batch_count; i++) {
        const struct batch *batch = history->batches[i];
        if (batch->stream == stream && batch->origin == origin && batch->fate == STORED &&
            batch->to > position)
            position = batch->to;
    }
    return position;
}

/* S4: no further, and not less far. */
static void compare_origins(struct history *history, int stream)
{
    for (int origin = 0; origin < ORIGINS; origin++) {
        uint64_t known = position_of(history, stream, origin), position = 0;

        expect(history,
               mr_origin_position(history->engine, stream_names[stream], origin_names[origin],
                                  &position, NULL) == MR_OK,
               "%s: no position", stream_names[stream]);
        expect(history, position == known, "%s: origin %s is taken up to %llu, its records to %llu",
               stream_names[stream], origin_names[origin], (unsigned long long)position,
               (unsigned long long)known);
    }
}

static void compare_stream(struct history *history, int stream, bool resolves)
{
    static struct seen_record seen[RECORDS_MAX];
    struct stream *known = &history->streams[stream];
    struct mr_stream_info info;
    size_t count = 0;
    bool exists = mr_stream_describe(history->engine, stream_names[stream], &info, NULL) == MR_OK;
    bool is_doubted = resolves && history->doubted == stream &&
                      history->doubt == (known->exists ? DELETING : CREATING);

    expect(history, exists == known->exists || is_doubted, "%s is%s there", stream_names[stream],
           exists ? "" : " not");
    if (known->exists && !exists)
        forget_stream(history, stream);
    if (!known->exists && exists) {
        known->exists = true;
        learn_shards(history, stream);
    }
    if (!exists)
        return;
    expect(history,
           info.is_encrypted == known->is_encrypted ||
               (resolves && history->doubt == ENCRYPTING && history->doubted == stream),
           "%s is%s encrypted", stream_names[stream], info.is_encrypted ? "" : " not");
    known->is_encrypted = info.is_encrypted;
    compare_shards(history, stream);
    compare_properties(history, stream);
    for (size_t i = 0; i < known->shard_count; i++)
        count = read_shard(history, stream, &known->shards[i], seen, count);
    compare_key_order(history, stream, seen, count);
    compare_batches(history, stream, resolves);
    compare_origins(history, stream);
}

static void compare_all(struct history *history, bool resolves)
{
    for (int stream = 0; stream < STREAMS; stream++)
        compare_stream(history, stream, resolves);
    if (resolves)
        history->doubt = NO_DOUBT;
}

/* ---- steps -------------------------------------------------------------------------------- */

static bool is_over(const struct history *history)
{
    return sim_disk_stopped(history->disk);
}

static void step_log(struct history *history)
{
    static const enum mr_log_step steps[] = {
        MR_LOG_STEP_COMMIT, MR_LOG_STEP_COMMIT, MR_LOG_STEP_PUBLISH,    MR_LOG_STEP_PUBLISH,
        MR_LOG_STEP_FLUSH,  MR_LOG_STEP_BELL,   MR_LOG_STEP_CHECKPOINT, MR_LOG_STEP_HOUSEKEEP};
    mr_log_step(mr_engine_log(history->engine), steps[below(history, 8)]);
}

/* A put that finds no room waits in real time for threads that are not there: see that it does. */
static void make_room(struct history *history, size_t batch_bytes)
{
    struct mr_log *log = mr_engine_log(history->engine);
    struct mr_engine_stats stats;

    mr_engine_stats(history->engine, &stats);
    if (batch_bytes > 20000)
        while (mr_log_step(log, MR_LOG_STEP_COMMIT) || mr_log_step(log, MR_LOG_STEP_PUBLISH))
            continue;
    if (stats.journal_used_bytes > stats.journal_bytes / 3 || stats.memory_bytes > 1u << 20)
        (void)mr_log_checkpoint(log, NULL);
}

static int some_stream(struct history *history)
{
    int stream = (int)below(history, STREAMS);
    return history->streams[stream].exists ? stream : NONE;
}

static bool is_under_way(const struct history *history, int stream, int origin)
{
    for (uint32_t i = 0; i < history->batch_count; i++)
        if (history->batches[i]->stream == stream && history->batches[i]->origin == origin &&
            history->batches[i]->fate == WAITING)
            return true;
    return false;
}

/* The next records of an origin, after a gap or none; or such as are there already. */
static mr_status put_from(struct history *history, struct batch *batch, const mr_put *puts,
                          mr_error *error)
{
    int origin = (int)below(history, ORIGINS);
    uint64_t position = position_of(history, batch->stream, origin);
    bool is_seen = position > 0 && below(history, 4) == 0, waits = below(history, 2),
         is_busy = is_under_way(history, batch->stream, origin);
    mr_origin from = {.name = origin_names[origin]};
    mr_status status;

    from.from = is_seen ? position - 1 : position + below(history, 3);
    from.to = from.from + batch->count;
    batch->origin = origin;
    batch->to = from.to;
    trace(history, waits ? "put from" : "submit from", batch->stream);
    status = mr_put_from(history->engine, stream_names[batch->stream], &from, puts, batch->count,
                         batch->results, 30000, waits ? NULL : batch_done, batch, error);
    if (is_seen || is_busy) {
        expect(history, status != MR_OK, "%s: what is there was put again",
               stream_names[batch->stream]);
        expect(history,
               status == (is_busy ? MR_BUSY : MR_CONFLICT) || history->may_fail || is_over(history),
               "what is there was refused with %s", error->message);
        batch->stream = NONE; /* it must not come */
        return MR_OK;
    }
    if (waits)
        batch_done(batch, status);
    return status;
}

static void step_put(struct history *history)
{
    static uint8_t data[BATCH_MAX][70000];
    mr_put puts[BATCH_MAX];
    int stream = some_stream(history);
    struct batch *batch;
    size_t batch_bytes = 0;
    mr_error error;
    mr_status status;

    if (stream == NONE || history->batch_count == BATCHES_MAX)
        return;
    batch = mr_new(struct batch);
    batch->id = history->batch_count;
    batch->stream = stream;
    batch->origin = NONE;
    batch->count = 1 + below(history, BATCH_MAX);
    for (uint32_t i = 0; i < batch->count; i++) {
        batch->keys[i] = (int)below(history, KEYS);
        batch->data_bytes[i] = 8 + (uint32_t)below(history, below(history, 20) ? 300 : 60000);
        batch_bytes += batch->data_bytes[i];
        make_data(batch, i, data[i]);
        puts[i] = (mr_put){.partition_key = key_of(batch->keys[i]),
                           .data = {data[i], batch->data_bytes[i]}};
    }
    make_room(history, batch_bytes);
    history->batches[history->batch_count++] = batch;
    if (below(history, 3) == 0) {
        status = put_from(history, batch, puts, &error);
    } else if (below(history, 2)) {
        trace(history, "put", stream);
        status = mr_put_records(history->engine, stream_names[stream], puts, batch->count,
                                batch->results, &error);
        batch_done(batch, status);
    } else {
        trace(history, "submit", stream);
        status = mr_put_submit(history->engine, stream_names[stream], puts, batch->count,
                               batch->results, batch_done, batch, &error);
    }
    if (status == MR_OK)
        return;
    expect(history, history->may_fail || is_over(history), "a put failed: %s", error.message);
    if (batch->fate == WAITING)
        batch->fate = UNKNOWN;
}

/* The outcome of a change: it is known only if it was answered. */
static void answered(struct history *history, mr_status status, const mr_error *error)
{
    if (status == MR_OK) {
        history->doubt = NO_DOUBT;
        return;
    }
    expect(history, history->may_fail || is_over(history), "a change failed: %s", error->message);
}

static void step_create_or_delete(struct history *history)
{
    int stream = (int)below(history, STREAMS);
    bool exists = history->streams[stream].exists;
    mr_error error;
    mr_status status;

    if (exists && below(history, 4))
        return;
    history->doubt = exists ? DELETING : CREATING;
    history->doubted = stream;
    trace(history, exists ? "delete" : "create", stream);
    status = exists ? mr_stream_delete(history->engine, stream_names[stream], &error)
                    : mr_stream_create(history->engine, stream_names[stream],
                                       1 + (uint32_t)below(history, 5), &error);
    answered(history, status, &error);
    if (status != MR_OK)
        return;
    forget_stream(history, stream);
    if (!exists) {
        history->streams[stream].exists = true;
        learn_shards(history, stream);
    }
}

static void step_reshard(struct history *history)
{
    int stream = some_stream(history);
    struct stream *known;
    const mr_shard *shard;
    mr_error error;
    mr_status status;

    if (stream == NONE)
        return;
    known = &history->streams[stream];
    if (known->shard_count > SHARDS_MAX - 40)
        return;
    shard = &known->shards[below(history, known->shard_count)];
    history->doubt = RESHARDING;
    history->doubted = stream;
    switch (below(history, 3)) {
    case 0:
        trace(history, "split", stream);
        status =
            mr_shard_split(history->engine, stream_names[stream], shard->id, NULL, NULL, &error);
        break;
    case 1:
        trace(history, "merge", stream);
        status = mr_shard_merge(history->engine, stream_names[stream], shard->id,
                                known->shards[below(history, known->shard_count)].id, NULL, &error);
        break;
    default:
        trace(history, "scale", stream);
        status = mr_stream_scale(history->engine, stream_names[stream],
                                 1 + (uint32_t)below(history, 8), &error);
        break;
    }
    if (status == MR_INVALID || status == MR_CLOSED || status == MR_LIMIT) {
        history->doubt = NO_DOUBT; /* refused: nothing changed */
        return;
    }
    if (status == MR_OK)
        compare_shards(history, stream);
    answered(history, status, &error);
}

static void step_property(struct history *history)
{
    int stream = some_stream(history);
    int property = (int)below(history, PROPERTIES);
    uint32_t value = below(history, 4) ? ++history->next_value : 0;
    mr_error error;
    mr_status status;

    if (stream == NONE)
        return;
    history->doubt = SETTING;
    history->doubted = stream;
    history->doubted_property = property;
    history->doubted_value = value;
    trace(history, "set", stream);
    status = mr_property_set(history->engine, stream_names[stream], property_names[property],
                             (mr_bytes){value ? &value : NULL, value ? sizeof value : 0},
                             MR_ANY_VERSION, NULL, &error);
    answered(history, status, &error);
    if (status == MR_OK)
        history->streams[stream].values[property] = value;
}

/* On, off, or on again: with another data key. */
static void step_encrypt(struct history *history)
{
    int stream = some_stream(history);
    bool is_on = below(history, 3) > 0;
    mr_error error;
    mr_status status;

    if (stream == NONE)
        return;
    history->doubt = ENCRYPTING;
    history->doubted = stream;
    trace(history, is_on ? "encrypt" : "encrypt no more", stream);
    status = mr_stream_encrypt(history->engine, stream_names[stream], is_on, &error);
    answered(history, status, &error);
    if (status == MR_OK)
        history->streams[stream].is_encrypted = is_on;
}

/* ---- lives -------------------------------------------------------------------------------- */

static bool open_engine(struct history *history)
{
    const struct mr_engine_world outside = {
        .fs = sim_disk_fs(history->disk), .clock = &history->clock.base, .manual = true};
    struct mr_engine_config config = MR_ENGINE_CONFIG_DEFAULT;
    mr_error error;
    mr_status status;

    config.journal_bytes = 2u << 20;
    config.segment_bytes = 128u << 10;
    config.memory_bytes = 1u << 20;
    config.limits = MR_LIMITS_NONE;
    config.key_file = "conf/keys";
    status = mr_engine_start(&history->engine, "data", &config, &outside, &error);
    if (status != MR_OK) {
        expect(history, is_over(history), "opening failed: %s", error.message);
        history->engine = NULL;
        return false;
    }
    history->may_fail = false;
    compare_all(history, true);
    return true;
}

static void end_life(struct history *history, enum sim_crash crash)
{
    if (history->traces)
        printf("\n-- %s\n", crash == SIM_KILL ? "kill" : "power cut");
    if (history->engine) {
        mr_log_step(mr_engine_log(history->engine), MR_LOG_STEP_ABANDON);
        mr_engine_close(history->engine);
        history->engine = NULL;
    }
    sim_disk_crash(history->disk, crash);
    for (uint32_t i = 0; i < history->batch_count; i++)
        if (history->batches[i]->fate == WAITING)
            history->batches[i]->fate = UNKNOWN;
}

static enum sim_crash some_crash(struct history *history)
{
    return below(history, 2) ? SIM_POWER_CUT : SIM_KILL;
}

static void live(struct history *history)
{
    uint64_t steps = 1 + below(history, 60);

    switch (below(history, 4)) {
    case 0:
    case 1:
        sim_disk_stop(history->disk, 1 + below(history, 120));
        break;
    case 2:
        history->may_fail = true;
        sim_disk_fail(history->disk, SIM_CHANGES, 1 + below(history, 120),
                      below(history, 2) ? EIO : ENOSPC, below(history, 2));
        break;
    default:
        break;
    }
    while (steps-- > 0 && !is_over(history) && history->doubt == NO_DOUBT) {
        uint64_t draw = below(history, 22);
        if (draw < 7)
            step_put(history);
        else if (draw < 13)
            step_log(history);
        else if (draw < 15)
            step_reshard(history);
        else if (draw < 17)
            step_create_or_delete(history);
        else if (draw < 18)
            step_property(history);
        else if (draw < 20)
            step_encrypt(history);
        else if (draw < 21)
            sim_clock_advance(&history->clock, below(history, 5000));
        else if (!history->may_fail)
            compare_all(history, false);
    }
    if (is_over(history) || history->may_fail || below(history, 2)) {
        end_life(history, some_crash(history));
        return;
    }
    trace(history, "close", NONE);
    mr_engine_close(history->engine);
    history->engine = NULL;
    end_life(history, SIM_POWER_CUT);
}

static void run_case(uint64_t seed, bool traces)
{
    struct history history = {
        .seed = seed, .traces = traces, .random = mr_random_of(seed), .doubted = NONE};

    history.disk = sim_disk_new(seed);
    sim_disk_garbage(history.disk, below(&history, 3) ? 0 : 30);
    sim_clock_init(&history.clock);
    for (uint64_t lives = 1 + below(&history, 5); lives > 0; lives--) {
        if (below(&history, 4) == 0)
            sim_disk_stop(history.disk, 1 + below(&history, 15));
        while (!open_engine(&history))
            end_life(&history, some_crash(&history));
        live(&history);
    }
    mr_check(open_engine(&history));
    mr_engine_close(history.engine);
    sim_disk_free(history.disk);
    for (uint32_t i = 0; i < history.batch_count; i++)
        mr_free(history.batches[i]);
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { CASES = 200 }; /* several times as slow */
#else
enum { CASES = 1500 };
#endif

static void keep_their_promises_in_random_histories(void **state)
{
    uint64_t seed = seed_choose(), count = CASES;
    (void)state;

    if (getenv("MR_CASES"))
        count = strtoull(getenv("MR_CASES"), NULL, 0);
    for (uint64_t i = 0; i < count; i++)
        run_case(seed + i, count == 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keep_their_promises_in_random_histories),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
