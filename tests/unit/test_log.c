/*
 * The log as its owner sees it: put and read, a disk that is full, fails or may not be written,
 * directories that are locked, too new, copied or damaged. Whatever byte changes, it is noticed, and
 * nobody is given wrong records.
 */
#include "log/log.h"

#include "base/endian.h"
#include "base/memory.h"
#include "os/thread.h"
#include "support/small_log.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#ifdef __SANITIZE_THREAD__
enum { HASTE = 16 }; /* one thread, ten times slower: some of it is enough there */
#else
enum { HASTE = 1 };
#endif

/* ---- fixtures ------------------------------------------------------------------------------ */

static int on_the_simulated_disk(void **state)
{
    *state = small_log_new_simulated(1);
    return 0;
}

static int on_real_files(void **state)
{
    char path[256];

    snprintf(path, sizeof path, "%s/log.XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    if (!mkdtemp(path))
        return -1;
    strcat(path, "/data");
    *state = small_log_new_real(path);
    return 0;
}

struct folder {
    struct mr_fs *fs;
    const char *path;
};

static bool remove_name(void *context, const char *name)
{
    const struct folder *folder = context;
    char path[1024];
    struct folder inner = {folder->fs, path};

    snprintf(path, sizeof path, "%s/%s", folder->path, name);
    if (folder->fs->remove(folder->fs, path, NULL)) {
        folder->fs->list(folder->fs, path, remove_name, &inner, NULL);
        folder->fs->remove_directory(folder->fs, path, NULL);
    }
    return true;
}

static int teardown(void **state)
{
    struct small_log *s = *state;
    char path[512];
    struct folder folder = {s->fs, path};
    bool is_real = !s->disk;

    snprintf(path, sizeof path, "%s", s->directory);
    small_log_free(s);
    if (is_real) {
        *strrchr(path, '/') = 0;
        folder.fs->list(folder.fs, path, remove_name, &folder, NULL);
        folder.fs->remove_directory(folder.fs, path, NULL);
    }
    return 0;
}

/* Two streams, three logs, some of it in segments, sealed and not, some in memory only. */
static void fill(struct small_log *s, int rounds)
{
    small_log_add(s, 0, 1);
    small_log_add(s, 1, 1);
    small_log_add(s, 2, 5);
    for (int i = 0; i < rounds; i++) {
        sim_clock_advance(&s->clock, 1000);
        small_log_must_put(s, 0, 8);
        small_log_must_put(s, 1, 3);
        if (i % 3 == 0)
            small_log_must_put(s, 2, 2);
        if (i % 4 == 3)
            assert_int_equal(mr_log_checkpoint(s->log, NULL), MR_OK);
    }
}

static void open_and_fill(struct small_log *s, int rounds)
{
    small_log_must_open(s);
    fill(s, rounds);
}

/* ---- put, read, close, open ---------------------------------------------------------------- */

/* L1, L2 */
static void what_was_put_is_read_before_and_after_every_opening(void **state)
{
    struct small_log *s = *state;

    small_log_must_open(s);
    fill(s, 5);
    for (int i = 0; i < 5; i++) {
        small_log_must_read_all(s);
        small_log_close(s);
        assert_int_equal(small_log_damage(s), 0);
        small_log_must_open(s);
        small_log_must_read_all(s);
        for (int n = 0; n < 20; n++)
            small_log_must_put(s, (mr_log_id)(n % 3), 5);
    }
    small_log_must_read_all(s);
}

static void a_closed_directory_has_an_empty_journal(void **state)
{
    struct small_log *s = *state;
    char path[600];
    uint8_t *bytes;
    size_t size;

    open_and_fill(s, 3);
    small_log_close(s);
    snprintf(path, sizeof path, "%s/journal", s->directory);
    assert_int_equal(mr_fs_read_all(s->fs, path, 1u << 30, &bytes, &size, NULL), MR_OK);
    assert_int_equal(size, 0);
    mr_free(bytes);
}

/* One entry and runs of several logs are one append: all of it or nothing. */
static void an_append_of_several_runs_has_consecutive_numbers(void **state)
{
    struct small_log *s = *state;
    uint8_t frame[64];
    const mr_put put = {.partition_key = {"k", 1}, .data = {"data", 4}};
    size_t size = (size_t)(mr_frame_write(frame, &put) - frame);
    struct mr_log_run runs[3];
    struct mr_log_append append = {.runs = runs, .run_count = 3};
    uint64_t tip;

    open_and_fill(s, 1);
    for (uint32_t i = 0; i < 3; i++)
        runs[i] = (struct mr_log_run){
            .log = i, .record_count = 1, .record_bytes = 5, .frames = {frame, size}};
    assert_int_equal(mr_log_append_wait(s->log, &append, 0, NULL), MR_OK);
    assert_true(runs[1].first_number == runs[0].first_number + 1);
    assert_true(runs[2].first_number == runs[0].first_number + 2);
    assert_true(append.at_ms == s->clock.wall_ms);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(mr_log_tip(s->log, i, &tip), MR_OK);
        assert_true(tip == runs[i].first_number);
    }
    assert_int_equal(mr_log_tip(s->log, 3, &tip), MR_CLOSED);
}

static void time_never_runs_backwards(void **state)
{
    struct small_log *s = *state;
    struct mr_log_cursor *cursor;
    struct mr_log_records records;
    int64_t last_ms = 0;
    size_t count = 0;

    open_and_fill(s, 4);
    sim_clock_set_wall(&s->clock, s->clock.wall_ms - 100000);
    small_log_must_put(s, 0, 3);
    small_log_close(s);
    small_log_must_open(s);
    small_log_must_put(s, 0, 3);
    assert_int_equal(mr_log_cursor_open(&cursor, s->log, 0, (mr_sequence){.shard = 0}, NULL),
                     MR_OK);
    do {
        assert_int_equal(mr_log_cursor_next(cursor, 7, 0, &records, NULL), MR_OK);
        for (size_t i = 0; i < records.count; i++) {
            assert_true(records.records[i].arrival_ms >= last_ms);
            last_ms = records.records[i].arrival_ms;
        }
        count += records.count;
    } while (records.count > 0);
    mr_log_cursor_close(cursor);
    assert_int_equal(count, s->counts[0]);
}

