/*
 * append.c - into the open group: places, times and numbers are given out here. An append lies in one
 * group as a whole, so that a crash leaves all of it or nothing (L4). The place is given under a lock and
 * written without it, by many at a time; the committer waits for them.
 */
#include "base/check.h"
#include "base/fail.h"
#include "log/inside.h"

#include <inttypes.h>

void mr_group_reset(struct mr_group *group)
{
    if (group->used > GROUP_BYTES_GOOD + JOURNAL_PAGE_BYTES)
        mr_pages_forget(group->bytes + GROUP_BYTES_GOOD, GROUP_BYTES_MAX - GROUP_BYTES_GOOD);
    group->used = GROUP_HEADER_BYTES;
    group->first = NULL;
    group->last = &group->first;
    group->waiter_count = 0;
    group->is_encrypted = false;
    atomic_store(&group->writer_count, 0);
    group->is_synced = false;
    group->status = MR_OK;
    group->next = NULL;
}

uint64_t mr_log_memory_max(struct mr_log *log)
{
    return log->config.memory_bytes + atomic_load(&log->active_count) * BYTES_PER_ACTIVE_TAIL;
}

void mr_log_make_room(struct mr_log *log)
{
    if (log->room_waiter_count > 0)
        pthread_cond_signal(&log->room);
}

/* ---- writers ------------------------------------------------------------------------------- */

#define AWAITED (UINT32_C(1) << 31)

void mr_group_await_writers(struct mr_group *group)
{
    uint32_t seen = atomic_fetch_or(&group->writer_count, AWAITED) | AWAITED;

    while (seen != AWAITED) {
        mr_word_wait(&group->writer_count, seen, UINT32_MAX);
        seen = atomic_load(&group->writer_count);
    }
}

static void end_writing(struct mr_group *group)
{
    if (atomic_fetch_sub(&group->writer_count, 1) == AWAITED + 1)
        mr_word_wake(&group->writer_count, false);
}

/* ---- room ---------------------------------------------------------------------------------- */

/* What an append takes in a group, but for the times: each of its entries has the same. */
struct extent {
    uint64_t bytes, number_count;
    uint32_t entry_count;
};

static struct extent extent_of(const struct mr_log_append *append)
{
    struct extent extent = {.entry_count = (uint32_t)append->run_count};

    if (append->entry.size) {
        extent.entry_count++;
        extent.number_count++;
        extent.bytes += 1 + mr_varint_bytes(append->entry.size) + append->entry.size;
    }
    for (size_t i = 0; i < append->run_count; i++) {
        const struct mr_log_run *run = &append->runs[i];

        extent.number_count += run->record_count;
        extent.bytes += 1 + mr_varint_bytes(run->log) + mr_varint_bytes(run->record_count) +
                        mr_varint_bytes(run->record_bytes) + mr_varint_bytes(run->frames.size) +
                        run->frames.size;
    }
    return extent;
}

static bool has_room(struct mr_log *log, uint64_t bytes)
{
    const struct mr_group *group = log->open;
    uint64_t good = GROUP_BYTES_GOOD;

    if (group->is_encrypted)
        bytes += ENVELOPE_BYTES;
    if (good > log->journal.ring_bytes / 8)
        good = log->journal.ring_bytes / 8;
    if (group->first && group->used + bytes > good)
        return false;
    if (log->next_lsn + mr_group_bytes(group->used - GROUP_HEADER_BYTES + bytes) >
        log->tail_lsn + log->journal.ring_bytes)
        return false;
    /* L9: what cannot be flushed as fast as it is put makes puts wait. */
    return atomic_load_explicit(&log->pending_bytes, memory_order_relaxed) <=
           mr_log_memory_max(log);
}

/* Why there is no point in waiting, or OK. */
static mr_status hindrance(struct mr_log *log, mr_error *error)
{
    const struct mr_hitch *hitch =
        log->flush_hitch.status ? &log->flush_hitch : &log->checkpoint_hitch;

    if (hitch->status && error)
        *error = hitch->error;
    return hitch->status;
}

/* One that waits is woken at a time, and wakes the next when it has what it wanted. */
static void sleep_for_room(struct mr_log *log, uint64_t deadline_ns)
{
    if (log->room_waiter_count == 0) {
        /* Nothing moves on by itself now: the flusher must look whatever it saw last. */
        atomic_store(&log->look_again_lsn, 0);
        mr_log_poke(&log->flush_word);
    }
    log->room_waiter_count++;
    mr_condition_wait_until(&log->room, &log->sequencer, deadline_ns);
    log->room_waiter_count--;
}

/* Waits, with the sequencer held, until the append fits or cannot be taken. */
static mr_status wait_for_room(struct mr_log *log, uint64_t bytes, uint32_t wait_ms,
                               mr_error *error)
{
    struct mr_clock *clock = mr_clock_real();
    uint64_t deadline_ns = 0;
    mr_status status = MR_OK;

    if (bytes > GROUP_BYTES_MAX - JOURNAL_PAGE_BYTES || bytes > log->journal.ring_bytes / 2)
        return mr_fail(error, MR_LIMIT,
                       "a batch of %" PRIu64 " bytes does not fit a journal of %" PRIu64
                       " bytes: put it in smaller batches",
                       bytes, log->journal.ring_bytes);
    while (!log->failed && !has_room(log, bytes) && !(status = hindrance(log, error))) {
        if (deadline_ns == 0)
            deadline_ns = clock->monotonic_ns(clock) + (uint64_t)wait_ms * 1000000;
        if (clock->monotonic_ns(clock) >= deadline_ns) {
            status = mr_fail(error, MR_BUSY,
                             "the disk did not keep up for %" PRIu32 " ms: try again", wait_ms);
            break;
        }
        sleep_for_room(log, deadline_ns);
    }
    if (log->failed) {
        status = log->failed;
        if (error)
            *error = log->failure;
    }
    if (deadline_ns > 0)
        mr_log_make_room(log);
    return status;
}

