/*
 * verify.c - reads a whole directory and holds it against its checksums and promises, changing nothing.
 *
 * What is looked at: FORMAT, both checkpoints, every group of the journal's live part, every byte of
 * every segment (header, blocks down to each record, index, trailer), and names that do not belong.
 */
#include "base/fail.h"
#include "base/memory.h"
#include "log/checkpoint.h"
#include "log/format.h"
#include "log/inside.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct verify {
    struct mr_fs *fs;
    const char *directory;
    struct mr_key_file *keys;
    mr_error locked; /* why the first of totals->locked_block_count was not looked into */
    uint64_t directory_id;
    struct mr_checkpoint checkpoint;
    uint8_t *checkpoint_bytes;
    void (*report)(void *context, const struct mr_log_finding *finding);
    void (*progress)(void *context, uint64_t done, uint64_t all);
    void *context;
    struct mr_log_verify_totals *totals;
    uint64_t all_bytes;

    struct mr_codec *codec;
    uint64_t *last_numbers; /* of each log, in the order of its blocks */
    mr_log_id log_end;
};

__attribute__((format(printf, 3, 4))) static void find(struct verify *verify, bool damage,
                                                       const char *format, ...)
{
    char text[512];
    struct mr_log_finding finding = {.damage = damage, .text = text};
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    verify->totals->damage_count += damage;
    verify->report(verify->context, &finding);
}

static void advance(struct verify *verify, uint64_t bytes)
{
    verify->totals->byte_count += bytes;
    if (verify->progress)
        verify->progress(verify->context, verify->totals->byte_count, verify->all_bytes);
}

/* ---- checkpoints --------------------------------------------------------------------------- */

static mr_status load_copies(struct verify *verify, mr_error *error)
{
    bool found = false;

    for (unsigned copy = 0; copy < 2; copy++) {
        struct mr_checkpoint candidate = {0};
        char path[MR_PATH_BYTES];
        uint8_t *data = NULL;
        size_t size = 0;
        uint32_t format = 0;
        mr_status status;

        mr_checkpoint_path(path, verify->directory, copy);
        status = mr_fs_read_all(verify->fs, path, CHECKPOINT_BYTES_MAX, &data, &size, error);
        if (status && status != MR_NOT_FOUND)
            return status;
        verify->totals->file_count += !status;
        advance(verify, size);
        if (status || !mr_checkpoint_decode((mr_bytes){data, size}, &candidate, &format) ||
            candidate.directory_id != verify->directory_id) {
            find(verify, true,
                 "%s is %s; the other copy serves, and opening the directory writes both anew",
                 path, status ? "missing" : "damaged");
            mr_checkpoint_fini(&candidate);
            mr_free(data);
            continue;
        }
        if (found && candidate.serial != verify->checkpoint.serial)
            find(verify, false, "%s is of another moment than its copy: a crash came between",
                 path);
        if (!found || candidate.serial > verify->checkpoint.serial) {
            mr_checkpoint_fini(&verify->checkpoint);
            mr_free(verify->checkpoint_bytes);
            verify->checkpoint = candidate;
            verify->checkpoint_bytes = data;
            found = true;
        } else {
            mr_checkpoint_fini(&candidate);
            mr_free(data);
        }
    }
    if (!found)
        return mr_fail(
            error, MR_CORRUPT,
            "%.150s: both checkpoints are damaged or missing: put one back from a backup",
            verify->directory);
    return MR_OK;
}

/* ---- journal ------------------------------------------------------------------------------- */

