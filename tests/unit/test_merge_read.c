/* test_merge_read.c - all shards read as one: complete, in order, and through reshards that happen
 * while one follows. */
#include "../../tools/merge_read.h"
#include "os/thread.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define KEY_COUNT 50

static mr_engine *engine;
static struct mr_place place;
static char directory[64];
static unsigned put_count; /* records are numbered, each key's ascend */

static int open_engine(void **state)
{
    const char *temporary = getenv("TMPDIR");
    mr_error error;

    (void)state;
    snprintf(directory, sizeof directory, "%.40s/merge-XXXXXX", temporary ? temporary : "/tmp");
    put_count = 0;
    assert_non_null(mkdtemp(directory));
    if (mr_engine_open(&engine, directory, NULL, &error))
        fail_msg("%s", error.message);
    place.engine = engine;
    return (int)mr_stream_create(engine, "s", 4, &error);
}

static int close_engine(void **state)
{
    (void)state;
    mr_engine_close(engine);
    return 0;
}

static void put(unsigned count)
{
    for (unsigned i = 0; i < count; i++, put_count++) {
        char key[16], data[16];
        mr_put record = {.partition_key = {key, 0}, .data = {data, 0}};
        mr_put_result result;

        record.partition_key.size =
            (size_t)snprintf(key, sizeof key, "key%u", put_count * 7 % KEY_COUNT);
        record.data.size = (size_t)snprintf(data, sizeof data, "%u", put_count);
        assert_int_equal(mr_put_records(engine, "s", &record, 1, &result, NULL), MR_OK);
        assert_int_equal(result.status, MR_OK);
    }
}

/* What was read: each number once, each key's ascending. */
struct seen {
    unsigned count, last[KEY_COUNT];
    uint64_t last_number;
    bool in_one_order; /* sequence numbers ascended over all shards */
};

static unsigned number_of(mr_bytes text, size_t skip)
{
    char digits[16];

    snprintf(digits, sizeof digits, "%.*s", (int)(text.size - skip),
             (const char *)text.data + skip);
    return (unsigned)strtoul(digits, NULL, 10);
}

static void read_all(struct mr_merge *merge, struct seen *seen)
{
    const mr_record *record;

    for (;;) {
        unsigned key, number;

        assert_int_equal(mr_merge_next(merge, &record, NULL), MR_OK);
        if (!record)
            return;
        key = number_of(record->partition_key, 3);
        number = number_of(record->data, 0);
        assert_true(key == number * 7 % KEY_COUNT);
        assert_true(seen->last[key] == 0 || number > seen->last[key] - 1);
        seen->last[key] = number + 1;
        seen->in_one_order = seen->in_one_order && record->sequence.number > seen->last_number;
        seen->last_number = record->sequence.number;
        seen->count++;
    }
}

static struct mr_merge *open_merge(mr_shard_id only, mr_start start)
{
    mr_position from = {.start = start};
    struct mr_merge *merge;

    assert_int_equal(mr_merge_open(&merge, &place, "s", only, &from, NULL), MR_OK);
    return merge;
}

static void reads_what_was_put_in_one_order_through_reshards(void **state)
{
    struct seen seen = {.in_one_order = true};
    struct mr_merge *merge;
    mr_shard_id children[2], child;

    (void)state;
    put(500);
    assert_int_equal(mr_shard_split(engine, "s", 1, NULL, children, NULL), MR_OK);
    put(500);
    assert_int_equal(mr_shard_merge(engine, "s", children[1], 2, &child, NULL), MR_OK);
    put(500);
    assert_int_equal(mr_stream_scale(engine, "s", 7, NULL), MR_OK);
    put(500);
    merge = open_merge(MR_NO_SHARD, MR_START_TRIM_HORIZON);
    read_all(merge, &seen);
    assert_int_equal(seen.count, put_count);
    assert_true(seen.in_one_order);
    assert_false(mr_merge_is_over(merge)); /* open shards may get more */
    mr_merge_close(merge);
}

