/*
 * flush.c - tails become segments: complete blocks of one stream are compressed and appended to its
 * active segment, then entered as flushed. Until the next checkpoint the journal keeps them, too.
 */
#include "base/check.h"
#include "base/memory.h"
#include "log/inside.h"

/* ---- the ready lists ----------------------------------------------------------------------- */

void mr_log_note_ready(struct mr_log *log, struct mr_tail *tail)
{
    struct mr_store *store = tail->store;

    pthread_mutex_lock(&log->ready_lock);
    atomic_store(&log->is_any_ready, true);
    if (!tail->is_ready) {
        tail->is_ready = true;
        tail->ready_next = store->ready;
        store->ready = mr_tail_hold(tail);
    }
    if (!store->is_ready) {
        store->is_ready = true;
        store->next_ready = NULL;
        *log->ready_last = store;
        log->ready_last = &store->next_ready;
        atomic_fetch_add(&store->reference_count, 1);
    }
    pthread_mutex_unlock(&log->ready_lock);
}

/* The first ready stream, and its ready tails: the caller's to release. They stay marked, so that the
 * list is the caller's alone, until is_still_ready() is asked. */
static struct mr_store *take_ready(struct mr_log *log, struct mr_tail **tails)
{
    struct mr_store *store;

    pthread_mutex_lock(&log->ready_lock);
    store = log->ready_first;
    if (store) {
        log->ready_first = store->next_ready;
        if (!log->ready_first) {
            log->ready_last = &log->ready_first;
            atomic_store(&log->is_any_ready, false);
        }
        store->is_ready = false;
        *tails = store->ready;
        store->ready = NULL;
    }
    pthread_mutex_unlock(&log->ready_lock);
    return store;
}

/* Takes the mark away; blocks that were completed while it was there are seen here. */
static bool is_still_ready(struct mr_log *log, struct mr_tail *tail)
{
    bool is;

    pthread_mutex_lock(&log->ready_lock);
    tail->is_ready = false;
    pthread_mutex_unlock(&log->ready_lock);
    pthread_mutex_lock(&tail->lock);
    is = tail->complete_count > 0;
    pthread_mutex_unlock(&tail->lock);
    return is;
}

/* ---- one flush ----------------------------------------------------------------------------- */

/* A block on its way: the chunks it is made of, held, and where it will lie. */
struct block_job {
    struct mr_spool_block later;
    struct mr_tail *tail;
    struct mr_chunk *first;
    uint32_t chunk_count;
    bool is_hasty; /* not compressed as well as it might be */
    struct mr_block_place place;
    uint64_t seed;
};

struct flush {
    struct mr_log *log;
    struct mr_store *store;
    struct mr_tail *tails; /* by ready_next */
    struct mr_segment *segment;
    struct mr_data_key *key; /* had when the first encrypted block comes */
    struct block_job jobs[FLUSH_BLOCKS_MAX];
    uint32_t job_count, written_count, entered_count; /* each at most the one before */
    uint64_t raw_bytes;                               /* of what is not entered */
    uint32_t padding;                                 /* before the first block (G3) */
};

/* Takes the tail's complete blocks, oldest first, as far as there is place in the flush. */
static void gather(struct flush *flush, struct mr_tail *tail)
{
    struct mr_chunk *chunk;

    pthread_mutex_lock(&tail->lock);
    chunk = tail->taken_count > 0 ? tail->taken->next : tail->pending;
    while (tail->taken_count < tail->complete_count && flush->job_count < FLUSH_BLOCKS_MAX) {
        struct block_job *job = &flush->jobs[flush->job_count++];
        struct mr_block *block = &job->place.block;

        mr_check(chunk && chunk->begins_block);
        *job = (struct block_job){.tail = mr_tail_hold(tail), .first = chunk};
        block->log = tail->id;
        block->first_number = chunk->first_number;
        block->first_ms = chunk->first_ms;
        block->is_encrypted = chunk->is_encrypted;
        do {
            mr_chunk_hold(chunk);
            job->chunk_count++;
            block->record_count += chunk->record_count;
            block->record_bytes += chunk->record_bytes;
            block->raw_bytes += chunk->used;
            block->last_number = chunk->last_number;
            block->last_ms = chunk->last_ms;
            tail->taken = chunk;
            chunk = chunk->next;
        } while (chunk && !chunk->begins_block);
        tail->taken_count++;
        flush->raw_bytes += block->raw_bytes;
    }
    pthread_mutex_unlock(&tail->lock);
}

