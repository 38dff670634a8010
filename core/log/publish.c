/* publish.c - durable groups become readable: runs go to tails, entries to the owner, answers out. */
#include "base/fail.h"
#include "log/inside.h"

#include <inttypes.h>

static void publish_run(struct mr_log *log, mr_log_id id, const struct mr_run *run,
                        uint32_t record_bytes, struct mr_lsn lsn)
{
    /* Only the publisher changes the table: it may look without the lock. */
    struct mr_tail *tail = id < log->tail_capacity ? log->tails[id] : NULL;
    uint64_t last_number = run->first_number + run->record_count - 1;
    struct mr_tail_growth growth;
    bool was_empty;

    /* Seen in recovery only: of a stream deleted since, or in a segment already. */
    if (!tail || (log->is_recovering && last_number <= tail->flushed_number &&
                  log->config.mutant != MR_MUTANT_REPLAY_TWICE))
        return;
    pthread_mutex_lock(&tail->lock);
    if (log->config.journal_only) {
        tail->tip_number = last_number;
        tail->figures.record_count += run->record_count;
        pthread_mutex_unlock(&tail->lock);
        return;
    }
    was_empty = !tail->first;
    mr_tail_append(tail, run, record_bytes, lsn, &growth);
    pthread_mutex_unlock(&tail->lock);

    if (was_empty)
        atomic_fetch_add(&log->active_count, 1);
    if (growth.allocated_bytes)
        atomic_fetch_add(&log->pending_bytes, growth.allocated_bytes);
    if (growth.completed_block)
        mr_log_note_ready(log, tail);
    if (atomic_load(&tail->is_watched))
        mr_log_ring_tail(log, tail);
    if (log->is_recovering)
        log->stats.recovered_record_count += run->record_count;
}

static mr_status publish_entry(struct mr_log *log, mr_bytes entry, uint64_t number, int64_t at_ms,
                               uint64_t lsn, struct mr_log_append *append, mr_error *error)
{
    const struct mr_log_owner *owner = &log->config.owner;

    mr_status status;

    if (lsn < log->restored_lsn)
        return MR_OK;
    status = owner->apply(owner->context, log, entry, number, at_ms, append, error);
    if (status == MR_CORRUPT && log->is_recovering && log->config.salvage) {
        /* It builds on one that is lost. */
        mr_log_diag(log, "event=salvage lost_entry=%" PRIu64 " reason=\"%s\"", number,
                    error ? error->message : "");
        return MR_OK;
    }
    return status;
}

mr_status mr_log_publish_group(struct mr_log *log, const struct mr_group_header *header,
                               mr_bytes payload, struct mr_log_append *first, mr_error *error)
{
    const struct mr_lsn lsn = {header->lsn, header->previous_hash};
    struct mr_scan scan = mr_scan_of(payload);
    uint64_t number = header->first_number;
    struct mr_log_append *append = first;
    size_t run_left = 0;
    mr_status status;

    while (!mr_scan_failed(&scan) && scan.at < scan.end) {
        uint8_t type = mr_scan_u8(&scan);
        uint64_t later_ms = mr_scan_varint(&scan);
        int64_t at_ms;

        /* Good checksums or not: sums do not wrap. */
        if (header->first_ms < 0 || header->first_ms > INT64_MAX / 4 || later_ms > INT64_MAX / 4 ||
            number > INT64_MAX / 4)
            break;
        at_ms = header->first_ms + (int64_t)later_ms;
        if (log->is_recovering && at_ms > log->last_ms)
            log->last_ms = at_ms; /* what comes next arrives no earlier */
        if (type == JOURNAL_RUN || type == JOURNAL_ENCRYPTED_RUN) {
            uint64_t id = mr_scan_varint(&scan);
            struct mr_run run = {.record_count = mr_scan_varint(&scan),
                                 .first_number = number,
                                 .at_ms = at_ms,
                                 .is_encrypted = type == JOURNAL_ENCRYPTED_RUN};
            uint64_t record_bytes = mr_scan_varint(&scan);

            run.frames = mr_scan_string(&scan);
            if (mr_scan_failed(&scan) || id > UINT32_MAX || run.record_count == 0 ||
                run.record_count > run.frames.size / 2 || record_bytes > run.frames.size)
                break;
            publish_run(log, (mr_log_id)id, &run, (uint32_t)record_bytes, lsn);
            number += run.record_count;
            /* Find the append the next entry belongs to. */
            if (run_left == 0 && append)
                run_left = append->run_count;
            if (append && --run_left == 0)
                append = append->next;
        } else if (type == JOURNAL_OWNER) {
            mr_bytes entry = mr_scan_string(&scan);

            if (mr_scan_failed(&scan))
                break;
            status = publish_entry(log, entry, number++, at_ms, header->lsn, append, error);
            if (status)
                return status;
            if (append && append->run_count == 0)
                append = append->next;
        } else {
            break;
        }
    }
    if (scan.at != scan.end || mr_scan_failed(&scan) ||
        number != header->first_number + header->number_count)
        return mr_fail(error, MR_CORRUPT,
                       "%s: the group at lsn %" PRIu64 " has a good checksum and wrong contents",
                       log->journal.path, header->lsn);
    return MR_OK;
}

