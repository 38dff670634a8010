#include "base/cbor.h"

#include "base/utf8.h"

#include <string.h>

#define INDEFINITE UINT64_MAX
#define BREAK 0xff

/* The first three bits of a head. */
enum major { UNSIGNED, NEGATIVE, BYTES, TEXT, ARRAY, MAP, TAG, SIMPLE };

struct mr_cbor mr_cbor_of(mr_bytes in)
{
    const uint8_t *start = in.data ? in.data : (const uint8_t *)"";

    return (struct mr_cbor){.at = start, .end = start + in.size};
}

static bool fail(struct mr_cbor *cbor)
{
    cbor->is_fault = true;
    return false;
}

static size_t left(const struct mr_cbor *cbor)
{
    return (size_t)(cbor->end - cbor->at);
}

static unsigned major_of(const struct mr_cbor *cbor)
{
    return *cbor->at >> 5;
}

/* The head of an item and its argument; of an indefinite length: INDEFINITE. */
static bool take_head(struct mr_cbor *cbor, uint64_t *argument)
{
    unsigned more = *cbor->at & 31, size;

    if (more < 24) {
        *argument = more;
        cbor->at++;
        return true;
    }
    if (more == 31 && major_of(cbor) >= BYTES && major_of(cbor) <= MAP) {
        *argument = INDEFINITE;
        cbor->at++;
        return true;
    }
    size = more < 28 ? 1u << (more - 24) : 0;
    if (size == 0 || left(cbor) - 1 < size)
        return fail(cbor);
    *argument = 0;
    for (cbor->at++; size > 0; size--)
        *argument = *argument << 8 | *cbor->at++;
    return *argument != INDEFINITE || fail(cbor); /* no length or number that we take */
}

static enum mr_cbor_kind simple_kind(uint8_t head)
{
    switch (head & 31) {
    case 20:
    case 21:
        return MR_CBOR_BOOL;
    case 22:
    case 23:
        return MR_CBOR_NULL;
    case 25:
    case 26:
    case 27:
        return MR_CBOR_FLOAT;
    default:
        return MR_CBOR_FAULT;
    }
}

enum mr_cbor_kind mr_cbor_kind_next(struct mr_cbor *cbor)
{
    static const enum mr_cbor_kind kinds[] = {
        [UNSIGNED] = MR_CBOR_INTEGER, [NEGATIVE] = MR_CBOR_INTEGER, [BYTES] = MR_CBOR_BYTES,
        [TEXT] = MR_CBOR_TEXT,        [ARRAY] = MR_CBOR_ARRAY,      [MAP] = MR_CBOR_MAP,
    };
    enum mr_cbor_kind kind;
    uint64_t tag;

    while (!cbor->is_fault && left(cbor) > 0 && major_of(cbor) == TAG)
        take_head(cbor, &tag);
    if (cbor->is_fault || left(cbor) == 0) {
        cbor->is_fault = true;
        return MR_CBOR_FAULT;
    }
    kind = major_of(cbor) == SIMPLE ? simple_kind(*cbor->at) : kinds[major_of(cbor)];
    if (kind == MR_CBOR_FAULT)
        cbor->is_fault = true;
    return kind;
}

/* The next value is of this kind, or that is a fault. */
static bool expect(struct mr_cbor *cbor, enum mr_cbor_kind kind)
{
    return mr_cbor_kind_next(cbor) == kind || fail(cbor);
}

bool mr_cbor_null(struct mr_cbor *cbor)
{
    if (!expect(cbor, MR_CBOR_NULL))
        return false;
    cbor->at++;
    return true;
}

bool mr_cbor_bool(struct mr_cbor *cbor, bool *value)
{
    if (!expect(cbor, MR_CBOR_BOOL))
        return false;
    *value = (*cbor->at++ & 31) == 21;
    return true;
}

bool mr_cbor_integer(struct mr_cbor *cbor, int64_t *value)
{
    bool is_negative;
    uint64_t argument;

    if (!expect(cbor, MR_CBOR_INTEGER))
        return false;
    is_negative = major_of(cbor) == NEGATIVE;
    if (!take_head(cbor, &argument))
        return false;
    if (argument > INT64_MAX)
        argument = INT64_MAX;
    *value = is_negative ? -1 - (int64_t)argument : (int64_t)argument;
    return true;
}