/* The chunk after the i-th of a job's; never looks behind the last, where the publisher may write. */
static struct mr_chunk *chunk_after(const struct block_job *job, uint32_t i,
                                    const struct mr_chunk *chunk)
{
    return i + 1 < job->chunk_count ? chunk->next : NULL;
}

static void copy_runs(const struct block_job *job, uint8_t *out)
{
    const struct mr_chunk *chunk = job->first;

    for (uint32_t i = 0; i < job->chunk_count; chunk = chunk_after(job, i++, chunk)) {
        memcpy(out, chunk->bytes, chunk->used);
        out += chunk->used;
    }
}

/* The block's runs in one piece: its only chunk, or its chunks copied. */
static mr_bytes runs_of(struct mr_log *log, const struct block_job *job)
{
    if (job->chunk_count == 1)
        return (mr_bytes){job->first->bytes, job->first->used};
    mr_scratch(&log->flush_raw, &log->flush_raw_capacity, job->place.block.raw_bytes);
    copy_runs(job, log->flush_raw);
    return (mr_bytes){log->flush_raw, job->place.block.raw_bytes};
}

/* What is stored as it is, by a writer. */
static void store_block(struct mr_spool_block *later, uint8_t *out)
{
    const struct block_job *job = (struct block_job *)later;
    struct mr_block block = job->place.block; /* the flusher looks at the job's own */
    uint8_t *payload = out + BLOCK_HEADER_BYTES;

    copy_runs(job, payload);
    mr_block_write(NULL, MR_CODEC_STORED, NULL, &block, (mr_bytes){payload, block.raw_bytes},
                   job->seed, out);
}

/*
 * The codec ladder. When memory fills up, puts must not wait for compression: one step down, and stay
 * there, so that the flusher has time to spare and leaves it to the puts. A step up is tried after a
 * while; where it did not hold, the next try waits twice as long.
 */
static void choose_effort(struct mr_log *log)
{
    uint64_t pending = atomic_load(&log->pending_bytes), max = mr_log_memory_max(log);
    uint64_t now_ns = log->clock->monotonic_ns(log->clock), lasted_ns = now_ns - log->effort_ns;

    if (pending > max / 2 && log->effort < MR_CODEC_STORED) {
        if (lasted_ns < log->effort_hold_ns && log->effort_hold_ns < EFFORT_HOLD_NS_MAX)
            log->effort_hold_ns *= 2;
        log->effort++;
        log->effort_ns = now_ns;
    } else if (pending < max / 3 && log->effort > MR_CODEC_SMALL &&
               lasted_ns > log->effort_hold_ns) {
        log->effort--;
        log->effort_ns = now_ns;
    } else if (log->effort == MR_CODEC_SMALL && lasted_ns > EFFORT_HOLD_NS_MAX) {
        log->effort_hold_ns = EFFORT_HOLD_NS;
    }
}

/* Decided once: a checkpoint that comes in between waits for this flush before it syncs. */
static uint32_t padding_of(struct mr_log *log, const struct mr_segment *segment)
{
    uint32_t padding;

    pthread_mutex_lock(&log->flushing);
    padding = mr_segment_padding(segment);
    pthread_mutex_unlock(&log->flushing);
    return padding;
}

/* The stream's unsealed segment, made if there is none; NULL with OK if the stream was dropped. */
static mr_status active_segment(struct mr_log *log, struct mr_store *store,
                                struct mr_segment **segment, mr_error *error)
{
    char path[MR_PATH_BYTES];
    struct mr_segment made;
    mr_status status = MR_OK;

    *segment = NULL;
    pthread_mutex_lock(&log->flushing);
    if (store->is_dropped)
        goto out;
    if (store->segment_count > 0 && !store->segments[store->segment_count - 1].is_sealed) {
        *segment = &store->segments[store->segment_count - 1];
        if (!(*segment)->file) {
            mr_segment_path(path, log->directory, store->stream, (*segment)->id);
            status =
                log->fs->open(log->fs, path, MR_FS_WRITE | MR_FS_BULK, &(*segment)->file, error);
        }
        goto out;
    }
    if (store->is_new) {
        mr_store_path(path, log->directory, store->stream);
        status = log->fs->make_directory(log->fs, path, error);
        if (status && status != MR_EXISTS)
            goto out;
        store->is_new = false;
    }
    status = mr_segment_create(&made, log->fs, log->directory, log->directory_id, store->stream,
                               log->next_segment, error);
    if (status)
        goto out;
    log->next_segment++;
    mr_grow(store->segments, store->segment_count, store->segment_capacity);
    *segment = &store->segments[store->segment_count++];
    **segment = made;
out:
    pthread_mutex_unlock(&log->flushing);
    return status;
}

