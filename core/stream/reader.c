/* reader.c - records out: a position in one shard, and waiting for more. */
#include "base/check.h"
#include "base/fail.h"
#include "base/memory.h"
#include "os/thread.h"
#include "stream/engine.h"

#include <inttypes.h>
#include <string.h>

#define COUNT_MAX 10000

struct mr_reader {
    struct mr_engine *engine;
    struct mr_stream *stream;
    struct mr_shard_state *shard;
    struct mr_log_cursor *cursor;
    bool is_limited;
    uint32_t time_s; /* of the last record returned */

    struct mr_log_watcher waiter; /* of mr_reader_next() */
    _Atomic uint32_t is_rung;
    struct mr_log_watcher watcher; /* of mr_reader_watch() */
    void (*ready)(void *context);
    void *ready_context;
};

/* ---- open --------------------------------------------------------------------------------- */

static mr_status take_shard(struct mr_reader *reader, const char *stream, mr_shard_id shard,
                            mr_error *error)
{
    struct mr_catalog *catalog = &reader->engine->catalog;
    struct mr_stream *found;
    struct mr_shard_state *state;

    pthread_rwlock_rdlock(&catalog->lock);
    found = mr_catalog_find(catalog, stream);
    state = found ? mr_stream_find(found, shard) : NULL;
    if (state) {
        reader->stream = mr_stream_take(found);
        reader->shard = mr_shard_take(state);
    }
    pthread_rwlock_unlock(&catalog->lock);
    if (!found)
        return mr_no_stream(stream, error);
    return state ? MR_OK : mr_no_shard(stream, shard, error);
}

static int64_t horizon_ms(const struct mr_reader *reader, int64_t now_ms)
{
    return mr_stream_horizon_ms(reader->stream, now_ms);
}

/* Numbers begin at 1: a reader at 0 would seem to have something to read in an empty shard. */
static void go_to(struct mr_reader *reader, uint64_t number)
{
    mr_log_cursor_seek(reader->cursor, number ? number : 1);
}

/* Goes to the first record that arrived then or later and is retained. */
static mr_status seek_time(struct mr_reader *reader, int64_t time_ms, mr_error *error)
{
    struct mr_clock *clock = reader->engine->clock;
    int64_t horizon = horizon_ms(reader, clock->wall_ms(clock));

    if (time_ms < horizon)
        time_ms = horizon;
    if (time_ms > reader->shard->created_ms)
        return mr_log_cursor_seek_time(reader->cursor, time_ms, error);
    go_to(reader, 0);
    return MR_OK;
}

static mr_status seek(struct mr_reader *reader, const mr_position *from, mr_error *error)
{
    uint64_t number;
    mr_status status;

    switch (from->start) {
    case MR_START_TRIM_HORIZON:
        return seek_time(reader, INT64_MIN, error);
    case MR_START_LATEST:
        status = mr_log_tip(reader->engine->log, reader->shard->log, &number);
        if (status)
            return status;
        go_to(reader, number + 1);
        return MR_OK;
    case MR_START_AT:
        go_to(reader, from->sequence.number);
        return MR_OK;
    case MR_START_AFTER:
        go_to(reader,
              from->sequence.number < MR_LAST_NUMBER ? from->sequence.number + 1 : MR_LAST_NUMBER);
        return MR_OK;
    case MR_START_AT_TIME:
        return seek_time(reader, from->time_ms, error);
    }
    return mr_fail(error, MR_INVALID, "there is no start %d", (int)from->start);
}

static void ring(struct mr_log_watcher *watcher);
static void call_ready(struct mr_log_watcher *watcher);

