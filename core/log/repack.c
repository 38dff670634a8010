/*
 * repack.c - what was written in a hurry is compressed when there is time: a sealed segment with many
 * blocks from lower rungs of the codec ladder is written anew, and takes the old one's place.
 *
 * The new file is nobody's until a checkpoint names it, the old one stays until then (G1 holds for both).
 */
#include "base/fail.h"
#include "base/memory.h"
#include "log/inside.h"

#include <stdlib.h>

#define REPACK_IDLE_NS 3000000000ull

struct repack {
    struct mr_log *log;
    struct mr_store *store;
    struct mr_segment old, made;
    struct mr_file *from;
    struct mr_codec *codec;
    struct mr_data_key *key; /* for encrypted blocks; NULL: none was seen yet */
    struct mr_block_place *places;
    size_t place_count, place_capacity;
    uint8_t *stored, *raw, *out;
    size_t stored_capacity, raw_capacity, out_capacity;
};

/* Puts come first: repacking begins, and goes on, only while nothing has been flushed for a while. */
static bool is_idle(struct mr_log *log)
{
    uint64_t now_ns = log->clock->monotonic_ns(log->clock);

    return log->config.manual ||
           (!atomic_load(&log->is_stopping) && !atomic_load(&log->is_any_ready) &&
            now_ns - atomic_load(&log->flushed_ns) > REPACK_IDLE_NS);
}

static mr_status copy_block(struct repack *repack, const struct mr_block *old, uint64_t offset,
                            mr_error *error)
{
    struct mr_log *log = repack->log;
    size_t size = BLOCK_HEADER_BYTES + (size_t)old->stored_bytes, got;
    struct mr_block_place place = {
        .segment = repack->made.id, .offset = repack->made.bytes, .block = *old};
    mr_bytes runs;
    mr_status status;

    mr_scratch(&repack->stored, &repack->stored_capacity, size);
    mr_scratch(&repack->raw, &repack->raw_capacity, old->raw_bytes);
    status = log->fs->read(repack->from, repack->stored, size, offset, &got, error);
    if (status)
        return status;
    status = got < size ? MR_CORRUPT
                        : mr_block_read(repack->codec, old, repack->stored,
                                        mr_segment_seed(log->directory_id, repack->old.id, offset),
                                        repack->raw, &runs, error);
    if (status == MR_CORRUPT)
        return mr_fail(error, MR_CORRUPT, "a block is damaged");
    if (!status && old->is_encrypted && !repack->key)
        status = mr_log_store_key(log, repack->store, &repack->key, error);
    if (status)
        return status;
    mr_scratch(&repack->out, &repack->out_capacity, mr_block_bytes_max(runs.size));
    size = mr_block_write(
        repack->codec, MR_CODEC_SMALL, old->is_encrypted ? repack->key : NULL, &place.block, runs,
        mr_segment_seed(log->directory_id, repack->made.id, place.offset), repack->out);
    status = log->fs->write(repack->made.file, repack->out, size, place.offset, error);
    if (status)
        return status;
    repack->made.bytes += size;
    mr_grow(repack->places, repack->place_count, repack->place_capacity);
    repack->places[repack->place_count++] = place;
    return MR_OK;
}

static int compare_places(const void *a, const void *b)
{
    const struct mr_block *x = &((const struct mr_block_place *)a)->block;
    const struct mr_block *y = &((const struct mr_block_place *)b)->block;

    if (x->log != y->log)
        return x->log < y->log ? -1 : 1;
    return x->first_number < y->first_number ? -1 : x->first_number > y->first_number;
}

/* BUSY: there is something better to do. */
static mr_status copy_blocks(struct repack *repack, mr_error *error)
{
    uint64_t end = mr_segment_index_offset(&repack->old), offset = SEGMENT_HEADER_BYTES;
    mr_status status;

    for (;;) {
        struct mr_block block;
        bool found;

        status = mr_segment_next_block(repack->from, end, &offset, &block, &found, error);
        if (!status && !found && offset < end)
            status = mr_fail(error, MR_CORRUPT, "a block is damaged");
        if (status || !found)
            break;
        status = copy_block(repack, &block, offset, error);
        if (!status && !is_idle(repack->log))
            status = MR_BUSY;
        if (status)
            break;
        offset += BLOCK_HEADER_BYTES + (uint64_t)block.stored_bytes;
    }
    if (status)
        return status;
    qsort(repack->places, repack->place_count, sizeof *repack->places, compare_places);
    return mr_segment_seal(&repack->made, 0, repack->log->directory_id, repack->places,
                           repack->place_count, error);
}

