/* A log's newest records in memory: nothing is lost between chunks, and chunks go in order. */
#include "log/tail.h"

#include "base/memory.h"
#include "log/inside.h"
#include "support/seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { RUNS_MAX = 2000 };

struct fixture {
    struct mr_tail *tail;
    struct mr_run runs[RUNS_MAX]; /* frames not kept: made again from the number */
    size_t run_count;
    size_t allocated_bytes;
    uint32_t completed_count;
    uint64_t next_number;
    int64_t at_ms;
    uint64_t lsn;
};

static int setup(void **state)
{
    struct fixture *f = mr_new(struct fixture);
    struct mr_store *store = mr_new(struct mr_store);

    store->reference_count = 1;
    f->tail = mr_tail_new(5, store);
    f->next_number = 1;
    f->at_ms = 1000;
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    mr_tail_release(f->tail);
    mr_free(f);
    return 0;
}

static void fill(uint8_t *frames, size_t size, uint64_t number)
{
    for (size_t i = 0; i < size; i++)
        frames[i] = (uint8_t)(number * 37 + i);
}

/* Appends a run of count records that take `size` bytes. */
static void append(struct fixture *f, uint64_t count, size_t size)
{
    struct mr_tail_growth growth;
    uint8_t *frames = mr_alloc(size);
    struct mr_run run = {.record_count = count,
                         .first_number = f->next_number,
                         .at_ms = f->at_ms,
                         .frames = {frames, size}};

    assert_in_range(f->run_count, 0, RUNS_MAX - 1);
    fill(frames, size, f->next_number);
    mr_tail_append(f->tail, &run, (uint32_t)size - 2, (struct mr_lsn){f->lsn, f->lsn * 3}, &growth);
    mr_free(frames);
    f->runs[f->run_count++] = run;
    f->allocated_bytes += growth.allocated_bytes;
    f->completed_count += growth.completed_block;
    f->next_number += count;
    f->lsn += 4096;
}

static struct mr_chunk *first_of_block(struct mr_chunk *chunk)
{
    while (!chunk->begins_block)
        chunk = chunk->previous;
    return chunk;
}

/* Reads all chunks, and each block as the flusher does: its chunks in one piece. */
static void check(struct fixture *f, size_t first_run)
{
    size_t i = first_run, bytes = 0;
    uint32_t block_count = 0;

    for (struct mr_chunk *chunk = f->tail->first; chunk; chunk = chunk->next) {
        struct mr_scan scan = mr_scan_of((mr_bytes){chunk->bytes, chunk->used});
        struct mr_run_base base = chunk->base;
        uint32_t record_count = 0;
        struct mr_run run;

        assert_ptr_equal(chunk->next ? chunk->next->previous : f->tail->last, chunk);
        assert_true(chunk->used > 0 && chunk->used <= chunk->capacity);
        if (chunk->begins_block) {
            const struct mr_block block = {.first_number = chunk->first_number,
                                           .first_ms = chunk->first_ms};
            /* A block's base is its first record. */
            assert_true(base.next_number == block.first_number && base.at_ms == block.first_ms);
            assert_true(block_count == 0 || bytes <= BLOCK_RAW_BYTES_GOOD ||
                        first_of_block(chunk->previous) == chunk->previous);
            bytes = 0;
            block_count++;
        }
        bytes += chunk->used;
        assert_true(chunk->first_number == f->runs[i].first_number);
        assert_true(chunk->first_ms == f->runs[i].at_ms);
        assert_true(chunk->lsn.at == i * 4096 && chunk->lsn.previous_hash == chunk->lsn.at * 3);
        while (mr_run_read(&scan, &base, &run)) {
            uint8_t *expected = mr_alloc(run.frames.size);

            fill(expected, run.frames.size, run.first_number);
            assert_true(run.first_number == f->runs[i].first_number);
            assert_true(run.record_count == f->runs[i].record_count);
            assert_true(run.at_ms == f->runs[i].at_ms);
            assert_int_equal(run.frames.size, f->runs[i].frames.size);
            assert_memory_equal(run.frames.data, expected, run.frames.size);
            record_count += (uint32_t)run.record_count;
            mr_free(expected);
            i++;
        }
        assert_false(mr_scan_failed(&scan));
        assert_int_equal(chunk->record_count, record_count);
        assert_true(chunk->last_number == run.first_number + run.record_count - 1);
        assert_true(chunk->last_ms == run.at_ms);
    }
    assert_int_equal(i, f->run_count);
}

static void append_random(struct fixture *f, struct mr_random *random)
{
    static const uint64_t sizes[] = {10, 100, 2000, 16384, 16384, 65536, 100000, 300000};
    size_t size = 4 + (size_t)mr_random_below(random, sizes[mr_random_below(random, 8)]);

    f->next_number += mr_random_below(random, 4) ? 0 : mr_random_below(random, 1000);
    f->at_ms += mr_random_below(random, 4) ? 0 : (int64_t)mr_random_below(random, 100000);
    append(f, 1 + mr_random_below(random, size / 2 - 1), size);
}

/* T1 */
static void runs_of_every_size_are_kept(void **state)
{
    struct fixture *f = *state;
    struct mr_random random = seed_random();
    uint64_t record_count = 0;

    for (int i = 0; i < 500; i++) {
        append_random(f, &random);
        record_count += f->runs[i].record_count;
        if (mr_random_below(&random, 30) == 0 && mr_tail_complete(f->tail))
            f->completed_count++;
        if (i % 25 == 0)
            check(f, 0);
    }
    check(f, 0);
    assert_int_equal(f->tail->complete_count, f->completed_count);
    assert_true(f->tail->tip_number == f->next_number - 1);
    assert_true(f->tail->figures.record_count == record_count);
    assert_true(f->tail->figures.newest_ms == f->at_ms);
}

