#include "base/base64.h"
#include "wire/in.h"

#include <string.h>

/* ---- numbers ------------------------------------------------------------------------------ */

/* A decimal number times 10^scale, rounded down and clamped; no floating point, so nothing is lost.
 * text is a number by JSON's grammar. */
static int64_t scaled(mr_bytes text, int64_t scale)
{
    const uint8_t *at = text.data, *end = at + text.size;
    bool is_negative = *at == '-', is_fraction = false, is_exact = true;
    uint64_t digits = 0;
    int64_t power = scale, exponent = 0;

    for (at += is_negative; at < end && (*at | 0x20) != 'e'; at++) {
        if (*at == '.') {
            is_fraction = true;
        } else if (digits <= (UINT64_MAX - 9) / 10) {
            digits = digits * 10 + (*at - '0');
            power -= is_fraction;
        } else {
            is_exact &= *at == '0';
            power += !is_fraction;
        }
    }
    if (at < end) {
        bool is_small = *++at == '-';

        for (at += *at == '-' || *at == '+'; at < end; at++)
            if (exponent < 1000000000)
                exponent = exponent * 10 + (*at - '0');
        power += is_small ? -exponent : exponent;
    }
    for (; power > 0 && digits > 0 && digits <= INT64_MAX; power--)
        digits = digits > INT64_MAX / 10 ? UINT64_MAX : digits * 10;
    for (; power < 0 && digits > 0; power++) {
        is_exact &= digits % 10 == 0;
        digits /= 10;
    }
    is_exact &= power >= 0 || digits == 0; /* of 0 all powers are 0 */
    if (digits > INT64_MAX)
        return is_negative ? INT64_MIN : INT64_MAX;
    return is_negative ? -(int64_t)digits - !is_exact : (int64_t)digits;
}

static bool number(struct mr_in *in, int64_t *value, int64_t scale)
{
    struct mr_json_value taken;

    if (!mr_json_take(&in->json, &taken))
        return false;
    *value = scaled(taken.raw, scale);
    return true;
}

static bool json_number(struct mr_in *in, int64_t *value)
{
    return number(in, value, 0);
}

static bool json_time_ms(struct mr_in *in, int64_t *value)
{
    return number(in, value, 3);
}

/* ---- texts -------------------------------------------------------------------------------- */

static mr_bytes text_of(struct mr_in *in, const struct mr_json_value *value)
{
    uint8_t *text;
    size_t size;

    if (!value->escaped)
        return value->raw;
    text = mr_arena_reserve(in->arena, value->raw.size);
    size = mr_json_unescape(value, text);
    mr_arena_keep(in->arena, size);
    return (mr_bytes){text, size};
}

static bool json_text(struct mr_in *in, mr_bytes *text)
{
    struct mr_json_value taken;

    if (!mr_json_take(&in->json, &taken))
        return false;
    *text = text_of(in, &taken);
    return true;
}

/* ---- blobs -------------------------------------------------------------------------------- */

#define TEXT_BYTES_MAX 2048 /* of a blob's text in a message */

static bool is_digit(uint8_t byte)
{
    return (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z') ||
           (byte >= '0' && byte <= '9') || byte == '+' || byte == '/';
}

/* Why a text is no base64, in Kinesis's words. */
static mr_bytes why_wrong(struct mr_in *in, mr_bytes text)
{
    const uint8_t *at = text.data;
    int shown = (int)(text.size < TEXT_BYTES_MAX ? text.size : TEXT_BYTES_MAX);

    if (text.size % 4 != 0)
        return mr_arena_print(in->arena,
                              "'%.*s' can not be converted to a Blob: Base64 encoded length is "
                              "expected a multiple of 4 bytes but found: %zu",
                              shown, (const char *)at, text.size);
    for (size_t i = 0; i < text.size; i++) {
        bool is_padding = at[i] == '=' && (i + 1 == text.size || at[i + 1] == '=');
        size_t size = 1;

        if (is_digit(at[i]) || is_padding)
            continue;
        while (i + size < text.size && (at[i + size] & 0xc0) == 0x80)
            size++; /* the whole character */
        return mr_arena_print(in->arena,
                              "'%.*s' can not be converted to a Blob: Invalid Base64 character: "
                              "'%.*s'",
                              shown, (const char *)at, (int)size, (const char *)at + i);
    }
    return mr_arena_print(in->arena,
                          "'%.*s' can not be converted to a Blob: Invalid last non-pad Base64 "
                          "character dectected",
                          shown, (const char *)at);
}

/* Room for the bytes of the next blob, and for those after it, so that seldom more is needed. */
static uint8_t *reserve_blob(struct mr_in *in)
{
    size_t rest = mr_json_left(&in->json) / 4 * 3;

    if ((size_t)(in->arena->end - in->arena->at) >= rest)
        return in->arena->at;
    return mr_arena_reserve(in->arena, rest + rest / 4 + 4096);
}

static bool json_blob(struct mr_in *in, mr_bytes *bytes, mr_bytes *wrong)
{
    uint8_t *out = reserve_blob(in);
    struct mr_json_value taken;
    mr_bytes text;
    size_t size;

    if (mr_json_take_base64(&in->json, out, &size)) {
        mr_arena_keep(in->arena, size);
        *bytes = (mr_bytes){out, size};
        return true;
    }
    if (!mr_json_take(&in->json, &taken))
        return false;
    text = text_of(in, &taken);
    out = mr_arena_take(in->arena, text.size / 4 * 3);
    if (mr_base64_decode(text, out, &size))
        *bytes = (mr_bytes){out, size};
    else
        *wrong = why_wrong(in, text);
    return true;
}

/* ---- the rest ----------------------------------------------------------------------------- */

static enum mr_in_kind json_kind(struct mr_in *in)
{
    static const enum mr_in_kind kinds[] = {
        [MR_JSON_FAULT] = MR_IN_FAULT, [MR_JSON_NULL] = MR_IN_NULL,
        [MR_JSON_BOOL] = MR_IN_BOOL,   [MR_JSON_NUMBER] = MR_IN_NUMBER,
        [MR_JSON_STRING] = MR_IN_TEXT, [MR_JSON_ARRAY] = MR_IN_LIST,
        [MR_JSON_OBJECT] = MR_IN_MAP,
    };

    return kinds[mr_json_kind_next(&in->json)];
}

static bool json_truth(struct mr_in *in, int64_t *value)
{
    struct mr_json_value taken;

    if (!mr_json_take(&in->json, &taken))
        return false;
    *value = taken.raw.size == 4; /* true */
    return true;
}

static bool json_enter(struct mr_in *in)
{
    return mr_json_kind_next(&in->json) == MR_JSON_ARRAY ? mr_json_enter_array(&in->json)
                                                         : mr_json_enter(&in->json);
}

static bool json_next(struct mr_in *in, mr_bytes *key)
{
    struct mr_json_value name;

    if (!key)
        return mr_json_next_item(&in->json);
    if (!mr_json_next(&in->json, &name))
        return false;
    *key = text_of(in, &name);
    return true;
}

static bool json_skip(struct mr_in *in)
{
    struct mr_json_value taken;

    return mr_json_take(&in->json, &taken);
}

static bool json_done(struct mr_in *in)
{
    return mr_json_done(&in->json);
}

const struct mr_in_format mr_in_json = {json_kind, json_truth, json_number, json_time_ms,
                                        json_text, json_blob,  json_enter,  json_next,
                                        json_skip, json_done};