static void cache_append(struct mr_log *log, struct mr_chunk *chunk)
{
    pthread_mutex_lock(&log->cache_lock);
    chunk->cache_previous = log->cache_last;
    chunk->cache_next = NULL;
    *(log->cache_last ? &log->cache_last->cache_next : &log->cache_first) = chunk;
    log->cache_last = chunk;
    pthread_mutex_unlock(&log->cache_lock);
}

/* The block lies in its segment: readers may look for it there, its memory is a cache from now on. */
static void enter_block(struct mr_log *log, struct block_job *job)
{
    const struct mr_block *block = &job->place.block;
    struct mr_tail *tail = job->tail;
    struct mr_chunk *chunk = job->first;
    size_t bytes = 0;

    pthread_mutex_lock(&tail->lock);
    if (!tail->is_dropped) {
        mr_check(tail->pending == chunk && tail->complete_count > 0);
        mr_grow(tail->places, tail->place_count, tail->place_capacity);
        tail->places[tail->place_count++] = job->place;
        for (uint32_t i = 0; i < job->chunk_count; i++, chunk = chunk->next) {
            chunk->is_flushed = true;
            bytes += sizeof *chunk + chunk->capacity;
            cache_append(log, chunk);
        }
        mr_tail_set_pending(tail, chunk);
        tail->complete_count--;
        tail->taken_count--;
        tail->flushed_number = block->last_number;
        tail->flushed_figures.record_count += block->record_count;
        tail->flushed_figures.record_bytes += block->record_bytes;
        tail->flushed_figures.newest_ms = block->last_ms;
    }
    pthread_mutex_unlock(&tail->lock);
    atomic_fetch_sub(&log->pending_bytes, bytes);
    atomic_fetch_add(&log->cached_bytes, bytes);
}

static uint64_t end_of(const struct block_job *job)
{
    return job->place.offset + BLOCK_HEADER_BYTES + job->place.block.stored_bytes;
}

static void release(struct block_job *job)
{
    struct mr_chunk *chunk = job->first, *next;

    for (uint32_t i = 0; i < job->chunk_count; i++, chunk = next) {
        next = chunk_after(job, i, chunk);
        mr_chunk_release(chunk);
    }
    mr_tail_release(job->tail);
}

/* What failed is taken again, by a later flush. */
static void give_up(struct flush *flush)
{
    while (flush->entered_count < flush->job_count) {
        struct block_job *job = &flush->jobs[flush->entered_count++];

        pthread_mutex_lock(&job->tail->lock);
        job->tail->taken_count = 0;
        pthread_mutex_unlock(&job->tail->lock);
        release(job);
    }
}

static bool is_next_written(const struct flush *flush)
{
    return flush->entered_count < flush->written_count &&
           end_of(&flush->jobs[flush->entered_count]) <= mr_spool_written(&flush->log->spool);
}

/* Enters what is written of the flush: its memory may go, and puts that wait for some go on. */
static void enter_written(struct flush *flush)
{
    struct mr_log *log = flush->log;
    struct mr_segment *segment = flush->segment;
    uint32_t first = flush->entered_count;

    if (!is_next_written(flush))
        return;
    pthread_mutex_lock(&log->flushing);
    while (is_next_written(flush)) {
        struct block_job *job = &flush->jobs[flush->entered_count++];
        const struct mr_block *block = &job->place.block;

        enter_block(log, job);
        flush->raw_bytes -= block->raw_bytes;
        segment->bytes = end_of(job);
        segment->raw_bytes += block->raw_bytes;
        if (job->is_hasty)
            segment->hasty_bytes += block->raw_bytes;
        segment->block_count++;
        if (block->last_number > segment->last_number)
            segment->last_number = block->last_number;
        if (block->first_ms < segment->first_ms)
            segment->first_ms = block->first_ms;
        if (block->last_ms > segment->last_ms)
            segment->last_ms = block->last_ms;
    }
    segment->is_ragged = false;
    segment->is_dirty = true;
    atomic_fetch_add(&flush->store->version, 1);
    pthread_mutex_unlock(&log->flushing);
    while (first < flush->entered_count)
        release(&flush->jobs[first++]);
    mr_log_trim_cache(log);
    pthread_mutex_lock(&log->sequencer);
    mr_log_make_room(log);
    pthread_mutex_unlock(&log->sequencer);
}