/* A reader that holds a chunk reads on without a lock. */
static void what_was_appended_is_never_moved(void **state)
{
    struct fixture *f = *state;
    struct mr_random random = seed_random();
    struct mr_chunk *chunk;
    uint8_t *bytes, copy[2000];
    uint32_t used;

    append(f, 3, 1500);
    chunk = f->tail->first;
    bytes = chunk->bytes;
    used = chunk->used;
    memcpy(copy, bytes, used);
    for (int i = 0; i < 300; i++) {
        append_random(f, &random);
        assert_ptr_equal(f->tail->first, chunk);
        assert_memory_equal(bytes, copy, used);
    }
}

static void chunks_of_a_quiet_log_are_small(void **state)
{
    struct fixture *f = *state;
    size_t used = 0;

    append(f, 1, 100);
    assert_in_range(f->allocated_bytes, 100, 4096);
    for (int i = 0; i < 60; i++)
        append(f, 10, 1000);
    for (struct mr_chunk *chunk = f->tail->first; chunk; chunk = chunk->next)
        used += chunk->used;
    /* It grows by half at most. */
    assert_true(f->allocated_bytes < used * 2 + 4096);
}

static void every_number_and_time_is_found(void **state)
{
    struct fixture *f = *state;
    struct mr_random random = seed_random();

    assert_null(mr_tail_find(f->tail, 1));
    assert_null(mr_tail_find_time(f->tail, 0));
    for (int i = 0; i < 300; i++)
        append_random(f, &random);
    for (size_t i = 0; i < f->run_count; i++) {
        const struct mr_run *run = &f->runs[i];
        uint64_t last = run->first_number + run->record_count - 1;
        struct mr_chunk *chunk = mr_tail_find(f->tail, last);

        assert_true(chunk && chunk->first_number <= last && chunk->last_number >= last);
        assert_ptr_equal(
            mr_tail_find(f->tail, run->first_number),
            mr_tail_find(f->tail,
                         i ? f->runs[i - 1].first_number + f->runs[i - 1].record_count : 0));
        /* The first chunk that has something of this time or later. */
        chunk = mr_tail_find_time(f->tail, run->at_ms);
        assert_true(chunk && chunk->last_ms >= run->at_ms);
        assert_true(!chunk->previous || chunk->previous->last_ms < run->at_ms);
    }
    assert_null(mr_tail_find(f->tail, f->next_number));
    assert_null(mr_tail_find_time(f->tail, f->at_ms + 1));
}

/* A block's times are 32-bit differences. */
static void a_long_pause_ends_a_block(void **state)
{
    struct fixture *f = *state;

    append(f, 1, 100);
    f->at_ms += INT32_MAX / 2;
    append(f, 1, 100);
    assert_int_equal(f->completed_count, 0);
    f->at_ms += (int64_t)INT32_MAX / 2 + 1;
    append(f, 1, 100);
    assert_int_equal(f->completed_count, 1);
    assert_true(f->tail->last->begins_block);
    check(f, 0);
}

static void completing_nothing_does_nothing(void **state)
{
    struct fixture *f = *state;

    assert_false(mr_tail_complete(f->tail));
    append(f, 1, 100);
    assert_true(mr_tail_complete(f->tail));
    assert_false(mr_tail_complete(f->tail));
    assert_int_equal(f->tail->complete_count, 1);
    append(f, 1, 100);
    assert_true(f->tail->last->begins_block);
    assert_ptr_not_equal(f->tail->last, f->tail->first);
    check(f, 0);
}

/* As the flusher does it: the first `count` chunks are in a segment. */
static void flush_chunks(struct fixture *f, size_t count)
{
    for (; count > 0; count--) {
        f->tail->pending->is_flushed = true;
        f->tail->pending = f->tail->pending->next;
    }
}

/* T1, T2 */
static void flushed_chunks_go_in_order_and_stay_readable_for_who_holds_them(void **state)
{
    struct fixture *f = *state;
    struct mr_random random = seed_random();
    size_t i = 0;

    for (int round = 0; round < 100; round++) {
        append_random(f, &random);
        append_random(f, &random);
        if (mr_tail_complete(f->tail))
            f->completed_count++;
        while (f->tail->pending && mr_random_below(&random, 3))
            flush_chunks(f, 1);
        while (f->tail->first && f->tail->first->is_flushed && mr_random_below(&random, 4)) {
            struct mr_chunk *held = mr_chunk_hold(f->tail->first), *dropped;
            uint64_t last_number = held->last_number;
            const struct mr_run *last = NULL;

            dropped = mr_tail_drop_first(f->tail);
            assert_ptr_equal(dropped, held);
            mr_chunk_release(dropped);
            assert_true(f->tail->dropped_number == last_number);
            for (; i < f->run_count && f->runs[i].first_number <= last_number; i++)
                last = &f->runs[i];
            assert_int_equal(held->bytes[held->used - 1],
                             (uint8_t)(last->first_number * 37 + last->frames.size - 1));
            mr_chunk_release(held);
        }
        /* All that is not dropped is in a chunk. */
        check(f, i);
        assert_true(!f->tail->first == (i == f->run_count));
    }
}

int main(void)
{
#define on_a_tail(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        on_a_tail(runs_of_every_size_are_kept),
        on_a_tail(what_was_appended_is_never_moved),
        on_a_tail(chunks_of_a_quiet_log_are_small),
        on_a_tail(every_number_and_time_is_found),
        on_a_tail(a_long_pause_ends_a_block),
        on_a_tail(completing_nothing_does_nothing),
        on_a_tail(flushed_chunks_go_in_order_and_stay_readable_for_who_holds_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
