/*
 * Many threads on one stream: producers put while shards are split, merged and scaled, and consumers
 * follow the lineage. Every consumer sees each record once, and each key's records in put order (S2).
 */
#include "base/check.h"
#include "base/memory.h"
#include "base/random.h"
#include "millrace.h"
#include "os/thread.h"
#include "support/seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum {
    PRODUCERS = 4,
    CONSUMERS = 2,
    KEYS_EACH = 8,
    KEYS = PRODUCERS * KEYS_EACH,
    BATCHES = 150,
    BATCH_MAX = 40,
    RESHARDS = 40,
    SHARDS_MAX = 4096,
};

struct field {
    struct mr_engine *engine;
    uint64_t seed;
    _Atomic uint32_t put_count;     /* records answered with OK */
    _Atomic uint32_t producing;     /* producers at work */
    _Atomic uint32_t reshard_count; /* that were done */
};

struct worker {
    struct field *field;
    unsigned index;
    pthread_t thread;
};

/* ---- producers ---------------------------------------------------------------------------- */

struct payload {
    uint32_t key, order;
};

struct submission {
    _Atomic uint32_t is_done;
    mr_status status;
};

static void submitted(void *context, mr_status status)
{
    struct submission *submission = context;

    submission->status = status;
    atomic_store(&submission->is_done, 1);
    mr_word_wake(&submission->is_done, true);
}

/* By one of the two ways of putting. */
static void put(struct field *field, const mr_put *puts, size_t count, mr_put_result *results,
                bool asynchronously)
{
    struct submission submission = {0};

    if (asynchronously) {
        mr_check(mr_put_submit(field->engine, "s", puts, count, results, submitted, &submission,
                               NULL) == MR_OK);
        while (!atomic_load(&submission.is_done))
            mr_word_wait(&submission.is_done, 0, UINT32_MAX);
        mr_check(submission.status == MR_OK);
    } else {
        mr_check(mr_put_records(field->engine, "s", puts, count, results, NULL) == MR_OK);
    }
}

static void *produce(void *context)
{
    struct worker *worker = context;
    struct field *field = worker->field;
    struct mr_random random = mr_random_of(field->seed + worker->index);
    uint32_t order[KEYS_EACH] = {0};

    for (int i = 0; i < BATCHES; i++) {
        struct payload payloads[BATCH_MAX];
        char names[BATCH_MAX][16];
        mr_put puts[BATCH_MAX];
        mr_put_result results[BATCH_MAX];
        size_t count = 1 + mr_random_below(&random, BATCH_MAX);

        for (size_t j = 0; j < count; j++) {
            uint32_t key = (uint32_t)mr_random_below(&random, KEYS_EACH);

            payloads[j] = (struct payload){worker->index * KEYS_EACH + key, order[key]++};
            snprintf(names[j], sizeof names[j], "key-%u", payloads[j].key);
            puts[j] = (mr_put){.partition_key = {names[j], strlen(names[j])},
                               .data = {&payloads[j], sizeof payloads[j]}};
        }
        put(field, puts, count, results, mr_random_below(&random, 2));
        for (size_t j = 0; j < count; j++) {
            mr_check(results[j].status == MR_OK);
            mr_check(results[j].sequence.time_s >= results[j].sequence.created_s);
        }
        atomic_fetch_add(&field->put_count, (uint32_t)count);
    }
    atomic_fetch_sub(&field->producing, 1);
    return NULL;
}

/* ---- lists of shards ---------------------------------------------------------------------- */

struct listed {
    mr_shard shards[SHARDS_MAX];
    size_t count;
};

static bool list_shard(void *context, const mr_shard *shard)
{
    struct listed *listed = context;

    mr_check(listed->count < SHARDS_MAX);
    listed->shards[listed->count++] = *shard;
    return true;
}

static void list(struct field *field, struct listed *listed)
{
    listed->count = 0;
    mr_check(mr_shard_each(field->engine, "s", list_shard, listed, NULL) == MR_OK);
}

/* ---- resharding --------------------------------------------------------------------------- */

static void *reshard(void *context)
{
    struct worker *worker = context;
    struct field *field = worker->field;
    struct mr_random random = mr_random_of(field->seed + 1000);
    struct listed *listed = mr_alloc(sizeof *listed);

    while (atomic_load(&field->producing) > 0 && atomic_load(&field->reshard_count) < RESHARDS) {
        const mr_shard *shard;
        mr_status status;

        list(field, listed);
        shard = &listed->shards[mr_random_below(&random, listed->count)];
        switch (mr_random_below(&random, 3)) {
        case 0:
            status = mr_shard_split(field->engine, "s", shard->id, NULL, NULL, NULL);
            break;
        case 1:
            status = mr_shard_merge(field->engine, "s", shard->id,
                                    listed->shards[mr_random_below(&random, listed->count)].id,
                                    NULL, NULL);
            break;
        default:
            status = mr_stream_scale(field->engine, "s", 1 + (uint32_t)mr_random_below(&random, 8),
                                     NULL);
        }
        mr_check(status == MR_OK || status == MR_CLOSED || status == MR_INVALID);
        atomic_fetch_add(&field->reshard_count, status == MR_OK);
    }
    mr_free(listed);
    return NULL;
}

