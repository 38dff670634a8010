#include "base/json.h"

#include "base/base64.h"
#include "base/endian.h"

#include <string.h>

struct mr_json mr_json_of(mr_bytes text)
{
    const uint8_t *start = text.data ? text.data : (const uint8_t *)"";
    return (struct mr_json){.start = start, .at = start, .end = start + text.size};
}

static bool fail(struct mr_json *json, const char *fault)
{
    if (!json->fault)
        json->fault = fault;
    return false;
}

static inline bool is_space(uint8_t byte)
{
    return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r';
}

/* The next byte that is not white space, not taken; 0 at the end. */
static inline uint8_t peek(struct mr_json *json)
{
    while (json->at < json->end && is_space(*json->at))
        json->at++;
    return json->at < json->end ? *json->at : 0;
}

/* Bytes of one well-formed UTF-8 sequence of more than one byte, or 0 (Unicode, table 3-7). */
static size_t utf8_bytes(const uint8_t *at, const uint8_t *end)
{
    size_t size = at[0] >= 0xf0 ? 4 : at[0] >= 0xe0 ? 3 : 2;
    uint8_t low = 0x80, high = 0xbf;

    if (at[0] < 0xc2 || at[0] > 0xf4 || (size_t)(end - at) < size)
        return 0;
    if (at[0] == 0xe0)
        low = 0xa0;
    else if (at[0] == 0xed)
        high = 0x9f;
    else if (at[0] == 0xf0)
        low = 0x90;
    else if (at[0] == 0xf4)
        high = 0x8f;
    if (at[1] < low || at[1] > high)
        return 0;
    for (size_t i = 2; i < size; i++)
        if (at[i] < 0x80 || at[i] > 0xbf)
            return 0;
    return size;
}

bool mr_utf8_is_valid(mr_bytes text)
{
    const uint8_t *at = text.data, *end = at ? at + text.size : at;

    while (at < end) {
        size_t size = 1;

        if (end - at >= 8 && !(mr_load64(at) & 0x8080808080808080u))
            size = 8;
        else if (*at >= 0x80)
            size = utf8_bytes(at, end);
        if (!size)
            return false;
        at += size;
    }
    return true;
}

/* plain_bytes() counts those before the first that is a quote, a backslash, a control character or
 * not ASCII. */
static inline bool is_plain(uint8_t byte)
{
    return byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\';
}

#if defined(__x86_64__)
#include <immintrin.h>

/* Whole blocks of 32. */
__attribute__((target("avx2"))) static size_t plain_blocks(const uint8_t *at, const uint8_t *end)
{
    const uint8_t *start = at;

    for (; end - at >= 32; at += 32) {
        __m256i bytes = _mm256_loadu_si256((const __m256i *)(const void *)at);
        __m256i quote = _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8('"'));
        __m256i slash = _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8('\\'));
        /* Control characters, and as negative numbers all that is not ASCII. */
        __m256i odd = _mm256_cmpgt_epi8(_mm256_set1_epi8(0x20), bytes);

        if (_mm256_movemask_epi8(_mm256_or_si256(odd, _mm256_or_si256(quote, slash))))
            break;
    }
    return (size_t)(at - start);
}

static inline size_t plain_bytes(const uint8_t *at, const uint8_t *end)
{
    const uint8_t *start = at;

    for (; end - at >= 16; at += 16) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)at);
        __m128i quote = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('"'));
        __m128i slash = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\'));
        __m128i odd = _mm_cmplt_epi8(bytes, _mm_set1_epi8(0x20));
        int found = _mm_movemask_epi8(_mm_or_si128(odd, _mm_or_si128(quote, slash)));

        if (found)
            return (size_t)(at - start) + (size_t)__builtin_ctz((unsigned)found);
        if (at - start == 48 && __builtin_cpu_supports("avx2")) /* most strings are shorter */
            at += plain_blocks(at + 16, end);
    }
    while (at < end && is_plain(*at))
        at++;
    return (size_t)(at - start);
}

#else

/* Eight at a time: each term sets a byte's high bit where it finds one; what a borrow sets falsely
 * lies above the first, and is not looked at. */
