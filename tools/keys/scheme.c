#include "keys/scheme.h"

#include "base/fail.h"

#include <stdio.h>
#include <string.h>

#define SALT_MAX 10000
#define SALT_DIGITS 4

static mr_status read_salt(struct mr_scheme *scheme, struct mr_scheme_part *part, const char *name,
                           mr_error *error)
{
    unsigned salt;
    char behind;

    if (sscanf(name, "rand(%u%c", &salt, &behind) != 2 || behind != ')' || strchr(name, ')')[1] ||
        salt < 2 || salt > SALT_MAX)
        return mr_fail(error, MR_INVALID, "in the key '%s': rand(N) takes 2 to %d, not '%s'",
                       scheme->text, SALT_MAX, name);
    part->random = salt;
    scheme->salt *= salt;
    return MR_OK;
}

/* An event's field of that name, which is added if it is new. */
static mr_status find_field(struct mr_scheme *scheme, struct mr_scheme_part *part, const char *name,
                            struct mr_events_config *config, mr_error *error)
{
    if (!*name)
        return mr_fail(error, MR_INVALID, "the key '%s' lacks a name", scheme->text);
    for (part->field = 0; part->field < config->field_count; part->field++)
        if (strcmp(config->fields[part->field], name) == 0)
            return MR_OK;
    if (config->field_count == MR_EVENT_FIELDS_MAX)
        return mr_fail(error, MR_LIMIT, "keys are made of %d fields at most", MR_EVENT_FIELDS_MAX);
    config->fields[config->field_count++] = name;
    return MR_OK;
}

mr_status mr_scheme_parse(struct mr_scheme *scheme, const char *text, char *names,
                          struct mr_events_config *config, mr_error *error)
{
    mr_status status = MR_OK;
    char before = 0;

    *scheme = (struct mr_scheme){.text = text, .salt = 1};
    for (;;) {
        size_t size = strcspn(text, "+#");
        struct mr_scheme_part *part = &scheme->parts[scheme->part_count];

        if (scheme->part_count++ == MR_SCHEME_PARTS_MAX)
            return mr_fail(error, MR_LIMIT, "a key has %d parts at most", MR_SCHEME_PARTS_MAX);
        part->before = before;
        memcpy(names, text, size);
        names[size] = 0;
        status = strncmp(names, "rand(", 5) == 0 ? read_salt(scheme, part, names, error)
                                                 : find_field(scheme, part, names, config, error);
        if (status || !text[size])
            break;
        before = text[size];
        text += size + 1;
        names += size + 1;
    }
    if (!status && scheme->salt > SALT_MAX)
        status =
            mr_fail(error, MR_INVALID, "the key '%s' becomes more than %d", scheme->text, SALT_MAX);
    return status;
}

size_t mr_scheme_bytes(const struct mr_scheme *scheme, const struct mr_event *event)
{
    size_t bytes = 0;

    for (size_t i = 0; i < scheme->part_count; i++)
        bytes += 1 + (scheme->parts[i].random ? SALT_DIGITS
                                              : event->fields[scheme->parts[i].field].size);
    return bytes;
}

mr_bytes mr_scheme_key(const struct mr_scheme *scheme, const struct mr_event *event,
                       struct mr_random *random, uint8_t *out, size_t *base_bytes)
{
    uint8_t *at = out;

    *base_bytes = SIZE_MAX;
    for (size_t i = 0; i < scheme->part_count; i++) {
        const struct mr_scheme_part *part = &scheme->parts[i];

        if (part->random && *base_bytes == SIZE_MAX)
            *base_bytes = (size_t)(at - out);
        if (part->before)
            *at++ = (uint8_t)part->before;
        if (part->random) {
            unsigned salt = (unsigned)mr_random_below(random, part->random);
            unsigned unit = salt >= 1000 ? 1000 : salt >= 100 ? 100 : salt >= 10 ? 10 : 1;

            for (; unit; unit /= 10)
                *at++ = (uint8_t)('0' + salt / unit % 10);
        } else {
            mr_bytes value = event->fields[part->field];

            memcpy(at, value.data, value.size);
            at += value.size;
        }
    }
    if (*base_bytes == SIZE_MAX)
        *base_bytes = (size_t)(at - out);
    return (mr_bytes){out, (size_t)(at - out)};
}