static void walk_journal(struct verify *verify, struct mr_journal *journal, uint8_t *buffer)
{
    struct mr_lsn at = verify->checkpoint.tail;
    uint64_t end = at.at + journal->ring_bytes, hash;
    uint64_t known = verify->checkpoint.restored_lsn;
    uint32_t epoch = verify->checkpoint.epoch;
    struct mr_group_header header;
    bool found, is_hole;

    while (!mr_journal_read(journal, at.at, buffer, &header, &hash, &found, NULL) && found &&
           header.previous_hash == at.previous_hash && (header.epoch >= epoch || at.at < known)) {
        if (header.epoch > epoch)
            epoch = header.epoch;
        at = (struct mr_lsn){header.lsn + mr_group_bytes(header.payload_bytes), hash};
        verify->totals->group_count++;
        advance(verify, mr_group_bytes(header.payload_bytes));
    }
    if (!mr_journal_look_ahead(journal, at.at, known, end, epoch, buffer, &header, &hash, &found,
                               &is_hole, NULL) &&
        is_hole)
        find(verify, true,
             "%s: damaged at byte %" PRIu64 ": acknowledged records before number %" PRIu64
             " are affected; `--repair` saves those behind it",
             journal->path, at.at % journal->ring_bytes,
             found ? header.first_number : verify->checkpoint.next_number);
}

static mr_status verify_journal(struct verify *verify, mr_error *error)
{
    struct mr_journal journal = {.ring_bytes = verify->checkpoint.journal_bytes,
                                 .seed = verify->directory_id};
    uint64_t size = 0;
    mr_status status;

    snprintf(journal.path, sizeof journal.path, "%.4000s/journal", verify->directory);
    status = verify->fs->open(verify->fs, journal.path, 0, &journal.file, error);
    if (status == MR_NOT_FOUND && verify->checkpoint.is_clean) {
        find(verify, true, "%s is missing; it was empty, and opening the directory makes it anew",
             journal.path);
        return MR_OK;
    }
    if (status == MR_NOT_FOUND && verify->checkpoint.serial == 0)
        return MR_OK; /* made, never opened */
    if (status == MR_NOT_FOUND) {
        find(verify, true, "%s is missing, and with it what was put last", journal.path);
        return MR_OK;
    }
    if (!status)
        status = verify->fs->size(journal.file, &size, error);
    if (status) {
        mr_journal_close(&journal);
        return status;
    }
    verify->totals->file_count++;
    if (verify->checkpoint.is_clean) {
        if (size > 0)
            find(verify, false, "%s is not empty though the directory was closed", journal.path);
    } else {
        uint8_t *buffer = mr_pages_take(GROUP_BYTES_MAX);

        walk_journal(verify, &journal, buffer);
        mr_pages_give(buffer, GROUP_BYTES_MAX);
        find(verify, false,
             "the directory was not closed: opening it reads back %" PRIu64 " groups",
             verify->totals->group_count);
    }
    mr_journal_close(&journal);
    return MR_OK;
}

/* ---- segments ------------------------------------------------------------------------------ */

struct segment_check {
    struct verify *verify;
    uint32_t stream;
    const struct mr_segment *segment;
    struct mr_file *file;
    char path[MR_PATH_BYTES];
    struct mr_block_place *places;
    size_t place_count, place_capacity;
    uint8_t *stored, *raw;
    size_t stored_capacity, raw_capacity;
};

/* Every record of the block: lengths, counts and the order of numbers (L2). */
static bool runs_are_good(struct verify *verify, const struct mr_block *block, mr_bytes bytes)
{
    struct mr_scan runs = mr_scan_of(bytes);
    struct mr_run_base base = {block->first_number, block->first_ms};
    struct mr_run run;
    uint64_t record_count = 0, record_bytes = 0, last = 0;

    while (mr_run_read(&runs, &base, &run)) {
        struct mr_scan frames = mr_scan_of(run.frames);
        uint64_t count = 0;
        mr_record record;

        while (frames.at < frames.end && mr_frame_read(&frames, &record)) {
            count++;
            record_bytes += record.partition_key.size + record.data.size;
        }
        if (frames.failed || count != run.record_count)
            return false;
        record_count += count;
        last = run.first_number + count - 1;
    }
    verify->totals->record_count += record_count;
    return !runs.failed && record_count == block->record_count && last == block->last_number &&
           (uint32_t)record_bytes == block->record_bytes && base.at_ms == block->last_ms;
}

