#include "put_line.h"

#include "base/base64.h"
#include "base/json.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static bool is_blank(mr_bytes line)
{
    const char *at = line.data;

    for (size_t i = 0; i < line.size; i++)
        if (at[i] != ' ' && at[i] != '\t' && at[i] != '\r' && at[i] != '\n')
            return false;
    return true;
}

static mr_bytes random_key(struct mr_put_rules *rules, uint8_t **scratch)
{
    uint64_t number = mr_random_next(&rules->random);
    uint8_t *start = *scratch;

    for (int i = 0; i < 16; i++, number >>= 4)
        *(*scratch)++ = (uint8_t) "0123456789abcdef"[number & 15];
    return (mr_bytes){start, 16};
}

/* Says why a line is bad. */
__attribute__((format(printf, 2, 3))) static bool refuse(struct mr_put_rules *rules,
                                                         const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(rules->why, sizeof rules->why, format, arguments);
    va_end(arguments);
    return false;
}

static bool refuse_json(struct mr_put_rules *rules, const struct mr_json *json)
{
    return refuse(rules, "not JSON: %s, at byte %zu", json->fault,
                  (size_t)(json->at - json->start) + 1);
}

/* What a string means; a number or a word as it stands. */
static mr_bytes meaning(const struct mr_json_value *value, uint8_t **scratch)
{
    uint8_t *start = *scratch;

    if (!value->escaped)
        return value->raw;
    *scratch += mr_json_unescape(value, start);
    return (mr_bytes){start, (size_t)(*scratch - start)};
}

static bool read_key_field(struct mr_put_rules *rules, mr_bytes line, uint8_t **scratch,
                           mr_put *put)
{
    struct mr_json json = mr_json_of(line);
    struct mr_json_value value;

    if (!mr_json_find(&json, rules->key_field, &value))
        return json.fault ? refuse_json(rules, &json)
                          : refuse(rules, "has no field %s", rules->key_field);
    if (value.kind == MR_JSON_OBJECT || value.kind == MR_JSON_ARRAY)
        return refuse(rules, "the field %s is no text and no number", rules->key_field);
    put->partition_key = meaning(&value, scratch);
    return true;
}

static bool read_separated(struct mr_put_rules *rules, mr_bytes line, mr_put *put)
{
    size_t size = strlen(rules->key_separator);
    const uint8_t *start = line.data;
    const uint8_t *found = memmem(start, line.size, rules->key_separator, size);

    if (!found)
        return refuse(rules, "has no separator '%s'", rules->key_separator);
    put->partition_key = (mr_bytes){start, (size_t)(found - start)};
    put->data = (mr_bytes){found + size, line.size - put->partition_key.size - size};
    return true;
}

/* The members of our own JSON lines that matter to put. */
struct members {
    struct mr_json_value key, hash_key, data, base64;
};

static bool read_members(struct mr_put_rules *rules, struct mr_json *json, struct members *members)
{
    struct mr_json_value name, value;

    if (!mr_json_enter(json))
        return refuse_json(rules, json);
    while (mr_json_next(json, &name) && mr_json_take(json, &value)) {
        struct mr_json_value *member = mr_json_is(&name, "partition_key")       ? &members->key
                                       : mr_json_is(&name, "explicit_hash_key") ? &members->hash_key
                                       : mr_json_is(&name, "data")              ? &members->data
                                       : mr_json_is(&name, "data_base64")       ? &members->base64
                                                                                : NULL;
        if (!member)
            continue;
        if (value.kind != MR_JSON_STRING)
            return refuse(rules, "partition_key, explicit_hash_key and data are strings");
        *member = value;
    }
    return mr_json_done(json) || refuse_json(rules, json);
}

static bool read_hash_key(struct mr_put_rules *rules, mr_bytes number, mr_hash_key *hash_key)
{
    char text[MR_HASH_KEY_TEXT_BYTES] = "";

    if (number.size < sizeof text)
        memcpy(text, number.data, number.size);
    return !mr_hash_key_parse(text, hash_key, NULL) ||
           refuse(rules, "explicit_hash_key is no number below 2^128");
}

static bool read_json(struct mr_put_rules *rules, mr_bytes line, uint8_t **scratch, mr_put *put,
                      mr_hash_key *hash_key)
{
    struct mr_json json = mr_json_of(line);
    struct members members = {.key.kind = MR_JSON_FAULT};
    size_t size;

    if (!read_members(rules, &json, &members))
        return false;
    if ((members.data.kind == MR_JSON_STRING) == (members.base64.kind == MR_JSON_STRING))
        return refuse(rules, "needs either data or data_base64");
    put->data = meaning(members.data.kind ? &members.data : &members.base64, scratch);
    if (members.base64.kind) {
        if (!mr_base64_decode(put->data, *scratch, &size))
            return refuse(rules, "data_base64 is not base64");
        put->data = (mr_bytes){*scratch, size};
        *scratch += size;
    }
    if (members.key.kind)
        put->partition_key = meaning(&members.key, scratch);
    if (members.hash_key.kind) {
        put->explicit_hash_key = hash_key;
        return read_hash_key(rules, members.hash_key.raw, hash_key);
    }
    return true;
}

/* What the engine would refuse, told apart. */
static bool is_allowed(struct mr_put_rules *rules, const mr_put *put)
{
    const uint8_t *key = put->partition_key.data;
    size_t size = put->partition_key.size, character_count = 0;

    if (size == 0 && !put->explicit_hash_key)
        return refuse(rules, "the partition key is empty");
    if (!mr_utf8_is_valid(put->partition_key))
        return refuse(rules, "the partition key is not UTF-8");
    for (size_t i = 0; size > MR_PARTITION_KEY_CHARS_MAX && i < size; i++)
        character_count += (key[i] & 0xc0) != 0x80;
    if (character_count > MR_PARTITION_KEY_CHARS_MAX)
        return refuse(rules, "the partition key has %zu characters: 256 is the most",
                      character_count);
    if (size + put->data.size > MR_RECORD_BYTES_MAX)
        return refuse(rules, "the record has %zu bytes: 10 MiB is the most", size + put->data.size);
    return true;
}

enum mr_put_line mr_put_line_read(struct mr_put_rules *rules, mr_bytes line, uint8_t **scratch,
                                  mr_put *put, mr_hash_key *hash_key)
{
    bool structured = rules->json || rules->key_field || rules->key_separator, good = true;

    *put = (mr_put){.data = line};
    if (structured && is_blank(line))
        return MR_PUT_LINE_BLANK;
    if (rules->json)
        good = read_json(rules, line, scratch, put, hash_key);
    else if (rules->key_field)
        good = read_key_field(rules, line, scratch, put);
    else if (rules->key_separator)
        good = read_separated(rules, line, put);
    else if (rules->key)
        put->partition_key = (mr_bytes){rules->key, strlen(rules->key)};
    if (good && rules->has_hash_key) {
        *hash_key = rules->hash_key;
        put->explicit_hash_key = hash_key;
    }
    if (good && !put->partition_key.data && !put->explicit_hash_key)
        put->partition_key = random_key(rules, scratch);
    return good && is_allowed(rules, put) ? MR_PUT_LINE_GOOD : MR_PUT_LINE_BAD;
}
