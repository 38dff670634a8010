/*
 * cursor.c - reading one log from any place to its tip: from chunks in memory, without copying, and
 * from blocks in segments, one at a time.
 */
#include "base/check.h"
#include "base/fail.h"
#include "base/memory.h"
#include "log/inside.h"

#include <inttypes.h>

struct mr_log_cursor {
    struct mr_log *log;
    struct mr_tail *tail;
    mr_sequence base;
    uint64_t next_number; /* the next record has at least this number */
    int64_t from_ms;      /* and arrived not before this */
    int64_t reached_ms;

    /* What is being decoded: a chunk in memory, or a block's runs. Neither: look for the next. */
    struct mr_chunk *chunk;
    uint32_t chunk_seen; /* of chunk->used */
    bool is_in_block;
    struct mr_scan runs;
    struct mr_run_base run_base;
    struct mr_run run;
    struct mr_scan frames; /* what is left of the run */
    uint64_t frame_number;

    /* Segments: the file that is open, the page with the next entry. */
    uint32_t segment;
    struct mr_file *file;
    char path[MR_PATH_BYTES];
    struct mr_segment segment_row;
    struct mr_segment_page page;
    uint32_t skip_through; /* segments up to this rank were reported as damaged; 0 none */
    uint32_t
        entry; /* of the block being decoded, in page; UINT32_MAX: it is in the active segment */
    struct mr_block_place place;
    struct mr_codec *codec;
    uint8_t *stored, *raw;
    size_t stored_capacity, raw_capacity;

    mr_record *records;
    size_t record_capacity;
};

mr_status mr_log_cursor_open(struct mr_log_cursor **out, struct mr_log *log, mr_log_id id,
                             mr_sequence base, mr_error *error)
{
    struct mr_tail *tail = mr_log_tail_hold(log, id);
    struct mr_log_cursor *cursor;

    if (!tail)
        return mr_fail(error, MR_CLOSED, "the shard's records are gone");
    cursor = mr_new(struct mr_log_cursor);
    cursor->log = log;
    cursor->tail = tail;
    cursor->base = base;
    cursor->next_number = 1;
    *out = cursor;
    return MR_OK;
}

/* ---- codecs are shared: a reader at the tip needs none ------------------------------------- */

static void take_codec(struct mr_log_cursor *cursor)
{
    struct mr_log *log = cursor->log;

    if (cursor->codec)
        return;
    pthread_mutex_lock(&log->codecs_lock);
    if (log->codec_count > 0)
        cursor->codec = log->codecs[--log->codec_count];
    pthread_mutex_unlock(&log->codecs_lock);
    if (!cursor->codec)
        cursor->codec = mr_codec_new(log->keys);
}

static void give_codec(struct mr_log_cursor *cursor)
{
    struct mr_log *log = cursor->log;

    if (!cursor->codec)
        return;
    pthread_mutex_lock(&log->codecs_lock);
    if (log->codec_count < sizeof log->codecs / sizeof log->codecs[0]) {
        log->codecs[log->codec_count++] = cursor->codec;
        cursor->codec = NULL;
    }
    pthread_mutex_unlock(&log->codecs_lock);
    mr_codec_free(cursor->codec);
    cursor->codec = NULL;
}

/* Lets go of what segments need. */
static void leave_segments(struct mr_log_cursor *cursor)
{
    give_codec(cursor);
    if (cursor->file)
        cursor->log->fs->close(cursor->file);
    cursor->file = NULL;
    cursor->page.entry_count = 0;
    mr_free(cursor->stored);
    mr_free(cursor->raw);
    cursor->stored = cursor->raw = NULL;
    cursor->stored_capacity = cursor->raw_capacity = 0;
}

static void leave_source(struct mr_log_cursor *cursor)
{
    mr_chunk_release(cursor->chunk);
    cursor->chunk = NULL;
    cursor->is_in_block = false;
    cursor->frames = cursor->runs = (struct mr_scan){0};
}

void mr_log_cursor_close(struct mr_log_cursor *cursor)
{
    if (!cursor)
        return;
    leave_source(cursor);
    leave_segments(cursor);
    mr_tail_release(cursor->tail);
    mr_free(cursor->records);
    mr_free(cursor);
}