static double double_of(uint64_t bits)
{
    double value;

    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Half precision: 1 bit sign, 5 exponent, 10 mantissa. */
static double half_value(uint64_t bits)
{
    uint64_t sign = bits >> 15, exponent = bits >> 10 & 31, mantissa = bits & 1023;

    if (exponent == 0)
        return (sign ? -0x1p-24 : 0x1p-24) * (double)mantissa;
    exponent = exponent == 31 ? 2047 : exponent - 15 + 1023;
    return double_of(sign << 63 | exponent << 52 | mantissa << 42);
}

bool mr_cbor_float(struct mr_cbor *cbor, double *value)
{
    unsigned width;
    uint64_t bits = 0;
    uint32_t bits32;
    float single;

    if (!expect(cbor, MR_CBOR_FLOAT))
        return false;
    width = *cbor->at & 31;
    if (left(cbor) < 1 + (1u << (width - 24)))
        return fail(cbor);
    cbor->at++;
    for (unsigned size = 1u << (width - 24); size > 0; size--)
        bits = bits << 8 | *cbor->at++;
    if (width == 25) {
        *value = half_value(bits);
    } else if (width == 26) {
        bits32 = (uint32_t)bits;
        memcpy(&single, &bits32, sizeof single);
        *value = single;
    } else {
        *value = double_of(bits);
    }
    return !(*value != *value) || fail(cbor);
}

/* One piece of a string. */
static bool take_piece(struct mr_cbor *cbor, unsigned major, mr_bytes *piece)
{
    uint64_t size;

    if (left(cbor) == 0 || major_of(cbor) != major || !take_head(cbor, &size))
        return fail(cbor);
    if (size > left(cbor)) /* an indefinite one, too */
        return fail(cbor);
    *piece = (mr_bytes){cbor->at, (size_t)size};
    cbor->at += size;
    return major == BYTES || mr_utf8_chars(*piece) != SIZE_MAX || fail(cbor);
}

bool mr_cbor_string(struct mr_cbor *cbor, struct mr_cbor_string *string)
{
    enum mr_cbor_kind kind = mr_cbor_kind_next(cbor);
    const uint8_t *start;
    unsigned major;
    mr_bytes piece;

    if (kind != MR_CBOR_BYTES && kind != MR_CBOR_TEXT)
        return fail(cbor);
    major = major_of(cbor);
    string->is_chunked = (*cbor->at & 31) == 31;
    if (!string->is_chunked) {
        if (!take_piece(cbor, major, &string->raw))
            return false;
        string->size = string->raw.size;
        return true;
    }
    start = ++cbor->at;
    string->size = 0;
    while (left(cbor) > 0 && *cbor->at != BREAK) {
        if (!take_piece(cbor, major, &piece))
            return false;
        string->size += piece.size;
    }
    if (left(cbor) == 0)
        return fail(cbor);
    string->raw = (mr_bytes){start, (size_t)(cbor->at - start)};
    cbor->at++;
    return true;
}

void mr_cbor_join(const struct mr_cbor_string *string, uint8_t *out)
{
    struct mr_cbor cbor = mr_cbor_of(string->raw);
    mr_bytes piece;

    if (!string->is_chunked) {
        memcpy(out, string->raw.data, string->size);
        return;
    }
    while (left(&cbor) > 0 && take_piece(&cbor, major_of(&cbor), &piece)) {
        memcpy(out, piece.data, piece.size);
        out += piece.size;
    }
}

bool mr_cbor_enter(struct mr_cbor *cbor)
{
    enum mr_cbor_kind kind = mr_cbor_kind_next(cbor);
    uint64_t count;

    if ((kind != MR_CBOR_ARRAY && kind != MR_CBOR_MAP) || cbor->depth == MR_CBOR_DEPTH_MAX)
        return fail(cbor);
    if (!take_head(cbor, &count))
        return false;
    if (count != INDEFINITE && count > left(cbor))
        return fail(cbor); /* each item takes a byte at least */
    cbor->left[++cbor->depth] = count;
    return true;
}

bool mr_cbor_next(struct mr_cbor *cbor)
{
    uint64_t *items = &cbor->left[cbor->depth];

    if (cbor->is_fault || cbor->depth == 0)
        return false;
    if (*items == INDEFINITE) {
        if (left(cbor) == 0)
            return fail(cbor);
        if (*cbor->at != BREAK)
            return true;
        cbor->at++;
    } else if (*items > 0) {
        --*items;
        return true;
    }
    cbor->depth--;
    return false;
}

/* Takes a value that is no array or map, or steps into one. */
static bool skip_shallow(struct mr_cbor *cbor, bool *is_entered, bool *is_map)
{
    enum mr_cbor_kind kind = mr_cbor_kind_next(cbor);
    struct mr_cbor_string string;
    int64_t integer;
    double real;
    bool truth;

    *is_entered = false;
    switch (kind) {
    case MR_CBOR_FAULT:
        return false;
    case MR_CBOR_NULL:
        return mr_cbor_null(cbor);
    case MR_CBOR_BOOL:
        return mr_cbor_bool(cbor, &truth);
    case MR_CBOR_INTEGER:
        return mr_cbor_integer(cbor, &integer);
    case MR_CBOR_FLOAT:
        return mr_cbor_float(cbor, &real);
    case MR_CBOR_BYTES:
    case MR_CBOR_TEXT:
        return mr_cbor_string(cbor, &string);
    case MR_CBOR_ARRAY:
    case MR_CBOR_MAP:
        break;
    }
    *is_entered = true;
    *is_map = kind == MR_CBOR_MAP;
    return mr_cbor_enter(cbor);
}

bool mr_cbor_skip(struct mr_cbor *cbor)
{
    bool is_map[MR_CBOR_DEPTH_MAX + 1], is_entered, now_map;
    struct mr_cbor_string key;
    unsigned floor = cbor->depth;

    do {
        if (!skip_shallow(cbor, &is_entered, &now_map))
            return false;
        if (is_entered)
            is_map[cbor->depth] = now_map;
        while (cbor->depth > floor && !mr_cbor_next(cbor))
            if (cbor->is_fault)
                return false;
        if (cbor->depth > floor && is_map[cbor->depth] && !mr_cbor_string(cbor, &key))
            return false;
    } while (cbor->depth > floor);
    return true;
}

bool mr_cbor_done(const struct mr_cbor *cbor)
{
    return !cbor->is_fault && cbor->at == cbor->end;
}