mr_status mr_reader_open(mr_reader **out, mr_engine *engine, const char *stream, mr_shard_id shard,
                         const struct mr_reader_config *config, mr_error *error)
{
    struct mr_reader *reader = mr_new(struct mr_reader);
    mr_status status;

    reader->engine = engine;
    reader->is_limited = config->limited;
    reader->waiter = (struct mr_log_watcher){.ready = ring, .context = reader};
    reader->watcher = (struct mr_log_watcher){.ready = call_ready, .context = reader};
    status = take_shard(reader, stream, shard, error);
    if (status)
        goto fail;
    reader->time_s = reader->shard->created_s;
    status = mr_log_cursor_open(
        &reader->cursor, engine->log, reader->shard->log,
        (mr_sequence){.shard = shard, .created_s = reader->shard->created_s}, error);
    if (!status)
        status = seek(reader, &config->from, error);
    if (status == MR_CLOSED) /* dropped since it was found */
        status = mr_no_shard(stream, shard, error);
    if (status)
        goto fail;
    *out = reader;
    return MR_OK;

fail:
    mr_reader_close(reader);
    return status;
}

void mr_reader_close(mr_reader *reader)
{
    if (!reader)
        return;
    if (reader->ready)
        mr_log_unwatch(reader->engine->log, &reader->watcher);
    mr_log_cursor_close(reader->cursor);
    mr_shard_give(reader->shard);
    mr_stream_give(reader->stream);
    mr_free(reader);
}

mr_sequence mr_reader_position(const mr_reader *reader)
{
    uint64_t next = mr_log_cursor_number(reader->cursor);

    return (mr_sequence){.number = next ? next - 1 : 0,
                         .shard = reader->shard->id,
                         .created_s = reader->shard->created_s,
                         .time_s = reader->time_s};
}

/* ---- limits ------------------------------------------------------------------------------- */

mr_status mr_reader_admit(mr_reader *reader, mr_error *error)
{
    struct mr_engine *engine = reader->engine;
    uint32_t calls_per_s = engine->limits.read_calls_per_s;
    uint32_t bytes_per_s = engine->limits.read_bytes_per_s;
    uint64_t now_ns;
    char text[MR_SHARD_TEXT_BYTES];

    if (!calls_per_s && !bytes_per_s)
        return MR_OK;
    now_ns = engine->clock->monotonic_ns(engine->clock);
    if (mr_bucket_has_some(&reader->shard->read_bytes, now_ns, bytes_per_s) &&
        mr_bucket_take(&reader->shard->read_calls, now_ns, calls_per_s, 1))
        return MR_OK;
    mr_shard_format(reader->shard->id, text);
    return mr_fail(error, MR_THROTTLED, "%s of stream %s is read faster than its limits", text,
                   reader->stream->name);
}

void mr_reader_charge(mr_reader *reader, uint64_t bytes)
{
    struct mr_engine *engine = reader->engine;
    uint32_t bytes_per_s = engine->limits.read_bytes_per_s;

    if (bytes_per_s)
        mr_bucket_charge(&reader->shard->read_bytes, engine->clock->monotonic_ns(engine->clock),
                         bytes_per_s, bytes);
}

static uint64_t bytes_of(const mr_batch *batch)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < batch->count; i++)
        bytes += batch->records[i].partition_key.size + batch->records[i].data.size;
    return bytes;
}

/* ---- next --------------------------------------------------------------------------------- */

static mr_status is_gone(const struct mr_reader *reader, mr_batch *batch, mr_error *error)
{
    if (!reader->stream->is_deleted && reader->shard->is_forgotten) {
        *batch = (mr_batch){.end_of_shard = true};
        return MR_OK;
    }
    return mr_fail(error, MR_CLOSED, "stream %s was deleted", reader->stream->name);
}