/* ---- consumers ---------------------------------------------------------------------------- */

struct consumer {
    struct field *field;
    struct listed *listed;
    mr_reader *readers[SHARDS_MAX];
    bool ended[SHARDS_MAX];
    uint32_t next[KEYS];
    uint32_t seen_count;
};

static bool may_start(const struct consumer *consumer, const mr_shard *shard)
{
    return !consumer->ended[shard->id] && !consumer->readers[shard->id] &&
           (shard->parent == MR_NO_SHARD || consumer->ended[shard->parent]) &&
           (shard->adjacent_parent == MR_NO_SHARD || consumer->ended[shard->adjacent_parent]);
}

static void take(struct consumer *consumer, const mr_batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        struct payload payload;

        mr_check(batch->records[i].data.size == sizeof payload);
        memcpy(&payload, batch->records[i].data.data, sizeof payload);
        mr_check(payload.key < KEYS);
        mr_check(payload.order == consumer->next[payload.key]); /* S2 */
        consumer->next[payload.key]++;
        consumer->seen_count++;
    }
}

static void read_shard(struct consumer *consumer, mr_shard_id shard)
{
    mr_batch batch;

    mr_check(mr_reader_next(consumer->readers[shard], 1000, 1, &batch, NULL) == MR_OK);
    take(consumer, &batch);
    if (batch.end_of_shard) {
        mr_reader_close(consumer->readers[shard]);
        consumer->readers[shard] = NULL;
        consumer->ended[shard] = true;
    }
}

static void *consume(void *context)
{
    const struct mr_reader_config from_start = {.from = {.start = MR_START_TRIM_HORIZON}};
    struct worker *worker = context;
    struct consumer *consumer = mr_new(struct consumer);
    bool is_last;

    consumer->field = worker->field;
    consumer->listed = mr_alloc(sizeof *consumer->listed);
    do {
        /* Looked at before reading: then all that was put is there to be read. */
        is_last = atomic_load(&worker->field->producing) == 0 &&
                  consumer->seen_count == atomic_load(&worker->field->put_count);
        list(worker->field, consumer->listed);
        for (size_t i = 0; i < consumer->listed->count; i++) {
            const mr_shard *shard = &consumer->listed->shards[i];

            if (may_start(consumer, shard))
                mr_check(mr_reader_open(&consumer->readers[shard->id], worker->field->engine, "s",
                                        shard->id, &from_start, NULL) == MR_OK);
            if (consumer->readers[shard->id])
                read_shard(consumer, shard->id);
        }
    } while (!is_last);
    mr_check(consumer->seen_count == worker->field->put_count);
    for (size_t i = 0; i < SHARDS_MAX; i++)
        mr_reader_close(consumer->readers[i]);
    mr_free(consumer->listed);
    mr_free(consumer);
    return NULL;
}

/* ---- the test ----------------------------------------------------------------------------- */

static void every_consumer_sees_each_record_once_and_each_key_in_order(void **state)
{
    struct worker workers[PRODUCERS + CONSUMERS + 1];
    struct field field = {.seed = seed_choose(), .producing = PRODUCERS};
    struct mr_engine_config config = MR_ENGINE_CONFIG_DEFAULT;
    char directory[] = "reshard-XXXXXX", path[512];
    const char *temporary = getenv("TMPDIR");
    mr_error error;
    (void)state;

    snprintf(path, sizeof path, "%s/%s", temporary ? temporary : "/tmp", directory);
    assert_non_null(mkdtemp(path));
    config.journal_bytes = 32u << 20;
    if (mr_engine_open(&field.engine, path, &config, &error))
        fail_msg("opening %s: %s", path, error.message);
    assert_int_equal(mr_stream_create(field.engine, "s", 2, NULL), MR_OK);
    for (unsigned i = 0; i < PRODUCERS + CONSUMERS + 1; i++) {
        workers[i] = (struct worker){.field = &field, .index = i};
        workers[i].thread = mr_thread_start("worker",
                                            i < PRODUCERS               ? produce
                                            : i < PRODUCERS + CONSUMERS ? consume
                                                                        : reshard,
                                            &workers[i]);
    }
    for (unsigned i = 0; i < PRODUCERS + CONSUMERS + 1; i++)
        pthread_join(workers[i].thread, NULL);
    assert_true(field.reshard_count > 0);
    mr_engine_close(field.engine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_consumer_sees_each_record_once_and_each_key_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