/* From every number and every time, in segments and in memory. */
static void seeking_finds_the_first_record_from_there(void **state)
{
    struct small_log *s = *state;
    struct mr_log_cursor *cursor;
    struct mr_log_records records;
    int64_t *times;
    size_t count;

    open_and_fill(s, 30);
    small_log_must_put(s, 0, 5);
    count = s->counts[0];
    times = mr_alloc(count * sizeof *times);
    assert_int_equal(mr_log_cursor_open(&cursor, s->log, 0, (mr_sequence){.shard = 0}, NULL),
                     MR_OK);
    for (size_t i = 0; i < count;) {
        assert_int_equal(mr_log_cursor_next(cursor, 100, 0, &records, NULL), MR_OK);
        for (size_t n = 0; n < records.count; n++)
            times[i++] = records.records[n].arrival_ms;
    }
    for (size_t i = 0; i < count; i++) {
        size_t first = i;

        mr_log_cursor_seek(cursor, s->numbers[0][i]);
        assert_int_equal(mr_log_cursor_next(cursor, 1, 0, &records, NULL), MR_OK);
        assert_int_equal(records.count, 1);
        assert_true(records.records[0].sequence.number == s->numbers[0][i]);
        /* The number before it may be another log's. */
        mr_log_cursor_seek(cursor, i ? s->numbers[0][i - 1] + 1 : 0);
        assert_int_equal(mr_log_cursor_next(cursor, 1, 0, &records, NULL), MR_OK);
        assert_true(records.records[0].sequence.number == s->numbers[0][i]);

        while (first > 0 && times[first - 1] == times[i])
            first--;
        for (int64_t early = 0; early < 2; early++) {
            assert_int_equal(mr_log_cursor_seek_time(cursor, times[i] - early, NULL), MR_OK);
            assert_int_equal(mr_log_cursor_next(cursor, 1, 0, &records, NULL), MR_OK);
            assert_true(records.records[0].sequence.number == s->numbers[0][first]);
        }
    }
    assert_int_equal(mr_log_cursor_seek_time(cursor, s->clock.wall_ms + 1, NULL), MR_OK);
    assert_int_equal(mr_log_cursor_next(cursor, 1, 0, &records, NULL), MR_OK);
    assert_true(records.count == 0 && records.at_tip);
    mr_log_cursor_seek(cursor, s->numbers[0][count - 1] + 1);
    assert_int_equal(mr_log_cursor_next(cursor, 1, 0, &records, NULL), MR_OK);
    assert_true(records.count == 0 && records.at_tip);
    mr_log_cursor_close(cursor);
    mr_free(times);
}

/* L2: a reader that stays in place while its records go from memory to segments, then out of memory. */
static void a_reader_goes_on_through_flushes_and_checkpoints(void **state)
{
    struct small_log *s = *state;
    struct mr_log_cursor *cursor;
    size_t next = 0;

    s->config.memory_bytes = 8 << 10;
    small_log_must_open(s);
    small_log_add(s, 0, 1);
    assert_int_equal(mr_log_cursor_open(&cursor, s->log, 0, (mr_sequence){.shard = 0}, NULL),
                     MR_OK);
    for (int i = 0; i < 200; i++) {
        struct mr_log_records records;

        small_log_must_put(s, 0, 10);
        if (i % 3 == 1)
            mr_log_step(s->log, MR_LOG_STEP_FLUSH);
        if (i % 7 == 1)
            mr_log_step(s->log, MR_LOG_STEP_CHECKPOINT);
        /* Slower than the puts, then all. */
        do {
            assert_int_equal(mr_log_cursor_next(cursor, 7, 0, &records, NULL), MR_OK);
            for (size_t n = 0; n < records.count; n++)
                assert_true(records.records[n].sequence.number == s->numbers[0][next++]);
        } while (i == 199 && !records.at_tip);
        assert_int_equal(records.at_tip, next == s->counts[0]);
    }
    mr_log_cursor_close(cursor);
    assert_int_equal(next, s->counts[0]);
}

static void a_dropped_log_is_closed_to_its_readers(void **state)
{
    struct small_log *s = *state;
    struct mr_log_cursor *cursor, *late;
    struct mr_log_records records;

    open_and_fill(s, 10);
    assert_int_equal(mr_log_cursor_open(&cursor, s->log, 1, (mr_sequence){.shard = 1}, NULL),
                     MR_OK);
    assert_int_equal(mr_log_cursor_next(cursor, 5, 0, &records, NULL), MR_OK);
    small_log_drop(s, 1);
    mr_log_cursor_seek(cursor, 1);
    assert_int_equal(mr_log_cursor_next(cursor, 5, 0, &records, NULL), MR_CLOSED);
    assert_int_equal(mr_log_cursor_open(&late, s->log, 1, (mr_sequence){.shard = 1}, NULL),
                     MR_CLOSED);
    mr_log_cursor_close(cursor);
    small_log_must_read_all(s);
    small_log_close(s);
    assert_int_equal(small_log_damage(s), 0);
    small_log_must_open(s);
    small_log_must_read_all(s);
}

static void a_batch_larger_than_the_journal_is_refused(void **state)
{
    struct small_log *s = *state;
    struct mr_log_append append = {.entry = {"", 1 << 20}};
    mr_error error;

    small_log_must_open(s);
    assert_int_equal(mr_log_append(s->log, &append, 0, &error), MR_LIMIT);
    assert_non_null(strstr(error.message, "smaller batches"));
}

/* L8 */
static void trimming_takes_whole_segments_and_nothing_younger(void **state)
{
    struct small_log *s = *state;
    struct mr_log_figures before, after;
    int64_t horizon_ms;
    struct mr_log_cursor *cursor;
    struct mr_log_records records;
    uint64_t first;

    open_and_fill(s, 80);
    small_log_close(s);
    small_log_must_open(s); /* nothing is in memory */
    horizon_ms = s->clock.wall_ms - 40000;
    mr_log_stream_figures(s->log, 1, &before);
    assert_true(before.segment_count >= 4);
    mr_log_trim(s->log, 1, horizon_ms);
    mr_log_stream_figures(s->log, 1, &after);
    assert_in_range(after.segment_count, 1, before.segment_count - 2);
    /* The first record left is younger, or shares its segment with one that is. */
    assert_int_equal(mr_log_cursor_open(&cursor, s->log, 0, (mr_sequence){.shard = 0}, NULL),
                     MR_OK);
    assert_int_equal(mr_log_cursor_next(cursor, 1, 0, &records, NULL), MR_OK);
    first = records.records[0].sequence.number;
    assert_true(first > s->numbers[0][0]);
    assert_true(records.records[0].arrival_ms <= horizon_ms + 1000);
    /* What is behind it is whole. */
    for (size_t i = 0; i < s->counts[0]; i++) {
        if (s->numbers[0][i] < first)
            continue;
        mr_log_cursor_seek(cursor, s->numbers[0][i]);
        assert_int_equal(mr_log_cursor_next(cursor, 1, 0, &records, NULL), MR_OK);
        assert_true(records.records[0].sequence.number == s->numbers[0][i]);
    }
    /* With a horizon inside a segment: exactly from there. */
    mr_log_cursor_seek(cursor, 1);
    assert_int_equal(mr_log_cursor_next(cursor, 1, horizon_ms, &records, NULL), MR_OK);
    assert_true(records.records[0].arrival_ms >= horizon_ms &&
                records.records[0].arrival_ms < horizon_ms + 1000);
    mr_log_cursor_close(cursor);
    small_log_close(s);
    assert_int_equal(small_log_damage(s), 0);
}

/* ---- watching ------------------------------------------------------------------------------ */

static void count_ready(struct mr_log_watcher *watcher)
{
    ++*(int *)watcher->context;
}

static void ring_all(struct small_log *s)
{
    while (mr_log_step(s->log, MR_LOG_STEP_BELL))
        continue;
}