void mr_log_cursor_seek(struct mr_log_cursor *cursor, uint64_t number)
{
    leave_source(cursor);
    cursor->next_number = number;
    cursor->from_ms = cursor->reached_ms = 0;
    cursor->skip_through = 0;
}

uint64_t mr_log_cursor_number(const struct mr_log_cursor *cursor)
{
    return cursor->next_number;
}

/* ---- decoding ------------------------------------------------------------------------------ */

/* Memory that is not touched costs nothing: what was asked for is reserved at once. */
static void reserve_records(struct mr_log_cursor *cursor, size_t count)
{
    if (count <= cursor->record_capacity)
        return;
    mr_free(cursor->records);
    cursor->records = mr_alloc(count * sizeof(mr_record));
    cursor->record_capacity = count;
}

/* The source's next run that is wanted at all. False: the source is exhausted. */
static bool next_run(struct mr_log_cursor *cursor, int64_t horizon_ms)
{
    while (mr_run_read(&cursor->runs, &cursor->run_base, &cursor->run)) {
        const struct mr_run *run = &cursor->run;

        if (run->first_number + run->record_count <= cursor->next_number)
            continue;
        if (run->at_ms < horizon_ms) {
            cursor->next_number = run->first_number + run->record_count;
            cursor->reached_ms = run->at_ms;
            continue;
        }
        cursor->frames = mr_scan_of(run->frames);
        cursor->frame_number = run->first_number;
        cursor->base.time_s = (uint32_t)(run->at_ms / 1000);
        if (cursor->base.time_s < cursor->base.created_s)
            cursor->base.time_s = cursor->base.created_s;
        return true;
    }
    return false;
}

/* Not synced when a sync failed: the journal has it, and the next opening brings it back. */
static bool is_unsynced(struct mr_log_cursor *cursor)
{
    const struct mr_store *store = cursor->tail->store;
    bool is = false;

    if (!mr_log_has_failed(cursor->log))
        return false;
    pthread_mutex_lock(&cursor->log->flushing);
    for (uint32_t i = 0; i < store->segment_count; i++)
        if (store->segments[i].id == cursor->place.segment)
            is = store->segments[i].is_dirty;
    pthread_mutex_unlock(&cursor->log->flushing);
    return is;
}

static mr_status lost_by_sync(struct mr_log_cursor *cursor, mr_error *error)
{
    return mr_fail(error, MR_IO,
                   "%s: a block was lost by a failed sync; opening the directory again brings it "
                   "back from the journal",
                   cursor->path);
}

/* Under good checksums the journal held what is no frame: a bug wrote it. Go on behind the chunk. */
static mr_status damaged_chunk(struct mr_log_cursor *cursor, mr_error *error)
{
    struct mr_chunk *chunk = cursor->chunk;
    uint64_t first = chunk->first_number, last;

    pthread_mutex_lock(&cursor->tail->lock);
    last = chunk->last_number;
    pthread_mutex_unlock(&cursor->tail->lock);
    leave_source(cursor);
    if (cursor->next_number <= last)
        cursor->next_number = last + 1;
    return mr_fail(error, MR_CORRUPT,
                   "records %" PRIu64 " to %" PRIu64 " of log %" PRIu32
                   ", from the journal, cannot be read; reading can go on behind them",
                   first, last, cursor->tail->id);
}

static mr_status damaged(struct mr_log_cursor *cursor, mr_error *error)
{
    const struct mr_block *block = &cursor->place.block;

    if (cursor->chunk)
        return damaged_chunk(cursor, error);
    leave_source(cursor);
    if (is_unsynced(cursor))
        return lost_by_sync(cursor, error);
    cursor->next_number = block->last_number + 1;
    return mr_fail(error, MR_CORRUPT,
                   "%s: the block at byte %" PRIu64 " is damaged: records %" PRIu64 " to %" PRIu64
                   " of log %" PRIu32 " cannot be read; reading can go on behind them",
                   cursor->path, cursor->place.offset, block->first_number, block->last_number,
                   block->log);
}

