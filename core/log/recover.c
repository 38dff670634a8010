/*
 * recover.c - opening: a new directory is made, an old one is brought to where its last durable group
 * left it.
 *
 *     LOCK ─> FORMAT ─> newest good checkpoint ─> owner's snapshot, logs, segments (cut to length)
 *          ─> journal from the checkpoint's tail, group by group ─> all of it flushed to segments
 *          ─> checkpoint of a new epoch ─> open
 *
 * Nothing is shown before the last step, so a second crash in here finds what this one found. The time
 * it takes is that of reading the journal's live part (L7), and of one unsealed segment a stream.
 */
#include "base/check.h"
#include "base/fail.h"
#include "base/memory.h"
#include "log/checkpoint.h"
#include "log/format.h"
#include "log/inside.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static void path_of(char path[MR_PATH_BYTES], const struct mr_log *log, const char *name)
{
    snprintf(path, MR_PATH_BYTES, "%.4000s/%s", log->directory, name);
}

/* ---- the directory -------------------------------------------------------------------------- */

/* A directory without FORMAT is new if it holds nothing but what an interrupted making leaves. */
static bool is_foreign(void *context, const char *name)
{
    bool *found = context;

    *found = strcmp(name, "LOCK") && strcmp(name, "FORMAT.tmp") && strcmp(name, "journal") &&
             strncmp(name, "checkpoint.", 11) && strcmp(name, "s");
    return !*found;
}

static bool is_any(void *context, const char *name)
{
    (void)name;
    *(bool *)context = true;
    return false;
}

/* The new directory's own name must last, too. */
static mr_status sync_parent(struct mr_log *log, mr_error *error)
{
    char path[MR_PATH_BYTES];
    char *slash;

    memcpy(path, log->directory, sizeof path);
    slash = strrchr(path, '/');
    if (!slash)
        return log->fs->sync_directory(log->fs, ".", error);
    slash[slash == path] = 0;
    return log->fs->sync_directory(log->fs, path, error);
}

static mr_status make_directory(struct mr_log *log, mr_error *error)
{
    struct mr_checkpoint checkpoint = {
        .journal_bytes = log->config.journal_bytes, .next_number = 1, .next_segment = 1};
    char path[MR_PATH_BYTES];
    bool found = false;
    uint8_t *bytes;
    size_t size;
    mr_status status;

    status = log->fs->list(log->fs, log->directory, is_foreign, &found, error);
    if (status)
        return status;
    path_of(path, log, "s");
    if (!found)
        log->fs->list(log->fs, path, is_any, &found, NULL);
    if (found)
        return mr_fail(
            error, MR_CORRUPT,
            "%.160s is not empty and has no FORMAT file: it is not a millrace directory, "
            "or a damaged one; name another, or put FORMAT back from a backup",
            log->directory);

    log->directory_id = mr_format_new_id(log->clock);
    checkpoint.directory_id = log->directory_id;
    status = log->fs->make_directory(log->fs, path, error);
    if (status && status != MR_EXISTS)
        return status;
    mr_checkpoint_encode(&checkpoint, &bytes, &size);
    for (unsigned copy = 0; copy < 2; copy++) {
        mr_checkpoint_path(path, log->directory, copy);
        status = mr_fs_replace(log->fs, log->directory, path, (mr_bytes){bytes, size}, error);
        if (status)
            break;
    }
    mr_free(bytes);
    if (!status)
        status = sync_parent(log, error);
    /* Last, because it says that the rest is there. */
    return status ? status : mr_format_write(log->fs, log->directory, log->directory_id, error);
}

/* ---- the checkpoint ------------------------------------------------------------------------- */