/* Memory fills up with more than what is on its way. */
static bool is_pressed(const struct flush *flush)
{
    struct mr_log *log = flush->log;

    return atomic_load(&log->pending_bytes) > mr_log_memory_max(log) / 4 + flush->raw_bytes &&
           log->spool.end < log->config.segment_bytes;
}

static void gather_all(struct flush *flush)
{
    for (struct mr_tail *tail = flush->tails; tail; tail = tail->ready_next)
        gather(flush, tail);
}

static mr_status write_block(struct flush *flush, struct block_job *job, mr_error *error)
{
    struct mr_log *log = flush->log;
    struct mr_spool *spool = &log->spool;
    enum mr_codec_effort effort = log->effort;
    size_t piece_bytes = effort == MR_CODEC_STORED ? SPOOL_PIECE_BYTES_LARGE : SPOOL_PIECE_BYTES;
    struct mr_block *block = &job->place.block;
    mr_status status = MR_OK;
    uint8_t *out;

    if (block->is_encrypted && !flush->key)
        status = mr_log_store_key(log, flush->store, &flush->key, error);
    if (status)
        return status;
    out = mr_spool_room(spool, mr_block_bytes_max(block->raw_bytes), piece_bytes);
    /* Where all is to be stored as it is, the disk sets the pace: while it writes there is time to
     * compress, and less to be written next. */
    if (effort == MR_CODEC_STORED && mr_spool_has_time(spool))
        effort = MR_CODEC_FAST;
    job->is_hasty = effort != MR_CODEC_SMALL;
    job->place.segment = flush->segment->id;
    job->place.offset = spool->end;
    job->seed = mr_segment_seed(log->directory_id, flush->segment->id, job->place.offset);
    if (effort == MR_CODEC_STORED && !block->is_encrypted) {
        job->later.fill = store_block;
        block->stored_bytes = block->raw_bytes;
        mr_spool_add_later(spool, BLOCK_HEADER_BYTES + (size_t)block->raw_bytes, &job->later);
    } else {
        mr_spool_add(spool,
                     mr_block_write(log->codec, effort, block->is_encrypted ? flush->key : NULL,
                                    block, runs_of(log, job), job->seed, out));
    }
    flush->written_count++;
    return MR_OK;
}

/*
 * Compresses blocks, and has them written meanwhile. It goes on with those that are completed in the
 * meantime for as long as memory fills up, so that the disk does not rest between two flushes.
 */
static mr_status write_blocks(struct flush *flush, mr_error *error)
{
    struct mr_log *log = flush->log;
    mr_status status = MR_OK, written;

    mr_spool_begin(&log->spool, flush->segment, flush->padding);
    while (!status && flush->written_count < flush->job_count) {
        if (flush->written_count % EFFORT_BLOCKS == 0)
            choose_effort(log);
        status = write_block(flush, &flush->jobs[flush->written_count], error);
        enter_written(flush);
        if (flush->written_count == flush->job_count && is_pressed(flush))
            gather_all(flush);
    }
    written = mr_spool_end(&log->spool, status ? NULL : error);
    enter_written(flush);
    return status ? status : written;
}

static void set_ragged(struct mr_log *log, struct mr_segment *segment)
{
    pthread_mutex_lock(&log->flushing);
    segment->is_ragged = true;
    pthread_mutex_unlock(&log->flushing);
}

/* Writes index and trailer when the segment is full or spans its time, and empties the places. */
static mr_status seal_if_full(struct mr_log *log, struct mr_store *store,
                              struct mr_segment *segment, mr_error *error)
{
    struct mr_block_place *places = NULL;
    size_t count = 0, capacity = 0;
    struct mr_segment sealed;
    struct mr_tail *tail;
    uint32_t padding;
    mr_status status;

