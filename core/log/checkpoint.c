#include "log/checkpoint.h"

#include "base/check.h"
#include "base/fail.h"
#include "base/memory.h"
#include "log/inside.h"

#include <inttypes.h>
#include <stdio.h>
#include <xxhash.h>

#define CHECKPOINT_MAGIC 0x3163524du /* "MRc1" */
#define LOG_BYTES 40u
#define SEGMENT_ROW_BYTES 72u

void mr_checkpoint_fini(struct mr_checkpoint *checkpoint)
{
    mr_free(checkpoint->logs);
    mr_free(checkpoint->segments);
}

void mr_checkpoint_path(char path[MR_PATH_BYTES], const char *directory, unsigned copy)
{
    size_t size = strlen(directory);

    mr_check(size + 16 < MR_PATH_BYTES && copy < 10);
    memcpy(path, directory, size);
    memcpy(path + size, "/checkpoint.0", 14);
    path[size + 12] = (char)('0' + copy);
}

/* ---- bytes --------------------------------------------------------------------------------- */

void mr_checkpoint_encode(const struct mr_checkpoint *checkpoint, uint8_t **bytes, size_t *size)
{
    struct mr_pack pack = MR_PACK(CHECKPOINT_BYTES_MAX);
    XXH128_hash_t hash;

    mr_pack_u64(&pack, 0);
    mr_pack_u64(&pack, 0);
    mr_pack_u32(&pack, CHECKPOINT_MAGIC);
    mr_pack_u32(&pack, CHECKPOINT_FORMAT);
    mr_pack_u64(&pack, 0); /* the size, known at the end */
    mr_pack_u64(&pack, checkpoint->serial);
    mr_pack_u64(&pack, checkpoint->directory_id);
    mr_pack_u64(&pack, checkpoint->journal_bytes);
    mr_pack_u32(&pack, checkpoint->epoch);
    mr_pack_u32(&pack, checkpoint->is_clean);
    mr_pack_u64(&pack, checkpoint->tail.at);
    mr_pack_u64(&pack, checkpoint->tail.previous_hash);
    mr_pack_u64(&pack, checkpoint->restored_lsn);
    mr_pack_u64(&pack, checkpoint->next_number);
    mr_pack_u64(&pack, (uint64_t)checkpoint->last_ms);
    mr_pack_u32(&pack, checkpoint->next_segment);
    mr_pack_u32(&pack, checkpoint->log_count);
    mr_pack_u32(&pack, checkpoint->segment_count);
    mr_pack_u32(&pack, 0);
    mr_pack_u64(&pack, checkpoint->owner.size);
    for (uint32_t i = 0; i < checkpoint->log_count; i++) {
        const struct mr_checkpoint_log *row = &checkpoint->logs[i];

        mr_pack_u32(&pack, row->id);
        mr_pack_u32(&pack, row->stream);
        mr_pack_u64(&pack, row->flushed_number);
        mr_pack_u64(&pack, row->figures.record_count);
        mr_pack_u64(&pack, row->figures.record_bytes);
        mr_pack_u64(&pack, (uint64_t)row->figures.newest_ms);
    }
    for (uint32_t i = 0; i < checkpoint->segment_count; i++) {
        const struct mr_segment *segment = &checkpoint->segments[i].segment;

        mr_pack_u32(&pack, checkpoint->segments[i].stream);
        mr_pack_u32(&pack, segment->id);
        mr_pack_u32(&pack, segment->is_sealed);
        mr_pack_u32(&pack, segment->page_count);
        mr_pack_u32(&pack, segment->block_count);
        mr_pack_u32(&pack, segment->rank);
        mr_pack_u64(&pack, segment->bytes);
        mr_pack_u64(&pack, segment->raw_bytes);
        mr_pack_u64(&pack, segment->hasty_bytes);
        mr_pack_u64(&pack, segment->last_number);
        mr_pack_u64(&pack, (uint64_t)segment->first_ms);
        mr_pack_u64(&pack, (uint64_t)segment->last_ms);
    }
    mr_pack_bytes(&pack, checkpoint->owner);
    mr_store64(pack.data + 24, pack.size);
    hash = XXH3_128bits(pack.data + 16, pack.size - 16);
    mr_store64(pack.data, hash.low64);
    mr_store64(pack.data + 8, hash.high64);
    *bytes = pack.data;
    *size = pack.size;
}