static mr_status load_checkpoint(struct mr_log *log, struct mr_checkpoint *checkpoint,
                                 uint8_t **bytes, mr_error *error)
{
    mr_status unread = MR_OK; /* why a copy could not be read at all */
    mr_error own;
    bool found = false;

    *bytes = NULL;
    for (unsigned copy = 0; copy < 2; copy++) {
        struct mr_checkpoint candidate;
        char path[MR_PATH_BYTES];
        uint8_t *data;
        size_t size;
        uint32_t format = 0;
        mr_status status;

        mr_checkpoint_path(path, log->directory, copy);
        status = mr_fs_read_all(log->fs, path, CHECKPOINT_BYTES_MAX, &data, &size, &own);
        if (status && status != MR_NOT_FOUND && status != MR_LIMIT) {
            unread = status;
            if (error)
                *error = own;
        }
        if (!status && !mr_checkpoint_decode((mr_bytes){data, size}, &candidate, &format)) {
            mr_free(data);
            status = MR_CORRUPT;
        }
        if (!status && candidate.directory_id != log->directory_id) {
            mr_checkpoint_fini(&candidate);
            mr_free(data);
            status = MR_CORRUPT;
        }
        if (status) {
            mr_log_diag(log, "event=checkpoint_copy_unusable file=\"%s\"", path);
            continue;
        }
        if (found && candidate.serial <= checkpoint->serial) {
            mr_checkpoint_fini(&candidate);
            mr_free(data);
            continue;
        }
        if (found) {
            mr_checkpoint_fini(checkpoint);
            mr_free(*bytes);
        }
        found = true;
        *checkpoint = candidate;
        *bytes = data;
    }
    if (!found && unread)
        return unread;
    if (!found)
        return mr_fail(error, MR_CORRUPT,
                       "%.150s: both checkpoint.0 and checkpoint.1 are damaged or missing: put one "
                       "back from a backup of this directory",
                       log->directory);
    return MR_OK;
}

static mr_status restore_logs(struct mr_log *log, const struct mr_checkpoint *checkpoint,
                              mr_error *error)
{
    const struct mr_log_owner *owner = &log->config.owner;
    mr_status status = owner->restore(owner->context, log, checkpoint->owner, error);

    for (uint32_t i = 0; !status && i < checkpoint->log_count; i++) {
        const struct mr_checkpoint_log *row = &checkpoint->logs[i];
        struct mr_tail *tail = row->id < log->tail_capacity ? log->tails[row->id] : NULL;

        if (!tail || tail->store->stream != row->stream)
            return mr_fail(error, MR_CORRUPT,
                           "%.150s: the checkpoint names log %" PRIu32 ", which its snapshot lacks",
                           log->directory, row->id);
        tail->flushed_number = tail->tip_number = tail->dropped_number = row->flushed_number;
        tail->flushed_figures = tail->figures = row->figures;
    }
    return status;
}

/* ---- segments ------------------------------------------------------------------------------- */

static mr_status damaged_segment(const char *path, uint64_t offset, mr_error *error)
{
    return mr_fail(error, MR_CORRUPT,
                   "%s: damaged at byte %" PRIu64
                   ": `millrace check` tells what is affected, `millrace check --repair` what can "
                   "be saved",
                   path, offset);
}

/* Finds the blocks of an unsealed segment again, by their headers. In salvage, a header that cannot
 * be read ends the segment. */
static mr_status read_places(struct mr_log *log, struct mr_segment *segment, struct mr_file *file,
                             const char *path, mr_error *error)
{
    uint64_t offset = SEGMENT_HEADER_BYTES;
    uint32_t block_count = 0;

    while (offset < segment->bytes) {
        struct mr_block_place place = {.segment = segment->id};
        struct mr_tail *tail;
        bool found;
        mr_status status =
            mr_segment_next_block(file, segment->bytes, &offset, &place.block, &found, error);

        if (status)
            return status;
        if (!found && offset < segment->bytes) {
            if (!log->config.salvage)
                return damaged_segment(path, offset, error);
            segment->bytes = offset;
            segment->block_count = block_count;
        }
        if (!found)
            return MR_OK;
        block_count++;
        place.offset = offset;
        offset += BLOCK_HEADER_BYTES + (uint64_t)place.block.stored_bytes;
        tail = place.block.log < log->tail_capacity ? log->tails[place.block.log] : NULL;
        if (!tail)
            continue; /* of a log that was forgotten */
        mr_grow(tail->places, tail->place_count, tail->place_capacity);
        tail->places[tail->place_count++] = place;
    }
    return MR_OK;
}