static inline size_t plain_bytes(const uint8_t *at, const uint8_t *end)
{
    const uint64_t ones = 0x0101010101010101u;
    const uint8_t *start = at;

    for (; end - at >= 8; at += 8) {
        uint64_t word = mr_load64(at), quote = word ^ ('"' * ones), slash = word ^ ('\\' * ones);
        uint64_t found = ((quote - ones) & ~quote) | ((slash - ones) & ~slash) |
                         ((word - 0x20 * ones) & ~word) | word;

        found &= ones << 7;
        if (found)
            return (size_t)(at - start) + (size_t)__builtin_ctzll(found) / 8;
    }
    while (at < end && is_plain(*at))
        at++;
    return (size_t)(at - start);
}

#endif

size_t mr_json_plain_bytes(mr_bytes text)
{
    const uint8_t *start = text.data;
    return start ? plain_bytes(start, start + text.size) : 0;
}

static int hex_value(uint8_t digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    digit |= 0x20;
    return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

/* Four hexadecimal digits, or -1. */
static int32_t hex4(const uint8_t *at, const uint8_t *end)
{
    int32_t value = 0;

    if (end - at < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        int digit = hex_value(at[i]);
        if (digit < 0)
            return -1;
        value = value << 4 | digit;
    }
    return value;
}

/* The character of an escape at the backslash, and its size; 0 if it is none. A surrogate must
 * have its other half. */
static size_t escape(const uint8_t *at, const uint8_t *end, uint32_t *character)
{
    static const char letters[] = "\"\\/bfnrt", means[] = "\"\\/\b\f\n\r\t";
    const char *letter;
    int32_t unit, low;

    if (end - at < 2)
        return 0;
    letter = memchr(letters, at[1], sizeof letters - 1);
    if (letter) {
        *character = (uint8_t)means[letter - letters];
        return 2;
    }
    unit = at[1] == 'u' ? hex4(at + 2, end) : -1;
    if (unit < 0 || (unit >= 0xdc00 && unit <= 0xdfff))
        return 0;
    *character = (uint32_t)unit;
    if (unit < 0xd800 || unit > 0xdfff)
        return 6;
    low = end - at >= 12 && at[6] == '\\' && at[7] == 'u' ? hex4(at + 8, end) : -1;
    if (low < 0xdc00 || low > 0xdfff)
        return 0;
    *character = 0x10000 + ((uint32_t)(unit - 0xd800) << 10) + (uint32_t)(low - 0xdc00);
    return 12;
}

/* A string, standing at its quote. */
static bool take_string(struct mr_json *json, struct mr_json_value *value)
{
    const uint8_t *start = ++json->at;
    uint32_t character;
    size_t size;

    value->kind = MR_JSON_STRING;
    value->escaped = false;
    for (;;) {
        json->at += plain_bytes(json->at, json->end);
        if (json->at == json->end)
            return fail(json, "a string without its end");
        if (*json->at == '"')
            break;
        if (*json->at == '\\') {
            value->escaped = true;
            size = escape(json->at, json->end, &character);
            if (!size)
                return fail(json, "an unknown escape in a string");
        } else if (*json->at < 0x20) {
            return fail(json, "a control character in a string");
        } else {
            size = utf8_bytes(json->at, json->end);
            if (!size)
                return fail(json, "a string that is not UTF-8");
        }
        json->at += size;
    }
    value->raw = (mr_bytes){start, (size_t)(json->at - start)};
    json->at++;
    return true;
}

static bool take_digits(struct mr_json *json)
{
    const uint8_t *start = json->at;

    while (json->at < json->end && *json->at >= '0' && *json->at <= '9')
        json->at++;
    return json->at > start || fail(json, "a number without digits");
}

static bool take_number(struct mr_json *json, struct mr_json_value *value)
{
    const uint8_t *start = json->at;

    value->kind = MR_JSON_NUMBER;
    if (*json->at == '-')
        json->at++;
    if (json->at < json->end && *json->at == '0')
        json->at++;
    else if (!take_digits(json))
        return false;
    if (json->at < json->end && *json->at == '.') {
        json->at++;
        if (!take_digits(json))
            return false;
    }
    if (json->at < json->end && (*json->at | 0x20) == 'e') {
        json->at++;
        if (json->at < json->end && (*json->at == '+' || *json->at == '-'))
            json->at++;
        if (!take_digits(json))
            return false;
    }
    value->raw = (mr_bytes){start, (size_t)(json->at - start)};
    return true;
}

static bool take_word(struct mr_json *json, const char *word, enum mr_json_kind kind,
                      struct mr_json_value *value)
{
    size_t size = strlen(word);

    if ((size_t)(json->end - json->at) < size || memcmp(json->at, word, size) != 0)
        return fail(json, "an unknown word");
    value->kind = kind;
    value->raw = (mr_bytes){json->at, size};
    json->at += size;
    return true;
}

/* A value that is no array or object. */
static bool take_scalar(struct mr_json *json, struct mr_json_value *value)
{
    uint8_t byte = peek(json);

    value->escaped = false;
    if (byte == '-' || (byte >= '0' && byte <= '9'))
        return take_number(json, value);
    switch (byte) {
    case '"':
        return take_string(json, value);
    case 't':
        return take_word(json, "true", MR_JSON_BOOL, value);
    case 'f':
        return take_word(json, "false", MR_JSON_BOOL, value);
    case 'n':
        return take_word(json, "null", MR_JSON_NULL, value);
    default:
        return fail(json, json->at == json->end ? "the end where a value should be"
                                                : "something that is no value");
    }
}

enum mr_json_kind mr_json_kind_next(struct mr_json *json)
{
    if (json->fault)
        return MR_JSON_FAULT;
    switch (peek(json)) {
    case '{':
        return MR_JSON_OBJECT;
    case '[':
        return MR_JSON_ARRAY;
    case '"':
        return MR_JSON_STRING;
    case 't':
    case 'f':
        return MR_JSON_BOOL;
    case 'n':
        return MR_JSON_NULL;
    default:
        return MR_JSON_NUMBER;
    }
}

static bool enter(struct mr_json *json, uint8_t bracket, const char *fault)
{
    if (json->fault)
        return false;
    if (peek(json) != bracket)
        return fail(json, fault);
    if (json->depth == MR_JSON_DEPTH_MAX)
        return fail(json, "too many brackets inside each other");
    json->at++;
    json->depth++;
    json->fresh = true;
    return true;
}

bool mr_json_enter(struct mr_json *json)
{
    return enter(json, '{', "no object where one should be");
}

bool mr_json_enter_array(struct mr_json *json)
{
    return enter(json, '[', "no array where one should be");
}

static bool take_name(struct mr_json *json, struct mr_json_value *name)
{
    if (peek(json) != '"')
        return fail(json, "a member without a name in quotes");
    if (!take_string(json, name))
        return false;
    if (peek(json) != ':')
        return fail(json, "a name without a colon");
    json->at++;
    return true;
}

/* Steps over what stands before an item of the brackets we are in: true when an item follows. */
static inline bool item_follows(struct mr_json *json, uint8_t closing)
{
    uint8_t byte = peek(json);
    bool fresh = json->fresh;

    json->fresh = false;
    if (byte == closing) {
        json->at++;
        json->depth--;
        return false;
    }
    if (fresh)
        return true;
    if (byte != ',')
        return fail(json, json->at == json->end ? "the end inside brackets" : "a missing comma");
    json->at++;
    return true;
}

bool mr_json_next(struct mr_json *json, struct mr_json_value *name)
{
    return !json->fault && item_follows(json, '}') && take_name(json, name);
}

bool mr_json_next_item(struct mr_json *json)
{
    return !json->fault && item_follows(json, ']');
}

/* Walks through the brackets at `at` and all inside them, without recursion. */
static bool take_brackets(struct mr_json *json)
{
    uint8_t closing[MR_JSON_DEPTH_MAX + 1];
    unsigned floor = json->depth;
    struct mr_json_value ignored;

    do {
        uint8_t byte = peek(json);

        if (byte == '{' || byte == '[') {
            if (json->depth == MR_JSON_DEPTH_MAX)
                return fail(json, "too many brackets inside each other");
            closing[++json->depth] = byte == '{' ? '}' : ']';
            json->at++;
            json->fresh = true;
        } else if (!take_scalar(json, &ignored)) {
            return false;
        }
        while (json->depth > floor && !item_follows(json, closing[json->depth]))
            if (json->fault)
                return false;
        if (json->depth > floor && closing[json->depth] == '}' && !take_name(json, &ignored))
            return false;
    } while (json->depth > floor);
    return true;
}

bool mr_json_take(struct mr_json *json, struct mr_json_value *value)
{
    uint8_t byte;
    const uint8_t *start;

    if (json->fault)
        return false;
    byte = peek(json);
    if (byte != '{' && byte != '[')
        return take_scalar(json, value);
    start = json->at;
    value->kind = byte == '{' ? MR_JSON_OBJECT : MR_JSON_ARRAY;
    value->escaped = false;
    if (!take_brackets(json))
        return false;
    value->raw = (mr_bytes){start, (size_t)(json->at - start)};
    return true;
}

bool mr_json_take_base64(struct mr_json *json, uint8_t *out, size_t *size)
{
    const uint8_t *start, *at;
    size_t digits, last;

    if (json->fault || peek(json) != '"')
        return false;
    start = json->at + 1;
    digits = mr_base64_decode_digits((mr_bytes){start, (size_t)(json->end - start)}, out);
    at = start + digits;
    *size = digits / 4 * 3;
    if (at < json->end && *at != '"') {
        if (json->end - at < 5 || at[4] != '"' ||
            !mr_base64_decode((mr_bytes){at, 4}, out + *size, &last))
            return false;
        *size += last;
        at += 4;
    }
    if (at == json->end)
        return false;
    json->at = at + 1;
    return true;
}

size_t mr_json_left(const struct mr_json *json)
{
    return (size_t)(json->end - json->at);
}

bool mr_json_done(struct mr_json *json)
{
    if (json->fault)
        return false;
    peek(json);
    return json->at == json->end || fail(json, "something behind the end");
}

/* Writes one character as UTF-8. */
static uint8_t *utf8_write(uint8_t *out, uint32_t character)
{
    if (character < 0x80) {
        *out++ = (uint8_t)character;
        return out;
    }
    if (character < 0x800) {
        *out++ = (uint8_t)(0xc0 | character >> 6);
    } else {
        if (character < 0x10000) {
            *out++ = (uint8_t)(0xe0 | character >> 12);
        } else {
            *out++ = (uint8_t)(0xf0 | character >> 18);
            *out++ = (uint8_t)(0x80 | (character >> 12 & 0x3f));
        }
        *out++ = (uint8_t)(0x80 | (character >> 6 & 0x3f));
    }
    *out++ = (uint8_t)(0x80 | (character & 0x3f));
    return out;
}

size_t mr_json_unescape(const struct mr_json_value *value, uint8_t *out)
{
    const uint8_t *at = value->raw.data, *end = at + value->raw.size;
    uint8_t *start = out;

    while (at < end) {
        const uint8_t *slash = memchr(at, '\\', (size_t)(end - at));
        size_t plain = (size_t)((slash ? slash : end) - at);
        uint32_t character = 0;

        memcpy(out, at, plain);
        out += plain;
        at += plain;
        if (slash) {
            at += escape(at, end, &character);
            out = utf8_write(out, character);
        }
    }
    return (size_t)(out - start);
}

/* The same for a text that need not end with a NUL. */
static bool is_text(const struct mr_json_value *value, const char *text, size_t size)
{
    uint8_t buffer[256];

    if (!value->escaped)
        return value->raw.size == size && memcmp(value->raw.data, text, size) == 0;
    return value->raw.size <= sizeof buffer && mr_json_unescape(value, buffer) == size &&
           memcmp(buffer, text, size) == 0;
}

bool mr_json_is(const struct mr_json_value *value, const char *text)
{
    return is_text(value, text, strlen(text));
}

/* Walks the object that comes. Sets *value if the path leads to one. */
static bool find(struct mr_json *json, const char *path, struct mr_json_value *value)
{
    size_t size = strcspn(path, ".");
    struct mr_json_value name;

    if (!mr_json_enter(json))
        return false;
    while (mr_json_next(json, &name)) {
        bool here = is_text(&name, path, size);

        if (here)
            *value = (struct mr_json_value){.kind = MR_JSON_NULL};
        if (here && path[size] && peek(json) == '{') {
            if (!find(json, path + size + 1, value))
                return false;
        } else if (here && !path[size]) {
            if (!mr_json_take(json, value))
                return false;
        } else {
            struct mr_json_value ignored;
            if (!mr_json_take(json, &ignored))
                return false;
        }
    }
    return !json->fault;
}

bool mr_json_find(struct mr_json *json, const char *path, struct mr_json_value *value)
{
    *value = (struct mr_json_value){.kind = MR_JSON_NULL};
    if (!find(json, *path == '.' ? path + 1 : path, value) || !mr_json_done(json)) {
        value->kind = MR_JSON_FAULT;
        return false;
    }
    return value->kind != MR_JSON_NULL;
}