/* Stays where it is: nothing is skipped that a key will show. */
static mr_status locked(struct mr_log_cursor *cursor, const mr_error *reason, mr_error *error)
{
    const struct mr_block *block = &cursor->place.block;

    leave_source(cursor);
    return mr_fail(error, MR_NO_KEY, "records %" PRIu64 " to %" PRIu64 " are encrypted: %.180s",
                   block->first_number, block->last_number, reason->message);
}

/* Fills records[*count..count_max) from the source, as far as it goes. */
static mr_status decode(struct mr_log_cursor *cursor, size_t count_max, int64_t horizon_ms,
                        size_t *count, mr_error *error)
{
    size_t n = 0;

    reserve_records(cursor, count_max);
    if (cursor->frames.at != cursor->frames.end && cursor->run.at_ms < horizon_ms) {
        /* The horizon has passed over what the last call left of the run. */
        cursor->frames.at = cursor->frames.end;
        cursor->next_number = cursor->run.first_number + cursor->run.record_count;
    }
    while (n < count_max) {
        uint64_t number = cursor->frame_number, next_number = cursor->next_number;
        struct mr_scan frames;
        mr_sequence sequence;
        int64_t at_ms;

        if (cursor->frames.at == cursor->frames.end) {
            if (!next_run(cursor, horizon_ms))
                break;
            number = cursor->frame_number;
            next_number = cursor->next_number;
        }
        frames = cursor->frames;
        sequence = cursor->base;
        at_ms = cursor->run.at_ms;
        while (n < count_max && frames.at < frames.end) {
            mr_record *record = &cursor->records[n];

            if (!mr_frame_read(&frames, record))
                return damaged(cursor, error);
            if (number++ < next_number)
                continue;
            sequence.number = number - 1;
            record->sequence = sequence;
            record->arrival_ms = at_ms;
            n++;
        }
        cursor->frames = frames;
        cursor->frame_number = number;
        if (n > 0) {
            cursor->next_number = number;
            cursor->reached_ms = at_ms;
        }
        if (frames.at == frames.end &&
            number != cursor->run.first_number + cursor->run.record_count)
            return damaged(cursor, error);
    }
    if (cursor->runs.failed)
        return damaged(cursor, error);
    *count = n;
    return MR_OK;
}

/* ---- sources ------------------------------------------------------------------------------- */

static void enter_chunk(struct mr_log_cursor *cursor, struct mr_chunk *chunk)
{
    leave_source(cursor);
    cursor->chunk = mr_chunk_hold(chunk);
    cursor->chunk_seen = chunk->used;
    cursor->runs = mr_scan_of((mr_bytes){chunk->bytes, chunk->used});
    cursor->run_base = chunk->base;
}

enum found { FOUND_SOURCE, FOUND_NOTHING, FOUND_ON_DISK, FOUND_DROPPED };

/* The tail's part: what was appended to the chunk since, the next chunk, or neither. */
static enum found look_in_memory(struct mr_log_cursor *cursor)
{
    struct mr_tail *tail = cursor->tail;
    enum found found = FOUND_SOURCE;
    struct mr_chunk *chunk;

    pthread_mutex_lock(&tail->lock);
    chunk = cursor->chunk;
    if (tail->is_dropped) {
        found = FOUND_DROPPED;
    } else if (cursor->next_number <= tail->dropped_number) {
        found = FOUND_ON_DISK;
    } else if (chunk && chunk->used > cursor->chunk_seen) {
        cursor->runs.end += chunk->used - cursor->chunk_seen;
        cursor->chunk_seen = chunk->used;
    } else {
        chunk = mr_tail_find(tail, cursor->next_number);
        if (chunk)
            enter_chunk(cursor, chunk);
        else
            found = FOUND_NOTHING;
    }
    pthread_mutex_unlock(&tail->lock);
    return found;
}

static bool place_is_before(const struct mr_block_place *place, bool by_time, uint64_t number,
                            int64_t time_ms)
{
    return by_time ? place->block.last_ms < time_ms : place->block.last_number < number;
}

/* The first block in the active segment that is wanted; is_covered: no older segment can hold a
 * wanted one. */
static bool look_in_active(struct mr_tail *tail, bool by_time, uint64_t number, int64_t time_ms,
                           struct mr_block_place *place, bool *is_covered)
{
    uint32_t low = 0, high;
    bool found;

