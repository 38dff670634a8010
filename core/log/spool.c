#include "log/spool.h"

#include "os/thread.h"

#define SPARE_BLOCKS_MAX 64

/* The piece's bytes lie in their page as they will in the file's: large pieces need no copy then. */
static uint8_t *bytes_of(const struct mr_spool_piece *piece)
{
    uint64_t offset = piece->spool->segment->bytes + piece->distance;

    return piece->pages + offset % SEGMENT_PAGE_BYTES;
}

static void write_piece(struct mr_job *job)
{
    struct mr_spool_piece *piece = (struct mr_spool_piece *)job;
    const struct mr_spool *spool = piece->spool;

    piece->status =
        mr_segment_append(spool->segment, piece->distance, piece->distance == spool->begin,
                          bytes_of(piece), piece->used, &piece->error);
    atomic_store(&piece->is_busy, 0);
    mr_word_wake(&piece->is_busy, true);
}

void mr_spool_init(struct mr_spool *spool)
{
    *spool = (struct mr_spool){.writer = NULL};
    for (int i = 0; i < 2; i++)
        spool->pieces[i] = (struct mr_spool_piece){.spool = spool, .job.run = write_piece};
}

void mr_spool_fini(struct mr_spool *spool)
{
    mr_workers_free(spool->writer);
    for (int i = 0; i < 2; i++)
        mr_pages_give(spool->pieces[i].pages, spool->pieces[i].capacity);
}

static void await(struct mr_spool *spool, struct mr_spool_piece *piece)
{
    while (atomic_load(&piece->is_busy))
        mr_word_wait(&piece->is_busy, 1, UINT32_MAX);
    if (piece->status && !spool->status) {
        spool->status = piece->status;
        spool->error = piece->error;
    }
    piece->status = MR_OK;
    piece->used = 0;
}

static bool is_writing(const struct mr_spool *spool)
{
    return atomic_load(&spool->pieces[!spool->filling].is_busy);
}

/* Sends off the piece that was filled, and goes on with the other when that is written. */
static void turn(struct mr_spool *spool)
{
    struct mr_spool_piece *piece = &spool->pieces[spool->filling];

    /* The disk should never wait: where it did, half of the time to spare is left. */
    if (spool->is_underway && piece->used > 0) {
        if (is_writing(spool))
            spool->spare_blocks_max += spool->spare_blocks_max < SPARE_BLOCKS_MAX;
        else
            spool->spare_blocks_max /= 2;
    }
    spool->is_underway = true;
    spool->spare_blocks = spool->spare_blocks_max;
    if (piece->used > 0 && !spool->status) {
        atomic_store(&piece->is_busy, 1);
        if (spool->writer)
            mr_workers_add(spool->writer, &piece->job);
        else
            write_piece(&piece->job);
    }
    spool->filling = !spool->filling;
    piece = &spool->pieces[spool->filling];
    await(spool, piece);
    piece->distance = spool->end;
}

void mr_spool_begin(struct mr_spool *spool, struct mr_segment *segment, size_t padding,
                    size_t piece_bytes)
{
    spool->segment = segment;
    spool->piece_bytes = piece_bytes;
    spool->begin = spool->end = padding;
    spool->status = MR_OK;
    spool->is_underway = false;
    spool->pieces[spool->filling].distance = padding;
}

bool mr_spool_has_time(struct mr_spool *spool)
{
    bool has = spool->spare_blocks > 0;

    spool->spare_blocks -= has;
    return has;
}

uint8_t *mr_spool_room(struct mr_spool *spool, size_t bytes_max)
{
    struct mr_spool_piece *piece = &spool->pieces[spool->filling];

    if (piece->used > 0 && (piece->used >= spool->piece_bytes ||
                            (piece->used >= spool->piece_bytes / 2 && !is_writing(spool)) ||
                            piece->used + bytes_max + SEGMENT_PAGE_BYTES > piece->capacity)) {
        turn(spool);
        piece = &spool->pieces[spool->filling];
    }
    if (piece->capacity < spool->piece_bytes + SEGMENT_PAGE_BYTES + bytes_max && piece->used == 0) {
        mr_pages_give(piece->pages, piece->capacity);
        piece->capacity = spool->piece_bytes + SEGMENT_PAGE_BYTES + bytes_max;
        piece->pages = mr_pages_take(piece->capacity);
    }
    return bytes_of(piece) + piece->used;
}

void mr_spool_add(struct mr_spool *spool, size_t bytes)
{
    spool->pieces[spool->filling].used += bytes;
    spool->end += bytes;
}

mr_status mr_spool_end(struct mr_spool *spool, mr_error *error)
{
    turn(spool);
    turn(spool); /* the other one's piece: there is nothing in this one */
    if (spool->status && error)
        *error = spool->error;
    return spool->status;
}
