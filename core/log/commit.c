/*
 * commit.c - makes the open group durable: one write, one sync, whatever the number of puts (L1). Two
 * groups may be on their way at a time: the disk does not rest while answers are given. A failure
 * closes the journal for puts; the groups on their way are answered with it, never with success (L6).
 */
#include "log/inside.h"

/*
 * While a group is on its way, the next leaves when it has grown to half of that size. Sooner, a first
 * record would go alone and all others wait for it; so, groups that follow each other become equally
 * large whatever they began with.
 */
bool mr_log_commit_is_due(const struct mr_log *log)
{
    const struct mr_group *group = log->open, *last = log->flying;

    while (last && last->next)
        last = last->next;
    return group->first && log->free && (!last || group->used >= last->used / 2);
}

struct mr_lane *mr_log_wake_lane(struct mr_log *log)
{
    for (uint32_t i = 0; i < log->lane_count; i++) {
        struct mr_lane *lane = &log->lanes[i];

        if (!lane->is_asleep)
            continue;
        if (!mr_log_commit_is_due(log))
            return NULL;
        lane->is_asleep = false;
        return lane;
    }
    return NULL;
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
    *log->flying_last = group;
    log->flying_last = &group->next;

    group->header.lsn = log->next_lsn;
    group->header.epoch = log->epoch;
    group->header.durable_lsn = log->durable_lsn;
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

static struct mr_group *take_sealed(struct mr_log *log, struct mr_lane *lane)
{
    struct mr_group *group;

    pthread_mutex_lock(&log->sealing);
    pthread_mutex_lock(&log->sequencer);
    group = take_open(log);
    pthread_mutex_unlock(&log->sequencer);
    if (group)
        mr_group_await_writers(group);
    if (group && !group->status) {
        group->header.previous_hash = log->previous_hash;
        lane->bytes = group->is_encrypted ? mr_log_encrypt_group(log, lane, group) : group->bytes;
        group->hash = mr_journal_seal(&log->journal, lane->bytes, &group->header);
        log->previous_hash = group->hash;
    }
    pthread_mutex_unlock(&log->sealing);
    return group;
}

static mr_status sync_journal(struct mr_log *log, struct mr_lane *lane, mr_error *error)
{
    mr_status status;

    if (log->config.sync == MR_SYNC_INTERVAL || log->config.mutant == MR_MUTANT_ACK_BEFORE_SYNC)
        return MR_OK;
    status = log->fs->sync(lane->file, error);
    if (status && log->config.mutant == MR_MUTANT_RETRY_SYNC)
        status = log->fs->sync(lane->file, error);
    return status;
}

/* Hands on, in order, the groups that are synced, and have none before them that is not. */
static void land(struct mr_log *log)
{
    struct mr_group *group;

    while ((group = log->flying) && group->is_synced) {
        log->flying = group->next;
        if (!log->flying)
            log->flying_last = &log->flying;
        group->next = NULL;
        /* Where one has failed, what was on its way with it is not to be believed either: recovery may
         * find a hole before it. */
        if (!group->status && log->failed && log->config.mutant != MR_MUTANT_ANSWER_BEHIND_HOLE) {
            group->status = log->failed;
            group->error = log->failure;
        }
        if (!group->status) {
            log->group_count++;
            log->written_lsn = group->header.lsn + mr_group_bytes(group->header.payload_bytes);
            if (log->config.sync == MR_SYNC_EACH)
                log->durable_lsn = log->written_lsn;
            else
                log->is_dirty = true;
        }
        *log->queue_last = group;
        log->queue_last = &group->next;
    }
}

/* Instead of the publisher, which sleeps meanwhile: answers keep their order. */
static void publish_here(struct mr_log *log)
{
    bool is_done;

    do {
        mr_log_publish(log);
        pthread_mutex_lock(&log->sequencer);
        is_done = log->is_publish_asleep = !log->queue_first;
        pthread_mutex_unlock(&log->sequencer);
    } while (!is_done);
}

static void finish(struct mr_log *log, struct mr_group *group)
{
    bool wake = false, is_inline = false;

    pthread_mutex_lock(&log->sequencer);
    group->is_synced = true;
    land(log);
    if (log->queue_first && log->is_publish_asleep) {
        log->is_publish_asleep = false;
        /* With nothing more to commit this thread may as well publish: that saves waking another. */
        is_inline = !log->open->first;
        wake = !is_inline;
    }
    pthread_mutex_unlock(&log->sequencer);
    if (is_inline)
        publish_here(log);
    else if (wake)
        mr_log_poke(&log->publish_word);
}

bool mr_lane_step(struct mr_lane *lane)
{
    struct mr_log *log = lane->log;
    struct mr_group *group = lane->group;

    if (!group) {
        lane->is_written = false;
        lane->group = take_sealed(log, lane);
        return lane->group != NULL;
    }
    if (!group->status) {
        group->status = lane->is_written ? sync_journal(log, lane, &group->error)
                                         : mr_journal_write(&log->journal, lane->file, lane->bytes,
                                                            &group->header, &group->error);
        if (group->status)
            mr_log_fail(log, group->status, &group->error);
    }
    if (!lane->is_written) {
        lane->is_written = true;
        return true;
    }
    lane->group = NULL;
    finish(log, group);
    return true;
}

bool mr_lane_commit(struct mr_lane *lane)
{
    if (!mr_lane_step(lane))
        return false;
    while (lane->group)
        mr_lane_step(lane);
    return true;
}

bool mr_log_commit(struct mr_log *log)
{
    for (uint32_t i = 0; i < log->lane_count; i++)
        if (log->lanes[i].group)
            return mr_lane_commit(&log->lanes[i]);
    return mr_lane_commit(&log->lanes[0]);
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