    *is_covered = false;
    pthread_mutex_lock(&tail->lock);
    high = tail->place_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (place_is_before(&tail->places[middle], by_time, number, time_ms))
            low = middle + 1;
        else
            high = middle;
    }
    found = low < tail->place_count;
    if (found) {
        *place = tail->places[low];
        *is_covered = low > 0 || (!by_time && place->block.first_number <= number);
    }
    pthread_mutex_unlock(&tail->lock);
    return found;
}

static mr_status open_segment(struct mr_log_cursor *cursor, uint32_t segment, mr_error *error)
{
    if (cursor->file && cursor->segment == segment)
        return MR_OK;
    if (cursor->file)
        cursor->log->fs->close(cursor->file);
    cursor->file = NULL;
    cursor->page.entry_count = 0;
    cursor->segment = segment;
    mr_segment_path(cursor->path, cursor->log->directory, cursor->tail->store->stream, segment);
    return cursor->log->fs->open(cursor->log->fs, cursor->path, MR_FS_SEQUENTIAL, &cursor->file,
                                 error);
}

/* The first sealed segment behind `after` (an index) that may hold what is wanted. */
static bool next_sealed(struct mr_log_cursor *cursor, bool by_time, uint64_t number,
                        int64_t time_ms, uint32_t after_rank, bool has_after)
{
    struct mr_store *store = cursor->tail->store;
    bool found = false;

    pthread_mutex_lock(&cursor->log->flushing);
    for (uint32_t i = 0; !found && i < store->segment_count; i++) {
        const struct mr_segment *segment = &store->segments[i];

        if (!segment->is_sealed || (has_after && segment->rank <= after_rank) ||
            segment->rank <= cursor->skip_through ||
            (by_time ? segment->last_ms < time_ms : segment->last_number < number))
            continue;
        cursor->segment_row = *segment;
        found = true;
    }
    pthread_mutex_unlock(&cursor->log->flushing);
    return found;
}

/* The index cannot be read: the blocks say themselves what they are. Slow, and nothing is lost, unless
 * their headers are damaged, too. */
static mr_status find_without_index(struct mr_log_cursor *cursor, bool by_time, uint64_t number,
                                    int64_t time_ms, bool *found, mr_error *error)
{
    struct mr_block_place *place = &cursor->place;
    uint64_t end = mr_segment_index_offset(&cursor->segment_row);
    mr_status status;

    *place =
        (struct mr_block_place){.segment = cursor->segment_row.id, .offset = SEGMENT_HEADER_BYTES};
    for (;;) {
        status =
            mr_segment_next_block(cursor->file, end, &place->offset, &place->block, found, error);
        if (status || (!*found && place->offset >= end))
            return status;
        if (!*found)
            break;
        if (place->block.log == cursor->tail->id &&
            !place_is_before(place, by_time, number, time_ms))
            return MR_OK;
        place->offset += BLOCK_HEADER_BYTES + (uint64_t)place->block.stored_bytes;
    }
    if (is_unsynced(cursor))
        return lost_by_sync(cursor, error);
    cursor->skip_through = cursor->segment_row.rank;
    return mr_fail(error, MR_CORRUPT,
                   "%s: index and blocks are damaged: records of log %" PRIu32
                   " behind byte %" PRIu64 " cannot be found; reading can go on behind the segment",
                   cursor->path, cursor->tail->id, place->offset);
}

/* The first wanted block of the sealed segment cursor->segment_row, which is open. */
static mr_status find_in_sealed(struct mr_log_cursor *cursor, bool by_time, uint64_t number,
                                int64_t time_ms, bool *found, mr_error *error)
{
    mr_error own;
    mr_status status = mr_segment_find(cursor->file, cursor->path, cursor->log->directory_id,
                                       &cursor->segment_row, cursor->tail->id, by_time, number,
                                       time_ms, &cursor->page, &cursor->entry, &own);

    if (status == MR_CORRUPT) {
        mr_log_diag(cursor->log, "event=index_damaged reason=\"%s\"", own.message);
        cursor->entry = UINT32_MAX;
        status = find_without_index(cursor, by_time, number, time_ms, found, error);
    } else if (status) {
        if (error)
            *error = own;
    } else {
        *found = cursor->entry != UINT32_MAX;
        if (*found)
            mr_segment_page_entry(&cursor->page, cursor->entry, &cursor->place);
    }
    cursor->place.segment = cursor->segment_row.id;
    return status;
}

