/*
 * scheme.h - how a partition key would be made of an event: an expression.
 *
 *     origin              the value of a field ("user.id" reaches into objects)
 *     origin+destination  two values with the + between them: "ATL+DTW"
 *     origin#rand(8)      salted: "ATL#0" to "ATL#7", one of them by chance
 *     $key                the key that was recorded
 */
#ifndef MR_TOOLS_KEYS_SCHEME_H
#define MR_TOOLS_KEYS_SCHEME_H

#include "base/random.h"
#include "events/events.h"

#include <string.h>

#define MR_SCHEME_PARTS_MAX 16

struct mr_scheme_part {
    char before;     /* '+' or '#', 0: the first */
    uint32_t random; /* of so many numbers, or 0: */
    size_t field;    /* an event's */
};

struct mr_scheme {
    const char *text;
    struct mr_scheme_part parts[MR_SCHEME_PARTS_MAX];
    size_t part_count;
    uint32_t salt; /* keys that one key becomes: 1 without rand() */
};

/* Adds the fields that the expression names to config, whose names point into memory of the
 * caller's: names, at least as long as text. INVALID. */
mr_status mr_scheme_parse(struct mr_scheme *scheme, const char *text, char *names,
                          struct mr_events_config *config, mr_error *error);

/* Is the key as it was recorded, or as it is in one field? Then it needs no memory. */
static inline bool mr_scheme_is_plain(const struct mr_scheme *scheme)
{
    return scheme->part_count == 1 && !scheme->parts[0].random;
}

/* For people. */
static inline const char *mr_scheme_name(const struct mr_scheme *scheme)
{
    return strcmp(scheme->text, "$key") == 0 ? "the recorded key" : scheme->text;
}

/* Room for the key of an event. */
size_t mr_scheme_bytes(const struct mr_scheme *scheme, const struct mr_event *event);
/* Writes it to out; *base_bytes: those before the first salt. */
mr_bytes mr_scheme_key(const struct mr_scheme *scheme, const struct mr_event *event,
                       struct mr_random *random, uint8_t *out, size_t *base_bytes);

#endif