static void watchers_are_called_once_when_there_is_something_new(void **state)
{
    struct small_log *s = *state;
    int count = 0;
    struct mr_log_watcher watcher = {.ready = count_ready, .context = &count};
    uint64_t tip;

    open_and_fill(s, 1);
    assert_int_equal(mr_log_tip(s->log, 0, &tip), MR_OK);
    mr_log_watch(s->log, 0, tip + 1, &watcher);
    small_log_must_put(s, 1, 1); /* another's */
    ring_all(s);
    assert_int_equal(count, 0);
    small_log_must_put(s, 0, 1);
    small_log_must_put(s, 0, 1);
    ring_all(s);
    assert_int_equal(count, 1);
    small_log_must_put(s, 0, 1);
    ring_all(s);
    assert_int_equal(count, 1);

    mr_log_watch(s->log, 0, tip, &watcher); /* it is there already */
    ring_all(s);
    assert_int_equal(count, 2);

    mr_log_watch(s->log, 0, UINT64_MAX, &watcher);
    mr_log_ring(s->log, 0);
    ring_all(s);
    assert_int_equal(count, 3);

    mr_log_watch(s->log, 0, UINT64_MAX, &watcher);
    mr_log_unwatch(s->log, &watcher);
    mr_log_ring(s->log, 0);
    small_log_must_put(s, 0, 1);
    ring_all(s);
    assert_int_equal(count, 3);
    mr_log_unwatch(s->log, &watcher); /* again: nothing */

    mr_log_watch(s->log, 0, UINT64_MAX, &watcher);
    small_log_drop(s, 0);
    ring_all(s);
    assert_int_equal(count, 4);
    mr_log_watch(s->log, 0, 0, &watcher); /* the log is gone */
    assert_int_equal(count, 5);
}

struct again {
    struct small_log *s;
    struct mr_log_watcher watcher, other;
    int count, other_count;
    uint64_t tip;
};

static void watch_again(struct mr_log_watcher *watcher)
{
    struct again *again = watcher->context;

    again->count++;
    mr_log_unwatch(again->s->log, &again->other);
    mr_log_watch(again->s->log, 0, UINT64_MAX, watcher);
}

static void a_watcher_may_watch_and_unwatch_when_it_is_called(void **state)
{
    struct again again = {.s = *state};

    open_and_fill(again.s, 1);
    again.watcher = (struct mr_log_watcher){.ready = watch_again, .context = &again};
    again.other = (struct mr_log_watcher){.ready = count_ready, .context = &again.other_count};
    mr_log_watch(again.s->log, 0, UINT64_MAX, &again.other);
    mr_log_watch(again.s->log, 0, UINT64_MAX, &again.watcher);
    for (int i = 1; i < 5; i++) {
        small_log_must_put(again.s, 0, 1);
        ring_all(again.s);
        assert_int_equal(again.count, i);
    }
    assert_int_equal(again.other_count, 0);
    mr_log_unwatch(again.s->log, &again.watcher);
}

/* ---- many threads -------------------------------------------------------------------------- */

enum { THREADS = 4, PUTS = 300 };

struct crowd {
    struct small_log *s;
    _Atomic uint32_t word; /* a watcher rings it */
};

struct member {
    struct crowd *crowd;
    mr_log_id id;
    uint64_t last_number;
    size_t read_count;
};

static void *put_many(void *context)
{
    struct member *member = context;
    uint8_t frames[256];

    for (uint32_t i = 0; i < PUTS; i++) {
        char text[32];
        mr_put put = {.partition_key = {"k", 1}, .data = {text, 0}};
        struct mr_log_run run = {.log = member->id, .record_count = 2};
        struct mr_log_append append = {.runs = &run, .run_count = 1};
        uint8_t *end = frames;

        for (uint32_t n = 0; n < 2; n++) {
            put.data.size = (size_t)snprintf(text, sizeof text, "%u", i * 2 + n);
            end = mr_frame_write(end, &put);
            run.record_bytes += 1 + put.data.size;
        }
        run.frames = (mr_bytes){frames, (size_t)(end - frames)};
        assert_int_equal(mr_log_append_wait(member->crowd->s->log, &append, 60000, NULL), MR_OK);
        assert_true(run.first_number > member->last_number);
        member->last_number = run.first_number + 1;
    }
    return NULL;
}

static void wake(struct mr_log_watcher *watcher)
{
    struct crowd *crowd = watcher->context;

    atomic_fetch_add(&crowd->word, 1);
    mr_word_wake(&crowd->word, true);
}

static void *read_many(void *context)
{
    struct member *member = context;
    struct mr_log *log = member->crowd->s->log;
    struct mr_log_cursor *cursor;
    struct mr_log_watcher watcher = {.ready = wake, .context = member->crowd};

    assert_int_equal(mr_log_cursor_open(&cursor, log, member->id, (mr_sequence){.shard = 1}, NULL),
                     MR_OK);
    while (member->read_count < PUTS * 2) {
        struct mr_log_records records;
        uint32_t seen;

        assert_int_equal(mr_log_cursor_next(cursor, 20, 0, &records, NULL), MR_OK);
        for (size_t i = 0; i < records.count; i++) {
            char text[32];
            size_t size = (size_t)snprintf(text, sizeof text, "%zu", member->read_count++);

            assert_int_equal(records.records[i].data.size, size);
            assert_memory_equal(records.records[i].data.data, text, size);
            assert_true(records.records[i].sequence.number > member->last_number);
            member->last_number = records.records[i].sequence.number;
        }
        if (records.count > 0)
            continue;
        seen = atomic_load(&member->crowd->word);
        mr_log_watch(log, member->id, mr_log_cursor_number(cursor), &watcher);
        mr_word_wait(&member->crowd->word, seen, 1000);
        mr_log_unwatch(log, &watcher);
    }
    mr_log_cursor_close(cursor);
    return NULL;
}

/* L2: with flushes, checkpoints and little memory meanwhile. */
static void many_threads_put_and_read_at_once(void **state)
{
    struct crowd crowd = {.s = *state};
    struct member writers[THREADS], readers[THREADS * 2];
    pthread_t threads[THREADS * 3];

    crowd.s->config.manual = false;
    crowd.s->config.memory_bytes = 64 << 10;
    small_log_must_open(crowd.s);
    for (mr_log_id id = 0; id < THREADS; id++)
        small_log_add(crowd.s, id, id % 2);
    for (uint32_t i = 0; i < THREADS; i++) {
        writers[i] = (struct member){.crowd = &crowd, .id = i};
        threads[i] = mr_thread_start("writer", put_many, &writers[i]);
    }
    for (uint32_t i = 0; i < THREADS * 2; i++) {
        readers[i] = (struct member){.crowd = &crowd, .id = i % THREADS};
        threads[THREADS + i] = mr_thread_start("reader", read_many, &readers[i]);
    }
    for (int i = 0; i < 20; i++)
        assert_int_equal(mr_log_checkpoint(crowd.s->log, NULL), MR_OK);
    for (int i = 0; i < THREADS * 3; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < THREADS * 2; i++)
        assert_true(readers[i].last_number == writers[i % THREADS].last_number);
    small_log_close(crowd.s);
    assert_int_equal(small_log_damage(crowd.s), 0);
}

/* ---- a full disk ---------------------------------------------------------------------------- */

/* Puts until it is refused for something else than waiting; makes room as the threads would. */
static mr_status put_until_refused(struct small_log *s, mr_error *error, int *count)
{
    mr_status status = MR_OK;
    int busy_count = 0;

    for (*count = 0; *count < 100000 && busy_count < 3;) {
        status = small_log_put(s, 0, 5, error);
        if (status == MR_OK) {
            ++*count;
            busy_count = 0;
            continue;
        }
        if (status != MR_BUSY)
            return status;
        busy_count++;
        mr_log_checkpoint(s->log, NULL);
    }
    return status;
}

/* L6: wherever the disk's end is met: puts go on until the journal is full, are refused with the reason,
 * and go on when there is space. Nothing answered is lost. */