/* The first block on disk that is wanted: in cursor->place, its segment open. NOT_FOUND: none. */
static mr_status find_place(struct mr_log_cursor *cursor, bool by_time, uint64_t number,
                            int64_t time_ms, mr_error *error)
{
    struct mr_store *store = cursor->tail->store;
    struct mr_block_place active;
    bool is_active, is_covered, found, has_after = false;
    uint32_t after_rank = 0;
    uint64_t version;
    mr_status status;

again:
    version = atomic_load(&store->version);
    is_active = look_in_active(cursor->tail, by_time, number, time_ms, &active, &is_covered);
    while (!is_covered && next_sealed(cursor, by_time, number, time_ms, after_rank, has_after)) {
        after_rank = cursor->segment_row.rank;
        has_after = true;
        status = open_segment(cursor, cursor->segment_row.id, error);
        if (status == MR_NOT_FOUND) {
            has_after = false;
            if (version != atomic_load(&store->version))
                goto again; /* trimmed meanwhile */
            return mr_fail(error, MR_CORRUPT,
                           "%s is missing: put it back from a backup; `millrace check` tells what "
                           "is affected",
                           cursor->path);
        }
        if (!status)
            status = find_in_sealed(cursor, by_time, number, time_ms, &found, error);
        if (status)
            return status;
        if (!found)
            continue;
        return MR_OK;
    }
    if (is_active) {
        status = open_segment(cursor, active.segment, error);
        if (status == MR_NOT_FOUND && version != atomic_load(&store->version))
            goto again;
        if (status)
            return status;
        cursor->entry = UINT32_MAX;
        cursor->place = active;
        return MR_OK;
    }
    if (version != atomic_load(&store->version))
        goto again; /* a segment was sealed while we looked: nothing may be missed */
    return MR_NOT_FOUND;
}

/* Reads the block at cursor->place and makes it the source. */
static mr_status enter_block(struct mr_log_cursor *cursor, mr_error *error)
{
    struct mr_block_place *place = &cursor->place;
    size_t size = BLOCK_HEADER_BYTES + (size_t)place->block.stored_bytes, got;
    struct mr_block block;
    mr_error own;
    mr_bytes runs;
    mr_status status;

    leave_source(cursor);
    mr_scratch(&cursor->stored, &cursor->stored_capacity, size);
    status = cursor->file->fs->read(cursor->file, cursor->stored, size, place->offset, &got, error);
    if (status)
        return status;
    if (got < size || !mr_block_read_header(cursor->stored, &block) ||
        block.log != place->block.log || block.stored_bytes != place->block.stored_bytes ||
        block.first_number != place->block.first_number ||
        block.last_number != place->block.last_number)
        return damaged(cursor, error);
    take_codec(cursor);
    if (block.is_compressed)
        mr_scratch(&cursor->raw, &cursor->raw_capacity, block.raw_bytes);
    status =
        mr_block_read(cursor->codec, &block, cursor->stored,
                      mr_segment_seed(cursor->log->directory_id, cursor->segment, place->offset),
                      cursor->raw, &runs, &own);
    if (status == MR_NO_KEY)
        return locked(cursor, &own, error);
    if (status == MR_CORRUPT)
        return damaged(cursor, error);
    if (status) {
        if (error)
            *error = own;
        return status;
    }
    place->block = block;
    cursor->is_in_block = true;
    cursor->runs = mr_scan_of(runs);
    cursor->run_base = (struct mr_run_base){block.first_number, block.first_ms};
    return MR_OK;
}