static void decode_rows(struct mr_scan *scan, struct mr_checkpoint *checkpoint)
{
    checkpoint->logs = mr_alloc_zero(checkpoint->log_count, sizeof *checkpoint->logs);
    for (uint32_t i = 0; i < checkpoint->log_count; i++) {
        struct mr_checkpoint_log *row = &checkpoint->logs[i];

        row->id = mr_scan_u32(scan);
        row->stream = mr_scan_u32(scan);
        row->flushed_number = mr_scan_u64(scan);
        row->figures.record_count = mr_scan_u64(scan);
        row->figures.record_bytes = mr_scan_u64(scan);
        row->figures.newest_ms = (int64_t)mr_scan_u64(scan);
    }
    checkpoint->segments = mr_alloc_zero(checkpoint->segment_count, sizeof *checkpoint->segments);
    for (uint32_t i = 0; i < checkpoint->segment_count; i++) {
        struct mr_segment *segment = &checkpoint->segments[i].segment;

        checkpoint->segments[i].stream = mr_scan_u32(scan);
        segment->id = mr_scan_u32(scan);
        segment->is_sealed = mr_scan_u32(scan) == 1;
        segment->page_count = mr_scan_u32(scan);
        segment->block_count = mr_scan_u32(scan);
        segment->rank = mr_scan_u32(scan);
        segment->bytes = mr_scan_u64(scan);
        segment->raw_bytes = mr_scan_u64(scan);
        segment->hasty_bytes = mr_scan_u64(scan);
        segment->last_number = mr_scan_u64(scan);
        segment->first_ms = (int64_t)mr_scan_u64(scan);
        segment->last_ms = (int64_t)mr_scan_u64(scan);
        if (segment->bytes < SEGMENT_HEADER_BYTES ||
            (segment->is_sealed &&
             segment->bytes - SEGMENT_HEADER_BYTES <
                 SEGMENT_TRAILER_BYTES + (uint64_t)segment->page_count * SEGMENT_PAGE_BYTES))
            scan->failed = true;
    }
}

bool mr_checkpoint_decode(mr_bytes bytes, struct mr_checkpoint *checkpoint, uint32_t *format)
{
    struct mr_scan scan = mr_scan_of(bytes);
    uint64_t low = mr_scan_u64(&scan), high = mr_scan_u64(&scan), size, owner_size;
    XXH128_hash_t hash;

    *checkpoint = (struct mr_checkpoint){0};
    *format = 0;
    if (mr_scan_u32(&scan) != CHECKPOINT_MAGIC || mr_scan_failed(&scan))
        return false;
    *format = mr_scan_u32(&scan);
    size = mr_scan_u64(&scan);
    if (*format != CHECKPOINT_FORMAT || size != bytes.size)
        return false;
    hash = XXH3_128bits((const uint8_t *)bytes.data + 16, bytes.size - 16);
    if (hash.low64 != low || hash.high64 != high)
        return false;

    checkpoint->serial = mr_scan_u64(&scan);
    checkpoint->directory_id = mr_scan_u64(&scan);
    checkpoint->journal_bytes = mr_scan_u64(&scan);
    checkpoint->epoch = mr_scan_u32(&scan);
    checkpoint->is_clean = mr_scan_u32(&scan) == 1;
    checkpoint->tail.at = mr_scan_u64(&scan);
    checkpoint->tail.previous_hash = mr_scan_u64(&scan);
    checkpoint->restored_lsn = mr_scan_u64(&scan);
    checkpoint->next_number = mr_scan_u64(&scan);
    checkpoint->last_ms = (int64_t)mr_scan_u64(&scan);
    checkpoint->next_segment = mr_scan_u32(&scan);
    checkpoint->log_count = mr_scan_u32(&scan);
    checkpoint->segment_count = mr_scan_u32(&scan);
    mr_scan_u32(&scan);
    owner_size = mr_scan_u64(&scan);
    /* Counts meet the size before they meet an allocator. */
    if (mr_scan_failed(&scan) || owner_size > mr_scan_left(&scan) ||
        (uint64_t)checkpoint->log_count * LOG_BYTES +
                (uint64_t)checkpoint->segment_count * SEGMENT_ROW_BYTES !=
            mr_scan_left(&scan) - owner_size)
        return false;
    decode_rows(&scan, checkpoint);
    checkpoint->owner = (mr_bytes){mr_scan_take(&scan, (size_t)owner_size), (size_t)owner_size};
    if (mr_scan_failed(&scan) || checkpoint->journal_bytes < JOURNAL_PAGE_BYTES ||
        checkpoint->journal_bytes % JOURNAL_PAGE_BYTES) {
        mr_checkpoint_fini(checkpoint);
        *checkpoint = (struct mr_checkpoint){0};
        return false;
    }
    return true;
}