static mr_status open_unsealed(struct mr_log *log, uint32_t stream, struct mr_segment *segment,
                               mr_error *error)
{
    char path[MR_PATH_BYTES];
    struct mr_file *file;
    uint64_t size;
    mr_status status;

    mr_segment_path(path, log->directory, stream, segment->id);
    status = log->fs->open(log->fs, path, MR_FS_WRITE, &file, error);
    if (status == MR_NOT_FOUND)
        return mr_fail(error, MR_CORRUPT, "%s is missing: put it back from a backup", path);
    if (status)
        return status;
    status = log->fs->size(file, &size, error);
    if (!status && size < segment->bytes)
        status = damaged_segment(path, size, error);
    if (!status)
        status = read_places(log, segment, file, path, error);
    /* What a crash left behind the checkpoint's length is in the journal, too. */
    if (!status && size > segment->bytes && log->config.mutant != MR_MUTANT_SEGMENT_NOT_CUT)
        status = log->fs->truncate(file, segment->bytes, error);
    if (!status && size > segment->bytes)
        status = log->fs->sync(file, error);
    if (log->config.mutant == MR_MUTANT_SEGMENT_NOT_CUT && !status)
        segment->bytes = size;
    log->fs->close(file);
    return status;
}

static mr_status restore_segments(struct mr_log *log, const struct mr_checkpoint *checkpoint,
                                  mr_error *error)
{
    for (uint32_t i = 0; i < checkpoint->segment_count; i++) {
        const struct mr_checkpoint_segment *row = &checkpoint->segments[i];
        struct mr_store *store = mr_log_store_hold(log, row->stream);
        struct mr_segment *segment;
        mr_status status = MR_OK;

        if (!store)
            continue; /* of a stream whose every shard was forgotten: its folder goes below */
        store->is_new = false;
        mr_grow(store->segments, store->segment_count, store->segment_capacity);
        segment = &store->segments[store->segment_count++];
        *segment = row->segment;
        if (!segment->is_sealed)
            status = open_unsealed(log, row->stream, segment, error);
        segment->named_bytes = segment->bytes;
        mr_store_release(store);
        if (status)
            return status;
    }
    return MR_OK;
}

struct sweep {
    struct mr_log *log;
    struct mr_store *store; /* NULL: no such stream */
    char folder[MR_PATH_BYTES];
};

static bool sweep_file(void *context, const char *name)
{
    struct sweep *sweep = context;
    struct mr_fs *fs = sweep->log->fs;
    char path[MR_PATH_BYTES], expected[32];

    for (uint32_t i = 0; sweep->store && i < sweep->store->segment_count; i++) {
        snprintf(expected, sizeof expected, "%08" PRIx32 ".seg", sweep->store->segments[i].id);
        if (!strcmp(expected, name))
            return true;
    }
    snprintf(path, sizeof path, "%.4000s/%.64s", sweep->folder, name);
    fs->remove(fs, path, NULL);
    return true;
}

static bool sweep_folder(void *context, const char *name)
{
    struct sweep sweep = *(struct sweep *)context;
    struct mr_fs *fs = sweep.log->fs;
    char *end;
    unsigned long stream = strtoul(name, &end, 16);

    if (*end || strlen(name) != 8)
        return true; /* not ours: `check` reports it */
    mr_store_path(sweep.folder, sweep.log->directory, (uint32_t)stream);
    sweep.store = mr_log_store_hold(sweep.log, (uint32_t)stream);
    fs->list(fs, sweep.folder, sweep_file, &sweep, NULL);
    if (!sweep.store)
        fs->remove_directory(fs, sweep.folder, NULL);
    mr_store_release(sweep.store);
    return true;
}

/* Removes segments that no checkpoint names: begun after it, or trimmed before it. */
static void sweep(struct mr_log *log)
{
    struct sweep sweep = {.log = log};
    char path[MR_PATH_BYTES];

    path_of(path, log, "s");
    log->fs->list(log->fs, path, sweep_folder, &sweep, NULL);
}

/* ---- the journal ---------------------------------------------------------------------------- */

/* Memory stays bounded however long the journal's live part is. */
static mr_status flush_while_recovering(struct mr_log *log, mr_error *error)
{
    while (atomic_load(&log->pending_bytes) > mr_log_memory_max(log) / 2) {
        if (mr_log_flush(log))
            continue;
        if (log->flush_hitch.status) {
            *error = log->flush_hitch.error;
            return log->flush_hitch.status;
        }
        mr_log_complete_old(log, UINT64_MAX);
        if (!mr_log_flush(log))
            break;
    }
    return MR_OK;
}