static void check_order(struct segment_check *check, const struct mr_block_place *place)
{
    struct verify *verify = check->verify;
    const struct mr_block *block = &place->block;

    if (block->log >= verify->log_end)
        return; /* of a log that was forgotten since */
    if (block->first_number <= verify->last_numbers[block->log])
        find(verify, true, "%s: the block at byte %" PRIu64 " repeats numbers of log %" PRIu32,
             check->path, place->offset, block->log);
    verify->last_numbers[block->log] = block->last_number;
}

/* Reads one block; false where the file cannot be followed any further. */
static bool check_block(struct segment_check *check, uint64_t end, uint64_t *offset)
{
    struct verify *verify = check->verify;
    struct mr_block_place place;
    size_t got, size;
    mr_error error;
    mr_bytes runs;
    mr_status status;
    bool found;

    if (mr_segment_next_block(check->file, end, offset, &place.block, &found, NULL) ||
        (!found && *offset < end)) {
        find(verify, true,
             "%s: the block header at byte %" PRIu64 " is damaged: the %" PRIu64
             " bytes behind it cannot be followed from here",
             check->path, *offset, end - *offset);
        return false;
    }
    if (!found)
        return true; /* zeros up to the end */
    place.offset = *offset;
    size = BLOCK_HEADER_BYTES + (size_t)place.block.stored_bytes;
    mr_scratch(&check->stored, &check->stored_capacity, size);
    mr_scratch(&check->raw, &check->raw_capacity, place.block.raw_bytes);
    status = check->file->fs->read(check->file, check->stored, size, *offset, &got, NULL);
    if (!status && got < size)
        status = MR_CORRUPT;
    if (!status)
        status = mr_block_read(verify->codec, &place.block, check->stored,
                               mr_segment_seed(verify->directory_id, check->segment->id, *offset),
                               check->raw, &runs, &error);
    if (status == MR_NO_KEY && verify->totals->locked_block_count++ == 0)
        verify->locked = error;
    if (status != MR_NO_KEY && (status || !runs_are_good(verify, &place.block, runs)))
        find(verify, true,
             "%s: the block at byte %" PRIu64 " is damaged: records %" PRIu64 " to %" PRIu64
             " of log %" PRIu32 " cannot be read, all others can",
             check->path, *offset, place.block.first_number, place.block.last_number,
             place.block.log);
    check_order(check, &place);
    mr_grow(check->places, check->place_count, check->place_capacity);
    check->places[check->place_count++] = place;
    verify->totals->block_count++;
    advance(verify, size);
    *offset += size;
    return true;
}

