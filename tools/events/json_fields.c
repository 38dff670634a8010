#include "events/wanted.h"

#include "base/json.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool mr_line_refuse(struct mr_line_reader *reader, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(reader->why, sizeof reader->why, format, arguments);
    va_end(arguments);
    return false;
}

static bool refuse_json(struct mr_line_reader *reader, const struct mr_json *json)
{
    return mr_line_refuse(reader, "not JSON: %s, at byte %zu", json->fault,
                          (size_t)(json->at - json->start) + 1);
}

/* What a value means: the text of a string, a number or a word as it stands, nothing of null. */
static bool set(struct mr_wanted *wanted, size_t index, struct mr_line_reader *reader,
                const struct mr_json_value *value)
{
    if (value->kind == MR_JSON_OBJECT || value->kind == MR_JSON_ARRAY)
        return mr_line_refuse(reader, "the field %s is no text and no number",
                              wanted->names[index]);
    if (value->kind == MR_JSON_NULL) {
        wanted->values[index] = (mr_bytes){NULL, 0};
    } else if (value->escaped) {
        uint8_t *text = mr_arena_reserve(reader->arena, value->raw.size);
        size_t size = mr_json_unescape(value, text);

        mr_arena_keep(reader->arena, size);
        wanted->values[index] = (mr_bytes){text, size};
    } else {
        wanted->values[index] = value->raw;
    }
    return true;
}

/* Sets those that lie in this member. */
static bool set_member(struct mr_wanted *wanted, struct mr_line_reader *reader,
                       const struct mr_json_value *name, const struct mr_json_value *value)
{
    for (size_t i = 0; i < wanted->count; i++) {
        const char *path = wanted->names[i] + (wanted->names[i][0] == '.');
        size_t size = strcspn(path, ".");
        struct mr_json_value inner;
        struct mr_json json;
        char first[64];

        if (name->escaped) {
            if (size >= sizeof first)
                continue;
            memcpy(first, path, size);
            first[size] = 0;
            if (!mr_json_is(name, first))
                continue;
        } else if (name->raw.size != size || memcmp(name->raw.data, path, size) != 0) {
            continue;
        }
        if (!path[size]) {
            if (!set(wanted, i, reader, value))
                return false;
            continue;
        }
        wanted->values[i] = (mr_bytes){NULL, 0};
        json = mr_json_of(value->raw);
        if (value->kind == MR_JSON_OBJECT && mr_json_find(&json, path + size + 1, &inner) &&
            !set(wanted, i, reader, &inner))
            return false;
    }
    return true;
}

bool mr_wanted_find_json(struct mr_wanted *wanted, struct mr_line_reader *reader, mr_bytes text)
{
    struct mr_json json = mr_json_of(text);
    struct mr_json_value name, value;

    memset(wanted->values, 0, sizeof wanted->values);
    if (!mr_json_enter(&json))
        return refuse_json(reader, &json);
    while (mr_json_next(&json, &name) && mr_json_take(&json, &value))
        if (!set_member(wanted, reader, &name, &value))
            return false;
    return mr_json_done(&json) || refuse_json(reader, &json);
}