/* The block behind the one just read, where the same index page says so: most of a scan. */
static bool next_entry(struct mr_log_cursor *cursor)
{
    struct mr_block_place place;

    if (cursor->page.entry_count == 0 || cursor->entry == UINT32_MAX || !cursor->file ||
        cursor->page.segment != cursor->segment || cursor->entry + 1 >= cursor->page.entry_count)
        return false;
    mr_segment_page_entry(&cursor->page, cursor->entry + 1, &place);
    if (place.block.log != cursor->tail->id || place.block.last_number < cursor->next_number)
        return false;
    cursor->entry++;
    cursor->place = place;
    cursor->place.segment = cursor->segment;
    return true;
}

static mr_status look_on_disk(struct mr_log_cursor *cursor, mr_error *error)
{
    bool goes_on;
    mr_status status;

    /* The block's runs end before its header says: looking again would find the same block. */
    if (cursor->is_in_block && cursor->next_number <= cursor->place.block.last_number)
        return damaged(cursor, error);
    goes_on = cursor->is_in_block && next_entry(cursor);
    status = goes_on ? MR_OK : find_place(cursor, false, cursor->next_number, 0, error);
    if (status == MR_NOT_FOUND) {
        /* A gap that trimming left: what is in memory comes next. */
        pthread_mutex_lock(&cursor->tail->lock);
        cursor->next_number = cursor->tail->dropped_number + 1;
        pthread_mutex_unlock(&cursor->tail->lock);
        leave_source(cursor);
        return MR_OK;
    }
    return status ? status : enter_block(cursor, error);
}

/* ---- the door ------------------------------------------------------------------------------ */

/* Makes the place of a time the source; NOT_FOUND: it lies behind all there is. */
static mr_status enter_time(struct mr_log_cursor *cursor, int64_t time_ms, mr_error *error)
{
    struct mr_tail *tail = cursor->tail;
    struct mr_chunk *chunk;
    mr_status status = find_place(cursor, true, 0, time_ms, error);

    if (status == MR_OK) {
        cursor->next_number = cursor->place.block.first_number;
        return enter_block(cursor, error);
    }
    if (status != MR_NOT_FOUND)
        return status;
    pthread_mutex_lock(&tail->lock);
    chunk = mr_tail_find_time(tail, time_ms);
    cursor->next_number = chunk ? chunk->first_number : tail->tip_number + 1;
    if (chunk)
        enter_chunk(cursor, chunk);
    pthread_mutex_unlock(&tail->lock);
    return chunk ? MR_OK : MR_NOT_FOUND;
}

mr_status mr_log_cursor_seek_time(struct mr_log_cursor *cursor, int64_t time_ms, mr_error *error)
{
    mr_status status;

    leave_source(cursor);
    cursor->from_ms = time_ms;
    cursor->reached_ms = 0;
    cursor->skip_through = 0;
    status = enter_time(cursor, time_ms, error);
    if (status == MR_NOT_FOUND)
        return MR_OK;
    if (!status && next_run(cursor, time_ms))
        cursor->next_number = cursor->run.first_number;
    return status;
}

static bool is_at_tip(struct mr_log_cursor *cursor)
{
    bool is;

    pthread_mutex_lock(&cursor->tail->lock);
    is = cursor->next_number > cursor->tail->tip_number;
    pthread_mutex_unlock(&cursor->tail->lock);
    return is;
}

mr_status mr_log_cursor_next(struct mr_log_cursor *cursor, size_t count_max, int64_t horizon_ms,
                             struct mr_log_records *records, mr_error *error)
{
    mr_status status;
    size_t count = 0;

    if (horizon_ms < cursor->from_ms)
        horizon_ms = cursor->from_ms;
    for (;;) {
        enum found found;

        status = decode(cursor, count_max, horizon_ms, &count, error);
        if (status)
            return status;
        if (count > 0)
            break;
        found = look_in_memory(cursor);
        if (found == FOUND_DROPPED)
            return mr_fail(error, MR_CLOSED, "the stream was deleted");
        if (found == FOUND_NOTHING)
            break;
        if (found == FOUND_ON_DISK) {
            status = look_on_disk(cursor, error);
            if (status)
                return status;
        } else {
            leave_segments(cursor);
        }
    }
    *records = (struct mr_log_records){
        .records = cursor->records,
        .count = count,
        .at_tip = is_at_tip(cursor),
        .reached_ms = cursor->reached_ms,
    };
    return MR_OK;
}