/* ---- taking one ---------------------------------------------------------------------------- */

/* Copies the state between two groups and two flushes. The owner's bytes are the caller's to free. */
static void capture(struct mr_log *log, struct mr_checkpoint *checkpoint, uint8_t **owner,
                    struct mr_doomed **doomed)
{
    struct mr_tail *tail;
    size_t owner_size;
    uint32_t capacity = 0;

    pthread_mutex_lock(&log->publishing);
    pthread_mutex_lock(&log->flushing);
    pthread_rwlock_rdlock(&log->stores_lock);
    *checkpoint = (struct mr_checkpoint){
        .directory_id = log->directory_id,
        .journal_bytes = log->journal.ring_bytes,
        .epoch = log->epoch,
        .tail = log->published,
        .restored_lsn = log->published.at,
        .next_number = log->published_number,
        .next_segment = log->next_segment,
    };
    log->config.owner.snapshot(log->config.owner.context, owner, &owner_size);
    checkpoint->owner = (mr_bytes){*owner, owner_size};

    checkpoint->logs = mr_alloc_zero(log->tail_count, sizeof *checkpoint->logs);
    for (size_t id = 0; (tail = mr_log_next_tail(log, NULL, &id));) {
        pthread_mutex_lock(&tail->lock);
        checkpoint->logs[checkpoint->log_count++] = (struct mr_checkpoint_log){
            .id = tail->id,
            .stream = tail->store->stream,
            .flushed_number = tail->flushed_number,
            .figures = tail->flushed_figures,
        };
        if (tail->pending && tail->pending->lsn.at < checkpoint->tail.at)
            checkpoint->tail = tail->pending->lsn;
        pthread_mutex_unlock(&tail->lock);
    }
    if (log->config.mutant == MR_MUTANT_FLUSH_SKIPS_OPEN_CHUNK)
        checkpoint->tail = log->published;
    for (size_t i = 0; i < log->store_count; i++) {
        struct mr_store *store = log->stores[i];

        for (uint32_t n = 0; n < store->segment_count; n++) {
            store->segments[n].named_bytes = store->segments[n].bytes;
            mr_grow(checkpoint->segments, checkpoint->segment_count, capacity);
            checkpoint->segments[checkpoint->segment_count++] =
                (struct mr_checkpoint_segment){store->stream, store->segments[n]};
        }
    }
    *doomed = log->doomed;
    log->doomed = NULL;
    pthread_rwlock_unlock(&log->stores_lock);
    pthread_mutex_unlock(&log->flushing);
    pthread_mutex_unlock(&log->publishing);

    pthread_mutex_lock(&log->sequencer);
    checkpoint->last_ms = log->last_ms; /* later than what is captured does no harm */
    pthread_mutex_unlock(&log->sequencer);
}

/* C1: what the checkpoint names is durable before it is. Files are opened anew: a sync makes all of a
 * file durable, whoever wrote it. */
static mr_status sync_segments(struct mr_log *log, struct mr_checkpoint *checkpoint,
                               mr_error *error)
{
    char path[MR_PATH_BYTES];
    mr_status status = MR_OK;
    bool has_new = false;

    for (uint32_t i = 0; !status && i < checkpoint->segment_count; i++) {
        const struct mr_checkpoint_segment *row = &checkpoint->segments[i];
        struct mr_file *file;

        if (!row->segment.is_dirty)
            continue;
        has_new = true;
        mr_segment_path(path, log->directory, row->stream, row->segment.id);
        status = log->fs->open(log->fs, path, MR_FS_WRITE, &file, error);
        if (status == MR_NOT_FOUND) {
            status = MR_OK; /* trimmed since */
            continue;
        }
        if (status)
            break;
        status = log->fs->sync(file, error);
        log->fs->close(file);
        if (!status) {
            mr_store_path(path, log->directory, row->stream);
            status = log->fs->sync_directory(log->fs, path, error);
        }
    }
    if (!status && has_new) {
        snprintf(path, sizeof path, "%.4000s/s", log->directory);
        status = log->fs->sync_directory(log->fs, path, error);
    }
    return status;
}

