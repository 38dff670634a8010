/*
 * arena.h - memory for one piece of work: taken bit by bit, given back at once.
 *
 * The limit is set at birth; going past it is a bug, as in pack.h: callers check sizes from outside
 * first, against mr_arena_left().
 */
#ifndef MR_BASE_ARENA_H
#define MR_BASE_ARENA_H

#include "millrace.h"

struct mr_arena_block;

/* Start from MR_ARENA(limit); release with mr_arena_fini(). */
struct mr_arena {
    struct mr_arena_block *blocks; /* the newest first */
    uint8_t *at, *end;             /* what is free in it */
    size_t used, limit;            /* in bytes taken */
};
#define MR_ARENA(bytes_max) ((struct mr_arena){.limit = (bytes_max)})

void mr_arena_fini(struct mr_arena *arena);

/* Gives all back but one block, for the next piece of work. */
void mr_arena_reset(struct mr_arena *arena);

/* Aligned for any object; never NULL, even of 0 bytes. */
void *mr_arena_take(struct mr_arena *arena, size_t bytes);
void *mr_arena_take_zero(struct mr_arena *arena, size_t bytes);

/* Room for so many bytes, of which mr_arena_keep() takes those that were written, from the front.
 * Nothing else may be taken in between. */
uint8_t *mr_arena_reserve(struct mr_arena *arena, size_t bytes);
void mr_arena_keep(struct mr_arena *arena, size_t bytes);

mr_bytes mr_arena_copy(struct mr_arena *arena, mr_bytes bytes);
/* Text by printf's rules; there is a NUL behind it. */
__attribute__((format(printf, 2, 3))) mr_bytes mr_arena_print(struct mr_arena *arena,
                                                              const char *format, ...);

static inline size_t mr_arena_left(const struct mr_arena *arena)
{
    return arena->limit - arena->used;
}

#define mr_arena_new(arena, type) ((type *)mr_arena_take_zero((arena), sizeof(type)))
#define mr_arena_array(arena, type, count)                                                         \
    ((type *)mr_arena_take_zero((arena), (count) * sizeof(type)))

#endif
