#include "log/spool.h"

#include "os/thread.h"

/* The piece's bytes lie in their page as they will in the file's: large pieces need no copy then. */
static uint8_t *bytes_of(const struct mr_spool_piece *piece)
{
    return piece->pages + piece->offset % SEGMENT_PAGE_BYTES;
}

static void write_piece(struct mr_job *job)
{
    struct mr_spool_piece *piece = (struct mr_spool_piece *)job;
    mr_bytes bytes = {bytes_of(piece), piece->used};

    for (struct mr_spool_block *block = piece->later; block; block = block->next)
        block->fill(block, block->out);
    piece->status = mr_segment_write(piece->spool->segment, piece->offset, bytes, &piece->error);
    atomic_store(&piece->is_busy, 0);
    mr_word_wake(&piece->is_busy, true);
}

void mr_spool_init(struct mr_spool *spool)
{
    *spool = (struct mr_spool){.writers = NULL};
    for (int i = 0; i < SPOOL_PIECES; i++)
        spool->pieces[i] = (struct mr_spool_piece){.spool = spool, .job.run = write_piece};
}

void mr_spool_fini(struct mr_spool *spool)
{
    mr_workers_free(spool->writers);
    for (int i = 0; i < SPOOL_PIECES; i++)
        mr_pages_give(spool->pieces[i].pages, spool->pieces[i].capacity);
}

static struct mr_spool_piece *piece_after(struct mr_spool *spool, unsigned *piece)
{
    *piece = (*piece + 1) % SPOOL_PIECES;
    return &spool->pieces[*piece];
}

/* The oldest piece that was sent off is written, or failed. */
static void land(struct mr_spool *spool)
{
    struct mr_spool_piece *piece = &spool->pieces[spool->oldest];

    if (piece->status && !spool->status) {
        spool->status = piece->status;
        spool->error = piece->error;
    }
    if (!spool->status)
        spool->written = piece->offset + piece->used;
    piece->status = MR_OK;
    piece->used = 0;
    piece_after(spool, &spool->oldest);
}

static void await_oldest(struct mr_spool *spool)
{
    struct mr_spool_piece *piece = &spool->pieces[spool->oldest];

    while (atomic_load(&piece->is_busy))
        mr_word_wait(&piece->is_busy, 1, UINT32_MAX);
    land(spool);
}

uint64_t mr_spool_written(struct mr_spool *spool)
{
    while (spool->oldest != spool->filling && !atomic_load(&spool->pieces[spool->oldest].is_busy))
        land(spool);
    return spool->written;
}

/* Sends off the piece that was filled, and goes on with the next when that is free. */
static void turn(struct mr_spool *spool)
{
    struct mr_spool_piece *piece = &spool->pieces[spool->filling];

    if (!spool->status) {
        atomic_store(&piece->is_busy, 1);
        if (spool->writers)
            mr_workers_add(spool->writers, &piece->job);
        else
            write_piece(&piece->job);
    }
    piece = piece_after(spool, &spool->filling);
    if (spool->oldest == spool->filling)
        await_oldest(spool);
    piece->offset = spool->end;
    piece->later = NULL;
}

void mr_spool_begin(struct mr_spool *spool, const struct mr_segment *segment, size_t padding)
{
    struct mr_spool_piece *piece = &spool->pieces[spool->filling];

    spool->segment = segment;
    spool->written = spool->end = piece->offset = segment->bytes + padding;
    spool->status = MR_OK;
    piece->later = NULL;
}

bool mr_spool_has_time(const struct mr_spool *spool)
{
    unsigned next = (spool->filling + 1) % SPOOL_PIECES;

    return next == spool->oldest && atomic_load(&spool->pieces[next].is_busy);
}

/* Nothing is being written: what there is had better be. */
static bool is_idle(struct mr_spool *spool)
{
    return mr_spool_written(spool) == spool->pieces[spool->filling].offset;
}

uint8_t *mr_spool_room(struct mr_spool *spool, size_t bytes_max, size_t piece_bytes)
{
    struct mr_spool_piece *piece = &spool->pieces[spool->filling];

    if (piece->used > 0 &&
        (piece->used >= piece_bytes || (piece->used >= piece_bytes / 2 && is_idle(spool)) ||
         piece->used + bytes_max + SEGMENT_PAGE_BYTES > piece->capacity)) {
        turn(spool);
        piece = &spool->pieces[spool->filling];
    }
    if (piece->capacity < piece_bytes + SEGMENT_PAGE_BYTES + bytes_max && piece->used == 0) {
        mr_pages_give(piece->pages, piece->capacity);
        piece->capacity = piece_bytes + SEGMENT_PAGE_BYTES + bytes_max;
        piece->pages = mr_pages_take(piece->capacity);
    }
    return bytes_of(piece) + piece->used;
}

void mr_spool_add(struct mr_spool *spool, size_t bytes)
{
    spool->pieces[spool->filling].used += bytes;
    spool->end += bytes;
}

void mr_spool_add_later(struct mr_spool *spool, size_t bytes, struct mr_spool_block *block)
{
    struct mr_spool_piece *piece = &spool->pieces[spool->filling];

    block->out = bytes_of(piece) + piece->used;
    block->next = piece->later;
    piece->later = block;
    mr_spool_add(spool, bytes);
}

mr_status mr_spool_end(struct mr_spool *spool, mr_error *error)
{
    if (spool->pieces[spool->filling].used > 0)
        turn(spool);
    while (spool->oldest != spool->filling)
        await_oldest(spool);
    if (spool->status && error)
        *error = spool->error;
    return spool->status;
}