static mr_status write_copies(struct mr_log *log, mr_bytes bytes, mr_error *error)
{
    char path[MR_PATH_BYTES];
    mr_status status = MR_OK;

    for (unsigned copy = 0; !status && copy < 2; copy++) {
        mr_checkpoint_path(path, log->directory, copy);
        if (log->config.mutant == MR_MUTANT_CHECKPOINT_IN_PLACE) {
            struct mr_file *file;

            status = log->fs->open(log->fs, path, MR_FS_WRITE | MR_FS_CREATE, &file, error);
            if (status)
                break;
            status = log->fs->write(file, bytes.data, bytes.size, 0, error);
            if (!status)
                status = log->fs->truncate(file, bytes.size, error);
            if (!status)
                status = log->fs->sync(file, error);
            log->fs->close(file);
            break;
        }
        status = mr_fs_replace(log->fs, log->directory, path, bytes, error);
    }
    return status;
}

static void remove_segment(struct mr_log *log, uint32_t stream, uint32_t segment)
{
    char path[MR_PATH_BYTES];

    mr_segment_path(path, log->directory, stream, segment);
    log->fs->remove(log->fs, path, NULL); /* what is left over goes at the next opening */
}

struct folder {
    struct mr_log *log;
    char path[MR_PATH_BYTES];
};

static bool remove_name(void *context, const char *name)
{
    struct folder *folder = context;
    char path[MR_PATH_BYTES];

    snprintf(path, sizeof path, "%.4000s/%.64s", folder->path, name);
    folder->log->fs->remove(folder->log->fs, path, NULL);
    return true;
}

static void remove_doomed(struct mr_log *log, struct mr_doomed *doomed)
{
    struct folder folder = {.log = log};
    struct mr_doomed *next;

    for (; doomed; doomed = next) {
        next = doomed->next;
        if (doomed->is_whole_stream) {
            mr_store_path(folder.path, log->directory, doomed->stream);
            log->fs->list(log->fs, folder.path, remove_name, &folder, NULL);
            log->fs->remove_directory(log->fs, folder.path, NULL);
        } else {
            remove_segment(log, doomed->stream, doomed->segment);
        }
        mr_free(doomed);
    }
}

/* What is still doomed after a checkpoint that failed. */
static void keep_doomed(struct mr_log *log, struct mr_doomed *doomed)
{
    struct mr_doomed **last = &doomed;

    while (*last)
        last = &(*last)->next;
    pthread_mutex_lock(&log->flushing);
    *last = log->doomed;
    log->doomed = doomed;
    pthread_mutex_unlock(&log->flushing);
}

/* Enters that these segments were durable as far as they were captured. */
static void enter_synced(struct mr_log *log, const struct mr_checkpoint *checkpoint)
{
    pthread_mutex_lock(&log->flush_turn);
    pthread_mutex_lock(&log->flushing);
    pthread_rwlock_rdlock(&log->stores_lock);
    for (size_t i = 0; i < log->store_count; i++) {
        struct mr_store *store = log->stores[i];

        for (uint32_t n = 0; n < store->segment_count; n++) {
            struct mr_segment *segment = &store->segments[n];

            if (!segment->is_dirty)
                continue;
            for (uint32_t k = 0; k < checkpoint->segment_count; k++)
                if (checkpoint->segments[k].segment.id == segment->id &&
                    checkpoint->segments[k].segment.bytes == segment->bytes)
                    segment->is_dirty = false;
            /* Open files grow with the streams written to, not with those that exist. */
            if (!segment->is_dirty && segment->file &&
                (segment->is_sealed || log->store_count > 64)) {
                log->fs->close(segment->file);
                segment->file = NULL;
            }
        }
    }
    pthread_rwlock_unlock(&log->stores_lock);
    pthread_mutex_unlock(&log->flushing);
    pthread_mutex_unlock(&log->flush_turn);
}

