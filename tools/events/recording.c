/* The lines of recordings; the names of `tail -o json` are understood as well. */
#include "events/wanted.h"

#include "base/base64.h"
#include "base/endian.h"
#include "base/json.h"

#include <stdio.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

struct members {
    struct mr_json_value time, key, hash, data, base64;
};

static bool is_one_of(const struct mr_json_value *name, const char *text, const char *also)
{
    return mr_json_is(name, text) || mr_json_is(name, also);
}

static struct mr_json_value *member_of(struct members *members, const struct mr_json_value *name)
{
    return is_one_of(name, "key", "partition_key")        ? &members->key
           : is_one_of(name, "data", "data")              ? &members->data
           : is_one_of(name, "time", "arrival_time")      ? &members->time
           : is_one_of(name, "base64", "data_base64")     ? &members->base64
           : is_one_of(name, "hash", "explicit_hash_key") ? &members->hash
                                                          : NULL;
}

static bool read_members(struct members *members, struct mr_json *json)
{
    struct mr_json_value name, value;

    *members = (struct members){.time.kind = MR_JSON_FAULT};
    if (!mr_json_enter(json))
        return false;
    while (mr_json_next(json, &name) && mr_json_take(json, &value)) {
        struct mr_json_value *member = member_of(members, &name);

        if (member)
            *member = value;
    }
    return mr_json_done(json);
}

bool mr_recording_is(mr_bytes line)
{
    struct mr_json json = mr_json_of(line);
    struct members members;

    return read_members(&members, &json) && members.key.kind == MR_JSON_STRING &&
           (members.data.kind == MR_JSON_STRING || members.base64.kind == MR_JSON_STRING);
}

static mr_bytes meaning(struct mr_line_reader *reader, const struct mr_json_value *value)
{
    uint8_t *text;
    size_t size;

    if (!value->escaped)
        return value->raw;
    text = mr_arena_reserve(reader->arena, value->raw.size);
    size = mr_json_unescape(value, text);
    mr_arena_keep(reader->arena, size);
    return (mr_bytes){text, size};
}

static bool read_hash_key(struct mr_event *event, struct mr_line_reader *reader, mr_bytes number)
{
    char text[MR_HASH_KEY_TEXT_BYTES] = "";

    if (number.size < sizeof text)
        memcpy(text, number.data, number.size);
    event->has_hash_key = true;
    return !mr_hash_key_parse(text, &event->hash_key, NULL) ||
           mr_line_refuse(reader, "hash is no number below 2^128");
}

static bool read_data(struct mr_event *event, struct mr_line_reader *reader,
                      const struct members *members)
{
    mr_bytes digits;
    uint8_t *data;
    size_t size;

    if ((members->data.kind == MR_JSON_STRING) == (members->base64.kind == MR_JSON_STRING))
        return mr_line_refuse(reader, "needs either data or base64, a text");
    if (members->data.kind == MR_JSON_STRING) {
        event->data = meaning(reader, &members->data);
        return true;
    }
    digits = meaning(reader, &members->base64);
    data = mr_arena_reserve(reader->arena, digits.size);
    if (!mr_base64_decode(digits, data, &size))
        return mr_line_refuse(reader, "its base64 is none");
    mr_arena_keep(reader->arena, size);
    event->data = (mr_bytes){data, size};
    return true;
}

/* ---- lines as we write them ------------------------------------------------------------------ */

static inline bool take_text(const uint8_t **at, const uint8_t *end, const char *text, size_t size)
{
    if ((size_t)(end - *at) < size || memcmp(*at, text, size) != 0)
        return false;
    *at += size;
    return true;
}
#define TAKE(text) take_text(&at, end, text, sizeof text - 1)

#define BLOCK_BYTES 64
#define PART_BYTES 16

/* Bit i: byte i of a part does not mean itself. */
#ifdef __SSE2__
static inline uint64_t find_special_in_part(const uint8_t *part)
{
    __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)part);
    __m128i quote = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('"'));
    __m128i slash = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\'));
    __m128i odd = _mm_cmplt_epi8(bytes, _mm_set1_epi8(0x20)); /* and what is not ASCII */

    return (unsigned)_mm_movemask_epi8(_mm_or_si128(odd, _mm_or_si128(quote, slash)));
}
#else
static inline uint64_t find_special_in_part(const uint8_t *part)
{
    uint64_t found = 0;

    for (unsigned i = 0; i < PART_BYTES; i++)
        found |= (uint64_t)(part[i] == '"' || part[i] == '\\' || part[i] < 0x20 || part[i] >= 0x80)
                 << i;
    return found;
}
#endif

/* The same of a block. */
static inline uint64_t find_special(const uint8_t *block)
{
    return find_special_in_part(block) | find_special_in_part(block + PART_BYTES) << PART_BYTES |
           find_special_in_part(block + 2 * PART_BYTES) << 2 * PART_BYTES |
           find_special_in_part(block + 3 * PART_BYTES) << 3 * PART_BYTES;
}