static mr_status make(struct repack *repack, mr_error *error)
{
    struct mr_log *log = repack->log;
    char path[MR_PATH_BYTES];
    uint32_t id;
    mr_status status;

    mr_segment_path(path, log->directory, repack->store->stream, repack->old.id);
    status = log->fs->open(log->fs, path, MR_FS_SEQUENTIAL, &repack->from, error);
    if (status)
        return status;
    pthread_mutex_lock(&log->flushing);
    id = log->next_segment++;
    pthread_mutex_unlock(&log->flushing);
    status = mr_segment_create(&repack->made, log->fs, log->directory, log->directory_id,
                               repack->store->stream, id, error);
    return status ? status : copy_blocks(repack, error);
}

static struct mr_segment *row_of(struct repack *repack)
{
    for (uint32_t i = 0; i < repack->store->segment_count; i++)
        if (repack->store->segments[i].id == repack->old.id)
            return &repack->store->segments[i];
    return NULL;
}

/* The new segment takes the old one's row, if that is still there. */
static void take_place(struct repack *repack)
{
    struct mr_log *log = repack->log;
    struct mr_segment *row, *made = &repack->made;

    made->rank = repack->old.rank;
    made->raw_bytes = repack->old.raw_bytes;
    made->block_count = repack->old.block_count;
    made->last_number = repack->old.last_number;
    made->first_ms = repack->old.first_ms;
    made->last_ms = repack->old.last_ms;
    pthread_mutex_lock(&log->flushing);
    row = row_of(repack);
    if (row) {
        mr_log_doom(log, repack->store->stream, repack->old.id);
        log->fs->close(row->file);
        *row = *made;
        made->file = NULL;
        atomic_fetch_add(&repack->store->version, 1);
    } else {
        mr_log_doom(log, repack->store->stream, made->id);
    }
    pthread_mutex_unlock(&log->flushing);
}

/* It cannot be had, or not better: do not come back to it. */
static void leave_as_it_is(struct repack *repack)
{
    struct mr_segment *row;

    pthread_mutex_lock(&repack->log->flushing);
    row = row_of(repack);
    if (row)
        row->hasty_bytes = 0;
    pthread_mutex_unlock(&repack->log->flushing);
}

static mr_status repack_segment(struct repack *repack, mr_error *error)
{
    struct mr_log *log = repack->log;
    mr_status status;

    repack->codec = mr_codec_new(log->keys);
    status = make(repack, error);
    if (!status) {
        take_place(repack);
    } else if (repack->made.id) {
        pthread_mutex_lock(&log->flushing);
        mr_log_doom(log, repack->store->stream, repack->made.id);
        pthread_mutex_unlock(&log->flushing);
    }
    if (status && status != MR_BUSY)
        leave_as_it_is(repack);
    log->fs->close(repack->from);
    log->fs->close(repack->made.file);
    mr_codec_free(repack->codec);
    mr_free(repack->places);
    mr_free(repack->stored);
    mr_free(repack->raw);
    mr_free(repack->out);
    return status;
}

/* A sealed segment of which a quarter or more was written in a hurry. */
static bool find_hasty(struct mr_log *log, struct repack *repack)
{
    bool found = false;

    pthread_mutex_lock(&log->flushing);
    pthread_rwlock_rdlock(&log->stores_lock);
    for (size_t i = 0; !found && i < log->store_count; i++) {
        struct mr_store *store = log->stores[i];

        for (uint32_t n = 0; !found && n < store->segment_count; n++) {
            const struct mr_segment *segment = &store->segments[n];

            found = segment->is_sealed && !segment->is_dirty &&
                    segment->hasty_bytes > segment->raw_bytes / 4;
            if (found) {
                repack->old = *segment;
                repack->store = store;
                atomic_fetch_add(&store->reference_count, 1);
            }
        }
    }
    pthread_rwlock_unlock(&log->stores_lock);
    pthread_mutex_unlock(&log->flushing);
    return found;
}

bool mr_log_repack(struct mr_log *log)
{
    struct repack repack = {.log = log};
    mr_error error;
    mr_status status;

    if (!is_idle(log))
        return false;
    if (!find_hasty(log, &repack))
        return false;
    status = repack_segment(&repack, &error);
    if (!status)
        mr_log_diag(log, "event=repacked stream=%u segment=%u bytes=%llu from=%llu",
                    repack.store->stream, repack.made.id, (unsigned long long)repack.made.bytes,
                    (unsigned long long)repack.old.bytes);
    mr_store_release(repack.store);
    return status == MR_OK;
}
