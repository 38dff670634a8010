/*
 * spool.h - what is appended to a segment goes through a few buffers, pieces: one is filled with blocks
 * while others are written, so that neither the processor nor the disk waits for the other. Two threads
 * write; they also fill in the blocks that only have to be copied.
 */
#ifndef MR_LOG_SPOOL_H
#define MR_LOG_SPOOL_H

#include "log/segment.h"
#include "os/worker.h"

#define SPOOL_PIECES 4
#define SPOOL_WRITERS 2
#define SPOOL_PIECE_BYTES (256u << 10) /* is still in the processor's cache when it is written */
#define SPOOL_PIECE_BYTES_LARGE (1u << 20) /* goes past the page cache (MR_FS_BULK) */

struct mr_spool;

/* Embedded in what is filled in later. */
struct mr_spool_block {
    struct mr_spool_block *next;
    void (*fill)(struct mr_spool_block *block, uint8_t *out); /* by a writer */
    uint8_t *out;
};

struct mr_spool_piece {
    struct mr_job job;
    struct mr_spool *spool;
    uint8_t *pages;
    uint64_t offset; /* in the segment's file */
    size_t capacity, used;
    struct mr_spool_block *later; /* to be filled in, by next */
    _Atomic uint32_t is_busy;     /* being written */
    mr_status status;
    mr_error error;
};

struct mr_spool {
    struct mr_workers *writers; /* NULL: the caller writes */
    const struct mr_segment *segment;
    size_t piece_bytes;
    uint64_t written, end; /* in the segment's file */
    struct mr_spool_piece pieces[SPOOL_PIECES];
    unsigned filling, oldest; /* of those sent off, or the one being filled */
    mr_status status;         /* the first failure */
    mr_error error;
};

void mr_spool_init(struct mr_spool *spool);
void mr_spool_fini(struct mr_spool *spool);

/* What follows is appended to the segment, behind a hole of `padding` bytes. */
void mr_spool_begin(struct mr_spool *spool, const struct mr_segment *segment, size_t padding);
/* Whether the next block may as well be compressed: the writers have all that they can get. */
bool mr_spool_has_time(const struct mr_spool *spool);
/* Room for a block of at most so many bytes, which mr_spool_add() then appends; what is in front of it
 * is written in pieces of about piece_bytes. */
uint8_t *mr_spool_room(struct mr_spool *spool, size_t bytes_max, size_t piece_bytes);
void mr_spool_add(struct mr_spool *spool, size_t bytes);
/* The same for a block that is not there yet: block, valid until it is written, fills it in. */
void mr_spool_add_later(struct mr_spool *spool, size_t bytes, struct mr_spool_block *block);
/* All before this place in the file is written, unless something failed. */
uint64_t mr_spool_written(struct mr_spool *spool);
/* Waits until all is written; the first failure, if any. */
mr_status mr_spool_end(struct mr_spool *spool, mr_error *error);

#endif