static void follows_into_the_children_of_shards_that_close(void **state)
{
    struct mr_merge *merge;
    struct seen seen = {.in_one_order = true};

    (void)state;
    put(100);
    merge = open_merge(MR_NO_SHARD, MR_START_LATEST);
    read_all(merge, &seen);
    assert_int_equal(seen.count, 0);
    for (uint32_t shards = 1; shards < 9; shards++) {
        put(50);
        assert_int_equal(mr_stream_scale(engine, "s", shards, NULL), MR_OK);
        put(50);
        if (shards % 2)
            read_all(merge, &seen);
    }
    read_all(merge, &seen);
    assert_int_equal(seen.count, put_count - 100);
    mr_merge_close(merge);
}

static void one_closed_shard_comes_to_its_end(void **state)
{
    struct mr_merge *merge;
    struct seen seen = {.in_one_order = true};

    (void)state;
    put(200);
    merge = open_merge(2, MR_START_TRIM_HORIZON);
    read_all(merge, &seen);
    assert_true(seen.count > 0 && seen.count < 200);
    assert_false(mr_merge_is_over(merge));
    assert_int_equal(mr_shard_split(engine, "s", 2, NULL, NULL, NULL), MR_OK);
    put(200);
    read_all(merge, &seen);
    assert_true(mr_merge_is_over(merge));
    mr_merge_close(merge);
}

static void refuses_what_is_not_there(void **state)
{
    mr_position from = {.start = MR_START_TRIM_HORIZON};
    struct mr_merge *merge;

    (void)state;
    assert_int_equal(mr_merge_open(&merge, &place, "none", MR_NO_SHARD, &from, NULL), MR_NOT_FOUND);
    assert_null(merge);
    assert_int_equal(mr_merge_open(&merge, &place, "s", 99, &from, NULL), MR_NOT_FOUND);
    assert_null(merge);
}

static _Atomic uint32_t word;

static void *put_later(void *context)
{
    put(*(unsigned *)context);
    return NULL;
}

static void *reshard_later(void *context)
{
    (void)context;
    assert_int_equal(mr_stream_scale(engine, "s", 3, NULL), MR_OK);
    put(1);
    return NULL;
}

static void *wake_later(void *context)
{
    (void)context;
    atomic_fetch_add(&word, 1);
    mr_word_wake(&word, true);
    return NULL;
}

/* Waits until `count` records are seen. */
static void wait_for(struct mr_merge *merge, struct seen *seen, unsigned count)
{
    for (;;) {
        uint32_t value = atomic_load(&word);

        read_all(merge, seen);
        if (seen->count >= count)
            return;
        mr_merge_wait(merge, &word, value);
    }
}

static void waiting_ends_with_a_record_a_reshard_or_the_word(void **state)
{
    struct mr_merge *merge = open_merge(MR_NO_SHARD, MR_START_LATEST);
    struct seen seen = {.in_one_order = true};
    unsigned one = 1;
    uint32_t value;
    pthread_t thread;

    (void)state;
    for (unsigned round = 1; round <= 50; round++) {
        thread = mr_thread_start("put", put_later, &one);
        wait_for(merge, &seen, round);
        pthread_join(thread, NULL);
    }
    thread = mr_thread_start("reshard", reshard_later, NULL);
    wait_for(merge, &seen, 51);
    pthread_join(thread, NULL);

    value = atomic_load(&word);
    thread = mr_thread_start("wake", wake_later, NULL);
    while (atomic_load(&word) == value)
        mr_merge_wait(merge, &word, value);
    pthread_join(thread, NULL);
    assert_int_equal(seen.count, 51);
    mr_merge_close(merge);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_engine, close_engine)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(reads_what_was_put_in_one_order_through_reshards),
        TEST(follows_into_the_children_of_shards_that_close),
        TEST(one_closed_shard_comes_to_its_end),
        TEST(refuses_what_is_not_there),
        TEST(waiting_ends_with_a_record_a_reshard_or_the_word),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