/* The entry names a block that was seen. */
static bool has_place(const struct segment_check *check, const struct mr_block_place *entry)
{
    size_t low = 0, high = check->place_count; /* places are in the order of their offsets */

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (check->places[middle].offset < entry->offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low < check->place_count && check->places[low].offset == entry->offset &&
           check->places[low].block.log == entry->block.log &&
           check->places[low].block.first_number == entry->block.first_number &&
           check->places[low].block.last_number == entry->block.last_number;
}

static void check_index(struct segment_check *check, bool is_complete)
{
    struct verify *verify = check->verify;
    const struct mr_segment *segment = check->segment;
    struct mr_segment_page page;
    mr_error error;

    for (uint32_t i = 0; i < segment->page_count; i++) {
        if (mr_segment_read_page(check->file, check->path, verify->directory_id, segment, i, &page,
                                 &error)) {
            find(verify, true, "%s", error.message);
            continue;
        }
        for (uint32_t n = 0; is_complete && n < page.entry_count; n++) {
            struct mr_block_place entry;

            mr_segment_page_entry(&page, n, &entry);
            if (!has_place(check, &entry))
                find(verify, true,
                     "%s: the index names a block at byte %" PRIu64 " that is not there",
                     check->path, entry.offset);
        }
        advance(verify, SEGMENT_PAGE_BYTES);
    }
    if (mr_segment_check_trailer(check->file, verify->directory_id, segment))
        find(verify, true, "%s: the trailer is damaged; nothing else depends on it", check->path);
    advance(verify, SEGMENT_TRAILER_BYTES);
}

static void check_contents(struct segment_check *check)
{
    struct verify *verify = check->verify;
    const struct mr_segment *segment = check->segment;
    uint64_t offset = SEGMENT_HEADER_BYTES;
    uint64_t end = segment->is_sealed ? mr_segment_index_offset(segment) : segment->bytes;
    uint8_t page[SEGMENT_HEADER_BYTES];
    bool is_complete = true;
    size_t got;

    if (check->file->fs->read(check->file, page, sizeof page, 0, &got, NULL) || got < sizeof page ||
        !mr_segment_header_is_good(page, verify->directory_id, check->stream, segment->id))
        find(verify, true, "%s: the header page is damaged; its blocks may still be read",
             check->path);
    advance(verify, SEGMENT_HEADER_BYTES);
    while (is_complete && offset < end)
        is_complete = check_block(check, end, &offset);
    if (is_complete && check->place_count != segment->block_count)
        find(verify, true, "%s holds %zu blocks, the checkpoint says %" PRIu32, check->path,
             check->place_count, segment->block_count);
    if (segment->is_sealed)
        check_index(check, is_complete);
}

static void verify_segment(struct verify *verify, const struct mr_checkpoint_segment *row)
{
    struct segment_check check = {
        .verify = verify, .stream = row->stream, .segment = &row->segment};
    uint64_t size = 0;
    mr_error error;
    mr_status status;

    mr_segment_path(check.path, verify->directory, row->stream, row->segment.id);
    status = verify->fs->open(verify->fs, check.path, MR_FS_SEQUENTIAL, &check.file, &error);
    if (!status)
        status = verify->fs->size(check.file, &size, &error);
    if (status) {
        find(verify, true, "%s cannot be read: its records up to number %" PRIu64 " are lost (%s)",
             check.path, row->segment.last_number, mr_status_text(status));
    } else {
        verify->totals->file_count++;
        if (size < row->segment.bytes)
            find(verify, true, "%s has %" PRIu64 " bytes of %" PRIu64 ": it was cut", check.path,
                 size, row->segment.bytes);
        else if (size > row->segment.bytes)
            find(verify, verify->checkpoint.is_clean, "%s has %" PRIu64 " bytes behind its end: %s",
                 check.path, size - row->segment.bytes,
                 verify->checkpoint.is_clean ? "something wrote to it"
                                             : "the journal holds them, too");
        check_contents(&check);
    }
    verify->fs->close(check.file);
    mr_free(check.places);
    mr_free(check.stored);
    mr_free(check.raw);
}

/* ---- names --------------------------------------------------------------------------------- */

struct names {
    struct verify *verify;
    const char *folder;
    uint32_t stream;
    int level; /* 0 the directory, 1 its s, 2 a stream's folder */
};

static bool is_segment_of(const struct names *names, const char *name)
{
    const struct mr_checkpoint *checkpoint = &names->verify->checkpoint;
    char expected[32];

    for (uint32_t i = 0; i < checkpoint->segment_count; i++) {
        snprintf(expected, sizeof expected, "%08" PRIx32 ".seg",
                 checkpoint->segments[i].segment.id);
        if (checkpoint->segments[i].stream == names->stream && !strcmp(expected, name))
            return true;
    }
    return false;
}

static bool visit_name(void *context, const char *name)
{
    /* leases.db is kept here by millrace consume, with SQLite's own beside it. */
    static const char *const known[] = {"LOCK",         "FORMAT",        "checkpoint.0",
                                        "checkpoint.1", "journal",       "s",
                                        "leases.db",    "leases.db-wal", "leases.db-shm"};
    const struct names *names = context;
    char folder[MR_PATH_BYTES];
    char *end;
    bool is_known = false;

    for (size_t i = 0; names->level == 0 && i < sizeof known / sizeof known[0]; i++)
        is_known |= !strcmp(name, known[i]);
    if (names->level == 1) {
        struct names inner = {names->verify, folder, (uint32_t)strtoul(name, &end, 16), 2};

        is_known = !*end && strlen(name) == 8;
        snprintf(folder, sizeof folder, "%.4000s/%.64s", names->folder, name);
        if (is_known)
            names->verify->fs->list(names->verify->fs, folder, visit_name, &inner, NULL);
    }
    if (names->level == 2)
        is_known = is_segment_of(names, name);
    if (!is_known)
        find(names->verify, false, "%s/%s is not named by the checkpoint: %s", names->folder, name,
             names->level == 2 ? "opening the directory removes it" : "it is not millrace's");
    return true;
}

static void verify_names(struct verify *verify)
{
    char path[MR_PATH_BYTES];
    struct names names = {verify, verify->directory, 0, 0};

    verify->fs->list(verify->fs, verify->directory, visit_name, &names, NULL);
    snprintf(path, sizeof path, "%.4000s/s", verify->directory);
    names = (struct names){verify, path, 0, 1};
    verify->fs->list(verify->fs, path, visit_name, &names, NULL);
}

/* ---- the door ------------------------------------------------------------------------------ */

static void verify_segments(struct verify *verify)
{
    const struct mr_checkpoint *checkpoint = &verify->checkpoint;

    for (uint32_t i = 0; i < checkpoint->log_count; i++)
        if (checkpoint->logs[i].id >= verify->log_end)
            verify->log_end = checkpoint->logs[i].id + 1;
    verify->last_numbers = mr_alloc_zero((size_t)verify->log_end + 1, sizeof(uint64_t));
    for (uint32_t i = 0; i < checkpoint->segment_count; i++)
        verify->all_bytes += checkpoint->segments[i].segment.bytes;
    verify->codec = mr_codec_new(verify->keys);
    for (uint32_t i = 0; i < checkpoint->segment_count; i++)
        verify_segment(verify, &checkpoint->segments[i]);
    mr_codec_free(verify->codec);
    mr_free(verify->last_numbers);
    if (verify->totals->locked_block_count > 0)
        find(verify, false,
             "%" PRIu64 " encrypted blocks have good checksums and were not looked into: %s",
             verify->totals->locked_block_count, verify->locked.message);
}

static mr_status verify_all(struct verify *verify, mr_error *error)
{
    mr_status status = mr_format_read(verify->fs, verify->directory, &verify->directory_id, error);

    if (status == MR_NOT_FOUND)
        return mr_fail(error, MR_NOT_FOUND, "%.150s is not a millrace directory: it has no FORMAT",
                       verify->directory);
    if (status)
        return status;
    verify->totals->file_count++;
    status = load_copies(verify, error);
    if (!status)
        status = verify_journal(verify, error);
    if (status)
        return status;
    verify_segments(verify);
    verify_names(verify);
    return MR_OK;
}

mr_status mr_log_verify(struct mr_fs *fs, const char *directory, const char *key_file,
                        void (*report)(void *context, const struct mr_log_finding *finding),
                        void (*progress)(void *context, uint64_t done, uint64_t all), void *context,
                        struct mr_log_verify_totals *totals, mr_error *error)
{
    struct verify verify = {.fs = fs,
                            .directory = directory,
                            .report = report,
                            .progress = progress,
                            .context = context,
                            .totals = totals};
    struct mr_file *lock = NULL;
    char path[MR_PATH_BYTES];
    mr_status status;

    *totals = (struct mr_log_verify_totals){0};
    if (strlen(directory) > MR_PATH_BYTES - 64)
        return mr_fail(error, MR_INVALID, "the directory's name is too long");
    snprintf(path, sizeof path, "%.4000s/FORMAT", directory);
    status = fs->open(fs, path, 0, &lock, error); /* before LOCK is made where nothing is */
    if (!status) {
        fs->close(lock);
        lock = NULL;
        snprintf(path, sizeof path, "%.4000s/LOCK", directory);
        status = fs->lock(fs, path, &lock, error);
    } else if (status == MR_NOT_FOUND) {
        return mr_fail(error, MR_NOT_FOUND, "%.150s is not a millrace directory: it has no FORMAT",
                       directory);
    }
    if (status)
        return status;
    verify.keys = mr_key_file_new(fs, key_file);
    status = verify_all(&verify, error);
    mr_key_file_free(verify.keys);
    mr_checkpoint_fini(&verify.checkpoint);
    mr_free(verify.checkpoint_bytes);
    fs->close(lock);
    return status;
}
