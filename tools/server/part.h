/* part.h - the parts of a text: cut at separators, found by name, decoded. */
#ifndef MR_SERVER_PART_H
#define MR_SERVER_PART_H

#include "base/arena.h"

#include <string.h>
#include <strings.h>

static inline mr_bytes mr_part_of(const char *text)
{
    return (mr_bytes){text, strlen(text)};
}

static inline bool mr_part_is(mr_bytes part, const char *text)
{
    return part.size == strlen(text) && memcmp(part.data, text, part.size) == 0;
}

static inline bool mr_part_is_in_any_case(mr_bytes part, mr_bytes other)
{
    return part.size == other.size && strncasecmp(part.data, other.data, part.size) == 0;
}

/* Cuts off and returns what is before the first of the separators; false: nothing is left. */
bool mr_part_take(mr_bytes *rest, const char *separators, mr_bytes *part);

/* The first "name=value" of that name; absent if there is none, or its value is empty. */
mr_bytes mr_part_find(mr_bytes text, const char *separators, const char *name);

/* What "%2F" and the like mean; what is no such thing means itself. */
mr_bytes mr_part_decode(mr_bytes text, struct mr_arena *arena);

#endif
