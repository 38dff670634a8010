/*
 * spool.h - what is appended to a segment goes through two buffers: one is filled with blocks while the
 * other is written, so that neither the processor nor the disk waits for the other.
 */
#ifndef MR_LOG_SPOOL_H
#define MR_LOG_SPOOL_H

#include "log/segment.h"
#include "os/worker.h"

#define SPOOL_PIECE_BYTES (256u << 10) /* is still in the processor's cache when it is written */
#define SPOOL_PIECE_BYTES_LARGE (1u << 20) /* goes past the page cache (MR_FS_BULK) */

struct mr_spool;

struct mr_spool_piece {
    struct mr_job job;
    struct mr_spool *spool;
    uint8_t *pages;
    size_t capacity, used, distance;
    _Atomic uint32_t is_busy; /* being written */
    mr_status status;
    mr_error error;
};

struct mr_spool {
    struct mr_workers *writer; /* NULL: the caller writes */
    struct mr_segment *segment;
    size_t piece_bytes, begin, end; /* where the blocks lie, counted from the segment's end */
    struct mr_spool_piece pieces[2];
    unsigned filling;
    bool is_underway;                        /* a piece was sent off since mr_spool_begin() */
    unsigned spare_blocks, spare_blocks_max; /* what there is time for: in this piece, in each */
    mr_status status;                        /* the first failure */
    mr_error error;
};

void mr_spool_init(struct mr_spool *spool);
void mr_spool_fini(struct mr_spool *spool);

/* What follows is appended to the segment, behind a hole of `padding` bytes. */
void mr_spool_begin(struct mr_spool *spool, struct mr_segment *segment, size_t padding,
                    size_t piece_bytes);
/* Whether the next block may as well be compressed: the disk takes longer for a piece than filling the
 * next does. Asked once a block. */
bool mr_spool_has_time(struct mr_spool *spool);
/* Room for a block of at most so many bytes, which mr_spool_add() then appends. */
uint8_t *mr_spool_room(struct mr_spool *spool, size_t bytes_max);
void mr_spool_add(struct mr_spool *spool, size_t bytes);
/* Waits until all is written; the first failure, if any. */
mr_status mr_spool_end(struct mr_spool *spool, mr_error *error);

#endif