/* What is at hand, without waiting. */
static mr_status take(struct mr_reader *reader, size_t count_max, mr_batch *batch, mr_error *error)
{
    struct mr_clock *clock = reader->engine->clock;
    int64_t now_ms = clock->wall_ms(clock);
    /* Looked at before the records: when it is set, all of them are there. */
    bool is_closed = atomic_load_explicit(&reader->shard->is_closed, memory_order_acquire);
    struct mr_log_records records;
    mr_status status =
        mr_log_cursor_next(reader->cursor, count_max, horizon_ms(reader, now_ms), &records, error);

    if (status == MR_CLOSED)
        return is_gone(reader, batch, error);
    if (status)
        return status;
    *batch = (mr_batch){.records = records.records,
                        .count = records.count,
                        .end_of_shard = is_closed && records.at_tip};
    if (!records.at_tip) /* 0 would say that there is nothing newer */
        batch->behind_ms =
            records.reached_ms && records.reached_ms < now_ms ? now_ms - records.reached_ms : 1;
    if (records.count > 0)
        reader->time_s = records.records[records.count - 1].sequence.time_s;
    return MR_OK;
}

static void ring(struct mr_log_watcher *watcher)
{
    struct mr_reader *reader = watcher->context;

    atomic_store(&reader->is_rung, 1);
    mr_word_wake(&reader->is_rung, true);
}

/* Until there may be something new, or the moment has come: then false. */
static bool wait_until(struct mr_reader *reader, uint64_t deadline_ns)
{
    struct mr_log *log = reader->engine->log;
    struct mr_clock *clock = mr_clock_real();
    uint64_t now_ns = clock->monotonic_ns(clock);

    if (now_ns >= deadline_ns)
        return false;
    atomic_store(&reader->is_rung, 0);
    mr_log_watch(log, reader->shard->log, mr_log_cursor_number(reader->cursor), &reader->waiter);
    while (!atomic_load(&reader->is_rung) && !atomic_load(&reader->shard->is_closed) &&
           now_ns < deadline_ns) {
        uint64_t left_ms = (deadline_ns - now_ns) / 1000000 + 1;

        mr_word_wait(&reader->is_rung, 0,
                     left_ms < UINT32_MAX ? (uint32_t)left_ms : UINT32_MAX - 1);
        now_ns = clock->monotonic_ns(clock);
    }
    mr_log_unwatch(log, &reader->waiter);
    return true;
}

mr_status mr_reader_next(mr_reader *reader, size_t record_count_max, uint32_t wait_ms,
                         mr_batch *batch, mr_error *error)
{
    struct mr_clock *clock = mr_clock_real();
    uint64_t deadline_ns = 0;
    mr_status status;

    if (record_count_max < 1 || record_count_max > COUNT_MAX)
        return mr_fail(error, MR_INVALID, "one reads 1 to %d records at a time, not %zu", COUNT_MAX,
                       record_count_max);
    status = reader->is_limited ? mr_reader_admit(reader, error) : MR_OK;
    if (status)
        return status;
    for (;;) {
        status = take(reader, record_count_max, batch, error);
        if (status || batch->count > 0 || batch->end_of_shard || wait_ms == 0)
            break;
        if (deadline_ns == 0)
            deadline_ns = clock->monotonic_ns(clock) + (uint64_t)wait_ms * 1000000;
        if (!wait_until(reader, deadline_ns))
            break;
    }
    if (!status && reader->is_limited)
        mr_reader_charge(reader, bytes_of(batch));
    return status;
}

/* ---- watch -------------------------------------------------------------------------------- */

static void call_ready(struct mr_log_watcher *watcher)
{
    struct mr_reader *reader = watcher->context;

    reader->ready(reader->ready_context);
}

void mr_reader_watch(mr_reader *reader, void (*ready)(void *context), void *context)
{
    struct mr_log *log = reader->engine->log;

    if (reader->ready)
        mr_log_unwatch(log, &reader->watcher);
    reader->ready = ready;
    reader->ready_context = context;
    if (!ready)
        return;
    mr_log_watch(log, reader->shard->log, mr_log_cursor_number(reader->cursor), &reader->watcher);
    if (atomic_load(&reader->shard->is_closed)) /* rung before we watched */
        mr_log_ring(log, reader->shard->log);
}
