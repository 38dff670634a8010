#include "base/memory.h"

#include "millrace.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void (*out_of_memory)(size_t bytes);

void mr_on_out_of_memory(void (*handler)(size_t bytes))
{
    out_of_memory = handler;
}

_Noreturn void mr_out_of_memory(size_t bytes)
{
    if (out_of_memory)
        out_of_memory(bytes);
    fprintf(stderr, "millrace: out of memory: %zu bytes\n", bytes);
    abort();
}

static void *or_die(void *memory, size_t bytes)
{
    if (!memory && bytes > 0)
        mr_out_of_memory(bytes);
    return memory;
}

void *mr_alloc(size_t bytes)
{
    return or_die(malloc(bytes), bytes);
}

void *mr_alloc_zero(size_t count, size_t bytes)
{
    return or_die(calloc(count, bytes), count * bytes);
}

void *mr_resize(void *memory, size_t bytes)
{
    return or_die(realloc(memory, bytes), bytes);
}

char *mr_copy_text(const char *text)
{
    size_t size = strlen(text) + 1;
    return memcpy(mr_alloc(size), text, size);
}

void mr_free(void *memory)
{
    free(memory);
}

uint8_t *mr_scratch(uint8_t **bytes, size_t *capacity, size_t needed)
{
    if (*capacity < needed) {
        mr_free(*bytes);
        *capacity = needed + needed / 4;
        *bytes = mr_alloc(*capacity);
    }
    return *bytes;
}