/* Characters that mean themselves: found in the first bytes, or by looking on. */
static inline bool take_plain(const uint8_t **at, const uint8_t *end, uint64_t found,
                              mr_bytes *text)
{
    *text = (mr_bytes){*at, found ? (size_t)__builtin_ctzll(found)
                                  : mr_json_plain_bytes((mr_bytes){*at, (size_t)(end - *at)})};
    *at += text->size;
    return *at < end;
}

/* Keys mostly end in the first part, and data in the first block: so long a loop would guess. */
static inline bool take_key(const uint8_t **at, const uint8_t *end, mr_bytes *key)
{
    return take_plain(at, end, end - *at >= PART_BYTES ? find_special_in_part(*at) : 0, key);
}

/* What the letter behind a backslash means; 0: this is not the place to know. */
static const uint8_t meanings[256] = {
    ['"'] = '"', ['\\'] = '\\', ['/'] = '/', ['n'] = '\n', ['t'] = '\t', ['r'] = '\r'};

/*
 * The escaped characters of a block, and what is before them; *at ends behind the last. The work of one
 * does not wait for that of the one before, but for where it goes. False: there is a character that
 * this is not the place to know. *is_end: *at is the quote at the end.
 */
static inline bool unescape_block(const uint8_t **at, uint8_t **out, bool *is_end)
{
    const uint8_t *block = *at;
    uint64_t found = find_special(block);
    unsigned done = 0; /* bytes of the block */

    *is_end = false;
    while (found) {
        unsigned place = (unsigned)__builtin_ctzll(found);

        for (unsigned i = done; i < place; i += 16) /* mostly once */
            memcpy(*out + (i - done), block + i, 16);
        *out += place - done;
        done = place;
        *is_end = block[place] == '"';
        if (*is_end || place == BLOCK_BYTES - 1)
            break;
        if (block[place] != '\\' || !meanings[block[place + 1]])
            return false;
        *(*out)++ = meanings[block[place + 1]];
        done = place + 2;
        found &= done < BLOCK_BYTES ? UINT64_MAX << done : 0;
    }
    if (!found) {
        memcpy(*out, block + done, BLOCK_BYTES);
        *out += BLOCK_BYTES - done;
        done = BLOCK_BYTES;
    }
    *at += done;
    return true;
}

/* Text up to its quote, in one pass also where it is JSON itself and full of backslashes. */
static bool take_data(const uint8_t **at, const uint8_t *end, struct mr_line_reader *reader,
                      mr_bytes *data)
{
    const uint8_t *from = *at;
    bool is_end = false;
    uint8_t *start, *out;

    if (!take_plain(at, end, end - from >= BLOCK_BYTES ? find_special(from) : 0, data))
        return false;
    if (**at == '"')
        return true;
    start = out = mr_arena_reserve(reader->arena, (size_t)(end - from) + BLOCK_BYTES);
    while (!is_end && (size_t)(end - from) >= 2 * BLOCK_BYTES)
        if (!unescape_block(&from, &out, &is_end))
            return false;
    while (!is_end && from < end) { /* little is left of what was read */
        uint8_t byte = *from;

        is_end = byte == '"';
        if (is_end)
            break;
        if (byte == '\\')
            byte = ++from < end ? meanings[*from] : 0;
        else if (byte < 0x20 || byte >= 0x80)
            byte = 0;
        if (byte == 0)
            return false;
        *out++ = byte;
        from++;
    }
    *data = (mr_bytes){start, (size_t)(out - start)};
    mr_arena_keep(reader->arena, data->size);
    *at = from;
    return is_end;
}

/* Reads ":20.123Z", whose characters are as numbers 0 where they are as in ":00.000Z". */
static bool take_second(const uint8_t *text, int64_t *ms)
{
    uint8_t digits[8];
    uint64_t word = mr_load64(text) ^ mr_load64((const uint8_t *)":00.000Z");
    /* Added to a digit up to its highest, to a sign if it is right, this leaves each top bit clear. */
    const uint64_t room = mr_load64((const uint8_t *)"\x7f\x7a\x76\x7f\x76\x76\x76\x7f");

    memcpy(digits, &word, sizeof digits);
    *ms = digits[1] * 10000 + digits[2] * 1000 + digits[4] * 100 + digits[5] * 10 + digits[6];
    return !(((word + room) | word) & UINT64_C(0x8080808080808080));
}

static inline bool is_same_minute(const struct mr_line_reader *reader, const uint8_t *text)
{
    const uint8_t *minute = (const uint8_t *)reader->minute;

    return mr_load64(text) == mr_load64(minute) && mr_load64(text + 8) == mr_load64(minute + 8);
}

/* "2001-01-01T00:47:12.345Z"; the minute is that of the line before, mostly. */
static bool take_time(const uint8_t **at, const uint8_t *end, struct mr_line_reader *reader,
                      int64_t *time_ms)
{
    const uint8_t *text = *at;
    int64_t ms;

    if ((size_t)(end - text) < MR_EVENT_TIME_CHARS)
        return false;
    *at += MR_EVENT_TIME_CHARS;
    if (!take_second(text + MR_MINUTE_CHARS, &ms))
        return false;
    if (!is_same_minute(reader, text)) {
        if (text[10] != 'T' ||
            !mr_event_time_parse((mr_bytes){text, MR_EVENT_TIME_CHARS}, time_ms) || *time_ms < 0)
            return false;
        memcpy(reader->minute, text, MR_MINUTE_CHARS);
        reader->minute_ms = *time_ms - ms;
    }
    *time_ms = reader->minute_ms + ms;
    return true;
}