static void a_full_disk_refuses_puts_until_there_is_space(void **state)
{
    (void)state;
    for (uint64_t spare = 0; spare < 40000; spare += 1300 * HASTE) {
        struct small_log *s = small_log_new_simulated(1);
        mr_error error;
        int count;

        open_and_fill(s, 6);
        sim_disk_budget(s->disk, sim_disk_used(s->disk) + spare);
        assert_int_equal(put_until_refused(s, &error, &count), MR_NO_SPACE);
        assert_true(count >= 20); /* the journal had its space */
        assert_int_equal(error.status, MR_NO_SPACE);
        assert_non_null(strstr(error.message, "No space left"));
        assert_non_null(strstr(error.message, s->directory));
        assert_true(mr_status_retryable(error.status));
        small_log_must_read_all(s);
        /* It stays so, and nobody loses anything. */
        assert_int_equal(put_until_refused(s, &error, &count), MR_NO_SPACE);
        assert_int_equal(count, 0);

        if (spare % 3 == 1) { /* a crash meanwhile: the journal has all */
            small_log_crash(s, SIM_POWER_CUT);
            small_log_must_open(s);
            small_log_must_read_all(s);
        }
        sim_disk_budget(s->disk, UINT64_MAX);
        assert_int_equal(mr_log_checkpoint(s->log, &error), MR_OK);
        for (int i = 0; i < 50; i++)
            small_log_must_put(s, 0, 5);
        small_log_must_read_all(s);
        small_log_close(s);
        assert_int_equal(small_log_damage(s), 0);
        small_log_must_open(s);
        small_log_must_read_all(s);
        small_log_free(s);
    }
}

/* L6: the same with threads, which find out by themselves that there is space. */
static void threads_go_on_by_themselves_when_there_is_space(void **state)
{
    struct small_log *s = *state;
    mr_status status;
    mr_error error;
    size_t refused_at;

    s->config.manual = false;
    s->config.journal_bytes = 64 << 10;
    s->config.memory_bytes = 256 << 10;
    small_log_must_open(s);
    small_log_add(s, 0, 1);
    sim_disk_budget(s->disk, sim_disk_used(s->disk) + 20000);
    while ((status = small_log_put(s, 0, 5, &error)) == MR_OK)
        assert_in_range(s->counts[0], 0, 100000);
    assert_int_equal(status, MR_NO_SPACE);
    assert_non_null(strstr(error.message, "No space left"));
    refused_at = s->counts[0];
    small_log_must_read_all(s);
    sim_disk_budget(s->disk, UINT64_MAX);
    while (s->counts[0] < refused_at + 1000) {
        status = small_log_put(s, 0, 5, &error);
        assert_true(status == MR_OK || status == MR_NO_SPACE || status == MR_BUSY);
    }
    small_log_must_read_all(s);
    small_log_close(s);
    assert_int_equal(small_log_damage(s), 0);
}

static void opening_on_a_full_disk_says_so(void **state)
{
    struct small_log *s = *state;
    mr_error error;

    for (uint64_t bytes = 0; bytes < (128 << 10); bytes += 4000) {
        sim_disk_budget(s->disk, bytes);
        assert_int_equal(small_log_open(s, &error), MR_NO_SPACE);
        assert_non_null(strstr(error.message, "No space left"));
        assert_non_null(strstr(error.message, s->directory));
    }
    sim_disk_budget(s->disk, UINT64_MAX);
    open_and_fill(s, 3);
    small_log_must_read_all(s);
}

/* ---- a disk that may not be written ---------------------------------------------------------- */

static void a_read_only_disk_is_told_by_name(void **state)
{
    static const int errors[] = {EROFS, EACCES, EPERM};
    static const char *const texts[] = {"Read-only file system", "ermission", "ermi"};
    struct small_log *s = *state;
    mr_error error;

    for (int existing = 0; existing < 2; existing++) {
        for (size_t i = 0; i < 3; i++) {
            sim_disk_fail(s->disk, SIM_CHANGES, 1, errors[i], true);
            assert_int_equal(small_log_open(s, &error), MR_IO);
            assert_int_equal(error.os_errno, errors[i]);
            assert_non_null(strstr(error.message, s->directory));
            assert_non_null(strstr(error.message, texts[i]));
            sim_disk_fail(s->disk, 0, 0, 0, false);
        }
        small_log_must_open(s);
        if (!existing)
            fill(s, 3);
        small_log_must_read_all(s);
        small_log_close(s);
    }
}

/* The user may not write: as somebody else, should we be root. */
static void a_directory_of_somebody_else_is_told_by_name(void **state)
{
    struct small_log *s = *state;
    char *parent = mr_copy_text(s->directory);
    pid_t child;
    int exit_status;

    open_and_fill(s, 1);
    small_log_close(s);
    assert_int_equal(chmod(s->directory, 0555), 0);
    *strrchr(parent, '/') = 0;
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        mr_error error = {.message = ""};
        bool good =
            chdir(parent) == 0 && chmod(".", 0755) == 0 && (geteuid() != 0 || setuid(65534) == 0);

        strcpy(s->directory, "data");
        good = good && small_log_open(s, &error) == MR_IO && error.os_errno == EACCES &&
               strstr(error.message, "data") && strstr(error.message, "not permitted");
        if (!good)
            fprintf(stderr, "%d, errno %d: %s\n", error.status, error.os_errno, error.message);
        _exit(good ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &exit_status, 0), child);
    assert_true(WIFEXITED(exit_status) && WEXITSTATUS(exit_status) == 0);
    assert_int_equal(chmod(s->directory, 0755), 0);
    small_log_must_open(s);
    small_log_must_read_all(s);
    mr_free(parent);
}

/* ---- a disk that fails ----------------------------------------------------------------------- */

/* L6, L1, L4 */
static void a_failing_journal_stops_puts_with_the_reason(void **state)
{
    static const unsigned calls[] = {SIM_SYNC, SIM_WRITE};

    (void)state;
    for (int i = 0; i < 8; i++) {
        struct small_log *s = small_log_new_simulated((uint64_t)i);
        mr_error error;
        struct small_read read;
        struct mr_engine_stats stats;
        bool is_lasting = i & 1;

        open_and_fill(s, 6);
        sim_disk_fail(s->disk, calls[i / 2 % 2], 1, EIO, is_lasting);
        assert_int_equal(small_log_put(s, 0, 5, &error), MR_IO);
        assert_int_equal(error.os_errno, EIO);
        assert_non_null(strstr(error.message, "journal"));
        /* No second try is believed. */
        for (int n = 0; n < 3; n++) {
            assert_int_equal(small_log_put(s, (mr_log_id)n, 5, &error), MR_IO);
            assert_non_null(strstr(error.message, "refused until the directory is opened again"));
            assert_non_null(strstr(error.message, "journal"));
        }
        mr_log_stats(s->log, &stats);
        assert_non_null(stats.read_only_reason);
        assert_non_null(strstr(s->diag, "event=read_only"));
        assert_true(mr_log_checkpoint(s->log, &error) != MR_OK);
        small_log_must_read_all(s); /* reading goes on */

        if (i & 4)
            small_log_crash(s, SIM_POWER_CUT);
        else
            small_log_close(s);
        sim_disk_fail(s->disk, 0, 0, 0, false);
        small_log_must_open(s);
        for (uint32_t id = 0; id < 3; id++) {
            read = small_log_read(s, id);
            assert_int_equal(read.status, MR_OK);
            assert_int_equal(read.right, s->counts[id]);
            assert_int_equal(read.wrong, 0);
            /* L4: whole or not at all, the one that was written when the disk failed. */
            assert_true(read.unanswered == 0 || (id == 0 && read.unanswered == 5));
        }
        small_log_free(s);
    }
}

