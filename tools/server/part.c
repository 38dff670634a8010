#include "server/part.h"

bool mr_part_take(mr_bytes *rest, const char *separators, mr_bytes *part)
{
    const char *at = rest->data;
    size_t size = rest->size;

    if (!at)
        return false;
    for (const char *each = separators; *each; each++) {
        const char *found = memchr(at, *each, size);

        if (found)
            size = (size_t)(found - at);
    }
    *part = (mr_bytes){at, size};
    *rest = size < rest->size ? (mr_bytes){at + size + 1, rest->size - size - 1} : (mr_bytes){0};
    return true;
}

mr_bytes mr_part_find(mr_bytes text, const char *separators, const char *name)
{
    size_t size = strlen(name);
    mr_bytes part;

    while (mr_part_take(&text, separators, &part)) {
        const char *at = part.data;

        if (part.size > size + 1 && memcmp(at, name, size) == 0 && at[size] == '=')
            return (mr_bytes){at + size + 1, part.size - size - 1};
    }
    return (mr_bytes){0};
}

static int digit_of(uint8_t byte)
{
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    byte |= 0x20;
    return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

mr_bytes mr_part_decode(mr_bytes text, struct mr_arena *arena)
{
    const uint8_t *from = text.data;
    uint8_t *out = mr_arena_take(arena, text.size);
    size_t size = 0;

    for (size_t i = 0; i < text.size; i++) {
        if (from[i] == '%' && text.size - i > 2 && digit_of(from[i + 1]) >= 0 &&
            digit_of(from[i + 2]) >= 0) {
            out[size++] = (uint8_t)(digit_of(from[i + 1]) << 4 | digit_of(from[i + 2]));
            i += 2;
        } else {
            out[size++] = from[i];
        }
    }
    return (mr_bytes){out, size};
}
