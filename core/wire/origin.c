#include "wire/origin.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void mr_origin_write(const mr_origin *origin, char text[MR_ORIGIN_TEXT_BYTES])
{
    snprintf(text, MR_ORIGIN_TEXT_BYTES, "%" PRIu64 " %" PRIu64 " %s", origin->from, origin->to,
             origin->name);
}

bool mr_position_read(mr_bytes text, uint64_t *position)
{
    const char *digits = text.data;
    uint64_t value = 0;

    for (size_t i = 0; i < text.size; i++) {
        if (digits[i] < '0' || digits[i] > '9' ||
            __builtin_mul_overflow(value, UINT64_C(10), &value) ||
            __builtin_add_overflow(value, (uint64_t)(digits[i] - '0'), &value))
            return false;
    }
    *position = value;
    return text.size > 0;
}

/* Takes digits and the blank behind them. */
static bool take_number(mr_bytes *text, uint64_t *number)
{
    const char *blank = text->size ? memchr(text->data, ' ', text->size) : NULL;
    size_t size;

    if (!blank)
        return false;
    size = (size_t)(blank - (const char *)text->data);
    if (!mr_position_read((mr_bytes){text->data, size}, number))
        return false;
    *text = (mr_bytes){blank + 1, text->size - size - 1};
    return true;
}

bool mr_origin_read(mr_bytes text, struct mr_arena *arena, mr_origin *origin)
{
    const char *name;

    if (!take_number(&text, &origin->from) || !take_number(&text, &origin->to) || text.size < 1 ||
        text.size > MR_ORIGIN_BYTES_MAX)
        return false;
    name = text.data;
    for (size_t i = 0; i < text.size; i++)
        if (name[i] <= ' ' || name[i] > '~')
            return false;
    origin->name = mr_arena_print(arena, "%.*s", (int)text.size, name).data;
    return true;
}