/* L6: records stay in the journal, and are read back from there. */
static void a_failing_segment_sync_stops_puts_and_loses_nothing(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        struct small_log *s = small_log_new_simulated((uint64_t)i);
        mr_error error;

        open_and_fill(s, 6);
        small_log_must_put(s, 0, 5);
        while (mr_log_step(s->log, MR_LOG_STEP_FLUSH))
            continue;
        sim_disk_fail(s->disk, SIM_SYNC, 1, EIO, i & 1);
        assert_false(mr_log_step(s->log, MR_LOG_STEP_CHECKPOINT));
        assert_non_null(strstr(s->diag, ".seg"));
        assert_int_equal(small_log_put(s, 0, 5, &error), MR_IO);
        assert_non_null(strstr(error.message, ".seg"));
        small_log_must_read_all(s);
        if (i & 2)
            small_log_crash(s, SIM_POWER_CUT);
        else
            small_log_close(s);
        sim_disk_fail(s->disk, 0, 0, 0, false);
        small_log_must_open(s);
        small_log_must_read_all(s);
        small_log_must_put(s, 0, 5);
        small_log_close(s);
        assert_int_equal(small_log_damage(s), 0);
        small_log_free(s);
    }
}

/* A failed write of a segment is tried again: the journal has the records. */
static void a_failing_segment_write_is_made_good(void **state)
{
    struct small_log *s = *state;

    open_and_fill(s, 2);
    sim_disk_fail(s->disk, SIM_WRITE, 1, EIO, false);
    assert_false(mr_log_step(s->log, MR_LOG_STEP_FLUSH));
    assert_non_null(strstr(s->diag, "event=flush_stuck"));
    small_log_must_read_all(s);
    while (mr_log_step(s->log, MR_LOG_STEP_FLUSH))
        continue;
    assert_non_null(strstr(s->diag, "event=flush_goes_on"));
    small_log_must_read_all(s);
    small_log_close(s);
    assert_int_equal(small_log_damage(s), 0);
}

/* L5: a read that fails is an error, not an end. */
static void a_failing_read_is_told(void **state)
{
    struct small_log *s = *state;
    struct small_read read;

    open_and_fill(s, 20);
    small_log_close(s);
    small_log_must_open(s);
    for (uint64_t number = 1; number < 1000; number++) {
        uint64_t failed = sim_disk_failed(s->disk);

        sim_disk_fail(s->disk, SIM_READ | SIM_OPEN, number, EIO, false);
        read = small_log_read(s, 0);
        assert_int_equal(read.wrong + read.skipped, 0);
        if (sim_disk_failed(s->disk) == failed) {
            assert_true(number > 3);
            break;
        }
        assert_int_equal(read.status, MR_IO);
        assert_non_null(strstr(read.error.message, ".seg"));
    }
    sim_disk_fail(s->disk, 0, 0, 0, false);
    small_log_must_read_all(s);
}

/* ---- who else ------------------------------------------------------------------------------- */

static void a_second_holder_is_locked_out(void **state)
{
    struct small_log *s = *state;
    struct mr_log *second;
    struct mr_log_verify_totals totals;
    mr_error error;

    open_and_fill(s, 1);
    assert_int_equal(mr_log_open(&second, &s->config, &error), MR_LOCKED);
    assert_non_null(strstr(error.message, s->directory));
    assert_int_equal(mr_log_verify(s->fs, s->directory, NULL, NULL, NULL, NULL, &totals, &error),
                     MR_LOCKED);
    /* The holder is as before. */
    small_log_must_put(s, 0, 3);
    small_log_must_read_all(s);
    small_log_close(s);
    assert_int_equal(small_log_damage(s), 0);
    small_log_must_open(s);
}

static void a_second_process_is_locked_out_and_told_which_has_it(void **state)
{
    struct small_log *s = *state;
    char pid[32];
    pid_t child;
    int exit_status;

    open_and_fill(s, 1);
    snprintf(pid, sizeof pid, "process %ld", (long)getpid());
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct mr_log *second;
        mr_error error = {.message = ""};
        bool good =
            mr_log_open(&second, &s->config, &error) == MR_LOCKED && strstr(error.message, pid);

        _exit(good ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &exit_status, 0), child);
    assert_true(WIFEXITED(exit_status) && WEXITSTATUS(exit_status) == 0);
    small_log_must_put(s, 0, 1);
    small_log_must_read_all(s);
}

static void a_newer_directory_is_left_alone(void **state)
{
    static const char text[] = "millrace directory, format 2\nid 0000000000000001\n";
    struct small_log *s = *state;
    mr_error error;
    uint64_t changes;
    char path[600];

    open_and_fill(s, 1);
    small_log_close(s);
    snprintf(path, sizeof path, "%s/FORMAT", s->directory);
    assert_int_equal(
        mr_fs_replace(s->fs, s->directory, path, (mr_bytes){text, sizeof text - 1}, NULL), MR_OK);
    changes = s->disk ? sim_disk_calls(s->disk, SIM_WRITE | SIM_RENAME | SIM_TRUNCATE) : 0;
    assert_int_equal(small_log_open(s, &error), MR_FORMAT);
    assert_non_null(strstr(error.message, "newer"));
    assert_non_null(strstr(error.message, s->directory));
    assert_int_equal(small_log_damage(s), 1);
    if (s->disk)
        assert_int_equal(sim_disk_calls(s->disk, SIM_WRITE | SIM_RENAME | SIM_TRUNCATE), changes);
}

static void a_foreign_directory_is_left_alone(void **state)
{
    struct small_log *s = *state;
    struct mr_log_verify_totals totals;
    char path[600];
    mr_error error;

    assert_int_equal(s->fs->make_directory(s->fs, s->directory, NULL), MR_OK);
    snprintf(path, sizeof path, "%s/photos", s->directory);
    assert_int_equal(mr_fs_replace(s->fs, s->directory, path, (mr_bytes){"x", 1}, NULL), MR_OK);
    assert_int_equal(small_log_open(s, &error), MR_CORRUPT);
    assert_non_null(strstr(error.message, "not a millrace directory"));
    assert_int_equal(mr_log_verify(s->fs, s->directory, NULL, NULL, NULL, NULL, &totals, &error),
                     MR_NOT_FOUND);
    assert_int_equal(mr_log_verify(s->fs, "nowhere", NULL, NULL, NULL, NULL, &totals, &error),
                     MR_NOT_FOUND);
}

/* ---- backup --------------------------------------------------------------------------------- */

struct copying {
    struct mr_fs *fs;
    const char *from, *to;
};

static bool copy_name(void *context, const char *name)
{
    const struct copying *copying = context;
    char from[1024], to[1024];
    struct copying inner = {copying->fs, from, to};
    uint8_t *bytes;
    size_t size;

    snprintf(from, sizeof from, "%s/%s", copying->from, name);
    snprintf(to, sizeof to, "%s/%s", copying->to, name);
    if (copying->fs->list(copying->fs, from, copy_name, &inner, NULL) == MR_OK)
        return true;
    assert_int_equal(mr_fs_read_all(copying->fs, from, 1u << 30, &bytes, &size, NULL), MR_OK);
    copying->fs->make_directory(copying->fs, copying->to, NULL);
    assert_int_equal(mr_fs_replace(copying->fs, copying->to, to, (mr_bytes){bytes, size}, NULL),
                     MR_OK);
    mr_free(bytes);
    return true;
}

