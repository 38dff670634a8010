/*
 * commit.c - makes the open group durable: one write, one sync, whatever the number of puts (L1). A
 * failure closes the journal for puts; the group is answered with it, never with success (L6).
 */
#include "log/inside.h"

static mr_status write_and_sync(struct mr_log *log, const uint8_t *bytes,
                                const struct mr_group_header *header, mr_error *error)
{
    mr_status status = mr_journal_write(&log->journal, bytes, header, error);

    if (status || log->config.sync == MR_SYNC_INTERVAL)
        return status;
    if (log->config.mutant == MR_MUTANT_ACK_BEFORE_SYNC)
        return MR_OK;
    status = log->fs->sync(log->journal.file, error);
    if (status && log->config.mutant == MR_MUTANT_RETRY_SYNC)
        status = log->fs->sync(log->journal.file, error);
    return status;
}

/* Takes the open group away and puts a free one in its place. NULL: nothing to write, or no free one. */
static struct mr_group *take_open(struct mr_log *log)
{
    struct mr_group *group = log->open;

    if (!group->first || !log->free)
        return NULL;
    log->open = log->free;
    log->free = log->open->next;
    log->open->next = NULL;
    log->open->serial = log->next_serial++;

    group->header.lsn = log->next_lsn;
    group->header.epoch = log->epoch;
    group->header.durable_lsn = log->durable_lsn;
    group->header.previous_hash = log->previous_hash;
    group->header.number_count = log->next_number - group->header.first_number;
    group->header.payload_bytes = group->used - GROUP_HEADER_BYTES;
    group->header.is_encrypted = group->is_encrypted;
    if (group->is_encrypted)
        group->header.payload_bytes += ENVELOPE_BYTES;
    group->status = log->failed;
    group->error = log->failure;
    if (!log->failed)
        log->next_lsn += mr_group_bytes(group->header.payload_bytes);
    mr_log_make_room(log);
    return group;
}

bool mr_log_commit(struct mr_log *log)
{
    struct mr_group *group;
    bool wake, is_inline;

    pthread_mutex_lock(&log->sequencer);
    group = take_open(log);
    pthread_mutex_unlock(&log->sequencer);
    if (!group)
        return false;

    mr_group_await_writers(group);
    if (!group->status) {
        uint8_t *bytes = group->is_encrypted ? mr_log_encrypt_group(log, group) : group->bytes;

        group->hash = mr_journal_seal(&log->journal, bytes, &group->header);
        group->status = write_and_sync(log, bytes, &group->header, &group->error);
        if (!group->status)
            log->previous_hash = group->hash;
        else
            mr_log_fail(log, group->status, &group->error);
    }

    pthread_mutex_lock(&log->sequencer);
    if (!group->status) {
        log->group_count++;
        log->written_lsn = group->header.lsn + mr_group_bytes(group->header.payload_bytes);
        if (log->config.sync == MR_SYNC_EACH)
            log->durable_lsn = log->written_lsn;
        else
            log->is_dirty = true;
    }
    /* With nothing more to commit this thread may as well publish: that saves waking another. The
     * publisher sleeps until we are done, so that answers keep their order. */
    is_inline = log->is_publish_asleep && !log->open->first;
    *log->queue_last = group;
    log->queue_last = &group->next;
    wake = log->is_publish_asleep && !is_inline;
    if (wake)
        log->is_publish_asleep = false;
    pthread_mutex_unlock(&log->sequencer);
    if (is_inline)
        mr_log_publish(log);
    else if (wake)
        mr_log_poke(&log->publish_word);
    return true;
}

void mr_log_sync_if_due(struct mr_log *log, bool now)
{
    uint64_t ns = log->clock->monotonic_ns(log->clock), lsn;
    mr_error error;
    mr_status status;
    bool due;

    pthread_mutex_lock(&log->sequencer);
    due = log->is_dirty && !log->failed &&
          (now || ns - log->synced_ns >= (uint64_t)log->config.sync_interval_ms * 1000000);
    if (due)
        log->is_dirty = false;
    lsn = log->written_lsn;
    pthread_mutex_unlock(&log->sequencer);
    if (!due)
        return;
    status = log->journal.file->fs->sync(log->journal.file, &error);
    if (status) {
        mr_log_fail(log, status, &error);
        return;
    }
    pthread_mutex_lock(&log->sequencer);
    log->synced_ns = ns;
    log->durable_lsn = lsn;
    pthread_mutex_unlock(&log->sequencer);
}