static void answer(struct mr_log *log, struct mr_group *group)
{
    struct mr_log_append *next;
    uint32_t waiter_count = group->waiter_count;
    uint64_t serial = group->serial;

    for (struct mr_log_append *append = group->first; append; append = next) {
        next = append->next;
        append->status = group->status;
        if (group->status)
            append->error = group->error;
        /* After either of these the append, the waiter's or the callback's, may be gone. */
        if (append->done)
            append->done(append);
        else
            atomic_store_explicit(&append->is_done, 1, memory_order_release);
    }
    if (waiter_count > 0)
        mr_log_poke(&log->wait_words[serial % GROUP_COUNT]);
}

/* Flushing begins long before memory or journal are full. */
static void wake_flusher(struct mr_log *log, uint64_t live_bytes)
{
    if (!atomic_load(&log->is_flush_asleep) ||
        !mr_log_flush_is_due(log, live_bytes, log->published.at))
        return;
    atomic_store(&log->is_flush_asleep, false);
    mr_log_poke(&log->flush_word);
}

static void give_back(struct mr_log *log, struct mr_group *group)
{
    struct mr_lane *wake;
    uint64_t live_bytes;

    mr_group_reset(group);
    pthread_mutex_lock(&log->sequencer);
    group->next = log->free;
    log->free = group;
    if (log->config.journal_only)
        log->tail_lsn = log->published.at;
    live_bytes = log->next_lsn - log->tail_lsn;
    mr_log_make_room(log);
    wake = mr_log_wake_lane(log);
    pthread_mutex_unlock(&log->sequencer);
    if (wake)
        mr_log_poke(&wake->word);
    wake_flusher(log, live_bytes);
}

bool mr_log_publish(struct mr_log *log)
{
    struct mr_group *group;

    pthread_mutex_lock(&log->publishing);
    pthread_mutex_lock(&log->sequencer);
    group = log->queue_first;
    if (group) {
        log->queue_first = group->next;
        if (!group->next)
            log->queue_last = &log->queue_first;
    }
    pthread_mutex_unlock(&log->sequencer);
    if (group && !group->status) {
        mr_bytes payload = {group->bytes + GROUP_HEADER_BYTES, group->used - GROUP_HEADER_BYTES};

        group->status =
            mr_log_publish_group(log, &group->header, payload, group->first, &group->error);
        if (group->status)
            mr_log_fail(log, group->status, &group->error);
        log->published.at = group->header.lsn + mr_group_bytes(group->header.payload_bytes);
        log->published.previous_hash = group->hash;
        log->published_number = group->header.first_number + group->header.number_count;
    }
    pthread_mutex_unlock(&log->publishing);
    if (!group)
        return false;
    answer(log, group);
    give_back(log, group);
    mr_log_trim_cache(log); /* what came needs the memory of what is in segments (L9) */
    return true;
}