static void free_journal(struct mr_log *log, uint64_t tail_lsn)
{
    pthread_mutex_lock(&log->sequencer);
    if (tail_lsn > log->tail_lsn)
        log->tail_lsn = tail_lsn;
    mr_log_make_room(log);
    pthread_mutex_unlock(&log->sequencer);
}

/* Takes away what failed appends left behind the ends of segments; what cannot be stays ragged. */
static void cut_ragged(struct mr_log *log)
{
    pthread_mutex_lock(&log->flush_turn);
    pthread_mutex_lock(&log->flushing);
    pthread_rwlock_rdlock(&log->stores_lock);
    for (size_t i = 0; i < log->store_count; i++) {
        struct mr_store *store = log->stores[i];

        for (uint32_t n = 0; n < store->segment_count; n++) {
            struct mr_segment *segment = &store->segments[n];

            if (!segment->is_ragged || !segment->file ||
                log->fs->truncate(segment->file, segment->bytes, NULL))
                continue;
            segment->is_ragged = false;
            segment->is_dirty = true; /* the cut is to last */
        }
    }
    pthread_rwlock_unlock(&log->stores_lock);
    pthread_mutex_unlock(&log->flushing);
    pthread_mutex_unlock(&log->flush_turn);
}

static mr_status write_checkpoint(struct mr_log *log, bool is_clean, mr_error *error)
{
    struct mr_checkpoint checkpoint;
    struct mr_doomed *doomed;
    uint8_t *owner, *bytes = NULL;
    size_t size;
    mr_status status = MR_OK;

    if (is_clean)
        cut_ragged(log);
    capture(log, &checkpoint, &owner, &doomed);
    /* A disk that is full at closing leaves records in the journal only: then it stays as it is. */
    is_clean = is_clean && checkpoint.tail.at == checkpoint.restored_lsn;
    checkpoint.is_clean = is_clean;
    checkpoint.serial = log->checkpoint_serial + 1;
    if (log->config.mutant == MR_MUTANT_EARLY_REUSE)
        free_journal(log, checkpoint.tail.at);
    if (log->config.mutant == MR_MUTANT_UNLINK_BEFORE_CHECKPOINT) {
        remove_doomed(log, doomed);
        doomed = NULL;
    }
    if (log->config.mutant != MR_MUTANT_SEGMENT_NOT_SYNCED) {
        /* A flush that began before the capture may still be writing behind what was captured, in the
         * same page: the sync has to come after it (G3). */
        pthread_mutex_lock(&log->flush_turn);
        pthread_mutex_unlock(&log->flush_turn);
        status = sync_segments(log, &checkpoint, error);
        if (status) {
            /* What was written since the last sync may be gone from the page cache: it is safe in
             * the journal, and read back from there at the next opening. */
            mr_log_fail(log, status, error);
            goto out;
        }
        /* Now, not when the checkpoint is written: if only one copy of it can be, that one counts. */
        enter_synced(log, &checkpoint);
    }
    mr_checkpoint_encode(&checkpoint, &bytes, &size);
    status = write_copies(log, (mr_bytes){bytes, size}, error);
    if (status)
        goto out;
    log->checkpoint_serial++;
    remove_doomed(log, doomed);
    doomed = NULL;
    free_journal(log, checkpoint.tail.at);
    if (is_clean && !log->fs->truncate(log->journal.file, 0, NULL))
        log->fs->sync(log->journal.file, NULL);
out:
    if (doomed)
        keep_doomed(log, doomed);
    mr_checkpoint_fini(&checkpoint);
    mr_free(owner);
    mr_free(bytes);
    return status;
}

mr_status mr_log_write_checkpoint(struct mr_log *log, bool is_clean, mr_error *error)
{
    mr_error own;
    mr_status status;

    if (log->config.journal_only)
        return MR_OK;
    pthread_mutex_lock(&log->checkpointing);
    mr_log_sync_if_due(log, true);
    status = mr_log_has_failed(log) && !is_clean && !log->is_recovering
                 ? mr_fail(&own, MR_IO, "no checkpoint after a failed write or sync")
                 : write_checkpoint(log, is_clean, &own);
    mr_log_set_hitch(log, &log->checkpoint_hitch, status, &own);
    if (status && !log->is_recovering)
        mr_log_diag(log, "event=checkpoint_failed reason=\"%s\"", own.message);
    if (status && error)
        *error = own;
    pthread_mutex_unlock(&log->checkpointing);
    return status;
}