size_t mr_recording_take(struct mr_event *event, struct mr_line_reader *reader, mr_bytes text)
{
    const uint8_t *start = text.data, *at = start, *end = at + text.size;
    bool is_own = TAKE("{\"time\":\"") && take_time(&at, end, reader, &event->time_ms) &&
                  TAKE("\",\"key\":\"") && take_key(&at, end, &event->key) &&
                  TAKE("\",\"data\":\"") && take_data(&at, end, reader, &event->data) &&
                  TAKE("\"}\n");

    event->has_hash_key = false;
    return is_own && event->key.size > 0 && event->key.size <= MR_PARTITION_KEY_CHARS_MAX &&
                   event->key.size + event->data.size <= MR_RECORD_BYTES_MAX
               ? (size_t)(at - start)
               : 0;
}

/* ---- any lines ------------------------------------------------------------------------------- */

bool mr_recording_read(struct mr_event *event, struct mr_line_reader *reader, mr_bytes line)
{
    struct mr_json json = mr_json_of(line);
    struct members members;
    mr_bytes time;

    if (!read_members(&members, &json)) {
        if (json.fault)
            return mr_line_refuse(reader, "not JSON: %s, at byte %zu", json.fault,
                                  (size_t)(json.at - json.start) + 1);
        return mr_line_refuse(reader, "not JSON");
    }
    event->time_ms = MR_EVENT_NO_TIME;
    if (members.time.kind == MR_JSON_STRING || members.time.kind == MR_JSON_NUMBER) {
        time = meaning(reader, &members.time);
        if (!mr_event_time_parse(time, &event->time_ms))
            return mr_line_refuse(reader, "its time cannot be read: %.*s",
                                  (int)(time.size < 40 ? time.size : 40), (const char *)time.data);
    }
    if (members.key.kind != MR_JSON_STRING &&
        (members.key.kind > MR_JSON_NULL || members.hash.kind <= MR_JSON_NULL))
        return mr_line_refuse(reader, "needs a key, a text");
    event->key =
        members.key.kind == MR_JSON_STRING ? meaning(reader, &members.key) : (mr_bytes){"", 0};
    event->has_hash_key = false;
    if (members.hash.kind > MR_JSON_NULL && !read_hash_key(event, reader, members.hash.raw))
        return false;
    return read_data(event, reader, &members);
}

/* ---- writing ------------------------------------------------------------------------------ */

static void put_text(struct mr_pack *out, const char *text)
{
    mr_pack_bytes(out, (mr_bytes){text, strlen(text)});
}

/* A text between quotes, as JSON has it. */
static void put_string(struct mr_pack *out, mr_bytes utf8)
{
    static const char escaped[] = "\"\\\n\t\r", letters[] = "\"\\ntr";
    const uint8_t *at = utf8.data, *end = at ? at + utf8.size : at;

    mr_pack_u8(out, '"');
    while (at < end) {
        size_t size = mr_json_plain_bytes((mr_bytes){at, (size_t)(end - at)});

        while (at + size < end && at[size] >= 0x80)
            size++;
        mr_pack_bytes(out, (mr_bytes){at, size});
        at += size;
        if (at < end && *at < 0x80) {
            const char *found = memchr(escaped, *at, sizeof escaped - 1);
            char text[8] = {'\\', found ? letters[found - escaped] : 0};

            if (!found)
                snprintf(text, sizeof text, "\\u%04x", *at);
            put_text(out, text);
            at++;
        }
    }
    mr_pack_u8(out, '"');
}

void mr_event_write(struct mr_pack *out, const struct mr_event *event)
{
    put_text(out, "{");
    if (event->time_ms != MR_EVENT_NO_TIME) {
        put_text(out, "\"time\":\"");
        mr_event_time_format(event->time_ms, (char *)mr_pack_extend(out, MR_EVENT_TIME_CHARS));
        put_text(out, "\",");
    }
    put_text(out, "\"key\":");
    put_string(out, event->key);
    if (event->has_hash_key) {
        char number[MR_HASH_KEY_TEXT_BYTES];

        mr_hash_key_format(event->hash_key, number);
        put_text(out, ",\"hash\":\"");
        put_text(out, number);
        put_text(out, "\"");
    }
    if (mr_utf8_is_valid(event->data)) {
        put_text(out, ",\"data\":");
        put_string(out, event->data);
    } else {
        put_text(out, ",\"base64\":\"");
        mr_base64_encode(event->data,
                         (char *)mr_pack_extend(out, MR_BASE64_BYTES(event->data.size)));
        put_text(out, "\"");
    }
    put_text(out, "}\n");
}