    if (segment->bytes < log->config.segment_bytes &&
        segment->last_ms - segment->first_ms < store->roll_ms)
        return MR_OK;

    pthread_mutex_lock(&log->flushing);
    sealed = *segment;
    padding = mr_segment_padding(segment);
    pthread_mutex_unlock(&log->flushing);
    /* Tails come in the order of their ids and each has its places in order: they are sorted. */
    pthread_rwlock_rdlock(&log->stores_lock);
    for (size_t id = 0; (tail = mr_log_next_tail(log, store, &id));) {
        pthread_mutex_lock(&tail->lock);
        for (uint32_t i = 0; i < tail->place_count; i++) {
            mr_grow(places, count, capacity);
            places[count++] = tail->places[i];
        }
        pthread_mutex_unlock(&tail->lock);
    }
    pthread_rwlock_unlock(&log->stores_lock);

    status = mr_segment_seal(&sealed, padding, log->directory_id, places, count, error);
    mr_free(places);
    if (status) {
        set_ragged(log, segment);
        return status;
    }

    pthread_mutex_lock(&log->flushing);
    pthread_rwlock_rdlock(&log->stores_lock);
    *segment = sealed;
    segment->is_ragged = false;
    for (size_t id = 0; (tail = mr_log_next_tail(log, store, &id));) {
        pthread_mutex_lock(&tail->lock);
        tail->place_count = tail->place_capacity = 0;
        mr_free(tail->places);
        tail->places = NULL;
        pthread_mutex_unlock(&tail->lock);
    }
    atomic_fetch_add(&store->version, 1);
    pthread_rwlock_unlock(&log->stores_lock);
    pthread_mutex_unlock(&log->flushing);
    return MR_OK;
}

/* How the last flush went: puts that find no room say why; or there is more room now. */
static void set_hitch(struct mr_log *log, mr_status status, const mr_error *error)
{
    bool is_new = log->flush_hitch.status != status; /* only flushing changes it */

    mr_log_set_hitch(log, &log->flush_hitch, status, error);
    if (is_new && status)
        mr_log_diag(log, "event=flush_stuck reason=\"%s\"", error->message);
    else if (is_new)
        mr_log_diag(log, "event=flush_goes_on");
}

static mr_status flush_store(struct flush *flush, mr_error *error)
{
    struct mr_log *log = flush->log;
    mr_status status = active_segment(log, flush->store, &flush->segment, error);

    if (status || !flush->segment)
        return status;
    flush->padding = padding_of(log, flush->segment);
    status = mr_segment_cut(flush->segment, error);
    if (!status)
        status = write_blocks(flush, error);
    atomic_store(&log->flushed_ns, log->clock->monotonic_ns(log->clock));
    if (status) {
        set_ragged(log, flush->segment);
        return status;
    }
    return seal_if_full(log, flush->store, flush->segment, error);
}

bool mr_log_flush(struct mr_log *log)
{
    struct mr_tail *tails = NULL, *next;
    struct mr_store *store;
    struct flush *flush;
    mr_status status = MR_OK;
    mr_error error;

    pthread_mutex_lock(&log->flush_turn);
    store = take_ready(log, &tails);
    if (!store) {
        if (log->flush_hitch.status)
            set_hitch(log, MR_OK, NULL); /* nothing waits to be written any more */
        pthread_mutex_unlock(&log->flush_turn);
        return false;
    }
    flush = mr_new(struct flush);
    flush->log = log;
    flush->store = store;
    flush->tails = tails;
    gather_all(flush);
    if (flush->job_count > 0)
        status = flush_store(flush, &error);
    give_up(flush);
    mr_free(flush);

    for (struct mr_tail *tail = tails; tail; tail = next) {
        next = tail->ready_next;
        if (is_still_ready(log, tail))
            mr_log_note_ready(log, tail);
        mr_tail_release(tail);
    }
    mr_store_release(store);
    set_hitch(log, status, &error);
    mr_log_trim_cache(log);
    pthread_mutex_unlock(&log->flush_turn);
    return status == MR_OK;
}

void mr_log_forget_ready(struct mr_log *log)
{
    struct mr_tail *tails, *next;
    struct mr_store *store;

    while ((store = take_ready(log, &tails))) {
        for (struct mr_tail *tail = tails; tail; tail = next) {
            next = tail->ready_next;
            mr_tail_release(tail);
        }
        mr_store_release(store);
    }
}