/* ---- append -------------------------------------------------------------------------------- */

/* Where an append is written, and what it is numbered with. */
struct place {
    struct mr_group *group;
    uint8_t *at, *end;
    uint64_t later_ms, number;
};

/* In the open group; the sequencer is held, and there is room. */
static struct place take_place(struct mr_log *log, struct mr_log_append *append,
                               const struct extent *extent)
{
    struct mr_group *group = log->open;
    struct place place = {.group = group, .number = log->next_number};

    /* Time never runs backwards here: the order of times is the order of numbers. */
    append->at_ms = log->last_ms;
    if (!group->first) {
        group->header.first_ms = append->at_ms;
        group->header.first_number = log->next_number;
    }
    place.later_ms = (uint64_t)(append->at_ms - group->header.first_ms);
    place.at = group->bytes + group->used;
    place.end =
        place.at + extent->bytes + (uint64_t)extent->entry_count * mr_varint_bytes(place.later_ms);
    group->used = (uint32_t)(place.end - group->bytes);
    log->next_number += extent->number_count;
    *group->last = append;
    group->last = &append->next;
    group->waiter_count += !append->done;
    group->is_encrypted |= append->key_id != 0;
    append->group_serial = group->serial;
    atomic_fetch_add_explicit(&group->writer_count, 1, memory_order_relaxed);
    return place;
}

static uint8_t *write_frames(uint8_t *out, const struct mr_log_append *append,
                             const struct mr_log_run *run)
{
    uint32_t put = run->first_put;

    if (run->frames.data) {
        memcpy(out, run->frames.data, run->frames.size);
        return out + run->frames.size;
    }
    for (uint32_t i = 0; i < run->record_count; put = append->next_put[put], i++)
        out = mr_frame_write(out, &append->puts[put]);
    return out;
}

static void write_entries(struct mr_log_append *append, const struct place *place)
{
    uint64_t number = place->number;
    uint8_t *out = place->at;

    if (append->entry.size) {
        append->entry_number = number++;
        *out++ = JOURNAL_OWNER;
        out = mr_varint_write(out, place->later_ms);
        out = mr_varint_write(out, append->entry.size);
        memcpy(out, append->entry.data, append->entry.size);
        out += append->entry.size;
    }
    for (size_t i = 0; i < append->run_count; i++) {
        struct mr_log_run *run = &append->runs[i];

        run->first_number = number;
        number += run->record_count;
        *out++ = append->key_id ? JOURNAL_ENCRYPTED_RUN : JOURNAL_RUN;
        out = mr_varint_write(out, place->later_ms);
        out = mr_varint_write(out, run->log);
        out = mr_varint_write(out, run->record_count);
        out = mr_varint_write(out, run->record_bytes);
        out = mr_varint_write(out, run->frames.size);
        out = write_frames(out, append, run);
    }
    mr_check(out == place->end);
}

mr_status mr_log_append(struct mr_log *log, struct mr_log_append *append, uint32_t wait_ms,
                        mr_error *error)
{
    const struct extent extent = extent_of(append);
    struct place place;
    struct mr_lane *wake = NULL;
    int64_t now_ms;
    mr_status status;

    append->status = append->entry_status = MR_OK;
    append->next = NULL;
    atomic_store_explicit(&append->is_done, 0, memory_order_relaxed);
    if (append->key_id && (status = mr_log_need_key(log, append->key_id, error)))
        return status;
    now_ms = log->clock->wall_ms(log->clock);
    pthread_mutex_lock(&log->sequencer);
    status = wait_for_room(log,
                           extent.bytes + (uint64_t)extent.entry_count * MR_VARINT_BYTES_MAX +
                               (append->key_id ? ENVELOPE_BYTES : 0),
                           wait_ms, error);
    if (!status) {
        if (now_ms > log->last_ms)
            log->last_ms = now_ms;
        place = take_place(log, append, &extent);
        wake = mr_log_wake_lane(log);
    }
    pthread_mutex_unlock(&log->sequencer);
    if (status)
        return status;
    write_entries(append, &place);
    end_writing(place.group); /* from here on it may be done, and gone */
    if (wake)
        mr_log_poke(&wake->word);
    return MR_OK;
}

mr_status mr_log_wait(struct mr_log *log, struct mr_log_append *append, mr_error *error)
{
    _Atomic uint32_t *word = &log->wait_words[append->group_serial % GROUP_COUNT];

    for (;;) {
        uint32_t seen = atomic_load(word);

        if (atomic_load_explicit(&append->is_done, memory_order_acquire))
            break;
        if (log->config.manual)
            mr_check(mr_log_publish(log) || mr_log_commit(log));
        else
            mr_word_wait(word, seen, UINT32_MAX);
    }
    if (append->status && error)
        *error = append->error;
    return append->status;
}

mr_status mr_log_append_wait(struct mr_log *log, struct mr_log_append *append, uint32_t wait_ms,
                             mr_error *error)
{
    mr_status status;

    append->done = NULL;
    status = mr_log_append(log, append, wait_ms, error);
    return status ? status : mr_log_wait(log, append, error);
}