static bool follows(const struct mr_log *log, const struct mr_group_header *header)
{
    if (log->config.mutant == MR_MUTANT_NO_EPOCH)
        return header->first_number >= log->published_number;
    /* What the checkpoint's life found in the journal may be of older lives; what came later is not. */
    return header->previous_hash == log->published.previous_hash &&
           (header->epoch >= log->epoch || log->published.at < log->restored_lsn) &&
           header->first_number >= log->published_number;
}

static mr_status take_group(struct mr_log *log, const struct mr_group_header *header, uint64_t hash,
                            uint8_t *group, mr_error *error)
{
    mr_bytes payload;
    mr_status status = mr_log_open_group(log, header, group, &payload, error);

    if (status == MR_CORRUPT && log->config.salvage) {
        mr_log_diag(log, "event=salvage lost_numbers=%" PRIu64 "..%" PRIu64, header->first_number,
                    header->first_number + header->number_count - 1);
        status = MR_OK;
    } else if (!status) {
        status = mr_log_publish_group(log, header, payload, NULL, error);
    }
    if (status)
        return status;
    if (header->epoch > log->epoch)
        log->epoch = header->epoch;
    log->published.at = header->lsn + mr_group_bytes(header->payload_bytes);
    log->published.previous_hash = hash;
    if (header->first_number + header->number_count > log->published_number)
        log->published_number = header->first_number + header->number_count;
    log->stats.recovered_journal_bytes += mr_group_bytes(header->payload_bytes);
    return flush_while_recovering(log, error);
}

static mr_status report_damage(struct mr_log *log, mr_error *error)
{
    return mr_fail(error, MR_CORRUPT,
                   "%.120s: damaged at byte %" PRIu64 ": acknowledged records from number %" PRIu64
                   " on are affected; a backup is best, `millrace check --repair` saves the rest",
                   log->journal.path, log->published.at % log->journal.ring_bytes,
                   log->published_number);
}

static mr_status walk(struct mr_log *log, uint8_t *buffer, mr_error *error)
{
    uint64_t end = log->published.at + log->journal.ring_bytes;

    for (;;) {
        struct mr_group_header header;
        uint64_t hash;
        bool found, is_hole;
        mr_status status = mr_journal_read(&log->journal, log->published.at, buffer, &header, &hash,
                                           &found, error);

        if (status)
            return status;
        if (found && follows(log, &header)) {
            status = take_group(log, &header, hash, buffer, error);
            if (status)
                return status;
            continue;
        }
        status = mr_journal_look_ahead(&log->journal, log->published.at, log->restored_lsn, end,
                                       log->epoch, buffer, &header, &hash, &found, &is_hole, error);
        if (status || !is_hole)
            return status;
        if (!log->config.salvage)
            return report_damage(log, error);
        if (found)
            mr_log_diag(log, "event=salvage lost_numbers=%" PRIu64 "..%" PRIu64,
                        log->published_number, header.first_number - 1);
        else
            mr_log_diag(log, "event=salvage lost_numbers_from=%" PRIu64, log->published_number);
        if (!found)
            return MR_OK;
        status = take_group(log, &header, hash, buffer, error);
        if (status)
            return status;
    }
}

/* ---- all of it ------------------------------------------------------------------------------ */

static mr_status open_journal(struct mr_log *log, bool direct, mr_error *error)
{
    char path[MR_PATH_BYTES];
    mr_status status;

    path_of(path, log, "journal");
    status = mr_journal_open(&log->journal, log->fs, path, log->config.journal_bytes,
                             log->directory_id, direct, log->config.journal_prewrite, error);
    log->journal.mutant = log->config.mutant;
    return status;
}

/*
 * The last groups may be in the page cache only, left there by a killed process, or by a failed sync,
 * after which the kernel calls them written. They are about to be shown: everything goes to segments,
 * which the first checkpoint makes durable, and the journal is not needed any more.
 */
static mr_status flush_all(struct mr_log *log, mr_error *error)
{
    mr_log_complete_old(log, UINT64_MAX);
    while (mr_log_flush(log))
        continue;
    if (log->flush_hitch.status)
        *error = log->flush_hitch.error;
    return log->flush_hitch.status;
}