/* As cp -r would, of a closed directory and of one whose process was killed. */
static void a_copy_of_a_stopped_directory_is_a_backup(void **state)
{
    struct small_log *s = *state;
    char original[512], backup[512], inner[600];
    struct copying copying = {s->fs, original, backup};

    snprintf(original, sizeof original, "%s", s->directory);
    snprintf(backup, sizeof backup, "%.500s.copy", s->directory);
    open_and_fill(s, 10);
    for (int crash = 0; crash < 2; crash++) {
        if (crash) {
            small_log_must_put(s, 0, 5);
            mr_log_step(s->log, MR_LOG_STEP_ABANDON);
        }
        small_log_close(s);
        assert_int_equal(s->fs->make_directory(s->fs, backup, NULL), crash ? MR_EXISTS : MR_OK);
        snprintf(inner, sizeof inner, "%s/s", backup);
        s->fs->make_directory(s->fs, inner, NULL);
        assert_int_equal(s->fs->list(s->fs, original, copy_name, &copying, NULL), MR_OK);
        /* The original is damaged beyond repair; the copy is not. */
        strcpy(s->directory, backup);
        assert_int_equal(small_log_damage(s), 0);
        small_log_must_open(s);
        small_log_must_read_all(s);
        small_log_close(s);
        strcpy(s->directory, original);
        small_log_must_open(s);
        small_log_must_read_all(s);
    }
}

/* ---- damage --------------------------------------------------------------------------------- */

enum { FILES_MAX = 32 };

struct files {
    struct small_log *s;
    const char *folder;
    char paths[FILES_MAX][128];
    size_t sizes[FILES_MAX];
    size_t count;
};

static bool collect(void *context, const char *name)
{
    struct files *files = context;
    char path[128];
    struct files *inner = files;
    const char *folder = files->folder;
    uint8_t *bytes;
    mr_status status;

    snprintf(path, sizeof path, "%.60s/%.60s", folder, name);
    if (!strcmp(name, "LOCK"))
        return true; /* holds nothing */
    files->folder = path;
    status = files->s->fs->list(files->s->fs, path, collect, inner, NULL);
    files->folder = folder;
    if (status == MR_OK)
        return true;
    assert_in_range(files->count, 0, FILES_MAX - 1);
    strcpy(files->paths[files->count], path);
    assert_int_equal(
        mr_fs_read_all(files->s->fs, path, 1u << 30, &bytes, &files->sizes[files->count], NULL),
        MR_OK);
    mr_free(bytes);
    files->count++;
    return true;
}

static struct files files_of(struct small_log *s)
{
    struct files files = {.s = s, .folder = s->directory};

    assert_int_equal(s->fs->list(s->fs, s->directory, collect, &files, NULL), MR_OK);
    files.folder = NULL;
    return files;
}

/* A closed directory with sealed and unsealed segments. */
static struct small_log *closed_directory(void)
{
    struct small_log *s = small_log_new_simulated(1);

    open_and_fill(s, 30);
    small_log_close(s);
    assert_int_equal(small_log_damage(s), 0);
    return s;
}

static bool is_sealed(struct small_log *s, const char *path)
{
    uint8_t *bytes;
    size_t size;
    bool is;

    assert_int_equal(mr_fs_read_all(s->fs, path, 1u << 30, &bytes, &size, NULL), MR_OK);
    is = size > 64 && !memcmp(bytes + size - 64 + 8, "MRt1", 4);
    mr_free(bytes);
    return is;
}

static void the_directory_to_be_damaged_has_everything(void **state)
{
    struct small_log *s = closed_directory();
    struct files files = files_of(s);
    int sealed = 0, unsealed = 0;
    size_t bytes = 0;

    (void)state;
    for (size_t i = 0; i < files.count; i++) {
        bytes += files.sizes[i];
        if (strstr(files.paths[i], ".seg"))
            ++*(is_sealed(s, files.paths[i]) ? &sealed : &unsealed);
    }
    assert_true(sealed >= 2 && unsealed >= 1);
    assert_int_equal(files.count, 4 + sealed + unsealed);
    assert_in_range(bytes, 20000, 200000);
    small_log_free(s);
}

/* How far to the next byte to be changed: every byte of what has a structure, some of what has not. */
static size_t stride(const char *path, size_t i, size_t size, size_t coarse)
{
    if (HASTE > 1)
        return coarse * HASTE + 1;
    if (!strstr(path, ".seg"))
        return coarse > 20 ? 3 : 1;
    if (i < 64 || i + 200 > size || (i > 4096 && i < 4096 + 200))
        return coarse > 20 ? 3 : 1;
    return coarse;
}

/* L5 */
static void verifying_sees_a_flipped_bit_anywhere(void **state)
{
    struct small_log *s = closed_directory();
    struct files files = files_of(s);

    (void)state;
    for (size_t i = 0; i < files.count; i++) {
        for (size_t at = 0; at < files.sizes[i];
             at += stride(files.paths[i], at, files.sizes[i], 17)) {
            sim_disk_flip(s->disk, files.paths[i], at, (uint8_t)(1 << at % 8));
            if (small_log_damage(s) == 0)
                fail_msg("%s, byte %zu", files.paths[i], at);
            /* It names the place. */
            assert_non_null(
                strstr(s->finding, strstr(files.paths[i], ".seg") ? files.paths[i] : s->directory));
            sim_disk_flip(s->disk, files.paths[i], at, (uint8_t)(1 << at % 8));
        }
    }
    assert_int_equal(small_log_damage(s), 0);
    small_log_free(s);
}

/* L5 */
static void verifying_sees_every_cut_file(void **state)
{
    struct small_log *s = closed_directory();
    struct files files = files_of(s);

    (void)state;
    for (size_t i = 0; i < files.count; i++) {
        for (size_t cut = 0; cut < files.sizes[i]; cut += 1 + files.sizes[i] / 9) {
            struct small_log *c = small_log_copy(s);
            struct mr_file *file;

            assert_int_equal(c->fs->open(c->fs, files.paths[i], MR_FS_WRITE, &file, NULL), MR_OK);
            assert_int_equal(c->fs->truncate(file, cut, NULL), MR_OK);
            c->fs->close(file);
            assert_true(small_log_damage(c) > 0);
            small_log_free(c);
        }
    }
    small_log_free(s);
}

/* L5, L2: what is read is right, and what is missing was told. */
static void reading_never_gives_wrong_records(void **state)
{
    struct small_log *s = closed_directory();
    struct files files = files_of(s);
    size_t opened = 0, lost = 0;

    (void)state;
    for (size_t i = 0; i < files.count; i++) {
        for (size_t at = 0; at < files.sizes[i];
             at += stride(files.paths[i], at, files.sizes[i], 67)) {
            struct small_log *c = small_log_copy(s);
            mr_error error;
            mr_status status;

            sim_disk_flip(c->disk, files.paths[i], at, (uint8_t)(1 << at % 8));
            status = small_log_open(c, &error);
            if (status) {
                assert_true(status == MR_CORRUPT || status == MR_FORMAT);
                assert_non_null(strstr(error.message, c->directory));
            } else {
                opened++;
                for (uint32_t id = 0; id < 3; id++) {
                    struct small_read read = small_log_read(c, id);

                    if (read.status || read.wrong || read.skipped || read.unanswered)
                        fail_msg("%s, byte %zu, log %u: %zu wrong, %zu skipped, %zu unanswered: %s",
                                 files.paths[i], at, id, read.wrong, read.skipped, read.unanswered,
                                 read.error.message);
                    assert_true(read.right + read.lost == s->counts[id]);
                    if (read.lost > 0) /* named: file, place, records */
                        assert_non_null(strstr(read.error.message, files.paths[i]));
                    lost += read.lost;
                }
            }
            small_log_free(c);
        }
    }
    assert_true(opened > 100 / HASTE && lost > 100 / HASTE);
    small_log_free(s);
}

