#include "base/arena.h"

#include "base/check.h"
#include "base/memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define ALIGNMENT 16
#define BLOCK_BYTES (16u << 10)      /* of the first; they double */
#define BLOCK_BYTES_MAX (1u << 20)   /* unless one thing needs more */
#define BLOCK_BYTES_KEPT (64u << 10) /* a larger one is not kept for the next piece of work */

struct mr_arena_block {
    struct mr_arena_block *next;
    size_t size;
    _Alignas(ALIGNMENT) uint8_t bytes[];
};

static size_t aligned(size_t bytes)
{
    return (bytes + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
}

static void enter(struct mr_arena *arena, struct mr_arena_block *block)
{
    arena->at = block->bytes;
    arena->end = block->bytes + block->size;
}

static void add_block(struct mr_arena *arena, size_t bytes)
{
    size_t size = arena->blocks ? 2 * arena->blocks->size : BLOCK_BYTES;
    struct mr_arena_block *block;

    if (size > BLOCK_BYTES_MAX)
        size = BLOCK_BYTES_MAX;
    if (size < bytes)
        size = aligned(bytes);
    block = mr_alloc(sizeof *block + size);
    block->size = size;
    block->next = arena->blocks;
    arena->blocks = block;
    enter(arena, block);
}

void mr_arena_fini(struct mr_arena *arena)
{
    struct mr_arena_block *block;

    while ((block = arena->blocks)) {
        arena->blocks = block->next;
        mr_free(block);
    }
    *arena = MR_ARENA(arena->limit);
}

void mr_arena_reset(struct mr_arena *arena)
{
    struct mr_arena_block *block, *kept = NULL;

    while ((block = arena->blocks)) {
        arena->blocks = block->next;
        if (!kept && block->size <= BLOCK_BYTES_KEPT)
            kept = block;
        else
            mr_free(block);
    }
    *arena = MR_ARENA(arena->limit);
    if (kept) {
        kept->next = NULL;
        arena->blocks = kept;
        enter(arena, kept);
    }
}

uint8_t *mr_arena_reserve(struct mr_arena *arena, size_t bytes)
{
    if (!arena->blocks || (size_t)(arena->end - arena->at) < bytes)
        add_block(arena, bytes);
    return arena->at;
}

void mr_arena_keep(struct mr_arena *arena, size_t bytes)
{
    size_t step = aligned(bytes), room = (size_t)(arena->end - arena->at);

    mr_check(bytes <= room && bytes <= mr_arena_left(arena));
    arena->used += bytes;
    arena->at += step < room ? step : room;
}

void *mr_arena_take(struct mr_arena *arena, size_t bytes)
{
    void *memory = mr_arena_reserve(arena, bytes);

    mr_arena_keep(arena, bytes);
    return memory;
}

void *mr_arena_take_zero(struct mr_arena *arena, size_t bytes)
{
    void *memory = mr_arena_take(arena, bytes);

    memset(memory, 0, bytes);
    return memory;
}

mr_bytes mr_arena_copy(struct mr_arena *arena, mr_bytes bytes)
{
    void *memory = mr_arena_take(arena, bytes.size);

    if (bytes.size > 0)
        memcpy(memory, bytes.data, bytes.size);
    return (mr_bytes){memory, bytes.size};
}

#define PRINT_BYTES 256 /* enough for most */

mr_bytes mr_arena_print(struct mr_arena *arena, const char *format, ...)
{
    char *text = (char *)mr_arena_reserve(arena, PRINT_BYTES);
    va_list arguments;
    size_t size;
    int printed;

    va_start(arguments, format);
    printed = vsnprintf(text, PRINT_BYTES, format, arguments);
    va_end(arguments);
    mr_check(printed >= 0);
    size = (size_t)printed;
    if (size >= PRINT_BYTES) {
        text = (char *)mr_arena_reserve(arena, size + 1);
        va_start(arguments, format);
        vsnprintf(text, size + 1, format, arguments);
        va_end(arguments);
    }
    mr_arena_keep(arena, size + 1);
    return (mr_bytes){text, size};
}