static mr_status replay(struct mr_log *log, mr_error *error)
{
    uint8_t *buffer = mr_pages_take(GROUP_BYTES_MAX);
    mr_status status = walk(log, buffer, error);

    mr_pages_give(buffer, GROUP_BYTES_MAX);
    if (!status && log->config.mutant != MR_MUTANT_NO_RESYNC)
        status = flush_all(log, error);
    return status;
}

static mr_status recover_from(struct mr_log *log, const struct mr_checkpoint *checkpoint,
                              mr_error *error)
{
    mr_status status;

    log->config.journal_bytes = checkpoint->journal_bytes;
    log->checkpoint_serial = checkpoint->serial;
    log->next_segment = checkpoint->next_segment;
    log->epoch = checkpoint->epoch;
    log->last_ms = checkpoint->last_ms;
    log->published = checkpoint->tail;
    log->published_number = 0;
    log->next_number = checkpoint->next_number; /* at least */
    log->restored_lsn = checkpoint->restored_lsn;
    log->stats.recovered = !checkpoint->is_clean && checkpoint->serial > 0;

    status = restore_logs(log, checkpoint, error);
    if (!status)
        status = restore_segments(log, checkpoint, error);
    if (status)
        return status;
    /* Buffered: reading ahead matters here, and nothing else uses the file yet. */
    status = open_journal(log, false, error);
    if (!status && (!log->journal.was_empty || log->published.at < log->restored_lsn))
        status = replay(log, error);
    if (status)
        return status;
    if (log->published_number < checkpoint->next_number)
        log->published_number = checkpoint->next_number;
    return MR_OK;
}

/* The journal for the committers: past the page cache, unless that is where groups wait for a sync. */
static mr_status open_lanes(struct mr_log *log, mr_error *error)
{
    bool is_direct = log->config.sync == MR_SYNC_EACH;
    mr_status status = MR_OK;

    if (is_direct) {
        mr_journal_close(&log->journal);
        status = open_journal(log, true, error);
    }
    for (uint32_t i = 0; !status && i < (is_direct ? LANE_COUNT : 1); i++) {
        log->lanes[i].log = log;
        log->lanes[i].file = log->journal.file;
        if (i > 0)
            status = log->fs->open(log->fs, log->journal.path, MR_FS_WRITE | MR_FS_DIRECT,
                                   &log->lanes[i].file, error);
        if (!status)
            log->lane_count++;
    }
    return status;
}

static mr_status begin_epoch(struct mr_log *log, mr_error *error)
{
    mr_status status;

    log->epoch++;
    log->next_number = log->published_number;
    log->next_lsn = log->tail_lsn = log->written_lsn = log->durable_lsn = log->published.at;
    log->previous_hash = log->published.previous_hash;
    log->synced_ns = log->clock->monotonic_ns(log->clock);
    if (log->config.mutant == MR_MUTANT_NO_RESYNC)
        log->tail_lsn = mr_log_oldest_pending(log).at;
    status = mr_log_write_checkpoint(log, false, error);
    if (status)
        return status;
    sweep(log); /* not before the checkpoint that names none of it is durable */
    return open_lanes(log, error);
}

mr_status mr_log_recover(struct mr_log *log, mr_error *error)
{
    struct mr_checkpoint checkpoint;
    struct mr_clock *real = mr_clock_real();
    uint64_t began_ns = real->monotonic_ns(real);
    char path[MR_PATH_BYTES];
    uint8_t *bytes = NULL;
    mr_status status;

    status = log->fs->make_directory(log->fs, log->directory, error);
    if (status && status != MR_EXISTS)
        return status;
    path_of(path, log, "LOCK");
    status = log->fs->lock(log->fs, path, &log->lock_file, error);
    if (status)
        return status;
    status = mr_format_read(log->fs, log->directory, &log->directory_id, error);
    if (status == MR_NOT_FOUND)
        status = make_directory(log, error);
    if (!status)
        status = load_checkpoint(log, &checkpoint, &bytes, error);
    if (status)
        return status;

    status = recover_from(log, &checkpoint, error);
    mr_checkpoint_fini(&checkpoint);
    mr_free(bytes);
    if (!status)
        status = begin_epoch(log, error);
    log->stats.recovery_ms = (uint32_t)((real->monotonic_ns(real) - began_ns) / 1000000);
    return status;
}