static struct files segments_of(struct small_log *s, bool sealed)
{
    struct files all = files_of(s), found = {.s = s};

    for (size_t i = 0; i < all.count; i++) {
        if (!strstr(all.paths[i], ".seg") || is_sealed(s, all.paths[i]) != sealed)
            continue;
        strcpy(found.paths[found.count], all.paths[i]);
        found.sizes[found.count++] = all.sizes[i];
    }
    assert_true(found.count > 0);
    return found;
}

/* L5: the blocks say themselves what they are. */
static void a_damaged_index_page_loses_no_records(void **state)
{
    struct small_log *s = closed_directory();
    struct files segments = segments_of(s, true);

    (void)state;
    for (size_t i = 0; i < segments.count; i++)
        sim_disk_flip(s->disk, segments.paths[i], segments.sizes[i] - 64 - 4096 + 30, 4);
    small_log_must_open(s);
    small_log_must_read_all(s);
    assert_non_null(strstr(s->diag, "event=index_damaged"));
    for (int i = 0; i < 20; i++)
        small_log_must_put(s, 0, 5);
    small_log_must_read_all(s);
    small_log_free(s);
}

/* L5: with the index a block header is gone, too: then what is behind it is lost, not skipped. */
static void damage_of_index_and_header_is_told(void **state)
{
    struct small_log *s = closed_directory();
    struct files segments = segments_of(s, true);
    struct small_read read;
    size_t lost = 0;

    (void)state;
    sim_disk_flip(s->disk, segments.paths[0], segments.sizes[0] - 64 - 4096 + 30, 4);
    sim_disk_flip(s->disk, segments.paths[0], 4096 + 20, 4);
    small_log_must_open(s);
    for (uint32_t id = 0; id < 3; id++) {
        read = small_log_read(s, id);
        assert_int_equal(read.status, MR_OK);
        assert_int_equal(read.wrong + read.skipped, 0);
        assert_int_equal(read.right + read.lost, s->counts[id]);
        lost += read.lost;
    }
    assert_true(lost > 0);
    small_log_free(s);
}

/* L5 */
static void a_missing_segment_is_named(void **state)
{
    struct small_log *s = closed_directory();
    mr_error error;

    (void)state;
    for (int sealed = 0; sealed < 2; sealed++) {
        struct files segments = segments_of(s, sealed);

        for (size_t i = 0; i < segments.count; i++) {
            struct small_log *c = small_log_copy(s);
            size_t lost = 0;

            assert_int_equal(c->fs->remove(c->fs, segments.paths[i], NULL), MR_OK);
            assert_true(small_log_damage(c) > 0);
            assert_non_null(strstr(c->finding, segments.paths[i]));
            if (!sealed) { /* it would be written to */
                assert_int_equal(small_log_open(c, &error), MR_CORRUPT);
                assert_non_null(strstr(error.message, segments.paths[i]));
                small_log_free(c);
                continue;
            }
            small_log_must_open(c);
            for (uint32_t id = 0; id < 3; id++) {
                struct small_read read = small_log_read(c, id);

                assert_int_equal(read.wrong + read.skipped, 0);
                lost += read.lost;
                if (read.lost > 0)
                    assert_non_null(strstr(read.error.message, segments.paths[i]));
            }
            assert_true(lost > 0);
            small_log_free(c);
        }
    }
    small_log_free(s);
}

/* A directory whose process was killed, with several groups in the journal. */
static struct small_log *killed_directory(void)
{
    struct small_log *s = small_log_new_simulated(1);

    open_and_fill(s, 4);
    for (int i = 0; i < 8; i++)
        small_log_must_put(s, (mr_log_id)(i % 2), 4);
    small_log_crash(s, SIM_KILL);
    small_log_must_open(s);
    for (int i = 0; i < 16; i++) {
        small_log_must_put(s, (mr_log_id)(i % 2), 4);
        if (i == 7) /* it names groups that it needs, before its own place */
            assert_true(mr_log_step(s->log, MR_LOG_STEP_CHECKPOINT));
    }
    small_log_crash(s, SIM_KILL);
    return s;
}

/* L5: in the journal's live part. Damage of the last group alone looks like an unfinished write. */
static void verifying_sees_damage_in_the_journal(void **state)
{
    struct small_log *s = killed_directory();
    uint64_t last_lsn = 0;
    uint8_t *journal;
    size_t size, groups = 0, last = 0, seen = 0;

    (void)state;
    assert_int_equal(small_log_damage(s), 0);
    assert_int_equal(mr_fs_read_all(s->fs, "data/journal", 1u << 30, &journal, &size, NULL), MR_OK);
    for (size_t at = 0; at < size; at += 4096)
        if (!memcmp(journal + at + 16, "MRg1", 4)) {
            groups++;
            if (mr_load64(journal + at + 24) > last_lsn) {
                last_lsn = mr_load64(journal + at + 24);
                last = at;
            }
        }
    assert_true(groups > 16);
    for (size_t at = 0; at < size; at += 4096) {
        sim_disk_flip(s->disk, "data/journal", at + 200, 1);
        if (small_log_damage(s) > 0) {
            assert_non_null(strstr(s->finding, "data/journal"));
            assert_true(at != last);
            seen++;
        }
        sim_disk_flip(s->disk, "data/journal", at + 200, 1);
    }
    assert_true(seen >= 15); /* all that are alive but the last */
    mr_free(journal);
    small_log_free(s);
}

/* L5: opening refuses to lose records in silence; salvage keeps what is before and behind. */
static void salvage_keeps_what_is_before_and_behind_a_damaged_group(void **state)
{
    struct small_log *s = killed_directory();
    size_t salvaged = 0;

    (void)state;
    for (size_t at = 0; at < 128 << 10; at += 4096) {
        struct small_log *c = small_log_copy(s);
        size_t lost = 0;
        mr_error error;
        mr_status status;

        sim_disk_flip(c->disk, "data/journal", at + 200, 1);
        status = small_log_open(c, &error);
        if (status == MR_OK) { /* not alive, or the last group: as if it had never been finished */
            for (uint32_t id = 0; id < 3; id++) {
                struct small_read read = small_log_read(c, id);

                assert_int_equal(read.wrong, 0);
                assert_true(read.right + 4 >= s->counts[id]);
            }
            small_log_free(c);
            continue;
        }
        assert_int_equal(status, MR_CORRUPT);
        assert_non_null(strstr(error.message, "data/journal"));
        assert_non_null(strstr(error.message, "--repair"));
        c->config.salvage = true;
        small_log_must_open(c);
        assert_non_null(strstr(c->diag, "event=salvage"));
        for (uint32_t id = 0; id < 3; id++) {
            struct small_read read = small_log_read(c, id);

            /* The hole is one group; all else is there and right. */
            assert_int_equal(read.wrong + read.lost + read.unanswered, 0);
            assert_int_equal(read.right + read.skipped, s->counts[id]);
            lost += read.skipped;
        }
        assert_in_range(lost, 0, 4);
        salvaged++;
        small_log_close(c);
        assert_int_equal(small_log_damage(c), 0);
        c->config.salvage = false;
        small_log_must_open(c);
        small_log_free(c);
    }
    assert_true(salvaged >= 15);
    small_log_free(s);
}

/* L5: the checkpoint knows how far the journal went. */
static void a_missing_journal_is_told(void **state)
{
    struct small_log *s = killed_directory();
    mr_error error;

    (void)state;
    for (int removed = 0; removed < 2; removed++) {
        struct small_log *c = small_log_copy(s);
        struct mr_file *file;

        if (removed) {
            assert_int_equal(c->fs->remove(c->fs, "data/journal", NULL), MR_OK);
        } else {
            assert_int_equal(c->fs->open(c->fs, "data/journal", MR_FS_WRITE, &file, NULL), MR_OK);
            assert_int_equal(c->fs->truncate(file, 0, NULL), MR_OK);
            c->fs->close(file);
        }
        assert_true(small_log_damage(c) > 0);
        assert_non_null(strstr(c->finding, "data/journal"));
        assert_int_equal(small_log_open(c, &error), MR_CORRUPT);
        assert_non_null(strstr(error.message, "data/journal"));
        c->config.salvage = true;
        small_log_must_open(c);
        small_log_must_put(c, 0, 1);
        small_log_free(c);
    }
    small_log_free(s);
}

/* L5: an unsealed segment ends where it cannot be followed; with salvage what is before it is kept. */
static void salvage_keeps_what_is_before_a_damaged_block_header(void **state)
{
    struct small_log *s = closed_directory();
    struct files segments = segments_of(s, false);
    mr_error error;

    (void)state;
    for (size_t i = 0; i < segments.count; i++) {
        struct small_log *c = small_log_copy(s);

        sim_disk_flip(c->disk, segments.paths[i], 4096 + 40, 1);
        assert_int_equal(small_log_open(c, &error), MR_CORRUPT);
        assert_non_null(strstr(error.message, segments.paths[i]));
        assert_non_null(strstr(error.message, "--repair"));
        c->config.salvage = true;
        small_log_must_open(c);
        for (uint32_t id = 0; id < 3; id++) {
            struct small_read read = small_log_read(c, id);

            assert_int_equal(read.status, MR_OK);
            assert_int_equal(read.wrong + read.unanswered, 0);
        }
        c->config.salvage = false;
        small_log_close(c);
        assert_int_equal(small_log_damage(c), 0);
        small_log_must_open(c);
        small_log_free(c);
    }
    small_log_free(s);
}

/* ---- every call fails once ------------------------------------------------------------------- */

/* L1, L6: opening, puts, checkpoints, closing; then all is well again, and nothing answered is gone. */
static void every_call_to_the_disk_may_fail_once(void **state)
{
    static const int errors[] = {EIO, ENOSPC};
    uint64_t number = 1, met = 1;

    (void)state;
    for (; met > 0; number += HASTE) {
        met = 0;
        for (int i = 0; i < 4; i++) {
            struct small_log *s = small_log_new_simulated(number);
            mr_error error;

            open_and_fill(s, 4);
            small_log_crash(s, SIM_KILL);
            sim_disk_fail(s->disk, SIM_ALL_CALLS, number, errors[i / 2], i % 2);
            if (small_log_open(s, &error) == MR_OK) {
                for (int n = 0; n < 6; n++) {
                    small_log_put(s, 0, 5, &error);
                    if (n % 2)
                        mr_log_checkpoint(s->log, &error);
                }
                small_log_close(s);
            }
            met += sim_disk_failed(s->disk);
            sim_disk_crash(s->disk, SIM_POWER_CUT);
            small_log_must_open(s);
            for (uint32_t id = 0; id < 3; id++) {
                struct small_read read = small_log_read(s, id);

                assert_int_equal(read.status, MR_OK);
                assert_int_equal(read.right, s->counts[id]);
                assert_true(read.wrong == 0 && read.unanswered <= 5);
            }
            small_log_free(s);
        }
    }
    assert_true(number > 50);
}

#define simulated(test) cmocka_unit_test_setup_teardown(test, on_the_simulated_disk, teardown)
#define real(test) cmocka_unit_test_setup_teardown(test, on_real_files, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        simulated(what_was_put_is_read_before_and_after_every_opening),
        real(what_was_put_is_read_before_and_after_every_opening),
        simulated(a_closed_directory_has_an_empty_journal),
        real(a_closed_directory_has_an_empty_journal),
        simulated(an_append_of_several_runs_has_consecutive_numbers),
        simulated(time_never_runs_backwards),
        simulated(seeking_finds_the_first_record_from_there),
        simulated(a_reader_goes_on_through_flushes_and_checkpoints),
        simulated(a_dropped_log_is_closed_to_its_readers),
        simulated(a_batch_larger_than_the_journal_is_refused),
        simulated(trimming_takes_whole_segments_and_nothing_younger),
        real(trimming_takes_whole_segments_and_nothing_younger),
        simulated(watchers_are_called_once_when_there_is_something_new),
        simulated(a_watcher_may_watch_and_unwatch_when_it_is_called),
        simulated(many_threads_put_and_read_at_once),
        real(many_threads_put_and_read_at_once),
        cmocka_unit_test(a_full_disk_refuses_puts_until_there_is_space),
        simulated(threads_go_on_by_themselves_when_there_is_space),
        simulated(opening_on_a_full_disk_says_so),
        simulated(a_read_only_disk_is_told_by_name),
        real(a_directory_of_somebody_else_is_told_by_name),
        cmocka_unit_test(a_failing_journal_stops_puts_with_the_reason),
        cmocka_unit_test(a_failing_segment_sync_stops_puts_and_loses_nothing),
        simulated(a_failing_segment_write_is_made_good),
        simulated(a_failing_read_is_told),
        simulated(a_second_holder_is_locked_out),
        real(a_second_holder_is_locked_out),
        real(a_second_process_is_locked_out_and_told_which_has_it),
        simulated(a_newer_directory_is_left_alone),
        real(a_newer_directory_is_left_alone),
        simulated(a_foreign_directory_is_left_alone),
        real(a_foreign_directory_is_left_alone),
        simulated(a_copy_of_a_stopped_directory_is_a_backup),
        real(a_copy_of_a_stopped_directory_is_a_backup),
        cmocka_unit_test(the_directory_to_be_damaged_has_everything),
        cmocka_unit_test(verifying_sees_a_flipped_bit_anywhere),
        cmocka_unit_test(verifying_sees_every_cut_file),
        cmocka_unit_test(reading_never_gives_wrong_records),
        cmocka_unit_test(a_damaged_index_page_loses_no_records),
        cmocka_unit_test(damage_of_index_and_header_is_told),
        cmocka_unit_test(a_missing_segment_is_named),
        cmocka_unit_test(verifying_sees_damage_in_the_journal),
        cmocka_unit_test(salvage_keeps_what_is_before_and_behind_a_damaged_group),
        cmocka_unit_test(a_missing_journal_is_told),
        cmocka_unit_test(salvage_keeps_what_is_before_a_damaged_block_header),
        cmocka_unit_test(every_call_to_the_disk_may_fail_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
